"""The catalogue of metrics: what each is, between which bounds, how it is computed. Pure numpy.

A metric is a function of rates, arrays (..., G) whose last axis runs over groups, so that the same
function gives the estimate, all resamplings at once and all permutations at once. Metrics of all
faces together get arrays with one group. Knows no ranks, no embeddings and no groups' names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Rates: TypeAlias = Mapping[str, FloatArray]
Sample: TypeAlias = Literal["identification", "verification", "open_set"]
Shape: TypeAlias = Literal["mean", "gap", "relative", "worst", "plain"]

RELATIVE_BOUND = 10.0
"""What a ratio that divides by zero costs, and the largest cost of one that does not."""

_ALPHA = 0.5
_PREDECESSOR = "FR-NAS (Dooley et al. 2023), analysis.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: As in `metrics` of an evaluation.
        of: What it is computed from, and hence what has to be evaluated.
        value: Rates -> (...,), NaN where the formula divides by zero.
        shape: How its interval is made (`workers.evaluation.intervals`): `mean` of all faces,
            `gap` (a difference of two groups' `rate`), `relative` (of two groups, signed),
            `worst` (the largest `rate`), `plain` (percentiles of the value).
        rate: The one rate it depends on; empty when it depends on several.
        unit: Of the value.
        best: The perfect value.
        worst: The worst value; infinite when there is none.
        formula: x_g is the rate of group g.
        source: Where the formula is from.
        cost_name: The objective that minimises it; None where another one does.
    """

    name: str
    of: Sample
    value: Callable[[Rates], FloatArray]
    shape: Shape
    rate: str
    unit: str
    best: float
    worst: float
    formula: str
    source: str
    cost_name: str | None

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Whether lower or higher values are better."""
        return "lower" if self.best < self.worst else "higher"

    def cost(self, rates: Rates) -> FloatArray:
        """(...,): the value to minimise, always finite; 1 - value where higher is better."""
        values = self.value(rates)
        if self.direction == "higher":
            values = self.best - values
        if self.shape == "relative":
            alike = _largest_gap(rates[self.rate]) == 0.0
            undefined = np.where(alike, 0.0, RELATIVE_BOUND)
            values = np.where(np.isfinite(values), np.minimum(values, RELATIVE_BOUND), undefined)
        return np.asarray(values, np.float64)


def jeffreys(rate: FloatArray, n: FloatArray) -> FloatArray:
    """(k + 1/2) / (n + 1) for k = rate * n events of n: never 0, so that ratios are defined."""
    smoothed: FloatArray = (rate * n + 0.5) / (n + 1.0)
    return smoothed


def gini(values: FloatArray) -> FloatArray:
    """(...,): Gini coefficient of G values with the small-sample factor G / (G - 1), 0 to 1.

    0 when all values are equal, also when all are 0.
    """
    n = values.shape[-1]
    mean = values.mean(axis=-1)
    pairs = np.abs(values[..., :, None] - values[..., None, :]).sum(axis=(-2, -1))
    coefficient: FloatArray = np.divide(
        pairs, 2.0 * n * (n - 1) * mean, out=np.zeros_like(mean), where=mean > 0.0
    )
    return coefficient


def fairness_discrepancy_rate(fmr: FloatArray, fnmr: FloatArray) -> FloatArray:
    """(...,): 1 - (largest gap of the FMRs + largest gap of the FNMRs) / 2."""
    worst: FloatArray = _ALPHA * _largest_gap(fmr) + (1.0 - _ALPHA) * _largest_gap(fnmr)
    return 1.0 - worst


def inequity_rate(fmr: FloatArray, fnmr: FloatArray) -> FloatArray:
    """(...,): geometric mean of the largest ratios of FMRs and of FNMRs; give positive rates."""
    rate: FloatArray = _max_min(fmr) ** _ALPHA * _max_min(fnmr) ** (1.0 - _ALPHA)
    return rate


def garbe(fmr: FloatArray, fnmr: FloatArray) -> FloatArray:
    """(...,): mean of the Gini coefficients of the FMRs and of the FNMRs."""
    mean: FloatArray = _ALPHA * gini(fmr) + (1.0 - _ALPHA) * gini(fnmr)
    return mean


def max_over_geometric_mean(rates: FloatArray) -> FloatArray:
    """(...,): the largest rate over the geometric mean of all; give positive rates."""
    ratio: FloatArray = rates.max(axis=-1) / np.exp(np.log(rates).mean(axis=-1))
    return ratio


def relative_gap(values: FloatArray) -> FloatArray:
    """(...,): |1 - second / first| of two values, 1 - smallest / largest of more.

    NaN for zero by zero, infinite where only the denominator is zero.
    """
    if values.shape[-1] == 2:
        numerator, denominator = values[..., 1], values[..., 0]
    else:
        numerator, denominator = values.min(axis=-1), values.max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(1.0 - numerator / denominator))


def _largest_gap(values: FloatArray) -> FloatArray:
    gap: FloatArray = values.max(axis=-1) - values.min(axis=-1)
    return gap


def _max_min(values: FloatArray) -> FloatArray:
    ratio: FloatArray = values.max(axis=-1) / values.min(axis=-1)
    return ratio


def _smoothed(rates: Rates, name: str, n: str) -> FloatArray:
    return jeffreys(rates[name], rates[n])


def _smoothed_matches(rates: Rates) -> tuple[FloatArray, FloatArray]:
    return _smoothed(rates, "fmr", "n_impostor"), _smoothed(rates, "fnmr", "n_genuine")


def _of_all(name: str, *, of: Sample, unit: str, worst: float, formula: str) -> Metric:
    return Metric(
        name=name,
        of=of,
        value=lambda rates: rates[name][..., 0],
        shape="mean",
        rate=name,
        unit=unit,
        best=0.0,
        worst=worst,
        formula=formula,
        source="ISO/IEC 19795-1" if of != "identification" else _PREDECESSOR,
        cost_name=name if worst == 1.0 else None,
    )


def _gap(name: str, rate: str, *, unit: str, worst: float, formula: str, source: str) -> Metric:
    return Metric(
        name=name,
        of="identification",
        value=lambda rates: _largest_gap(rates[rate]),
        shape="gap",
        rate=rate,
        unit=unit,
        best=0.0,
        worst=worst,
        formula=formula,
        source=source,
        cost_name=name,
    )


def _relative(name: str, rate: str) -> Metric:
    return Metric(
        name=name,
        of="identification",
        value=lambda rates: relative_gap(rates[rate]),
        shape="relative",
        rate=rate,
        unit="ratio",
        best=0.0,
        worst=math.inf,
        formula=f"abs(1 - x_2 / x_1) of the {rate}; of more groups 1 - min x_g / max x_g",
        source=_PREDECESSOR,
        cost_name=name,
    )


def _plain(
    name: str,
    value: Callable[[Rates], FloatArray],
    *,
    of: Sample,
    bounds: tuple[float, float],
    formula: str,
    source: str,
) -> Metric:
    best, worst = bounds
    return Metric(
        name=name,
        of=of,
        value=value,
        shape="plain",
        rate="",
        unit="fraction" if max(bounds) <= 1.0 else "ratio",
        best=best,
        worst=worst,
        formula=formula,
        source=source,
        cost_name=name if best < worst else f"{name}_gap",
    )


_OF_ALL = (
    _of_all(
        "error",
        of="identification",
        unit="fraction",
        worst=1.0,
        formula="share of probes with rank > 0",
    ),
    _of_all(
        "mean_rank",
        of="identification",
        unit="ranks",
        worst=math.inf,
        formula="mean rank by identity",
    ),
    _of_all(
        "fnmr",
        of="verification",
        unit="fraction",
        worst=1.0,
        formula="share of genuine pairs at or below the threshold: 1 - TAR at FAR",
    ),
    _of_all(
        "fnir",
        of="open_set",
        unit="fraction",
        worst=1.0,
        formula="share of enrolled people's probes not found first and above the threshold",
    ),
)
_OF_IDENTIFICATION = (
    _gap(
        "rank_disparity",
        "mean_rank",
        unit="ranks",
        worst=math.inf,
        formula="max R_g - min R_g, R the mean rank by identity",
        source=_PREDECESSOR,
    ),
    _gap(
        "log_rank_disparity",
        "mean_log_rank",
        unit="log ranks",
        worst=math.inf,
        formula="max L_g - min L_g, L the mean of ln(1 + rank by identity)",
        source="this project",
    ),
    _gap(
        "disparity",
        "accuracy",
        unit="fraction",
        worst=1.0,
        formula="max A_g - min A_g, A the rank-1 accuracy",
        source=_PREDECESSOR,
    ),
    _relative("ratio", "accuracy"),
    _relative("rank_ratio", "mean_rank"),
    _relative("error_ratio", "error"),
    Metric(
        name="worst_group_error",
        of="identification",
        value=lambda rates: rates["error"].max(axis=-1),
        shape="worst",
        rate="error",
        unit="fraction",
        best=0.0,
        worst=1.0,
        formula="max E_g",
        source="Rawls' maximin; Sagawa et al. 2020 (arXiv:1911.08731)",
        cost_name="worst_group_error",
    ),
    _plain(
        "accuracy_std",
        lambda rates: rates["accuracy"].std(axis=-1, ddof=1),
        of="identification",
        bounds=(0.0, math.sqrt(0.5)),
        formula="standard deviation of A_g with G - 1 in the denominator",
        source="Wang and Deng 2020 (RFW tables, arXiv:1911.10692)",
    ),
    _plain(
        "ser",
        lambda rates: _max_min(_smoothed(rates, "error", "n_probes")),
        of="identification",
        bounds=(1.0, math.inf),
        formula="max E'_g / min E'_g, skewed error ratio; E' = (k + 1/2) / (n + 1)",
        source="Wang and Deng 2020 (arXiv:1911.10692)",
    ),
    _plain(
        "min_max",
        lambda rates: 1.0 / _max_min(_smoothed(rates, "accuracy", "n_probes")),
        of="identification",
        bounds=(1.0, 0.0),
        formula="min A'_g / max A'_g; A' = (k + 1/2) / (n + 1)",
        source="the four-fifths rule's impact ratio",
    ),
)
_OF_VERIFICATION = (
    _plain(
        "fdr",
        lambda rates: fairness_discrepancy_rate(rates["fmr"], rates["fnmr"]),
        of="verification",
        bounds=(1.0, 0.0),
        formula="1 - (max|FMR_i - FMR_j| + max|FNMR_i - FNMR_j|) / 2",
        source="de Freitas Pereira and Marcel 2022 (arXiv:2011.02395)",
    ),
    _plain(
        "inequity_rate",
        lambda rates: inequity_rate(*_smoothed_matches(rates)),
        of="verification",
        bounds=(1.0, math.inf),
        formula="sqrt(max FMR'_g / min FMR'_g * max FNMR'_g / min FNMR'_g)",
        source="Grother 2022, NIST IR 8429",
    ),
    _plain(
        "garbe",
        lambda rates: garbe(rates["fmr"], rates["fnmr"]),
        of="verification",
        bounds=(0.0, 1.0),
        formula="(Gini(FMR) + Gini(FNMR)) / 2, each times G / (G - 1)",
        source="Howard et al. 2022 (arXiv:2203.05051)",
    ),
    _plain(
        "max_geomean_fmr",
        lambda rates: max_over_geometric_mean(_smoothed(rates, "fmr", "n_impostor")),
        of="verification",
        bounds=(1.0, math.inf),
        formula="max FMR'_g / geometric mean of FMR'_g",
        source="Grother 2022, NIST IR 8429",
    ),
    _plain(
        "max_geomean_fnmr",
        lambda rates: max_over_geometric_mean(_smoothed(rates, "fnmr", "n_genuine")),
        of="verification",
        bounds=(1.0, math.inf),
        formula="max FNMR'_g / geometric mean of FNMR'_g",
        source="Grother 2022, NIST IR 8429",
    ),
)

CATALOGUE: Mapping[str, Metric] = {
    metric.name: metric for metric in (*_OF_ALL, *_OF_IDENTIFICATION, *_OF_VERIFICATION)
}


def between_groups(of: Sample) -> tuple[Metric, ...]:
    """The metrics that compare groups."""
    return tuple(m for m in CATALOGUE.values() if m.of == of and m.shape != "mean")


def values_of(metrics: Sequence[Metric], rates: Rates) -> dict[str, float | None]:
    """Name -> value for rates of shape (G,); None where it is not defined."""
    values = {metric.name: float(metric.value(rates)) for metric in metrics}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def costs_between(metrics: Sequence[Metric], rates: Rates) -> dict[str, float]:
    """Objective -> cost for rates of shape (G,)."""
    return {m.cost_name: float(m.cost(rates)) for m in metrics if m.cost_name is not None}
