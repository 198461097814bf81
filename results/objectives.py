"""Objectives: which metric is minimised, in which unit, between which bounds.

All objectives are costs. The bound is the worst value the metric can take; a failed trial is told
to the optimizer at the bound of every objective, and a cost is told as its share of the bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from results.metrics import METRICS, MetricDefinition, Sample, Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One minimised metric.

    Attributes:
        reference: Hypervolume's corner; costs beyond it add nothing.
        bound: The worst value the metric can take, finite; of a size or a time, one that counts
            as the worst.
        scale: How the optimizer sees it. `log` spreads out a heavy tail.
        best: What counts as the best value, at least 0.
    """

    name: str
    unit: str
    reference: float
    bound: float
    scale: Scale = "linear"
    best: float = 0.0

    def range_fault(self, cost: float) -> str | None:
        """What is wrong with a cost that the metric cannot take; None of one that it can."""
        if self.best <= cost <= self.bound:
            return None
        return f"is {cost:g}; give {self.best:g} to {self.bound:g} {self.unit}"

    def normalised(self, cost: float) -> float:
        """The cost as the optimizer sees it, 0.0 best to 1.0 worst; clipped at the bound."""
        clipped = min(max(cost, self.best), self.bound)
        if self.scale == "log":
            best, worst = math.log1p(self.best), math.log1p(self.bound)
            return (math.log1p(clipped) - best) / (worst - best)
        return (clipped - self.best) / (self.bound - self.best)


# Known from the network alone, or measured on the device; the others are measured on faces.
_SIZES = {
    "parameters": Objective(
        name="parameters", unit="numbers", reference=2e8, bound=1e9, scale="log", best=1e4
    ),
    "macs": Objective(
        name="macs",
        unit="multiply-accumulates",
        reference=5e10,
        bound=5e11,
        scale="log",
        best=1e5,
    ),
    "activation_bytes": Objective(
        name="activation_bytes", unit="bytes", reference=2e8, bound=4e9, scale="log", best=1e4
    ),
    "milliseconds_per_image": Objective(
        name="milliseconds_per_image",
        unit="ms",
        reference=100.0,
        bound=1e4,
        scale="log",
    ),
}


# Of the faces.
_MEASURED: Mapping[str, MetricDefinition] = {
    definition.cost_name: definition
    for definition in METRICS.values()
    if definition.cost_name is not None
}

NEEDS: Mapping[str, Sample] = {
    name: definition.of
    for name, definition in _MEASURED.items()
    if definition.of != "identification"
}
"""Objective -> the part of an evaluation that is off by default and measures it."""

OBJECTIVE_NAMES = (*_MEASURED, *_SIZES)


def objective(name: str, *, n_identities: int) -> Objective:
    """The definition of the objective called `name`.

    Args:
        name: One of `OBJECTIVE_NAMES`.
        n_identities: Identities in the gallery that the costs are measured on, at least 2; a rank
            by identity lies between 0 and `n_identities - 1`.

    Raises:
        ValueError: The name is not known, or there are fewer than two identities.
    """
    if n_identities < 2:
        raise ValueError(
            f"a gallery of {n_identities} identities cannot be ranked; give 2 or more"
        )
    if name in _SIZES:
        return _SIZES[name]
    definition = _MEASURED.get(name)
    if definition is None or definition.limits is None:
        raise ValueError(f"unknown objective {name!r}; choose from {', '.join(OBJECTIVE_NAMES)}")
    limits = definition.limits(float(n_identities - 1))
    return Objective(
        name=name,
        unit=definition.unit,
        reference=limits.reference,
        bound=limits.bound,
        scale=limits.scale,
        best=definition.best_cost,
    )
