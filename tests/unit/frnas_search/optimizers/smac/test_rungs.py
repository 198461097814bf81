from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smac.intensifier import Hyperband

from frnas_search.optimizers.fidelity import Fidelity, bracket_sizes
from frnas_search.optimizers.smac.optimizer import rungs_of
from frnas_search.optimizers.smac.rungs import Rungs
from tests.unit.frnas_search.optimizers.smac.conftest import scenario_of, square

SCHEDULES = [(1, 9, 3), (1, 81, 3), (1, 243, 3), (25, 100, 2), (6, 96, 4), (11, 100, 3)]
SCHEDULES += [(1, 100, 10), (5, 5, 3), (1, 3, 2), (2, 5, 2), (3, 27, 3), (1, 1000, 10)]


@st.composite
def fidelities(draw: st.DrawFn) -> Fidelity:
    max_epochs = draw(st.integers(1, 3000))
    min_epochs = draw(st.integers(1, max_epochs))
    return Fidelity(min_epochs=min_epochs, max_epochs=max_epochs, eta=draw(st.integers(2, 10)))


@given(fidelities())
def test_budgets_are_the_highest_over_powers_and_round_to_the_epochs(fidelity: Fidelity) -> None:
    rungs = rungs_of(fidelity)
    budgets = [rungs.budget(rung) for rung in range(rungs.n)]
    assert [max(1, round(budget or 0.0)) for budget in budgets] == list(fidelity.rungs)
    assert budgets[-1] == fidelity.max_epochs
    assert rungs.last == fidelity.n_rungs - 1


@given(fidelities())
def test_a_scenario_with_these_bounds_has_these_rungs(fidelity: Fidelity) -> None:
    """243 over powers of 3 are never below 1, whatever a logarithm of them is rounded to."""
    rungs = rungs_of(fidelity)
    bounds = rungs.min_budget, rungs.max_budget
    assert None not in bounds
    scenario = scenario_of(square(), budgets=bounds)  # type: ignore[arg-type]
    assert Rungs.of(scenario, fidelity.eta) == rungs


@pytest.mark.parametrize(("low", "high", "eta"), SCHEDULES)
def test_a_scenario_with_the_cheapest_budget_itself_has_the_same(
    low: int, high: int, eta: int
) -> None:
    fidelity = Fidelity(min_epochs=low, max_epochs=high, eta=eta)
    cheapest = high / eta ** (fidelity.n_rungs - 1)
    found = Rungs.of(scenario_of(square(), budgets=(cheapest, float(high))), eta)
    assert found == rungs_of(fidelity)


@given(fidelities(), st.floats(-1e-6, 1e-6))
def test_a_budget_that_was_rounded_belongs_to_its_rung(fidelity: Fidelity, error: float) -> None:
    rungs = rungs_of(fidelity)
    for rung in range(rungs.n):
        budget = rungs.budget(rung)
        assert budget is not None
        assert rungs.rung(budget * (1 + error)) == rung


def test_any_budget_belongs_to_the_nearest_rung() -> None:
    rungs = Rungs(n=3, eta=3, max_budget=9.0)
    found = [rungs.rung(budget) for budget in (0.1, 1.0, 1.9, 2.1, 5.9, 6.1, 100.0)]
    assert found == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("low", "high", "eta"), SCHEDULES)
def test_smacs_hyperband_makes_exactly_these_rungs(low: int, high: int, eta: int) -> None:
    rungs = rungs_of(Fidelity(min_epochs=low, max_epochs=high, eta=eta))
    assert rungs.min_budget == pytest.approx((rungs.budget(0) or 0.0) / math.sqrt(eta))
    scenario = scenario_of(square(), budgets=(rungs.min_budget or 0.0, float(high)))
    hyperband = Hyperband(scenario, eta=eta, n_seeds=1)
    hyperband.runhistory = _Nothing()
    hyperband.__post_init__()
    brackets = hyperband._budgets_in_stage
    assert len(brackets) == rungs.n
    for number, budgets in brackets.items():
        expected = [rungs.budget(rung) for rung in range(number, rungs.n)]
        assert budgets == pytest.approx(expected)
        assert [rungs.rung(budget) for budget in budgets] == list(range(number, rungs.n))
    starts = [hyperband._n_configs_in_stage[number][0] for number in brackets]
    assert starts == list(bracket_sizes(rungs.n, eta))


class _Nothing(dict[None, None]):
    """A run history as far as SMAC's intensifiers read an empty one."""

    def get_configs(self) -> list[None]:
        return []


def test_without_budgets_there_is_one_rung() -> None:
    rungs = Rungs.of(scenario_of(square()))
    assert rungs == Rungs(n=1, eta=3, max_budget=None)
    assert (rungs.budget(0), rungs.min_budget, rungs.rung(None), rungs.last) == (None, None, 0, 0)
    assert rungs.height(0) == 1.0


def test_heights_rise_from_the_lowest_to_the_highest_rung() -> None:
    rungs = Rungs(n=5, eta=3, max_budget=81.0)
    assert [rungs.height(rung) for rung in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
