from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frnas_search.coordinator.limits import Limits
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.plan.forecast import Forecast, forecast
from frnas_search.plan.pace import Pace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# A round: 2 to 2 epochs of which 1 goes on to 4, then 2 to 4 epochs; 5 trials, 14 epochs.
SMALL = Fidelity(min_epochs=2, max_epochs=4, eta=2)
PACE = Pace(per_epoch=10.0)


def foreseen(limits: Limits, *, pace: Pace | None = None, n_workers: int = 1) -> Forecast:
    return forecast(SMALL, limits, pace=pace, n_workers=n_workers, now=NOW)


def test_a_limit_of_trials_ends_in_the_middle_of_a_round() -> None:
    plan = foreseen(Limits(trials=6))
    assert (plan.ends_by, plan.trials, plan.epochs, plan.rounds) == ("trials", 6, 16, 1.2)
    assert plan.reached == {0: 3, 1: 3}
    assert plan.ending == {0: 2, 1: 3}, "of three at the lowest rung one went on"
    assert plan.configurations == 5


def test_a_limit_of_epochs_is_passed_by_the_last_trial_at_most() -> None:
    plan = foreseen(Limits(epochs=15))
    assert (plan.ends_by, plan.trials, plan.epochs) == ("epochs", 6, 16)


def test_many_rounds_are_one_round_many_times() -> None:
    plan = foreseen(Limits(trials=5 * 10**9))
    assert (plan.epochs, plan.rounds) == (14 * 10**9, 1e9)
    assert plan.reached == {0: 2 * 10**9, 1: 3 * 10**9}


def test_without_a_limit_that_can_be_foreseen_the_plan_is_of_one_round() -> None:
    for limits in (Limits(plateau=3), Limits(gpu_hours=1.0), Limits(wall_hours=1.0)):
        plan = foreseen(limits)
        assert (plan.ends_by, plan.trials, plan.rounds) == (None, 5, 1.0)
        assert plan.device_seconds is None
        assert plan.wall_seconds is None


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(gpu_hours=200 / 3600), "gpu_hours"),
        (Limits(wall_hours=50 / 3600), "wall_hours"),
        (Limits(deadline=NOW + timedelta(seconds=50)), "deadline"),
    ],
)
def test_hours_are_foreseen_with_a_pace_and_workers(limits: Limits, name: str) -> None:
    plan = foreseen(limits, pace=PACE, n_workers=4)
    assert (plan.ends_by, plan.epochs) == (name, 20)
    assert plan.device_seconds == 200.0
    assert plan.wall_seconds == 50.0


def test_the_limit_that_is_reached_first_ends_the_search() -> None:
    limits = Limits(trials=3, epochs=1000, gpu_hours=1000.0)
    assert foreseen(limits, pace=PACE).ends_by == "trials"
    assert foreseen(replace(limits, epochs=2), pace=PACE).ends_by == "epochs"


def test_each_trial_has_its_own_part_of_the_pace() -> None:
    plan = foreseen(Limits(trials=5), pace=Pace(per_epoch=1.0, per_trial=100.0))
    assert plan.device_seconds == 514.0


def test_a_deadline_that_has_passed_ends_it_before_the_first_trial() -> None:
    plan = foreseen(Limits(deadline=NOW - timedelta(days=1)), pace=PACE)
    assert (plan.ends_by, plan.trials, plan.configurations) == ("deadline", 0, 0)


@given(
    trials=st.integers(1, 3000),
    epochs=st.integers(1, 30_000),
    low=st.integers(1, 9),
    factor=st.integers(1, 30),
    eta=st.integers(2, 4),
)
def test_no_limit_is_passed_by_more_than_a_trial_and_every_configuration_ends_once(
    trials: int, epochs: int, low: int, factor: int, eta: int
) -> None:
    fidelity = Fidelity(min_epochs=low, max_epochs=low * factor, eta=eta)
    limits = Limits(trials=trials, epochs=epochs)
    plan = forecast(fidelity, limits, pace=None, n_workers=1, now=NOW)
    assert plan.trials <= trials
    assert plan.epochs < epochs + fidelity.max_epochs
    assert plan.trials == trials or plan.epochs >= epochs
    assert sum(plan.reached.values()) == plan.trials
    assert all(count >= 0 for count in plan.ending.values())
