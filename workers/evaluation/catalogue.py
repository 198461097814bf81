"""The catalogue of metrics: how each of `results.metrics` is computed. Pure numpy.

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

from results.metrics import METRICS, RELATIVE_BOUND, MetricDefinition, Sample

FloatArray: TypeAlias = NDArray[np.float64]
Rates: TypeAlias = Mapping[str, FloatArray]
Shape: TypeAlias = Literal["mean", "gap", "relative", "worst", "plain"]

_ALPHA = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        definition: What it is.
        value: Rates -> (...,), NaN where the formula divides by zero.
        shape: How its interval is made (`workers.evaluation.intervals`): `mean` of all faces,
            `gap` (a difference of two groups' `rate`), `relative` (of two groups, signed),
            `worst` (the largest `rate`), `plain` (percentiles of the value).
        rate: The one rate it depends on; empty when it depends on several.
    """

    definition: MetricDefinition
    value: Callable[[Rates], FloatArray]
    shape: Shape
    rate: str

    @property
    def name(self) -> str:
        """As in `metrics` of an evaluation."""
        return self.definition.name

    @property
    def cost_name(self) -> str | None:
        """The objective that minimises it; None where another one does."""
        return self.definition.cost_name

    def cost(self, rates: Rates) -> FloatArray:
        """(...,): the value to minimise, always finite; 1 - value where higher is better."""
        values = self.value(rates)
        if self.definition.direction == "higher":
            values = self.definition.best - values
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


def _of_all(name: str) -> Metric:
    return _metric(name, lambda rates: rates[name][..., 0], shape="mean", rate=name)


def _gap(name: str, rate: str) -> Metric:
    return _metric(name, lambda rates: _largest_gap(rates[rate]), shape="gap", rate=rate)


def _relative(name: str, rate: str) -> Metric:
    return _metric(name, lambda rates: relative_gap(rates[rate]), shape="relative", rate=rate)


def _metric(
    name: str, value: Callable[[Rates], FloatArray], *, shape: Shape = "plain", rate: str = ""
) -> Metric:
    return Metric(definition=METRICS[name], value=value, shape=shape, rate=rate)


_METRICS = (
    _of_all("error"),
    _of_all("mean_rank"),
    _of_all("fnmr"),
    _of_all("fnir"),
    _gap("rank_disparity", "mean_rank"),
    _gap("log_rank_disparity", "mean_log_rank"),
    _gap("disparity", "accuracy"),
    _relative("ratio", "accuracy"),
    _relative("rank_ratio", "mean_rank"),
    _relative("error_ratio", "error"),
    _metric(
        "worst_group_error",
        lambda rates: rates["error"].max(axis=-1),
        shape="worst",
        rate="error",
    ),
    _metric("accuracy_std", lambda rates: rates["accuracy"].std(axis=-1, ddof=1)),
    _metric("ser", lambda rates: _max_min(_smoothed(rates, "error", "n_probes"))),
    _metric("min_max", lambda rates: 1.0 / _max_min(_smoothed(rates, "accuracy", "n_probes"))),
    _metric("fdr", lambda rates: fairness_discrepancy_rate(rates["fmr"], rates["fnmr"])),
    _metric("inequity_rate", lambda rates: inequity_rate(*_smoothed_matches(rates))),
    _metric("garbe", lambda rates: garbe(rates["fmr"], rates["fnmr"])),
    _metric(
        "max_geomean_fmr",
        lambda rates: max_over_geometric_mean(_smoothed(rates, "fmr", "n_impostor")),
    ),
    _metric(
        "max_geomean_fnmr",
        lambda rates: max_over_geometric_mean(_smoothed(rates, "fnmr", "n_genuine")),
    ),
)

CATALOGUE: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}


def between_groups(of: Sample) -> tuple[Metric, ...]:
    """The metrics that compare groups."""
    return tuple(m for m in CATALOGUE.values() if m.definition.of == of and m.shape != "mean")


def values_of(metrics: Sequence[Metric], rates: Rates) -> dict[str, float | None]:
    """Name -> value for rates of shape (G,); None where it is not defined."""
    values = {metric.name: float(metric.value(rates)) for metric in metrics}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def costs_between(metrics: Sequence[Metric], rates: Rates) -> dict[str, float]:
    """Objective -> cost for rates of shape (G,)."""
    return {m.cost_name: float(m.cost(rates)) for m in metrics if m.cost_name is not None}
