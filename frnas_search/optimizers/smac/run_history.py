"""SMAC's run history, for ten thousand trials."""

from __future__ import annotations

import numpy as np
from smac.runhistory.dataclasses import TrialKey, TrialValue
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory


class LongRunHistory(RunHistory):
    """The same, with the bounds of the objectives kept and not looked for.

    SMAC's goes through all results with each that it is told and each that begins, which makes
    its time grow with their square: minutes for a search of ten thousand that is restored. It has
    no public method for the bounds alone, so the two inner ones are overridden here. Bounds never
    narrow again where a result is told twice.
    """

    def copied_trials(self) -> list[tuple[TrialKey, TrialValue]]:
        """Each trial and its result, in order.

        Read as a plain dictionary's: an ordered one looks every key up, which takes a millisecond
        for some hundred trials, and whoever asks for the next trial waits for it.
        """
        return list(dict.items(self._data))

    def _add(self, k: TrialKey, v: TrialValue, status: StatusType) -> None:
        self._newest = v
        super()._add(k, v, status)

    def _update_objective_bounds(self) -> None:
        if not self._objective_bounds:
            self._objective_bounds = [(np.inf, -np.inf)] * max(1, self._n_objectives)
        if self._newest.status == StatusType.SUCCESS:
            costs = np.atleast_1d(self._newest.cost)
            self._objective_bounds = [
                (min(low, float(cost)), max(high, float(cost)))
                for (low, high), cost in zip(self._objective_bounds, costs, strict=True)
            ]
