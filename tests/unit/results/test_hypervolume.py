from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from results.hypervolume import hypervolume
from results.pareto import FloatArray, non_dominated

fronts = st.tuples(st.integers(0, 8), st.integers(2, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1.25, width=32))
)


def ones(costs: FloatArray) -> FloatArray:
    return np.ones(costs.shape[1])


def test_a_hand_worked_staircase() -> None:
    costs = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])

    # Columns of width 1 under the reference (4, 4): heights 1, 2 and 3.
    assert hypervolume(costs, np.array([4.0, 4.0])) == pytest.approx(6.0)


def test_one_point_dominates_a_box() -> None:
    assert hypervolume(np.array([[0.25, 3.0]]), np.array([1.0, 10.0])) == pytest.approx(5.25)


@pytest.mark.parametrize(
    "costs",
    [
        np.empty((0, 2)),
        np.array([[1.0, 0.0]]),
        np.array([[0.0, 1.0], [2.0, 2.0]]),
        np.array([[5.0, 0.1]]),
    ],
)
def test_nothing_better_than_the_reference_has_no_volume(costs: FloatArray) -> None:
    assert hypervolume(costs, np.array([1.0, 1.0])) == 0.0


def test_points_beyond_the_reference_add_nothing() -> None:
    inside = np.array([[0.2, 0.6], [0.5, 0.5]])
    beyond = np.array([[0.0, 7.0], [1.0, 0.0]])

    assert hypervolume(np.vstack([inside, beyond]), np.ones(2)) == hypervolume(inside, np.ones(2))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_volume_is_the_share_of_random_points_that_are_dominated(m: int) -> None:
    random = np.random.default_rng([0, m])
    costs = random.random((12, m))
    samples = random.random((100_000, m))

    dominated = np.zeros(len(samples), dtype=bool)
    for row in costs:
        dominated |= (row <= samples).all(axis=1)

    # Five standard deviations of a share estimated from that many points.
    assert hypervolume(costs, np.ones(m)) == pytest.approx(dominated.mean(), abs=5 * 0.5 / 316)


@given(costs=fronts)
def test_dominated_points_add_nothing(costs: FloatArray) -> None:
    front = costs[non_dominated(costs)]

    assert hypervolume(costs, ones(costs)) == pytest.approx(hypervolume(front, ones(costs)))


@given(costs=fronts.filter(lambda table: len(table) > 0))
def test_another_point_never_takes_volume_away(costs: FloatArray) -> None:
    without = hypervolume(costs[1:], ones(costs))

    assert hypervolume(costs, ones(costs)) >= without - 1e-12


@given(costs=fronts)
def test_the_volume_lies_between_nothing_and_the_whole_box(costs: FloatArray) -> None:
    assert 0.0 <= hypervolume(costs, ones(costs)) <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("costs", "reference", "message"),
    [
        (np.zeros((2, 2)), np.ones(3), "shape"),
        (np.zeros(2), np.ones(2), "shape"),
        (np.array([[math.nan, 0.0]]), np.ones(2), "NaN"),
        (np.zeros((1, 2)), np.array([1.0, math.inf]), "NaN or infinite"),
    ],
)
def test_shapes_that_disagree_and_numbers_that_are_not_finite_are_refused(
    costs: FloatArray, reference: FloatArray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hypervolume(costs, reference)
