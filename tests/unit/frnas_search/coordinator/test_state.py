from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from frnas_search.coordinator.judgement import Bench
from frnas_search.coordinator.state import (
    Action,
    Close,
    Event,
    Exhausted,
    Finished,
    GiveUp,
    Recall,
    Recalled,
    Record,
    RecordLoss,
    Reissued,
    SearchState,
    SlotsChanged,
    StopRequested,
    Submit,
    Suggest,
    Suggested,
)
from results.trial import FailureKind, Fault, TrialOutcome, TrialRequest

RETRIED = FailureKind.WORKER_LOST
PLACES = (FailureKind.WORKER_LOST, FailureKind.DATA_ERROR, FailureKind.STALLED)
UNCERTAIN = (FailureKind.CRASHED, FailureKind.OUT_OF_MEMORY)
CERTAIN = [kind for kind in FailureKind if kind not in (*PLACES, *UNCERTAIN)]


def request(name: str, attempt: int = 1) -> TrialRequest:
    return TrialRequest(
        trial_id=name,
        config_id=f"c-{name}",
        configuration={"lr": 0.1},
        rung=0,
        epochs=3,
        seed=0,
        attempt=attempt,
    )


def done(name: str, attempt: int = 1, *, worker: str = "w1") -> Finished:
    costs = {"error": 0.5}
    return Finished(TrialOutcome(trial_id=name, attempt=attempt, costs=costs, worker=worker))


def told(finished: Finished) -> Record:
    """What is told of a failure once it is certain to be the configuration's."""
    return Record(replace(finished.outcome, fault=Fault.CONFIGURATION))


def given_up(finished: Finished, reason: str) -> GiveUp:
    return GiveUp(finished.outcome, reason)


def failed(
    name: str,
    kind: FailureKind,
    attempt: int = 1,
    *,
    worker: str = "w1",
    progressed: bool = False,
    fault: Fault | None = None,
) -> Finished:
    outcome = TrialOutcome(
        trial_id=name, attempt=attempt, failure=kind, worker=worker, fault=fault, detail="why"
    )
    return Finished(outcome, progressed)


def lost_by_cluster(name: str, attempt: int = 1) -> Finished:
    return failed(name, RETRIED, attempt, fault=Fault.CLUSTER)


def lost(name: str, attempt: int = 1) -> Finished:
    return failed(name, RETRIED, attempt)


def loss(name: str, attempt: int = 1) -> RecordLoss:
    return RecordLoss(lost(name, attempt).outcome)


def actions_of(state: SearchState, *events: Event) -> list[list[Action]]:
    return [state.handle(event) for event in events]


@pytest.fixture
def state() -> SearchState:
    """Two slots, both taken, by `a` and `b`."""
    state = SearchState(max_attempts=2)
    actions_of(state, SlotsChanged(2), Suggested(request("a")), Suggested(request("b")))
    return state


def test_nothing_is_asked_before_there_is_a_worker() -> None:
    assert SearchState(max_attempts=1).handle(SlotsChanged(0)) == []


def test_free_slots_are_filled_by_one_suggestion_at_a_time() -> None:
    state = SearchState(max_attempts=1)
    assert actions_of(
        state, SlotsChanged(2), Suggested(request("a")), Suggested(request("b"))
    ) == [[Suggest()], [Submit(request("a")), Suggest()], [Submit(request("b"))]]


def test_slots_that_come_while_a_suggestion_is_awaited_ask_for_no_second_one() -> None:
    state = SearchState(max_attempts=1)
    assert actions_of(
        state, SlotsChanged(1), SlotsChanged(2), Suggested(request("a")), Suggested(request("b"))
    ) == [[Suggest()], [], [Submit(request("a")), Suggest()], [Submit(request("b"))]]


def test_a_result_that_comes_while_a_suggestion_is_awaited_asks_for_no_second_one(
    state: SearchState,
) -> None:
    assert actions_of(state, done("a"), done("b"), Suggested(request("c"))) == [
        [Record(done("a").outcome), Suggest()],
        [Record(done("b").outcome)],
        [Submit(request("c")), Suggest()],
    ]


def test_a_result_is_recorded_before_the_next_trial_is_asked_for(state: SearchState) -> None:
    assert state.handle(done("a")) == [Record(done("a").outcome), Suggest()]


def test_more_workers_are_put_to_work_at_once(state: SearchState) -> None:
    assert state.handle(SlotsChanged(3)) == [Suggest()]


def test_trials_beyond_the_slots_that_are_left_run_on_and_are_not_replaced(
    state: SearchState,
) -> None:
    assert actions_of(state, SlotsChanged(1), done("a"), done("b")) == [
        [],
        [Record(done("a").outcome)],
        [Record(done("b").outcome), Suggest()],
    ]


def test_without_any_worker_left_the_search_waits_and_goes_on_when_one_comes(
    state: SearchState,
) -> None:
    assert actions_of(state, SlotsChanged(0), done("a"), done("b"), SlotsChanged(1)) == [
        [],
        [Record(done("a").outcome)],
        [Record(done("b").outcome)],
        [Suggest()],
    ]


def test_a_suggestion_is_submitted_although_its_slot_has_gone() -> None:
    state = SearchState(max_attempts=1)
    assert actions_of(state, SlotsChanged(1), SlotsChanged(0), Suggested(request("a"))) == [
        [Suggest()],
        [],
        [Submit(request("a"))],
    ]


@pytest.mark.parametrize("kind", PLACES)
def test_what_a_place_does_is_tried_again_and_then_given_up_and_never_told(
    state: SearchState, kind: FailureKind
) -> None:
    first, second = failed("a", kind), failed("a", kind, 2)
    assert actions_of(state, first, second) == [
        [RecordLoss(first.outcome), Submit(request("a", attempt=2))],
        [
            RecordLoss(second.outcome),
            given_up(second, "2 attempts without progress, the last: why"),
            Suggest(),
        ],
    ]


def test_an_attempt_that_left_a_later_checkpoint_does_not_count(state: SearchState) -> None:
    for attempt in range(1, 9):
        event = failed("a", RETRIED, attempt, progressed=True)
        assert state.handle(event) == [
            RecordLoss(event.outcome, True),
            Submit(request("a", attempt=attempt + 1)),
        ]
    assert isinstance(state.handle(failed("a", RETRIED, 9))[1], Submit)
    assert isinstance(state.handle(failed("a", RETRIED, 10))[1], GiveUp)


def test_what_the_cluster_lost_counts_against_nobody(state: SearchState) -> None:
    for attempt in range(1, 9):
        event = lost_by_cluster("a", attempt)
        assert state.handle(event)[1:] == [Submit(request("a", attempt=attempt + 1))]
    assert state.handle(done("a", 9)) == [Record(done("a", 9).outcome), Suggest()]


def test_a_retry_that_succeeds_is_recorded_with_its_attempt(state: SearchState) -> None:
    state.handle(lost("a"))
    assert state.handle(done("a", attempt=2)) == [Record(done("a", attempt=2).outcome), Suggest()]


def test_with_one_attempt_a_lost_trial_is_given_up_at_once() -> None:
    state = SearchState(max_attempts=1)
    actions_of(state, SlotsChanged(1), Suggested(request("a")))
    assert state.handle(lost("a"))[:2] == [
        loss("a"),
        given_up(lost("a"), "1 attempts without progress, the last: why"),
    ]


@pytest.mark.parametrize("kind", CERTAIN)
def test_what_is_the_configurations_own_is_told_at_once(
    state: SearchState, kind: FailureKind
) -> None:
    assert state.handle(failed("a", kind)) == [Record(failed("a", kind).outcome), Suggest()]


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_what_two_sound_workers_cannot_do_is_told(state: SearchState, kind: FailureKind) -> None:
    first, second = failed("a", kind), failed("a", kind, 2, worker="w2")
    actions_of(state, done("b"), Suggested(request("c")), done("c", worker="w2"))
    assert state.handle(first) == [RecordLoss(first.outcome), Submit(request("a", attempt=2))]
    assert state.handle(second) == [RecordLoss(second.outcome), told(second)]


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_what_fails_twice_on_the_only_worker_is_told_when_that_does_another_trial(
    state: SearchState, kind: FailureKind
) -> None:
    first, second = failed("a", kind), failed("a", kind, 2)
    assert actions_of(state, first, second, done("b")) == [
        [RecordLoss(first.outcome), Submit(request("a", attempt=2))],
        [RecordLoss(second.outcome), Suggest()],
        [Record(done("b").outcome), told(second)],
    ]


def test_a_configuration_that_is_refused_does_not_speak_for_its_worker(
    state: SearchState,
) -> None:
    refused = failed("b", FailureKind.INVALID_CONFIGURATION)
    crashes = [failed("a", FailureKind.CRASHED, attempt) for attempt in (1, 2)]
    actions_of(state, *crashes)
    assert state.handle(refused) == [Record(refused.outcome)]
    assert "a" in state.suspended


def test_a_configuration_that_is_convicted_is_not_held_against_its_workers() -> None:
    state = SearchState(max_attempts=2)
    names = [f"t{number}" for number in range(6)]
    actions_of(state, SlotsChanged(7), *(Suggested(request(name)) for name in names))
    actions_of(state, done("t0", worker="w1"), done("t1", worker="w2"))
    for name in names[2:]:
        first = failed(name, FailureKind.CRASHED, worker="w1")
        second = failed(name, FailureKind.CRASHED, 2, worker="w2")
        state.handle(first)
        assert told(second) in state.handle(second)
    assert state.judgement.benched == set()


def test_what_fails_on_a_worker_that_does_nothing_else_is_given_up(state: SearchState) -> None:
    crash = failed("a", FailureKind.CRASHED, 2)
    actions = actions_of(
        state, failed("a", FailureKind.CRASHED), crash, StopRequested("operator"), Exhausted()
    )
    assert actions[-1] == []
    assert state.handle(lost_by_cluster("b")) == [
        RecordLoss(lost_by_cluster("b").outcome),
        given_up(crash, "it is not certain why it failed: why"),
        Close("operator", "finished"),
    ]


def test_a_worker_that_fails_what_others_do_is_benched_and_the_trials_are_tried_elsewhere() -> (
    None
):
    state = SearchState(max_attempts=2)
    names = [f"t{number}" for number in range(4)]
    actions_of(state, SlotsChanged(5), *(Suggested(request(name)) for name in names))
    state.handle(done("t0", worker="good"))
    actions = [
        action
        for name in names[1:]
        for action in state.handle(failed(name, FailureKind.CRASHED, worker="bad"))
    ]
    assert Bench("bad", "it failed 3 trials in a row, and other workers do well") in actions
    for name in names[1:]:
        assert state.handle(done(name, 2, worker="good"))[0] == Record(
            done(name, 2, worker="good").outcome
        )


def test_one_trials_retries_do_not_count_against_anothers(state: SearchState) -> None:
    assert actions_of(state, lost("a"), lost("b")) == [
        [loss("a"), Submit(request("a", attempt=2))],
        [loss("b"), Submit(request("b", attempt=2))],
    ]


def test_a_late_answer_of_an_attempt_that_was_given_up_is_ignored(state: SearchState) -> None:
    state.handle(lost("a"))
    assert actions_of(state, lost("a"), done("a")) == [[], []]
    assert state.handle(done("a", attempt=2)) == [Record(done("a", attempt=2).outcome), Suggest()]


def test_a_second_answer_and_one_of_an_unknown_trial_are_ignored(state: SearchState) -> None:
    state.handle(done("a"))
    assert actions_of(state, done("a"), done("z")) == [[], []]


def test_stop_closes_only_after_running_trials_end(state: SearchState) -> None:
    assert actions_of(state, StopRequested("operator", "stopped"), done("a"), done("b")) == [
        [Recall()],
        [Record(done("a").outcome)],
        [Record(done("b").outcome), Close("operator", "stopped")],
    ]


def test_stop_with_nothing_running_closes_at_once() -> None:
    state = SearchState(max_attempts=1)
    assert state.handle(StopRequested("deadline")) == [Close("deadline", "finished")]


def test_the_first_of_several_stops_gives_the_reason(state: SearchState) -> None:
    state.handle(StopRequested("plateau"))
    state.handle(StopRequested("operator", "stopped"))
    state.handle(done("a"))
    assert state.handle(done("b"))[-1] == Close("plateau", "finished")


def test_a_trial_whose_worker_is_lost_while_the_search_stops_is_left_for_a_resumed_run(
    state: SearchState,
) -> None:
    assert actions_of(state, StopRequested("operator"), lost("a"), done("b")) == [
        [Recall()],
        [loss("a")],
        [Record(done("b").outcome), Close("operator", "finished")],
    ]


def test_trials_that_wait_for_a_worker_are_recalled_when_the_search_stops(
    state: SearchState,
) -> None:
    assert actions_of(state, StopRequested("operator"), Recalled(("b",)), done("a")) == [
        [Recall()],
        [],
        [Record(done("a").outcome), Close("operator", "finished")],
    ]


def test_a_search_whose_trials_all_wait_stops_at_once(state: SearchState) -> None:
    assert actions_of(state, StopRequested("operator"), Recalled(("a", "b"))) == [
        [Recall()],
        [Close("operator", "finished")],
    ]


def test_an_exhausted_space_recalls_nothing_and_still_retries(state: SearchState) -> None:
    assert actions_of(state, done("a"), Exhausted(), lost("b"))[1:] == [
        [],
        [loss("b"), Submit(request("b", attempt=2))],
    ]


def test_a_limit_that_is_reached_answers_a_suggestion_and_stops(state: SearchState) -> None:
    stop = Exhausted(StopRequested("9 epochs are trained"))
    assert actions_of(state, done("a"), stop, Recalled(("b",)))[1:] == [
        [Recall()],
        [Close("9 epochs are trained", "finished")],
    ]


def test_more_workers_do_not_revive_a_search_that_stops(state: SearchState) -> None:
    assert actions_of(state, StopRequested("operator"), SlotsChanged(8)) == [[Recall()], []]


def test_a_suggestion_that_is_awaited_when_a_stop_comes_is_trained_before_the_close() -> None:
    state = SearchState(max_attempts=1)
    assert actions_of(
        state, SlotsChanged(2), StopRequested("operator"), Suggested(request("a")), done("a")
    ) == [
        [Suggest()],
        [],
        [Submit(request("a"))],
        [Record(done("a").outcome), Close("operator", "finished")],
    ]


def test_an_exhausted_space_ends_the_search_after_what_still_runs(state: SearchState) -> None:
    reason = "the space holds nothing more to propose"
    assert actions_of(state, done("a"), Exhausted(), done("b"), Exhausted()) == [
        [Record(done("a").outcome), Suggest()],
        [],
        [Record(done("b").outcome), Suggest()],
        [Close(reason, "finished")],
    ]


def test_a_search_that_finds_no_more_within_its_constraints_says_why(state: SearchState) -> None:
    why = "no other configuration within the constraints among 9 tried"
    assert actions_of(state, done("a"), Exhausted(reason="earlier"), done("b")) == [
        [Record(done("a").outcome), Suggest()],
        [],
        [Record(done("b").outcome), Suggest()],
    ]
    assert actions_of(state, Exhausted(reason=why)) == [[Close(why, "finished")]]


def test_a_search_that_finds_nothing_at_all_has_failed() -> None:
    why = "no configuration within the constraints among 9 tried"
    fresh = SearchState(max_attempts=2)
    assert actions_of(fresh, SlotsChanged(2), Exhausted(reason=why)) == [
        [Suggest()],
        [Close(why, "failed")],
    ]


def test_a_result_may_give_an_exhausted_space_one_more_proposal(state: SearchState) -> None:
    assert actions_of(state, done("a"), Exhausted(), done("b"), Suggested(request("c"))) == [
        [Record(done("a").outcome), Suggest()],
        [],
        [Record(done("b").outcome), Suggest()],
        [Submit(request("c")), Suggest()],
    ]


def test_nothing_but_a_result_makes_an_exhausted_space_worth_asking(state: SearchState) -> None:
    assert actions_of(state, SlotsChanged(3), Exhausted(), SlotsChanged(8), lost("a")) == [
        [Suggest()],
        [],
        [],
        [RecordLoss(lost("a").outcome), Submit(request("a", attempt=2))],
    ]


def test_a_result_that_came_before_the_answer_is_worth_asking_again(state: SearchState) -> None:
    assert actions_of(state, SlotsChanged(3), done("a"), Exhausted()) == [
        [Suggest()],
        [Record(done("a").outcome)],
        [Suggest()],
    ]


def test_a_space_that_is_exhausted_from_the_start_closes_at_once() -> None:
    state = SearchState(max_attempts=1)
    state.handle(SlotsChanged(1))
    [close] = state.handle(Exhausted())
    assert isinstance(close, Close)


def test_the_limit_of_trials_counts_what_is_asked() -> None:
    state = SearchState(max_attempts=1, max_trials=3)
    events = [Suggested(request(name)) for name in "abc"]
    assert actions_of(state, SlotsChanged(5), *events, done("b"), done("a"), done("c")) == [
        [Suggest()],
        [Submit(request("a")), Suggest()],
        [Submit(request("b")), Suggest()],
        [Submit(request("c"))],
        [Record(done("b").outcome)],
        [Record(done("a").outcome)],
        [Record(done("c").outcome), Close("3 trials are done", "finished")],
    ]


def test_retries_do_not_count_against_the_limit_of_trials() -> None:
    state = SearchState(max_attempts=3, max_trials=1)
    actions_of(state, SlotsChanged(1), Suggested(request("a")))
    assert actions_of(state, lost("a"), lost("a", 2), done("a", 3)) == [
        [loss("a"), Submit(request("a", 2))],
        [loss("a", 2), Submit(request("a", 3))],
        [Record(done("a", 3).outcome), Close("1 trials are done", "finished")],
    ]


def test_a_run_whose_limit_was_raised_goes_on_from_what_it_had_asked() -> None:
    state = SearchState(max_attempts=1, max_trials=31, n_asked=30)
    assert actions_of(state, SlotsChanged(4), Suggested(request("t31")), done("t31")) == [
        [Suggest()],
        [Submit(request("t31"))],
        [Record(done("t31").outcome), Close("31 trials are done", "finished")],
    ]


def test_a_run_whose_limit_was_not_raised_closes_as_soon_as_a_worker_comes() -> None:
    state = SearchState(max_attempts=1, max_trials=30, n_asked=30)
    assert state.handle(SlotsChanged(1)) == [Close("30 trials are done", "finished")]


def test_trials_that_were_in_flight_are_submitted_again_before_anything_is_asked() -> None:
    state = SearchState(max_attempts=2, max_trials=8, n_asked=7)
    assert actions_of(
        state, Reissued(request("a", attempt=2)), Reissued(request("b")), SlotsChanged(3)
    ) == [[Submit(request("a", attempt=2))], [Submit(request("b"))], [Suggest()]]


def test_trials_that_were_in_flight_do_not_count_as_asked_again() -> None:
    state = SearchState(max_attempts=2, max_trials=7, n_asked=7)
    assert actions_of(state, Reissued(request("a")), SlotsChanged(3), done("a")) == [
        [Submit(request("a"))],
        [],
        [Record(done("a").outcome), Close("7 trials are done", "finished")],
    ]


def test_more_trials_in_flight_than_slots_delay_the_next_suggestion() -> None:
    state = SearchState(max_attempts=1)
    actions_of(state, *(Reissued(request(name)) for name in "abc"))
    assert actions_of(state, SlotsChanged(1), done("a"), done("b"), done("c")) == [
        [],
        [Record(done("a").outcome)],
        [Record(done("b").outcome)],
        [Record(done("c").outcome), Suggest()],
    ]


def test_a_trial_of_an_earlier_session_begins_to_count_anew() -> None:
    state = SearchState(max_attempts=2)
    state.handle(Reissued(request("a", attempt=7)))
    assert state.handle(lost("a", 7)) == [loss("a", 7), Submit(request("a", 8))]


@pytest.mark.parametrize(
    "event",
    [
        SlotsChanged(3),
        StopRequested("again"),
        Exhausted(),
        done("a"),
        Suggested(request("z")),
    ],
)
def test_nothing_happens_after_the_close(event: Event) -> None:
    state = SearchState(max_attempts=1)
    state.handle(StopRequested("operator"))
    assert state.handle(event) == []


class AnyCourseOfEvents(RuleBasedStateMachine):
    """Answers a state as a coordinator would, in any order that can happen."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SearchState(max_attempts=1)
        self.most_slots = self.n_reissued = self.n_asked = 0
        self.is_suggesting = self.is_recalling = self.is_exhausted = False
        self.n_recorded_when_asked = 0
        self.left: set[str] = set()
        self.running: dict[str, int] = {}
        self.submitted: Counter[tuple[str, int]] = Counter()
        self.recorded: Counter[str] = Counter()
        self.suspended: dict[str, int] = {}
        self.closes: list[Close] = []

    @initialize(
        attempts=st.lists(st.integers(1, 2), max_size=3),
        max_attempts=st.integers(2, 3),
        max_trials=st.none() | st.integers(1, 12),
    )
    def resume(self, attempts: list[int], max_attempts: int, max_trials: int | None) -> None:
        self.n_reissued = self.n_asked = len(attempts)
        self.state = SearchState(
            max_attempts=max_attempts, max_trials=max_trials, n_asked=self.n_asked
        )
        for index, attempt in enumerate(attempts):
            self.send(Reissued(request(f"t{index}", attempt)))

    @rule(n_slots=st.integers(0, 4))
    def workers_come_and_go(self, n_slots: int) -> None:
        self.most_slots = max(self.most_slots, n_slots)
        self.send(SlotsChanged(n_slots))

    @precondition(lambda self: self.is_suggesting)
    @rule()
    def propose(self) -> None:
        self.is_suggesting = False
        self.n_asked += 1
        self.send(Suggested(request(f"t{self.n_asked - 1}")))

    @precondition(lambda self: self.is_suggesting)
    @rule(really=st.integers(0, 4))
    def run_out_of_proposals(self, really: int) -> None:
        if really == 0:
            self.is_suggesting = False
            self.is_exhausted = len(self.recorded) == self.n_recorded_when_asked
            self.send(Exhausted())

    @precondition(lambda self: self.running)
    @rule(
        which=st.integers(0, 99),
        failure=st.none() | st.just(RETRIED) | st.sampled_from(FailureKind),
        worker=st.sampled_from(("w1", "w2", "w3")),
        is_clusters=st.booleans(),
        progressed=st.booleans(),
    )
    def finish(
        self,
        which: int,
        failure: FailureKind | None,
        worker: str,
        is_clusters: bool,
        progressed: bool,
    ) -> None:
        name, attempt = sorted(self.running.items())[which % len(self.running)]
        if failure is None:
            self.send(done(name, attempt, worker=worker))
            return
        fault = Fault.CLUSTER if failure is RETRIED and is_clusters else None
        self.send(
            failed(name, failure, attempt, worker=worker, progressed=progressed, fault=fault)
        )

    @precondition(lambda self: self.submitted)
    @rule(which=st.integers(0, 99))
    def answer_late(self, which: int) -> None:
        name, attempt = sorted(self.submitted)[which % len(self.submitted)]
        if self.running.get(name) != attempt:
            self.send(done(name, attempt))

    @precondition(lambda self: self.is_recalling)
    @rule(which=st.sets(st.integers(0, 99)))
    def take_back(self, which: set[int]) -> None:
        self.is_recalling = False
        waiting = [name for index, name in enumerate(sorted(self.running)) if index in which]
        for name in waiting:
            del self.running[name]
            self.left.add(name)
        self.send(Recalled(tuple(waiting)))

    @rule(really=st.integers(0, 9))
    def stop(self, really: int) -> None:
        if really == 0:
            self.send(StopRequested("operator", "stopped"))

    def send(self, event: Event) -> None:
        lost: dict[str, int] = {}
        for action in self.state.handle(event):
            if isinstance(action, RecordLoss):
                name = action.outcome.trial_id
                lost[name] = self.running.pop(name)
                assert lost[name] == action.outcome.attempt
            else:
                self.perform(action, lost)
        for name, attempt in lost.items():
            if name in self.state.suspended:
                self.suspended[name] = attempt
            else:
                assert self.state.is_draining, "a trial vanished"
                self.left.add(name)

    def perform(self, action: Action, lost: dict[str, int]) -> None:
        assert not self.closes, "nothing is done after the close"
        match action:
            case Suggest():
                assert not self.is_suggesting, "one suggestion at a time"
                assert not self.is_exhausted, "nothing has changed since there was no proposal"
                self.is_suggesting = True
                self.n_recorded_when_asked = len(self.recorded)
            case Submit(request):
                lost.pop(request.trial_id, None)
                self.suspended.pop(request.trial_id, None)
                self.running[request.trial_id] = request.attempt
                self.submitted[request.trial_id, request.attempt] += 1
            case Record(outcome):
                self.take_out(outcome.trial_id, lost)
                assert outcome.failure is None or outcome.blamed is Fault.CONFIGURATION
                self.recorded[outcome.trial_id] += 1
                self.is_exhausted = False
            case GiveUp(outcome):
                self.take_out(outcome.trial_id, lost)
                self.left.add(outcome.trial_id)
            case Bench(worker):
                assert worker in self.state.judgement.benched
            case Recall():
                assert not self.is_recalling, "recalled once"
                self.is_recalling = True
            case Close():
                assert not self.running
                assert not self.is_suggesting
                self.closes.append(action)

    def take_out(self, name: str, lost: dict[str, int]) -> None:
        """Of wherever the trial is: running, suspended, or its attempt was just lost."""
        places = (self.running, self.suspended, lost)
        found = [place for place in places if name in place]
        assert len(found) == 1
        del found[0][name]

    @invariant()
    def no_more_run_than_can(self) -> None:
        assert len(self.running) <= max(self.most_slots, self.n_reissued)

    @invariant()
    def no_trial_is_lost_or_counted_twice(self) -> None:
        assert set(self.recorded.values()) | set(self.submitted.values()) <= {1}
        all_trials = {f"t{index}" for index in range(self.n_asked)}
        under_way = set(self.running) | set(self.suspended)
        assert set(self.recorded) | under_way | self.left == all_trials
        assert not set(self.recorded) & under_way
        assert not self.left & (set(self.recorded) | under_way)

    @invariant()
    def no_more_is_asked_than_the_limit(self) -> None:
        limit = self.state.max_trials
        assert limit is None or self.n_asked <= max(limit, self.n_reissued)

    def teardown(self) -> None:
        self.send(StopRequested("the end"))
        if self.is_suggesting:
            self.propose()
        while self.running:
            self.finish(0, None, "w1", is_clusters=False, progressed=False)
        assert len(self.closes) == 1
        all_trials = {f"t{index}" for index in range(self.n_asked)}
        assert set(self.recorded) | self.left == all_trials


TestAnyCourseOfEvents = AnyCourseOfEvents.TestCase


def test_replaying_the_same_events_gives_the_same_actions() -> None:
    events: list[Event] = [
        SlotsChanged(2),
        Suggested(request("a")),
        lost("a"),
        Suggested(request("b")),
        done("b"),
        StopRequested("operator"),
        Suggested(request("c")),
        done("a", 2),
        done("c"),
    ]
    fresh = SearchState(max_attempts=2)
    assert actions_of(replace(fresh, running={}), *events) == actions_of(fresh, *events)
