"""The metrics of faces: what each is called, measured in, bounded by, and computed from.

Everything that says something about a metric asks here; the formulae as code are in
`workers.evaluation.catalogue`, under the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Sample: TypeAlias = Literal["identification", "verification", "open_set"]
Scale: TypeAlias = Literal["linear", "log"]

RELATIVE_BOUND = 10.0
"""What a ratio that divides by zero costs, and the largest cost of one that does not."""

_PREDECESSOR = "FR-NAS (Dooley et al. 2023), analysis.py"
_ISO = "ISO/IEC 19795-1"
_NIST = "Grother 2022, NIST IR 8429"
_RFW = "Wang and Deng 2020 (arXiv:1911.10692)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLimits:
    """How far a cost reaches.

    Attributes:
        bound: The worst cost, finite.
        reference: Hypervolume's corner; costs beyond it add nothing.
        scale: How the optimizer sees it. `log` spreads out a heavy tail.
    """

    bound: float
    reference: float
    scale: Scale = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDefinition:
    """A metric.

    Attributes:
        name: As in `metrics` of an evaluation.
        of: What it is computed from, and hence what has to be evaluated.
        unit: Of the value and of its cost.
        best: The perfect value.
        worst: The worst value; infinite when there is none.
        formula: x_g is the rate of group g.
        source: Where the formula is from.
        limits: Largest rank by identity -> how far the cost reaches; None of a metric that
            another one's objective minimises.
    """

    name: str
    of: Sample
    unit: str
    best: float
    worst: float
    formula: str
    source: str
    limits: Callable[[float], CostLimits] | None

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Whether lower or higher values are better."""
        return "lower" if self.best < self.worst else "higher"

    @property
    def cost_name(self) -> str | None:
        """The objective that minimises it; None where another metric's does."""
        if self.limits is None:
            return None
        return self.name if self.direction == "lower" else f"{self.name}_gap"

    @property
    def best_cost(self) -> float:
        """The cost of the perfect value: the value, or where higher is better 1 - value."""
        return self.best if self.direction == "lower" else 0.0


def _fraction(
    name: str, of: Sample, *, formula: str, source: str, best: float = 0.0, worst: float = 1.0
) -> MetricDefinition:
    reach = abs(worst - best)
    return MetricDefinition(
        name=name,
        of=of,
        unit="fraction",
        best=best,
        worst=worst,
        formula=formula,
        source=source,
        limits=lambda _: CostLimits(bound=reach, reference=reach),
    )


def _of_ranks(
    name: str,
    *,
    unit: str,
    formula: str,
    source: str,
    limits: Callable[[float], CostLimits] | None,
) -> MetricDefinition:
    return MetricDefinition(
        name=name,
        of="identification",
        unit=unit,
        best=0.0,
        worst=math.inf,
        formula=formula,
        source=source,
        limits=limits,
    )


def _relative(name: str, rate: str) -> MetricDefinition:
    return MetricDefinition(
        name=name,
        of="identification",
        unit="ratio",
        best=0.0,
        worst=math.inf,
        formula=f"abs(1 - x_2 / x_1) of the {rate}; of more groups 1 - min x_g / max x_g",
        source=_PREDECESSOR,
        # Above the reference one group's rate is twice the other's.
        limits=lambda _: CostLimits(bound=RELATIVE_BOUND, reference=1.0),
    )


def _multiple(name: str, of: Sample, *, formula: str, source: str) -> MetricDefinition:
    """Largest over smallest; rates are smoothed, so it is finite. 1 is parity."""
    return MetricDefinition(
        name=name,
        of=of,
        unit="ratio",
        best=1.0,
        worst=math.inf,
        formula=formula,
        source=source,
        limits=lambda _: CostLimits(bound=1e4, reference=100.0, scale="log"),
    )


_DEFINITIONS = (
    _fraction(
        "error", "identification", formula="share of probes with rank > 0", source=_PREDECESSOR
    ),
    _of_ranks(
        "mean_rank",
        unit="ranks",
        formula="mean rank by identity",
        source=_PREDECESSOR,
        limits=None,
    ),
    _of_ranks(
        "rank_disparity",
        unit="ranks",
        formula="max R_g - min R_g, R the mean rank by identity",
        source=_PREDECESSOR,
        limits=lambda worst: CostLimits(bound=worst, reference=worst / 10, scale="log"),
    ),
    _of_ranks(
        "log_rank_disparity",
        unit="log ranks",
        formula="max L_g - min L_g, L the mean of ln(1 + rank by identity)",
        source="this project",
        limits=lambda worst: CostLimits(bound=math.log1p(worst), reference=math.log1p(worst)),
    ),
    _fraction(
        "disparity",
        "identification",
        formula="max A_g - min A_g, A the rank-1 accuracy",
        source=_PREDECESSOR,
    ),
    _fraction(
        "worst_group_error",
        "identification",
        formula="max E_g",
        source="Rawls' maximin; Sagawa et al. 2020 (arXiv:1911.08731)",
    ),
    _relative("ratio", "accuracy"),
    _relative("rank_ratio", "mean_rank"),
    _relative("error_ratio", "error"),
    _fraction(
        "accuracy_std",
        "identification",
        worst=math.sqrt(0.5),  # of two groups with accuracies 0 and 1
        formula="standard deviation of A_g with G - 1 in the denominator",
        source="Wang and Deng 2020 (RFW tables, arXiv:1911.10692)",
    ),
    _multiple(
        "ser",
        "identification",
        formula="max E'_g / min E'_g, skewed error ratio; E' = (k + 1/2) / (n + 1)",
        source=_RFW,
    ),
    _fraction(
        "min_max",
        "identification",
        best=1.0,
        worst=0.0,
        formula="min A'_g / max A'_g; A' = (k + 1/2) / (n + 1)",
        source="the four-fifths rule's impact ratio",
    ),
    _fraction(
        "fnmr",
        "verification",
        formula="share of genuine pairs at or below the threshold: 1 - TAR at FAR",
        source=_ISO,
    ),
    _fraction(
        "fdr",
        "verification",
        best=1.0,
        worst=0.0,
        formula="1 - (max|FMR_i - FMR_j| + max|FNMR_i - FNMR_j|) / 2",
        source="de Freitas Pereira and Marcel 2022 (arXiv:2011.02395)",
    ),
    _multiple(
        "inequity_rate",
        "verification",
        formula="sqrt(max FMR'_g / min FMR'_g * max FNMR'_g / min FNMR'_g)",
        source=_NIST,
    ),
    _fraction(
        "garbe",
        "verification",
        formula="(Gini(FMR) + Gini(FNMR)) / 2, each times G / (G - 1)",
        source="Howard et al. 2022 (arXiv:2203.05051)",
    ),
    _multiple(
        "max_geomean_fmr",
        "verification",
        formula="max FMR'_g / geometric mean of FMR'_g",
        source=_NIST,
    ),
    _multiple(
        "max_geomean_fnmr",
        "verification",
        formula="max FNMR'_g / geometric mean of FNMR'_g",
        source=_NIST,
    ),
    _fraction(
        "fnir",
        "open_set",
        formula="share of enrolled people's probes not found first and above the threshold",
        source=_ISO,
    ),
)

METRICS: Mapping[str, MetricDefinition] = MappingProxyType(
    {definition.name: definition for definition in _DEFINITIONS}
)
"""Metric -> its definition, in the order in which objectives are listed."""
