"""SMAC's multi-objective algorithms as the engine uses them: one number of several costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from smac import Scenario
from smac.multi_objective import AbstractMultiObjectiveAlgorithm, ParEGO

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.evidence import Evidence


class FreshParEGO(AbstractMultiObjectiveAlgorithm):
    """SMAC's ParEGO with the weights of each proposal drawn from a seed of its own.

    SMAC's draws them one after another, so that weights depend on how often it was asked, and a
    search that is restored would not have been asked at all.
    """

    def __init__(self, scenario: Scenario, *, seed: int | None = None) -> None:
        super().__init__()
        self._scenario = scenario
        self._seed = scenario.seed if seed is None else seed
        self._number = -1
        self._is_informed = False
        self.update_on_iteration_start()

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "seed": self._seed}

    def inform(self, evidence: Evidence) -> None:
        """Which proposal the weights are for."""
        self._number, self._is_informed = evidence.number, True

    def update_on_iteration_start(self) -> None:
        """Draw the weights of the next proposal."""
        if not self._is_informed:
            self._number += 1
        state = np.random.SeedSequence([self._seed, self._number]).generate_state(1)
        self._parego = ParEGO(self._scenario, seed=int(state[0]))
        self._parego.update_on_iteration_start()

    def __call__(self, values: list[float]) -> float:
        """ParEGO's augmented weighted maximum of costs from 0 to 1."""
        return self._parego(values)


class Unscalarised(AbstractMultiObjectiveAlgorithm):
    """For searches of a front: models see every objective, and only SMAC's lists are sorted."""

    def __call__(self, values: list[float]) -> float:
        """The mean of costs from 0 to 1: an order for those who ask SMAC's history for one."""
        return float(np.mean(values))
