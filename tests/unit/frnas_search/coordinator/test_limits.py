from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from frnas_search.coordinator.limits import Limits, Spent, reached

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
SPENT = Spent(now=NOW, epochs=100, gpu_seconds=7200.0, wall_seconds=1800.0, trials_since_gain=20)


def test_without_limits_nothing_is_ever_reached() -> None:
    spent = Spent(
        now=NOW, epochs=10**9, gpu_seconds=1e12, wall_seconds=1e12, trials_since_gain=10**9
    )
    assert reached(Limits(), spent) is None


def test_the_limit_of_trials_is_left_to_the_state_machine() -> None:
    assert reached(Limits(trials=1), SPENT) is None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(epochs=100), "100 epochs are trained"),
        (Limits(gpu_hours=2.0), "2 GPU-hours are spent"),
        (Limits(wall_hours=0.5), "0.5 hours have passed"),
        (Limits(deadline=NOW), "the deadline 2026-12-01T08:00:00Z has passed"),
        (Limits(plateau=20), "20 trials brought no hypervolume"),
    ],
)
def test_a_limit_is_reached_when_as_much_is_spent_and_says_so_in_its_unit(
    limits: Limits, reason: str
) -> None:
    assert reached(limits, SPENT) == reason


@pytest.mark.parametrize(
    "limits",
    [Limits(epochs=101), Limits(gpu_hours=2.001), Limits(wall_hours=0.501), Limits(plateau=21)],
)
def test_a_limit_is_not_reached_before_as_much_is_spent(limits: Limits) -> None:
    assert reached(limits, SPENT) is None


def test_with_several_limits_one_that_is_reached_is_enough() -> None:
    assert reached(Limits(epochs=1000, wall_hours=9.0, plateau=5), SPENT) == (
        "5 trials brought no hypervolume"
    )


def test_the_first_of_several_reached_limits_is_the_reason() -> None:
    assert reached(Limits(plateau=1, gpu_hours=1.0, epochs=1), SPENT) == "1 epochs are trained"


def test_a_large_limit_is_written_in_full() -> None:
    spent = replace(SPENT, epochs=1_234_567)
    assert reached(Limits(epochs=1_234_567), spent) == "1234567 epochs are trained"


def test_nothing_spent_reaches_no_limit() -> None:
    nothing = Spent(now=NOW, epochs=0, gpu_seconds=0.0, wall_seconds=0.0, trials_since_gain=0)
    assert reached(Limits(epochs=1, gpu_hours=0.1, wall_hours=0.1, plateau=1), nothing) is None


def test_a_deadline_may_be_in_another_zone_and_is_not_reached_before() -> None:
    an_hour_later = datetime(2026, 12, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    assert reached(Limits(deadline=an_hour_later), SPENT) is None
    assert reached(Limits(deadline=an_hour_later - timedelta(hours=1)), SPENT) is not None


def test_a_plateau_waits_for_trials_that_may_end_it() -> None:
    spent = replace(SPENT, trials_in_flight=1)
    assert reached(Limits(plateau=20), spent) is None
    assert reached(Limits(plateau=20, epochs=100), spent) == "100 epochs are trained"
