"""What a benchmark needs of a problem: a space, minimised costs at rungs, and a yardstick.

A problem is a deterministic function; its data stay where they are and are read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from results.hypervolume import hypervolume

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from frnas_search.optimizers.fidelity import Fidelity
    from results.objectives import Objective
    from results.pareto import FloatArray

Values: TypeAlias = Mapping[str, bool | int | float | str]

REFERENCE = 1.1
"""Hypervolume's corner in every normalised objective, 0 the ideal and 1 the nadir of the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The part of the objective space that counts, from a known or a largely sampled front.

    Attributes:
        ideal: The best value of each objective on the front, in its own unit.
        nadir: The worst, likewise.
        volume: Hypervolume of that front, normalised to the box, up to `REFERENCE`.
    """

    ideal: tuple[float, ...]
    nadir: tuple[float, ...]
    volume: float

    def share(self, costs: FloatArray) -> float:
        """Hypervolume as a share of the front's; above 1 where a sampled front was beaten.

        Args:
            costs: Shape (n, m), in the objectives' own units; n may be 0.
        """
        if len(costs) == 0:
            return 0.0
        return normalised_volume(costs, self.ideal, self.nadir) / self.volume


def normalised_volume(costs: FloatArray, ideal: Sequence[float], nadir: Sequence[float]) -> float:
    """Hypervolume up to `REFERENCE` where `ideal` is 0 and `nadir` is 1."""
    best, worst = np.asarray(ideal), np.asarray(nadir)
    scaled = (costs - best) / (worst - best)
    return hypervolume(scaled, np.full(len(best), REFERENCE))


class Problem(Protocol):
    """One search problem; two of the same name are the same function."""

    name: str
    space: ConfigurationSpace
    fidelity: Fidelity

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimised."""

    @property
    def box(self) -> Box:
        """The yardstick."""

    @property
    def rungs(self) -> tuple[float, ...]:
        """What an evaluation at each rung costs as a fraction of a full one; rising to 1."""

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        """Every objective by name, finite.

        Args:
            configuration: Active hyperparameters only.
            rung: An index of `rungs`.
        """


def fractions_of(fidelity: Fidelity) -> tuple[float, ...]:
    """The rungs of a fidelity as fractions of its last."""
    return tuple(rung / fidelity.max_epochs for rung in fidelity.rungs)
