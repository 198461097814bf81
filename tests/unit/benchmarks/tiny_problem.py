"""A problem of nine configurations whose hypervolumes can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from benchmarks.problems.problem import Box, Values, fractions_of
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import Objective


class TinyProblem:
    """`error` is x / 4 and `cost` is y / 4 at the last rung; everything is worse before."""

    name = "tiny"
    objectives = tuple(
        Objective(name=name, unit="fraction", reference=1.0, bound=2.0)
        for name in ("error", "cost")
    )
    fidelity = Fidelity(min_epochs=1, max_epochs=9, eta=3)
    rungs = fractions_of(fidelity)
    box = Box(ideal=(0.0, 0.0), nadir=(1.0, 1.0), volume=1.21)

    def __init__(self) -> None:
        self.space = ConfigurationSpace()
        self.space.add([CategoricalHyperparameter(name, (0, 2, 4)) for name in ("x", "y")])

    def cost(self, configuration: Values, rung: int) -> Mapping[str, float]:
        penalty = (len(self.rungs) - 1 - rung) / 10
        return {
            "error": float(configuration["x"]) / 4 + penalty,
            "cost": float(configuration["y"]) / 4 + penalty,
        }
