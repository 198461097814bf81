"""SMAC's run history as it was at one moment, for a thread that reads while it grows."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence
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
    """

    def __init__(
        self,
        history: RunHistory,
        planned: Sequence[Configuration] = (),
        moment: Past | None = None,
    ) -> None:
        self._history = history
        if moment is None:
            self._trials = _copied(history)
            self._asked = history.get_configs()
        else:
            self._trials, self._asked = moment._trials, moment._asked
        self._planned = tuple(planned)

    def __getitem__(self, key: TrialKey) -> TrialValue:
        return self._trials[key]

    def __iter__(self) -> Iterator[TrialKey]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def items(self) -> ItemsView[TrialKey, TrialValue]:
        """Each trial and its result, without looking every one up."""
        return self._trials.items()

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
            for key, value in self._trials.items()
            if value.status == StatusType.RUNNING
        ]
        return [*running, *self._planned]


def _copied(history: RunHistory) -> dict[TrialKey, TrialValue]:
    if isinstance(history, LongRunHistory):
        return history.copied_trials()
    return {key: history[key] for key in history}
