from __future__ import annotations

import math

import numpy as np
import pytest

from frnas_search.executors.virtual_clock import VirtualClock, clock_of_log, virtual_duration
from results.events import Asked, Event, LoggedEvent, Resumed, Submitted, Told
from results.trial import FailureKind, TrialOutcome, TrialRequest


def request(number: int, *, epochs: int = 3, config: int | None = None) -> TrialRequest:
    return TrialRequest(
        trial_id=f"t{number:04d}",
        config_id=f"c{number if config is None else config:04d}",
        configuration={},
        rung=0,
        epochs=epochs,
        seed=0,
    )


def duration(number: int, n_new_epochs: int = 3, *, seed: int = 0) -> float:
    return virtual_duration(request(number), n_new_epochs=n_new_epochs, seed=seed)


def entered(*numbers: int, n_slots: int) -> VirtualClock:
    clock = VirtualClock(n_slots=n_slots, seed=0)
    for number in numbers:
        clock.enter(request(number))
    return clock


def test_a_duration_follows_from_seed_and_trial_and_grows_with_the_epochs() -> None:
    assert duration(1) == duration(1)
    assert len({duration(1), duration(2), duration(1, seed=1)}) == 3
    assert duration(1, 9) == pytest.approx(3 * duration(1, 3))


def test_durations_are_log_normal_around_an_epoch_each() -> None:
    logarithms = [math.log(duration(number, 1)) for number in range(4000)]
    assert np.mean(logarithms) == pytest.approx(0.0, abs=0.03)
    assert np.std(logarithms) == pytest.approx(0.5, abs=0.03)


def test_the_trial_with_the_earliest_end_is_next_and_moves_the_clock() -> None:
    clock = entered(1, 2, 3, n_slots=3)
    order = sorted((1, 2, 3), key=duration)
    for number in order:
        assert clock.next_to_end() == f"t{number:04d}"
        assert clock.leave(f"t{number:04d}") == []
        assert clock.now == duration(number)
    assert clock.next_to_end() is None


def test_a_trial_begins_when_the_one_before_it_ended() -> None:
    clock = entered(1, n_slots=1)
    clock.leave("t0001")
    clock.enter(request(2))
    clock.leave("t0002")
    assert clock.now == pytest.approx(duration(1) + duration(2))


def test_more_trials_than_slots_wait_in_their_order() -> None:
    clock = VirtualClock(n_slots=2, seed=0)
    assert [clock.enter(request(number)) for number in (1, 2, 3, 4)] == [True, True, False, False]
    first = clock.next_to_end()
    assert first is not None
    assert clock.leave(first) == [request(3)]
    assert clock.recall() == ("t0004",)
    assert clock.recall() == ()


def test_a_trial_that_enters_again_stays_as_it_is() -> None:
    clock = entered(1, 2, n_slots=1)
    assert clock.enter(request(1))
    assert not clock.enter(request(2))
    assert clock.leave("t0001") == [request(2)]
    assert clock.now == duration(1)


def test_a_promotion_takes_only_the_epochs_that_it_adds() -> None:
    clock = VirtualClock(n_slots=1, seed=0)
    clock.enter(request(1, epochs=3, config=1))
    clock.leave("t0001")
    clock.enter(request(2, epochs=9, config=1))
    clock.leave("t0002")
    assert clock.now == pytest.approx(duration(1, 3) + duration(2, 6))


def test_the_clock_of_a_log_is_the_one_that_wrote_it() -> None:
    clock, events = VirtualClock(n_slots=2, seed=0), list[Event]()
    for number in (1, 2):
        clock.enter(request(number))
        events += [Asked(request=request(number)), Submitted(trial_id=f"t000{number}", attempt=1)]
    for number in range(3, 9):
        first = clock.next_to_end()
        assert first is not None
        outcome = TrialOutcome(trial_id=first, attempt=1, failure=FailureKind.COLLAPSED)
        events += [Told(outcome=outcome), Asked(request=request(number))]
        clock.leave(first)
        clock.enter(request(number))
    events.append(Resumed(reissued=(), versions={}))
    log = [
        LoggedEvent(sequence=index, time="2026-01-01T00:00:00Z", event=event)
        for index, event in enumerate(events, start=1)
    ]
    assert clock_of_log(log, n_slots=2, seed=0) == clock
    assert clock_of_log(log, n_slots=2, seed=1) != clock
