from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from results.errors import SelectionError
from results.pareto import FloatArray, non_dominated
from results.selection import knee, select

tables = st.tuples(st.integers(1, 10), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 50).map(float))
)


@pytest.fixture
def run_with_front(run):
    run.trial(1, 0.9, 1.0, config=7)
    run.trial(2, 0.1, 9.0, config=8)
    run.trial(3, 0.2, 2.0, config=9)
    run.trial(4, 0.95, 9.5, config=10)
    return run


def test_the_front_is_selected_in_the_order_of_its_first_objective(run_with_front) -> None:
    assert select(run_with_front.view, "front") == ["c0008", "c0009", "c0007"]


def test_the_knee_is_one_configuration(run_with_front) -> None:
    assert select(run_with_front.view, " knee ") == ["c0009"]


def test_ids_of_configurations_and_trials_are_taken_in_the_order_given_and_once(
    run_with_front,
) -> None:
    assert select(run_with_front.view, "c0010, t0001,c0007") == ["c0010", "c0007"]


def test_a_configuration_that_is_twice_on_the_front_is_selected_once(run) -> None:
    run.trial(1, 0.2, 3.0, config=7)
    run.trial(2, 0.2, 3.0, config=7)

    assert select(run.view, "front") == ["c0007"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c0007,c9999,t8", r"no c9999, t8; give front, knee, or ids of c0007, c0008, .* c0010$"),
        ("", "nothing is selected; give front, knee"),
        (" , ", "nothing is selected"),
    ],
)
def test_ids_that_are_not_in_the_run_are_answered_with_those_that_are(
    run_with_front, text: str, message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        select(run_with_front.view, text)


def test_many_ids_are_not_all_listed(run) -> None:
    for number in range(30):
        run.ask(number)

    with pytest.raises(SelectionError, match=r"c0019, … c0029 \(30 in all\)"):
        select(run.view, "c99")


@pytest.mark.parametrize("text", ["front", "knee"])
def test_an_empty_front_cannot_be_selected(run, text: str) -> None:
    run.trial(1, 0.2, 3.0, rung=0)

    with pytest.raises(SelectionError, match="the front is empty"):
        select(run.view, text)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([[0.3, 0.3]], 0),  # a single point
        ([[0, 10], [10, 0]], 0),  # only extremes: the least first objective
        ([[0, 10], [1, 1], [10, 0]], 1),
        ([[0, 10], [2, 6], [5, 1], [10, 0]], 2),
        ([[0, 10], [9, 9], [10, 0]], 0),  # bends away from the ideal
        ([[1, 1], [1, 1]], 0),  # equal points have no extremes
        ([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0.4, 0.4, 0.4]], 3),
    ],
)
def test_hand_worked_knees(costs: list[list[float]], expected: int) -> None:
    assert knee(np.array(costs, dtype=float)) == expected


def distance_to_line(costs: FloatArray) -> FloatArray:
    """From the cross product, positive on the ideal's side."""
    low, high = costs.min(axis=0), costs.max(axis=0)
    x, y = ((costs - low) / np.where(high > low, high - low, 1)).T
    return (1 - x - y) / np.sqrt(2)


@given(table=tables.filter(lambda t: t.shape[1] == 2))
def test_no_point_is_farther_from_the_line_between_the_extremes_than_the_knee(
    table: FloatArray,
) -> None:
    front = table[non_dominated(table)]

    distances = distance_to_line(front)
    assert distances[knee(front)] == pytest.approx(distances.max())


@given(table=tables, factor=st.floats(0.01, 100))
def test_units_do_not_move_the_knee(table: FloatArray, factor: float) -> None:
    front = table[non_dominated(table)]
    scaled = front * np.array([1.0, *[factor] * (front.shape[1] - 1)])

    assert front[knee(front)].tolist() == front[knee(scaled)].tolist()
