from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smac.multi_objective import ParEGO

from frnas_search.optimizers.smac.scalarisation import FreshParEGO, Unscalarised
from tests.unit.frnas_search.optimizers.smac.conftest import evidence_of, scenario_of, square

RHO = 0.05


def fresh(n_objectives: int = 2, seed: int = 0) -> FreshParEGO:
    return FreshParEGO(scenario_of(square(), n_objectives=n_objectives, seed=seed))


def at(algorithm: FreshParEGO, number: int) -> FreshParEGO:
    """As a selector that tells the number begins the proposal."""
    algorithm.inform(evidence_of(np.empty((0, 2)), np.empty((0, 2)), number=number))
    algorithm.update_on_iteration_start()
    return algorithm


def units(algorithm: FreshParEGO, n_objectives: int) -> list[float]:
    """Its values of the unit vectors: each weight times one and its share of the sum."""
    return [algorithm(row) for row in np.eye(n_objectives).tolist()]


@given(st.integers(2, 3), st.integers(0, 50), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_it_is_paregos_augmented_weighted_maximum(m: int, number: int, costs: list[float]) -> None:
    algorithm = at(fresh(m), number)
    weights = np.array(units(algorithm, m)) / (1 + RHO)
    assert weights.sum() == pytest.approx(1.0)
    weighted = weights * costs[:m]
    assert algorithm(costs[:m]) == pytest.approx(weighted.max() + RHO * weighted.sum())


def test_it_is_smacs_own_of_a_seed() -> None:
    algorithm = at(fresh(), 4)
    parego = ParEGO(
        scenario_of(square()), seed=int(np.random.SeedSequence([0, 4]).generate_state(1)[0])
    )
    parego.update_on_iteration_start()
    for costs in np.random.default_rng(0).random((20, 2)).tolist():
        assert algorithm(costs) == parego(costs)


def test_each_proposal_has_weights_of_its_own_and_one_seed_has_others() -> None:
    algorithm = fresh()
    weights = [tuple(units(at(algorithm, number), 2)) for number in range(30)]
    assert len(set(weights)) == 30
    others = [tuple(units(at(fresh(seed=1), number), 2)) for number in range(30)]
    assert not set(weights) & set(others)


def test_weights_follow_from_the_number_and_not_from_what_was_asked_before() -> None:
    used = fresh()
    for number in (3, 0, 9, 9):
        at(used, number)([0.3, 0.4])
        used.update_on_iteration_start()
    assert units(at(used, 7), 2) == units(at(fresh(), 7), 2)
    used.update_on_iteration_start()
    assert units(used, 2) == units(at(fresh(), 7), 2)


def test_those_that_are_not_told_the_number_get_the_next_weights_each_time() -> None:
    counted = fresh()
    found = []
    for _ in range(5):
        found.append(units(counted, 2))
        counted.update_on_iteration_start()
    assert found == [units(at(fresh(), number), 2) for number in range(5)]


def test_weights_cover_every_trade_off() -> None:
    algorithm = fresh()
    first = [units(at(algorithm, number), 2)[0] / (1 + RHO) for number in range(300)]
    assert min(first) < 0.1
    assert max(first) > 0.9
    assert np.mean(first) == pytest.approx(0.5, abs=0.05)


def test_unscalarised_costs_are_ordered_by_their_mean() -> None:
    algorithm = Unscalarised()
    algorithm.update_on_iteration_start()
    assert algorithm([0.2, 0.6]) == pytest.approx(0.4)
    assert algorithm([0.0, 0.3, 0.9]) == pytest.approx(0.4)
