from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from frnas_search.optimizers.smac.acquisition import (
    REFERENCE,
    Scale,
    expected_hypervolume_improvement,
    expected_improvement,
    scalarised_hypervolume_improvement,
    scale_of,
)
from results.hypervolume import hypervolume
from results.pareto import FloatArray, non_dominated

N_SAMPLES = 800


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def gain(front: FloatArray, point: FloatArray) -> float:
    reference = np.full(front.shape[1], REFERENCE)
    return hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)


def front_of(n: int, m: int, seed: int) -> FloatArray:
    points = generator(seed).random((4 * n, m))
    return points[non_dominated(points)][:n]


FRONTS = {
    "empty": np.empty((0, 2)),
    "one": np.array([[0.4, 0.5]]),
    "many": front_of(12, 2, seed=1),
    "equal rows": np.array([[0.2, 0.8], [0.2, 0.8], [0.7, 0.1]]),
    "partly beyond": np.array([[-0.5, 1.4], [0.3, 0.6], [2.0, -0.2]]),
    "all beyond": np.array([[-0.5, 1.4], [2.0, -0.2]]),
    "below the box": np.array([[-3.0, 0.4], [0.1, -2.0]]),
}


@pytest.mark.parametrize("name", FRONTS)
def test_expected_hypervolume_improvement_is_what_monte_carlo_finds(name: str) -> None:
    front, chance = FRONTS[name], generator(2)
    means = chance.uniform(-0.3, 1.4, (4, 2))
    deviations = chance.uniform(0.02, 0.5, (4, 2))
    found = expected_hypervolume_improvement(means, deviations, front)
    for mean, deviation, value in zip(means, deviations, found, strict=True):
        sampled = chance.normal(mean, deviation, (N_SAMPLES, 2))
        gains = np.array([gain(front, each) for each in sampled])
        error = gains.std() / math.sqrt(N_SAMPLES)
        assert value == pytest.approx(gains.mean(), abs=4.5 * error + 1e-4)


@pytest.mark.parametrize("name", FRONTS)
def test_without_doubt_it_is_the_gain_itself(name: str) -> None:
    front, means = FRONTS[name], generator(3).uniform(-0.5, 1.5, (40, 2))
    found = expected_hypervolume_improvement(means, np.full((40, 2), 1e-7), front)
    assert found.tolist() == pytest.approx([gain(front, each) for each in means], abs=1e-6)


def test_it_does_not_depend_on_the_order_of_front_or_objectives() -> None:
    front, chance = FRONTS["many"], generator(4)
    means, deviations = chance.random((10, 2)), chance.uniform(0.05, 0.3, (10, 2))
    plain = expected_hypervolume_improvement(means, deviations, front)
    shuffled = expected_hypervolume_improvement(means, deviations, chance.permutation(front))
    swapped = expected_hypervolume_improvement(means[:, ::-1], deviations[:, ::-1], front[:, ::-1])
    assert shuffled.tolist() == pytest.approx(plain.tolist())
    assert swapped.tolist() == pytest.approx(plain.tolist())


def test_it_is_never_negative_and_finite_far_away() -> None:
    means = np.array([[50.0, 50.0], [-50.0, 50.0], [0.5, 0.5], [1e9, 1e9]])
    found = expected_hypervolume_improvement(means, np.full((4, 2), 0.02), FRONTS["many"])
    assert np.isfinite(found).all()
    assert (found >= -1e-12).all()
    assert found[3] == 0.0


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.0, 1.0, 0.5), (2.0, 0.3, 1.5)])
def test_expected_improvement_is_an_integral(mean: float, deviation: float, best: float) -> None:
    area, _ = integrate.quad(
        lambda y: (best - y) * stats.norm.pdf(y, mean, deviation), mean - 12 * deviation, best
    )
    found = expected_improvement(np.array([mean]), np.array([deviation]), np.array([best]))
    assert found == pytest.approx([area], rel=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_scalarised_improvement_ranks_as_the_hypervolume_does(m: int) -> None:
    front, points = front_of(6, m, seed=5), generator(6).uniform(-0.2, 1.0, (80, m))
    found = scalarised_hypervolume_improvement(points[None], front, generator(7))
    exact = [gain(front, point) for point in points]
    assert stats.spearmanr(found, exact).statistic > 0.9


@pytest.mark.parametrize("m", [2, 3])
def test_scalarised_improvement_is_proportional_to_the_hypervolume(m: int) -> None:
    """The factor is the volume of the ball's positive part: of directions on its surface."""
    front, point = front_of(5, m, seed=8), np.full((1, 1, m), -0.2)
    found = [
        scalarised_hypervolume_improvement(point, front, generator(seed))[0] for seed in range(100)
    ]
    volume = math.pi ** (m / 2) / math.gamma(m / 2 + 1) / 2**m
    error = volume * np.std(found) / math.sqrt(len(found))
    assert volume * np.mean(found) == pytest.approx(gain(front, point[0, 0]), abs=4 * error)


def test_scalarised_improvement_is_the_mean_over_predictions() -> None:
    front, predictions = front_of(5, 3, seed=9), generator(10).random((4, 7, 3))
    found = scalarised_hypervolume_improvement(predictions, front, generator(11))
    each = [scalarised_hypervolume_improvement(o[None], front, generator(11)) for o in predictions]
    assert found.tolist() == pytest.approx(np.mean(each, axis=0).tolist())


@pytest.mark.parametrize("m", [1, 2, 3])
def test_scalarised_improvement_over_nothing_is_better_for_better_points(m: int) -> None:
    predictions = np.array([[[0.2] * m, [0.6] * m, [1.5] * m]])
    best, good, none = scalarised_hypervolume_improvement(
        predictions, np.empty((0, m)), generator(0)
    )
    assert best > good > none == 0.0


@pytest.mark.parametrize("m", [2, 3])
def test_points_beyond_the_reference_and_dominated_ones_gain_nothing(m: int) -> None:
    front = front_of(5, m, seed=12)
    predictions = np.array([[[1.2] * m, [1.05] * m, front.max(axis=0)]])
    found = scalarised_hypervolume_improvement(predictions, front, generator(0))
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_the_front_of_a_box_spans_from_zero_to_one() -> None:
    costs = np.array([[0.2, 0.9], [0.4, 0.5], [0.8, 0.1], [0.9, 0.95], [0.85, 0.92]])
    scaled = scale_of(costs).scaled(costs)
    assert scaled.min(axis=0).tolist() == pytest.approx([0.0, 0.0])
    assert scaled[non_dominated(costs)].max(axis=0).tolist() == pytest.approx([1.0, 1.0])


def test_the_box_of_a_single_front_point_reaches_to_the_best_third() -> None:
    costs = np.column_stack([np.arange(11.0), np.arange(11.0)])
    scale = scale_of(costs)
    assert scale.low.tolist() == [0.0, 0.0]
    assert scale.span.tolist() == pytest.approx([3.0, 3.0])


def test_one_cost_and_constant_objectives_have_a_box_with_an_extent() -> None:
    for costs in (np.array([[0.3, 0.4]]), np.array([[0.3, 0.4], [0.3, 0.9], [0.3, 0.5]])):
        scale = scale_of(costs)
        assert (scale.span > 0).all()
        assert np.isfinite(scale.scaled(costs)).all()
        assert scale.scaled(costs)[0].tolist() == pytest.approx([0.0, 0.0])


def test_scaling_broadcasts_over_predictions() -> None:
    scale = Scale(low=np.array([1.0, 2.0]), span=np.array([2.0, 4.0]))
    assert scale.scaled(np.full((3, 5, 2), 4.0)).shape == (3, 5, 2)
    assert scale.scaled(np.array([3.0, 4.0])).tolist() == [1.0, 0.5]
