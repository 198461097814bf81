"""Objectives: which metric is minimised, in which unit, between which bounds.

All objectives are costs. The bound is the worst value the metric can take; a failed trial is told
to the optimizer at the bound of every objective, and a cost is told as its share of the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log"]


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


def _fraction(name: str) -> Objective:
    return Objective(name=name, unit="fraction", reference=1.0, bound=1.0)


def _relative(name: str) -> Objective:
    # |1 - a / b| has no bound; above the reference one group's rate is twice the other's.
    return Objective(name=name, unit="ratio", reference=1.0, bound=10.0)


def _multiple(name: str) -> Objective:
    # Largest over smallest; rates are smoothed, so it is finite. 1 is parity.
    return Objective(name=name, unit="ratio", reference=100.0, bound=1e4, scale="log", best=1.0)


# Of the faces, but for those whose bound depends on how many people there are.
_MEASURED = {
    each.name: each
    for each in (
        _fraction("error"),
        _fraction("disparity"),
        _fraction("worst_group_error"),
        _relative("ratio"),
        _relative("rank_ratio"),
        _relative("error_ratio"),
        Objective(
            name="accuracy_std",
            unit="fraction",
            reference=math.sqrt(0.5),  # of two groups with accuracies 0 and 1
            bound=math.sqrt(0.5),
        ),
        _multiple("ser"),
        _fraction("min_max_gap"),
        _fraction("fnmr"),
        _fraction("fdr_gap"),
        _multiple("inequity_rate"),
        _fraction("garbe"),
        _multiple("max_geomean_fmr"),
        _multiple("max_geomean_fnmr"),
        _fraction("fnir"),
    )
}
_OF_RANKS = ("rank_disparity", "log_rank_disparity")

NEEDS = {
    **dict.fromkeys(
        ("fnmr", "fdr_gap", "inequity_rate", "garbe", "max_geomean_fmr", "max_geomean_fnmr"),
        "verification",
    ),
    "fnir": "open_set",
}
"""Objective -> the part of an evaluation that is off by default and measures it."""

OBJECTIVE_NAMES = ("error", *_OF_RANKS, *(n for n in _MEASURED if n != "error"), *_SIZES)


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
    worst = float(n_identities - 1)
    known = {
        **_MEASURED,
        **_SIZES,
        "rank_disparity": Objective(
            name="rank_disparity", unit="ranks", reference=worst / 10, bound=worst, scale="log"
        ),
        "log_rank_disparity": Objective(
            name="log_rank_disparity",
            unit="log ranks",
            reference=math.log1p(worst),
            bound=math.log1p(worst),
        ),
    }
    if name not in known:
        raise ValueError(f"unknown objective {name!r}; choose from {', '.join(OBJECTIVE_NAMES)}")
    return known[name]
