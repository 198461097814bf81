from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.metrics import METRICS, RELATIVE_BOUND
from results.objectives import objective
from tests.places import REPOSITORY
from workers.evaluation import catalogue
from workers.evaluation.catalogue import CATALOGUE, Rates

FMR = np.array([1e-3, 1e-3, 1e-3, 1e-2])
FNMR = np.array([0.02, 0.03, 0.02, 0.05])


def test_the_worked_example() -> None:
    assert catalogue.fairness_discrepancy_rate(FMR, FNMR) == pytest.approx(0.9805, abs=1e-12)
    assert catalogue.inequity_rate(FMR, FNMR) == pytest.approx(5.0)
    # Gini of (1, 1, 1, 10): 4/3 * 54 / (2 * 16 * 3.25) = .6923; of (2, 3, 2, 5): .2778.
    assert catalogue.garbe(FMR, FNMR) == pytest.approx((9 / 13 + 5 / 18) / 2)
    assert round(float(catalogue.garbe(FMR, FNMR)), 3) == 0.485
    assert round(float(catalogue.max_over_geometric_mean(FMR)), 2) == 5.62
    assert round(float(catalogue.max_over_geometric_mean(FNMR)), 2) == 1.80


def brute_gini(values: list[float]) -> float:
    n, mean = len(values), sum(values) / len(values)
    if mean == 0:
        return 0.0
    total = sum(abs(a - b) for a, b in itertools.product(values, values))
    return n / (n - 1) * total / (2 * n**2 * mean)


@given(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=7))
def test_gini_equals_its_double_sum_and_lies_between_0_and_1(values: list[float]) -> None:
    gini = float(catalogue.gini(np.array(values)))
    assert gini == pytest.approx(brute_gini(values))
    assert -1e-12 <= gini <= 1.0 + 1e-12


def test_gini_at_its_ends() -> None:
    assert catalogue.gini(np.zeros(3)) == 0.0
    assert catalogue.gini(np.array([0.2, 0.2])) == 0.0
    assert catalogue.gini(np.array([0.0, 0.0, 0.7])) == pytest.approx(1.0)


def test_add_half_is_never_zero() -> None:
    smoothed = catalogue.jeffreys(np.array([0.0, 0.5, 1.0]), np.array([9.0, 9.0, 9.0]))
    assert smoothed.tolist() == [0.05, 0.5, 0.95]


def test_relative_gap_of_two_has_a_direction_and_of_more_has_none() -> None:
    assert catalogue.relative_gap(np.array([0.5, 0.25])) == 0.5
    assert catalogue.relative_gap(np.array([0.25, 0.5])) == 1.0
    assert catalogue.relative_gap(np.array([0.25, 0.5, 0.4])) == 0.5
    assert math.isnan(catalogue.relative_gap(np.array([0.0, 0.0])))


def test_what_divides_by_zero_has_no_value_but_a_finite_cost() -> None:
    metric = CATALOGUE["error_ratio"]
    alike, apart = {"error": np.zeros(2)}, {"error": np.array([0.0, 0.1])}
    assert catalogue.values_of([metric], alike) == {"error_ratio": None}
    assert catalogue.values_of([metric], apart) == {"error_ratio": None}
    assert metric.cost(alike) == 0.0
    assert metric.cost(apart) == RELATIVE_BOUND
    assert metric.cost({"error": np.array([1e-9, 1.0])}) == RELATIVE_BOUND


def rates(generator: np.random.Generator, n_groups: int) -> Rates:
    n_probes = generator.integers(1, 50, n_groups).astype(float)
    error = generator.integers(0, n_probes + 1) / n_probes
    rank = error * generator.integers(1, 30, n_groups)
    n_pairs = generator.integers(1, 1000, n_groups).astype(float)
    fmr = generator.integers(0, n_pairs + 1) / n_pairs
    return {
        "n_probes": n_probes,
        "error": error,
        "accuracy": 1.0 - error,
        "mean_rank": rank,
        "mean_log_rank": np.log1p(rank),
        "n_impostor": n_pairs,
        "n_genuine": n_probes,
        "fmr": fmr,
        "fnmr": error,
        "fnir": error,
    }


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_values_and_costs_lie_where_the_catalogue_says(name: str, n_groups: int) -> None:
    metric = CATALOGUE[name]
    low, high = sorted((metric.definition.best, metric.definition.worst))
    for seed in range(50):
        drawn = rates(np.random.default_rng(seed), n_groups)
        value = catalogue.values_of([metric], drawn)[name]
        assert value is None or low - 1e-12 <= value <= high + 1e-12
        cost = float(metric.cost(drawn))
        assert math.isfinite(cost)
        if metric.cost_name is not None:
            known = objective(metric.cost_name, n_identities=1000)
            assert known.best - 1e-12 <= cost <= known.bound + 1e-12


@pytest.mark.parametrize("name", CATALOGUE)
def test_groups_that_fare_alike_are_the_best_case(name: str) -> None:
    metric = CATALOGUE[name]
    alike = {key: np.full(3, 8.0 if key.startswith("n_") else 0.0) for key in rates_keys()}
    alike["accuracy"] = np.ones(3)
    value = catalogue.values_of([metric], alike)[name]
    assert value is None or value == pytest.approx(metric.definition.best, abs=1e-12)


def rates_keys() -> list[str]:
    return list(rates(np.random.default_rng(0), 2))


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_resamplings_at_once_equal_one_after_the_other(name: str) -> None:
    metric = CATALOGUE[name]
    drawn = [rates(np.random.default_rng(seed), 3) for seed in range(20)]
    stacked = {key: np.stack([each[key] for each in drawn]) for key in drawn[0]}
    np.testing.assert_allclose(
        metric.cost(stacked), [float(metric.cost(each)) for each in drawn], rtol=1e-12
    )


def test_every_metric_that_is_defined_has_one_formula() -> None:
    assert CATALOGUE.keys() == METRICS.keys()
    assert len(CATALOGUE) == len(catalogue._METRICS)


def test_every_metric_is_documented_with_its_direction_and_formula() -> None:
    text = (REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for metric in METRICS.values():
        row = next(line for line in rows if line.startswith(f"| `{metric.name}` |"))
        assert f"| {metric.direction} |" in row
        assert metric.cost_name is None or f"`{metric.cost_name}`" in row
