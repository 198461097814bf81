"""SMAC's run history as it was at one moment, for a thread that reads while it grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from smac.runhistory.dataclasses import TrialKey, TrialValue
from smac.runhistory.enumerations import StatusType

from frnas_search.optimizers.smac.run_history import LongRunHistory

if TYPE_CHECKING:
    from ConfigSpace import Configuration
    from smac.runhistory.runhistory import RunHistory


class Past(Mapping[TrialKey, TrialValue]):
    """Trials in the order in which they were asked; never changes.

    Args:
        history: Copied; its records are frozen.
        planned: Configurations that will have been asked when the next one is.
        moment: Of which the history is known; None is the present one.

    Attributes:
        trials: Each with its result.
    """

    def __init__(
        self,
        history: RunHistory,
        planned: Sequence[Configuration] = (),
        moment: Past | None = None,
    ) -> None:
        self._history = history
        if moment is None:
            self.trials = _copied(history)
            self._asked = history.get_configs()
        else:
            self.trials, self._asked = moment.trials, moment._asked
        self._planned = tuple(planned)

    def __getitem__(self, key: TrialKey) -> TrialValue:
        return self._by_key[key]

    def __iter__(self) -> Iterator[TrialKey]:
        return (key for key, _ in self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    @cached_property
    def _by_key(self) -> dict[TrialKey, TrialValue]:
        return dict(self.trials)

    def with_planned(self, planned: Sequence[Configuration]) -> Past:
        """The same moment, with configurations that are about to be asked."""
        return Past(self._history, (*self._planned, *planned), self)

    def get_config(self, config_id: int) -> Configuration:
        """By SMAC's number, which never changes."""
        return self._history.get_config(config_id)

    def get_configs(self) -> list[Configuration]:
        """Every configuration, in the order of their first trials."""
        return [*self._asked, *self._planned]

    def pending(self) -> list[Configuration]:
        """Those in flight, once for each of their trials, then those that are planned."""
        running = [
            self.get_config(key.config_id)
            for key, value in self.trials
            if value.status == StatusType.RUNNING
        ]
        return [*running, *self._planned]


def _copied(history: RunHistory) -> list[tuple[TrialKey, TrialValue]]:
    if isinstance(history, LongRunHistory):
        return history.copied_trials()
    return list(history.items())
