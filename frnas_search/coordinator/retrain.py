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

from frnas_search.coordinator.jobs import model_folder, model_name
from frnas_search.coordinator.state import (
    Close,
    Event,
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
    from frnas_search.coordinator.executor import Executor
    from results.store import EventStore
    from results.trial import Configuration
    from results.view import RunView
    from search_space.candidate import SpaceSettings
    from workers.artefacts.store import ArtefactStore
    from workers.settings import TrialJob

logger = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_REMINDER_SECONDS = 60.0


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
        artefacts: Where the run's checkpoints and models are kept.
        view: As of the log's last event.
        space: The run's.
        make_job: Request -> job.
        utc_now: ISO 8601 with a Z.
        clock: Seconds since the log was opened, that only rise.
        n_failed: Requests that ended without a model.
    """

    executor: Executor
    store: EventStore
    artefacts: ArtefactStore
    view: RunView
    space: SpaceSettings
    make_job: Callable[[TrialRequest], TrialJob]
    max_attempts: int
    stop_signal: StopSignal
    utc_now: Callable[[], str]
    clock: Callable[[], float]
    n_failed: int = 0
    _requests: dict[str, TrialRequest] = field(default_factory=dict)
    _next_reminder: float = 0.0

    def run(self, requests: Iterable[TrialRequest]) -> bool:
        """Train all of them; False when an operator stopped it before.

        Raises:
            LogError: The log cannot be written.
        """
        self._requests = {request.trial_id: request for request in requests}
        state = SearchState(max_attempts=self.max_attempts, max_trials=0)
        self._handle(state, *(Reissued(request) for request in self._requests.values()))
        while state.running:
            self._handle(state, *self.executor.next_events(_TICK_SECONDS))
            self._remind()
            if self.stop_signal.n_requests:
                logger.warning("stopped; the same command goes on from the last checkpoints")
                return False
        return True

    def _handle(self, state: SearchState, *first: Event) -> None:
        waiting = deque(first)
        while waiting:
            for action in state.handle(waiting.popleft()):
                match action:
                    case Submit(request):
                        self.executor.submit(self.make_job(request))
                    case Record(outcome):
                        self._record(outcome)
                    case Close() | Suggest() | Recall() | RecordLoss():
                        pass  # nothing is asked for: all requests were there from the beginning

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
            self.artefacts.remove(self.make_job(request).checkpoints)

    def _remind(self) -> None:
        attendance = self.executor.attendance()
        if attendance.waiting_for and self.clock() >= self._next_reminder:
            logger.warning("waiting: %s", attendance.waiting_for)
            self._next_reminder = self.clock() + _REMINDER_SECONDS
