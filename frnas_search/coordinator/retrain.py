"""Retraining of chosen configurations: one model for each seed, measured on the test split.

Runs on the same workers as a search and by the same rules about lost workers; the results go into
the run's log.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frnas_search.coordinator.executor import Heard, WorkerFound
from frnas_search.coordinator.jobs import model_folder, model_name
from frnas_search.coordinator.judgement import Bench
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.state import (
    Close,
    Event,
    Finished,
    GiveUp,
    Recall,
    Record,
    RecordLoss,
    Reissued,
    SearchState,
    Submit,
    Suggest,
)
from results.errors import SelectionError
from results.events import LoggedEvent, Retrained
from results.selection import select
from results.trial import TrialOutcome, TrialRequest
from search_space.definition.decode import complete, configuration_faults
from search_space.definition.published import PUBLISHED, published_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from frnas_search.coordinator.coordinator import StopSignal
    from frnas_search.coordinator.executor import Attendance, Executor, ExecutorEvent
    from results.store import EventStore
    from results.trial import Configuration
    from results.view import RunView
    from search_space.candidate import SpaceSettings
    from workers.settings import TrialJob

logger = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_REMINDER_SECONDS = 60.0
_SUSPEND_SECONDS = 25.0


def chosen_configurations(
    view: RunView, selection: str, space: SpaceSettings
) -> dict[str, Configuration]:
    """The configurations that a person means, by id; of published ones the name is the id.

    Args:
        view: The run.
        selection: As `results.selection.select` takes it; names such as SMAC_301 may be among
            the ids.
        space: The run's.

    Raises:
        SelectionError: An id is not in the run, or a published configuration not in its space.
    """
    parts = [part.strip() for part in selection.split(",")]
    named = [part for part in parts if part in PUBLISHED]
    ids = ",".join(part for part in parts if part not in PUBLISHED)
    known = {
        trial.request.config_id: trial.request.configuration for trial in view.trials.values()
    }
    chosen: dict[str, Configuration] = {}
    if ids or not named:
        chosen = {config_id: known[config_id] for config_id in select(view, ids)}
    for name in named:
        configuration = complete(published_configuration(name, space), space)
        if faults := configuration_faults(configuration, space):
            raise SelectionError(f"{name} is not in this run's space: {'; '.join(faults)}")
        chosen[name] = configuration
    return chosen


def retrain_requests(
    view: RunView,
    configurations: Mapping[str, Configuration],
    *,
    n_seeds: int,
    epochs: int,
    overwrite: bool = False,
) -> list[TrialRequest]:
    """One request for each configuration and seed that has no model of these epochs yet.

    Seeds are the search's own plus 1, 2, … so that none of them is the one that was selected on.

    Args:
        view: The run.
        configurations: By id, from `chosen_configurations`.
        n_seeds: Models for each of them.
        epochs: Of each training, counted from its beginning.
        overwrite: Replace models of another length.

    Raises:
        SelectionError: A model of another length would be overwritten, and that is not wanted.
    """
    # By folder: a training of another length has taken the place of an older model.
    kept = {event.model: event for event in view.retrained if event.model is not None}
    done = {(event.config_id, event.seed, event.epochs) for event in kept.values()}
    lengths = {(event.config_id, event.seed): event.epochs for event in kept.values()}
    seeds = range(view.opened.seed + 1, view.opened.seed + 1 + n_seeds)
    for key in itertools.product(configurations, seeds):
        if not overwrite and lengths.get(key, epochs) != epochs:
            raise SelectionError(
                f"models/{model_name(*key)} was trained for {lengths[key]} epochs; give "
                f"--overwrite to replace it by one of {epochs}, or move it away first"
            )
    return [
        TrialRequest(
            trial_id=f"retrain-{model_name(config_id, seed)}-e{epochs}",
            config_id=config_id,
            configuration=configuration,
            rung=view.top_rung,
            epochs=epochs,
            seed=seed,
        )
        for config_id, configuration in configurations.items()
        for seed in seeds
        if (config_id, seed, epochs) not in done
    ]


@dataclass(slots=True, kw_only=True)
class Retraining:
    """The requests of one call of `frnas retrain`, and everything needed to serve them.

    Attributes:
        reception: Looks whether what trainings leave is there.
        view: As of the log's last event.
        space: The run's.
        make_job: Request -> job.
        utc_now: ISO 8601 with a Z.
        clock: Seconds since the log was opened, that only rise.
        look: Called about once a second with who is there and how far the trainings are.
        n_failed: Requests that ended without a model.
    """

    executor: Executor
    store: EventStore
    reception: Reception
    view: RunView
    space: SpaceSettings
    make_job: Callable[[TrialRequest], TrialJob]
    max_attempts: int
    stop_signal: StopSignal
    utc_now: Callable[[], str]
    clock: Callable[[], float]
    look: Callable[[Attendance], None] = lambda _: None
    n_failed: int = 0
    _is_suspended: bool = False
    _requests: dict[str, TrialRequest] = field(default_factory=dict)
    _next_reminder: float = 0.0
    _patience: float = 0.0

    def run(self, requests: Iterable[TrialRequest]) -> bool:
        """Train all of them; False when an operator stopped it before.

        Raises:
            LogError: The log cannot be written.
        """
        self._requests = {request.trial_id: request for request in requests}
        state = SearchState(max_attempts=self.max_attempts, max_trials=0)
        self._handle(state, *(Reissued(request) for request in self._requests.values()))
        while state.running:
            self._hear(state, self.executor.next_events(_TICK_SECONDS))
            self._look()
            if self._is_stopped():
                logger.warning("stopped; the same command goes on from the last checkpoints")
                return False
        return True

    def _is_stopped(self) -> bool:
        """Whether to end now; what is to save itself first has some seconds for that."""
        stop = self.stop_signal
        if not stop.n_requests:
            return False
        if not self._is_suspended:
            self._is_suspended = True
            logger.warning("the trainings that run save themselves")
            self.executor.recall()
            self.executor.suspend()
            self._patience = self.clock() + _SUSPEND_SECONDS
        is_idle = self.executor.attendance().n_busy == 0
        return is_idle or stop.n_requests > 1 or self.clock() >= self._patience

    def _hear(self, state: SearchState, reported: Iterable[ExecutorEvent]) -> None:
        for event in reported:
            match event:
                case Heard():
                    pass  # the executor keeps the last one
                case WorkerFound(hello=hello, worker=worker, is_news=is_news):
                    if is_news and hello.unfit:
                        logger.warning("worker %s gets no trainings: %s", worker, hello.unfit)
                case Finished(outcome):
                    request = self._requests[outcome.trial_id]
                    self._handle(state, self.reception.answered(_name(request), event))
                case _:
                    self._handle(state, event)

    def _handle(self, state: SearchState, *first: Event) -> None:
        waiting = deque(first)
        while waiting:
            for action in state.handle(waiting.popleft()):
                match action:
                    case Submit(request):
                        self._submit(request)
                    case Record(outcome):
                        self._record(outcome)
                    case RecordLoss() | GiveUp() | Bench():
                        self._note_failure(action)
                    case Close() | Suggest() | Recall():
                        pass  # nothing is asked for: all requests were there from the beginning

    def _note_failure(self, action: RecordLoss | GiveUp | Bench) -> None:
        match action:
            case RecordLoss(outcome):
                self._say_lost(outcome)
            case GiveUp(outcome, reason):
                self._give_up(outcome, reason)
            case Bench(worker, reason):
                logger.warning("worker %s gets no more trainings: %s", worker, reason)
                self.executor.bench(worker, reason)

    def _submit(self, request: TrialRequest) -> None:
        if self._is_suspended:
            return  # it has just saved itself, for the same command to go on
        job = self.make_job(request)
        again = f" (attempt {request.attempt})" if request.attempt > 1 else ""
        logger.info("%s to %d epochs%s", _name(request), request.epochs, again)
        self.executor.submit(self.reception.sent(job))

    def _say_lost(self, outcome: TrialOutcome) -> None:
        reason = outcome.detail.split("\n")[0]
        name = _name(self._requests[outcome.trial_id])
        logger.warning(
            "%s lost attempt %d (%s, %s)", name, outcome.attempt, outcome.failure, reason
        )

    def _give_up(self, outcome: TrialOutcome, reason: str) -> None:
        self.n_failed += 1
        name = _name(self._requests[outcome.trial_id])
        logger.warning("%s is given up: %s; the same command tries it again", name, reason)

    def _record(self, outcome: TrialOutcome) -> None:
        request = self._requests[outcome.trial_id]
        name = model_name(request.config_id, request.seed)
        event = Retrained(
            config_id=request.config_id,
            seed=request.seed,
            epochs=request.epochs,
            outcome=outcome,
            model=model_folder(name) if outcome.costs is not None else None,
        )
        time, elapsed = self.utc_now(), self.clock()
        sequence = self.store.append(event, time=time, elapsed_seconds=elapsed)
        self.view.apply(
            LoggedEvent(sequence=sequence, time=time, event=event, elapsed_seconds=elapsed)
        )
        if outcome.costs is None:
            self.n_failed += 1
            logger.warning("%s failed: %s, %s", name, outcome.failure, outcome.detail)
        else:
            costs = "  ".join(f"{cost} {value:.4g}" for cost, value in outcome.costs.items())
            logger.info("%s: test %s  in %.1f s", name, costs, outcome.seconds)
            # Its model is safe; nothing goes on from its checkpoint.
            self.reception.artefacts.remove(self.make_job(request).checkpoints)

    def _look(self) -> None:
        attendance = self.executor.attendance()
        self.look(attendance)
        if attendance.waiting_for and self.clock() >= self._next_reminder:
            logger.warning("waiting: %s", attendance.waiting_for)
            self._next_reminder = self.clock() + _REMINDER_SECONDS


def _name(request: TrialRequest) -> str:
    """What the model of a request is called, and its training is known by."""
    return model_name(request.config_id, request.seed)
