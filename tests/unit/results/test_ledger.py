from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.events import (
    Asked,
    AttemptLost,
    Ended,
    Event,
    LoggedEvent,
    Recalled,
    Resumed,
    Retrained,
    SlotsChanged,
    StopRequested,
    Submitted,
    Told,
)
from results.ledger import Ledger, Waste
from results.trial import FailureKind, TrialOutcome, TrialRequest

START = datetime(2026, 1, 1, tzinfo=UTC)
EPOCHS = (3, 9, 27)


@dataclass
class Log:
    """Events at given seconds, taken into a ledger at once."""

    ledger: Ledger = field(default_factory=Ledger)
    n_events: int = 0

    def at(self, seconds: float, event: Event) -> None:
        self.n_events += 1
        time = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
        self.ledger.apply(LoggedEvent(sequence=self.n_events, time=time, event=event))

    def ask(self, seconds: float, name: str, *, config: str = "c1", rung: int = 0) -> None:
        request = TrialRequest(
            trial_id=name,
            config_id=config,
            configuration={},
            rung=rung,
            epochs=EPOCHS[rung],
            seed=0,
        )
        self.at(seconds, Asked(request=request))
        self.at(seconds, Submitted(trial_id=name, attempt=1))

    def tell(self, seconds: float, name: str, *, took: float, epochs: int = 3) -> None:
        outcome = TrialOutcome(
            trial_id=name, attempt=1, costs={"error": 0.5}, seconds=took, epochs_trained=epochs
        )
        self.at(seconds, Told(outcome=outcome))

    def lose(self, seconds: float, name: str, *, held: float = 0.0, attempt: int = 1) -> None:
        outcome = failure(name, FailureKind.WORKER_LOST, held=held, attempt=attempt)
        self.at(seconds, AttemptLost(outcome=outcome))
        self.at(seconds, Submitted(trial_id=name, attempt=attempt + 1))


def failure(name: str, kind: FailureKind, *, held: float = 0.0, attempt: int = 1) -> TrialOutcome:
    return TrialOutcome(trial_id=name, attempt=attempt, failure=kind, seconds=held)


@pytest.fixture
def log() -> Log:
    return Log()


def test_time_in_a_trial_with_costs_is_useful_and_the_rest_of_its_slot_waited(log: Log) -> None:
    log.at(0, SlotsChanged(n_slots=2))
    log.ask(10, "t1")
    log.tell(40, "t1", took=25)
    assert log.ledger.waste() == Waste(25, 0, 0, 0, 0, 2 * 40 - 25)
    assert (log.ledger.seconds, log.ledger.epochs) == (25, 3)


def test_time_in_a_trial_that_fails_of_itself_is_failed(log: Log) -> None:
    log.at(0, SlotsChanged(n_slots=1))
    log.ask(0, "t1")
    log.at(9, Told(outcome=failure("t1", FailureKind.DIVERGED, held=8)))
    assert log.ledger.waste() == Waste(0, 0, 0, 8, 0, 1)


def test_a_trial_under_way_is_running(log: Log) -> None:
    log.at(0, SlotsChanged(n_slots=2))
    log.ask(5, "t1")
    log.at(15, StopRequested(reason="enough"))
    assert log.ledger.waste() == Waste(0, 0, 0, 0, 10, 20)


def test_a_lost_attempt_counts_from_submission_to_its_loss(log: Log) -> None:
    log.at(0, SlotsChanged(n_slots=1))
    log.ask(0, "t1")
    log.lose(20, "t1")
    log.tell(55, "t1", took=30)
    assert log.ledger.waste() == Waste(30, 0, 20, 0, 0, 5)
    assert log.ledger.seconds == 50


def test_what_the_executor_says_of_a_lost_attempt_goes_before_the_times_of_the_log(
    log: Log,
) -> None:
    log.ask(0, "t1")
    log.lose(20, "t1", held=12)
    assert log.ledger.lost == 12


def test_an_older_log_that_tells_only_the_next_attempt_counts_the_one_before(log: Log) -> None:
    log.ask(0, "t1")
    log.at(20, Submitted(trial_id="t1", attempt=2))
    assert log.ledger.lost == 20
    assert log.ledger.waste().waiting is None


def test_what_a_lost_attempt_left_in_a_checkpoint_is_useful(log: Log) -> None:
    log.ask(0, "t1", rung=1)
    log.lose(60, "t1")
    # 9 epochs were needed and 4 trained: the checkpoint held 5, of 10 s each.
    log.tell(100, "t1", took=40, epochs=4)
    assert log.ledger.waste() == Waste(40 + 50, 0, 10, 0, 0, None)


def test_a_trial_that_was_trained_when_its_worker_was_lost_is_only_evaluated(log: Log) -> None:
    log.ask(0, "t1")
    log.lose(60, "t1")
    log.tell(65, "t1", took=5, epochs=0)
    assert log.ledger.waste() == Waste(65, 0, 0, 0, 0, None)


def test_no_more_is_kept_than_was_lost(log: Log) -> None:
    log.ask(0, "t1", rung=1)
    log.lose(5, "t1")
    log.tell(45, "t1", took=40, epochs=4)
    assert log.ledger.waste() == Waste(45, 0, 0, 0, 0, None)


def test_epochs_trained_once_more_because_their_checkpoint_was_gone_are_repeated(
    log: Log,
) -> None:
    log.ask(0, "t1", rung=0)
    log.tell(30, "t1", took=30, epochs=3)
    log.ask(30, "t2", rung=1)
    log.tell(120, "t2", took=90, epochs=9)
    assert log.ledger.waste() == Waste(30 + 60, 30, 0, 0, 0, None)


def test_a_promotion_that_goes_on_from_its_checkpoint_repeats_nothing(log: Log) -> None:
    log.ask(0, "t1", rung=0)
    log.tell(30, "t1", took=30, epochs=3)
    log.ask(30, "t2", rung=1)
    log.tell(90, "t2", took=60, epochs=6)
    assert log.ledger.waste() == Waste(90, 0, 0, 0, 0, None)


def test_epochs_of_a_lost_attempt_are_estimated_at_the_pace_so_far(log: Log) -> None:
    log.ask(0, "t1", config="c1")
    log.tell(30, "t1", took=30, epochs=3)
    log.ask(30, "t2", config="c2", rung=2)
    log.lose(78, "t2")
    assert (log.ledger.lost_epochs, log.ledger.epochs) == (4, 3 + 4)


def test_a_lost_attempt_has_not_trained_more_than_its_trial_needs(log: Log) -> None:
    log.ask(0, "t1")
    log.tell(30, "t1", took=30, epochs=3)
    log.ask(30, "t2", config="c2")
    log.lose(9999, "t2")
    assert log.ledger.lost_epochs == 3


def test_before_any_pace_is_known_no_epochs_are_guessed(log: Log) -> None:
    log.ask(0, "t1")
    log.lose(50, "t1")
    assert (log.ledger.lost_epochs, log.ledger.epochs) == (0, 0)


def test_a_trial_that_fails_for_its_lost_workers_is_lost_and_not_failed(log: Log) -> None:
    log.ask(0, "t1")
    log.at(20, Told(outcome=failure("t1", FailureKind.WORKER_LOST)))
    assert log.ledger.waste() == Waste(0, 0, 20, 0, 0, None)


@pytest.mark.parametrize("ends_in_order", [True, False])
def test_what_ran_when_a_coordinator_went_is_lost_up_to_its_last_event(
    log: Log, *, ends_in_order: bool
) -> None:
    log.at(0, SlotsChanged(n_slots=1))
    log.ask(10, "t1")
    last = Ended(state="stopped", reason="") if ends_in_order else StopRequested(reason="")
    log.at(30, last)
    log.at(
        1000,
        Retrained(
            config_id="c", seed=1, epochs=2, outcome=failure("r", FailureKind.CRASHED), model=None
        ),
    )
    log.at(5000, Resumed(reissued=("t1",), versions={}))
    log.at(5000, Submitted(trial_id="t1", attempt=1))
    log.at(5002, SlotsChanged(n_slots=1))
    log.tell(5010, "t1", took=8)
    assert log.ledger.waste() == Waste(8, 0, 20, 0, 0, 10)


def test_a_trial_that_was_taken_back_held_no_slot(log: Log) -> None:
    log.ask(0, "t1")
    log.at(50, Recalled(trial_ids=("t1",)))
    log.at(60, Ended(state="stopped", reason=""))
    assert log.ledger.waste() == Waste(0, 0, 0, 0, 0, None)


def test_a_second_answer_changes_nothing(log: Log) -> None:
    log.ask(0, "t1")
    log.tell(30, "t1", took=30)
    log.tell(31, "t1", took=31)
    assert (log.ledger.seconds, log.ledger.epochs) == (30, 3)


def test_time_without_a_worker_is_nobodys(log: Log) -> None:
    log.at(0, SlotsChanged(n_slots=1))
    log.at(10, SlotsChanged(n_slots=0))
    log.at(500, SlotsChanged(n_slots=3))
    log.at(501, StopRequested(reason=""))
    assert log.ledger.waste().waiting == 10 + 3


Step = Callable[[Log, float, str], None]
STEPS: dict[str, Step] = {
    "tell": lambda log, now, name: log.tell(now, name, took=1.0),
    "fail": lambda log, now, name: log.at(
        now, Told(outcome=failure(name, FailureKind.CRASHED, held=1.0))
    ),
    "lose": lambda log, now, name: log.lose(now, name),
    "recall": lambda log, now, name: log.at(now, Recalled(trial_ids=(name,))),
    "slots": lambda log, now, name: log.at(now, SlotsChanged(n_slots=int(name[1:]))),
    "end": lambda log, now, name: log.at(now, Ended(state="stopped", reason=name)),
}


@given(steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 4)), max_size=30))
def test_no_sum_is_ever_negative_and_what_is_spent_is_all_that_ended(
    steps: list[tuple[str, int]],
) -> None:
    log = Log()
    log.at(0, SlotsChanged(n_slots=5))
    for number in range(5):
        log.ask(1, f"t{number}", config=f"c{number}", rung=number % 3)
    for index, (step, number) in enumerate(steps):
        STEPS[step](log, 2.0 + index, f"t{number}")
        waste = log.ledger.waste()
        assert all(each >= -1e-9 for each in waste if each is not None)
        assert log.ledger.seconds == pytest.approx(sum(waste[:4]))


def jumping(seconds: float) -> str:
    """A wall clock that is set forward by a day at 15 s, and back by two at 40 s."""
    jump = 0 if seconds < 15 else 86_400 if seconds < 40 else -86_400
    time = START + timedelta(seconds=seconds + jump)
    return time.isoformat().replace("+00:00", "Z")


def test_a_wall_clock_that_jumps_changes_nothing() -> None:
    log, ledger = Log(), Ledger()

    def both(seconds: float, event: Event) -> None:
        log.at(seconds, event)
        ledger.apply(
            LoggedEvent(
                sequence=log.n_events,
                time=jumping(seconds),
                event=event,
                elapsed_seconds=100 + seconds,
            )
        )

    request = TrialRequest(
        trial_id="t1", config_id="c1", configuration={}, rung=0, epochs=3, seed=0
    )
    told = TrialOutcome(
        trial_id="t1", attempt=2, costs={"error": 0.5}, seconds=12.0, epochs_trained=3
    )
    both(0, SlotsChanged(n_slots=2))
    both(10, Asked(request=request))
    both(10, Submitted(trial_id="t1", attempt=1))
    both(20, Submitted(trial_id="t1", attempt=2))  # as in logs that do not tell the loss
    both(45, Told(outcome=told))
    both(50, Ended(state="stopped", reason=""))
    assert ledger.waste() == log.ledger.waste() == Waste(12.0, 0.0, 10.0, 0.0, 0.0, 78.0)


def test_clocks_of_two_writers_are_not_compared() -> None:
    ledger = Ledger()
    events: list[tuple[float, float, Event]] = [
        (0, 0, SlotsChanged(n_slots=1)),
        (10, 10, Submitted(trial_id="t1", attempt=1)),
        (30, 30, StopRequested(reason="")),
        (500, 1, Resumed(reissued=("t1",), versions={})),
        (501, 2, SlotsChanged(n_slots=1)),
        (504, 5, StopRequested(reason="")),
    ]
    request = TrialRequest(
        trial_id="t1", config_id="c1", configuration={}, rung=0, epochs=3, seed=0
    )
    ledger.apply(LoggedEvent(sequence=1, time=jumping(0), event=Asked(request=request)))
    for number, (wall, elapsed, event) in enumerate(events, start=2):
        time = (START + timedelta(seconds=wall)).isoformat()
        ledger.apply(LoggedEvent(sequence=number, time=time, event=event, elapsed_seconds=elapsed))
    waste = ledger.waste()
    assert (waste.lost, waste.waiting) == (20.0, 13.0)
