from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import results.hypervolume
from results.hypervolume import (
    Volume,
    exclusive_volume,
    front_volume,
    hypervolume,
    most_exact,
    with_point,
)
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


def sphere(n: int, m: int, seed: int = 0) -> FloatArray:
    """Points none of which dominates another."""
    costs = np.abs(np.random.default_rng([seed, n, m]).normal(size=(n, m)))
    return np.asarray(costs / np.linalg.norm(costs, axis=1, keepdims=True))


def cliff(m: int) -> tuple[FloatArray, float]:
    """Points that each are 1/2 in all objectives but one, where they are 0; and their volume."""
    # What is below 1/2 in two objectives or more is dominated by nobody.
    return (1.0 - np.eye(m)) / 2, (1 + m) / 2.0**m


def estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """All volumes are estimated."""
    monkeypatch.setattr(results.hypervolume, "_is_exact", lambda *_: False)


@pytest.mark.parametrize("m", [4, 6, 8])
def test_what_a_point_adds_is_the_difference_of_two_volumes(m: int) -> None:
    costs, reference = sphere(20, m), np.full(m, 1.1)

    gain = exclusive_volume(costs[0], costs[1:], reference=reference, seed=0)

    assert gain.standard_error is None
    assert gain.value == pytest.approx(
        hypervolume(costs, reference) - hypervolume(costs[1:], reference)
    )


def test_a_point_alone_adds_its_box_and_one_beyond_the_reference_or_known_adds_nothing() -> None:
    front, reference = np.full((1, 5), 0.5), np.ones(5)

    assert exclusive_volume(front[0], front[:0], reference=reference, seed=0) == (0.5**5, 0.0)
    assert exclusive_volume(front[0], front, reference=reference, seed=0) == (0.0, 0.0)
    assert exclusive_volume(np.full(5, 1.0), front, reference=reference, seed=0) == (0.0, 0.0)
    assert exclusive_volume(front[0] - 0.1, front, reference=reference, seed=0)[0] == (
        pytest.approx(0.6**5 - 0.5**5)
    )


@pytest.mark.parametrize("m", [4, 7, 9])
def test_estimates_lie_about_the_exact_volume_as_their_errors_say(
    m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs, reference = sphere(18, m), np.full(m, 1.1)
    exact = hypervolume(costs, reference)
    gain = exclusive_volume(costs[0], costs[1:], reference=reference, seed=0).value
    estimated(monkeypatch)

    shares = []
    for seed in range(25):
        whole = front_volume(costs, reference, seed=seed)
        added = exclusive_volume(costs[0], costs[1:], reference=reference, seed=seed)
        shares.append((whole.value - exact) / (whole.standard_error or 0.0))
        shares.append((added.value - gain) / (added.standard_error or 0.0))

    # Standard normal if the errors are right: the mean of 50 within 4 of its own deviations.
    assert abs(np.mean(shares)) < 4 / math.sqrt(50)
    assert 0.7 < np.std(shares) < 1.35


@pytest.mark.parametrize("m", [10, 14, 18])
def test_many_objectives_have_a_known_volume_within_the_error(m: int) -> None:
    costs, exact = cliff(m)
    volume = Volume(0.0)
    for number, row in enumerate(costs):
        volume = with_point(volume, costs[:number], row, reference=np.ones(m), seed=number)
    whole = front_volume(costs, np.ones(m), seed=1)

    for found in (volume, whole):
        assert found.value == pytest.approx(exact, abs=4 * (found.standard_error or 1e-12))
        assert (found.standard_error or 0.0) < 0.05 * exact


def test_two_kinds_of_estimate_agree_on_a_large_front() -> None:
    costs, reference = sphere(150, 14), np.full(14, 1.1)
    chance = np.random.default_rng(0)

    by_boxes = results.hypervolume._by_covering_boxes(costs, reference, 16_384, chance)
    by_box = results.hypervolume._by_bounding_box(costs, reference, 16_384, chance)
    chosen = front_volume(costs, reference, seed=0)

    deviation = math.sqrt(by_boxes.variance + by_box.variance)
    assert by_boxes.value == pytest.approx(by_box.value, abs=4 * deviation)
    assert chosen.variance < 1.2 * min(by_boxes.variance, by_box.variance)


def test_an_estimate_is_that_of_its_seed_and_never_certain() -> None:
    costs, reference = sphere(100, 12), np.full(12, 1.1)

    assert front_volume(costs, reference, seed=3) == front_volume(costs, reference, seed=3)
    assert front_volume(costs, reference, seed=3) != front_volume(costs, reference, seed=4)
    # All of the box is covered, by all but nothing.
    near = np.maximum(costs, costs[:1] + 1e-12)
    gain = exclusive_volume(costs[0], near[1:], reference=reference, seed=0)
    assert gain.variance > 0.0


@pytest.mark.parametrize(("m", "most"), [(2, None), (3, None), (4, 3000), (8, 45), (40, 10)])
def test_the_more_objectives_the_fewer_points_are_exact(m: int, most: int | None) -> None:
    assert most_exact(m) == most
