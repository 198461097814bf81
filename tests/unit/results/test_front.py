from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import results.front
from results.front import Front, GrowingFront, front_from_json
from results.hypervolume import hypervolume
from results.pareto import non_dominated

tables = st.integers(1, 5).flatmap(
    lambda m: st.lists(
        st.tuples(*[st.integers(0, 5).map(lambda value: value / 4)] * m), min_size=1, max_size=14
    )
)


def grown(rows: list[tuple[float, ...]]) -> tuple[GrowingFront, list[bool]]:
    front = GrowingFront()
    reference = (1.0,) * len(rows[0])
    gains = [
        front.enter(f"t{number}", row, reference=reference, seed=number)
        for number, row in enumerate(rows)
    ]
    return front, gains


@settings(max_examples=50, deadline=None)
@given(rows=tables)
def test_one_by_one_gives_the_front_and_the_volume_of_all_together(rows) -> None:
    front, gains = grown(rows)
    costs = np.array(rows)
    reference = np.ones(costs.shape[1])

    expected = {f"t{n}" for n, keep in enumerate(non_dominated(costs)) if keep}
    assert set(front.ids) == expected
    assert front.costs == [rows[int(trial_id[1:])] for trial_id in front.ids]
    assert front.volume == pytest.approx(hypervolume(costs, reference), abs=1e-12)
    assert front.standard_error is None
    for number, gain in enumerate(gains):
        before, after = costs[:number], costs[: number + 1]
        rise = hypervolume(after, reference) - hypervolume(before, reference)
        assert gain == (rise > 1e-12)


@settings(max_examples=25, deadline=None)
@given(rows=tables)
def test_large_fronts_are_compared_as_small_ones_are(rows) -> None:
    few, _ = grown(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results.front, "_FEW", 0)
        many, _ = grown(rows)

    assert many == few


@settings(max_examples=30, deadline=None)
@given(rows=tables)
def test_every_earlier_front_can_still_be_told(rows) -> None:
    front = GrowingFront()
    before = []
    for number, row in enumerate(rows):
        front.enter(f"t{number}", row, reference=(1.0,) * len(row), seed=0)
        before.append((front.now, tuple(front.ids)))

    for then, ids in before:
        assert then == ids
        assert list(then) == list(ids)
        assert len(then) == len(ids)
        assert then[-1] == ids[-1]
        assert then == Front(list(front.changes), then.n_changes)


@settings(max_examples=30, deadline=None)
@given(rows=tables)
def test_a_front_survives_json(rows) -> None:
    front, _ = grown(rows)

    assert front_from_json(json.loads(json.dumps(front.to_json()))) == front


def test_of_many_objectives_a_gain_is_estimated_and_each_newcomer_surely_is_one() -> None:
    chance = np.random.default_rng(0)
    costs = np.abs(chance.normal(size=(30, 14)))
    costs /= np.linalg.norm(costs, axis=1, keepdims=True)
    rows = [tuple(row) for row in costs.tolist()]

    front, gains = grown(rows)

    assert all(gains)
    assert front.standard_error is not None
    assert 0.0 < front.standard_error < 0.05 * front.volume
    again, _ = grown(rows)
    assert again == front
