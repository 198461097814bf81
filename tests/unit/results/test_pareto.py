from __future__ import annotations

import csv
import math

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from results.pareto import FloatArray, dominated_by, dominates_any, non_dominated
from tests.places import SHARED

PREDECESSOR = SHARED / "frnas-results/analysis/vgg_val_phase1.csv"

# Few distinct values, so that ties and duplicates are common.
tables = st.tuples(st.integers(0, 12), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 4).map(float))
)


def brute_force(costs: FloatArray) -> list[bool]:
    def dominates(a: FloatArray, b: FloatArray) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(
            x < y for x, y in zip(a, b, strict=True)
        )

    return [not any(dominates(other, row) for other in costs) for row in costs]


def test_a_hand_worked_front_keeps_duplicates_and_drops_weakly_dominated_points() -> None:
    costs = np.array([[1, 3], [2, 2], [2, 2], [3, 1], [3, 2], [1, 4], [4, 4]], dtype=float)

    assert non_dominated(costs).tolist() == [True, True, True, True, False, False, False]


@given(costs=tables)
def test_the_front_is_what_comparing_all_pairs_finds(costs: FloatArray) -> None:
    assert non_dominated(costs).tolist() == brute_force(costs)


@given(costs=tables.filter(lambda table: len(table) > 0))
def test_the_front_is_moocores(costs: FloatArray) -> None:
    expected = moocore.is_nondominated(costs, keep_weakly=True)

    assert non_dominated(costs).tolist() == expected.tolist()


@given(costs=tables, seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(costs: FloatArray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(costs))

    assert non_dominated(costs[order]).tolist() == non_dominated(costs)[order].tolist()


@given(costs=tables)
def test_the_front_of_a_front_is_itself(costs: FloatArray) -> None:
    assert non_dominated(costs[non_dominated(costs)]).all()


@given(costs=tables.filter(lambda table: len(table) > 0))
def test_dominance_reads_the_same_from_both_sides(costs: FloatArray) -> None:
    row, rest = costs[0], costs[1:]

    assert dominates_any(rest, row) == any(dominated_by(each, row[None])[0] for each in rest)
    assert not dominated_by(row, row[None])[0]


def test_no_trials_have_an_empty_front() -> None:
    assert non_dominated(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_cost_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="leave failed trials out"):
        non_dominated(np.array([[0.0, bad]]))


def test_costs_without_rows_of_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="one row per trial"):
        non_dominated(np.array([1.0, 2.0]))


def test_the_predecessors_table_has_three_valid_points_on_its_front() -> None:
    if not PREDECESSOR.exists():
        pytest.skip(
            "needs ../shared/frnas-results/analysis/vgg_val_phase1.csv, "
            "which is not in the repository"
        )
    with PREDECESSOR.open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = {row["index"]: (row["Error"], row["Rank Disparity"]) for row in rows}
    finite = {name: tuple(map(float, pair)) for name, pair in points.items() if all(pair)}
    finite = {name: pair for name, pair in finite.items() if not any(map(math.isnan, pair))}
    valid = {name: pair for name, pair in finite.items() if pair[0] < 1.0}

    def front(table: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        mask = non_dominated(np.array(list(table.values())))
        return {name: pair for (name, pair), keep in zip(table.items(), mask, strict=True) if keep}

    assert (len(rows), len(finite), len(valid)) == (355, 354, 302)
    assert {name: tuple(round(x, 4) for x in pair) for name, pair in front(valid).items()} == {
        "dpn107_CosFace_SGD_0.1_cosine": (0.0225, 0.0237),
        "dpn107_CosFace_sgd": (0.0324, 0.0168),
        "rexnet_200_CosFace_AdamW_0.001_cosine": (0.0362, 0.0027),
    }
    # Why collapsed networks must never become points: they are most of the naive front.
    assert len(front(finite)) == 55
