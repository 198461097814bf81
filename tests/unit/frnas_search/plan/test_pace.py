from __future__ import annotations

import pytest

from frnas_search.plan.pace import Pace, measured_pace
from results.trial import FailureKind, TrialOutcome, TrialRequest
from results.trial_record import TrialRecord


def trial(epochs: int, seconds: float, failure: FailureKind | None = None) -> TrialRecord:
    request = TrialRequest(
        trial_id="t", config_id="c", configuration={}, rung=0, epochs=epochs, seed=0
    )
    outcome = TrialOutcome(
        trial_id="t",
        attempt=1,
        costs=None if failure else {"error": 0.5},
        failure=failure,
        seconds=seconds,
        epochs_trained=epochs,
    )
    return TrialRecord(request=request, asked_sequence=1, asked_time="", outcome=outcome)


def test_a_pace_is_a_line_through_what_was_measured() -> None:
    pace = measured_pace([trial(2, 12.0), trial(4, 22.0), trial(10, 52.0)], source="run a")
    assert pace is not None
    assert (pace.per_epoch, pace.per_trial) == (pytest.approx(5.0), pytest.approx(2.0))
    assert pace.source == "run a"
    assert pace.seconds(trials=3, epochs=10) == pytest.approx(56.0)


def test_trials_of_one_length_give_a_pace_by_the_epoch() -> None:
    pace = measured_pace([trial(4, 20.0), trial(4, 28.0)], source="run a")
    assert pace == Pace(per_epoch=6.0, per_trial=0.0, source="run a")


def test_neither_part_is_below_zero() -> None:
    falling = measured_pace([trial(1, 9.0), trial(9, 5.0)], source="")
    assert falling is not None
    assert (falling.per_epoch, falling.per_trial) == (0.0, 7.0)
    steep = measured_pace([trial(1, 1.0), trial(10, 100.0)], source="")
    assert steep is not None
    assert steep.per_trial >= 0.0
    assert steep.per_epoch == pytest.approx(1001 / 101)


def test_failures_and_mere_evaluations_say_nothing_of_the_pace() -> None:
    useless = [trial(3, 9.0, FailureKind.DIVERGED), trial(0, 5.0)]
    assert measured_pace(useless, source="") is None
    assert measured_pace([*useless, trial(1, 2.0)], source="") == Pace(per_epoch=2.0, source="")
