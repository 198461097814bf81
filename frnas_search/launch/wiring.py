"""Builds the concrete classes of a search and connects them. Reads and writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frnas_search.coordinator.coordinator import Coordinator, StopSignal, Watcher
from frnas_search.coordinator.publishing import (
    CheckpointCollector,
    FilePublisher,
    LivePublisher,
    SnapshotPublisher,
)
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.retrain import Retraining
from frnas_search.coordinator.state import SearchState
from frnas_search.executors.virtual_clock import clock_of_log
from frnas_search.executors.virtual_time import VirtualTimeExecutor
from results.clock import utc_now
from results.view import fold
from workers.artefacts.registry import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frnas_search.coordinator.executor import Executor
    from frnas_search.coordinator.optimizer import Optimizer
    from frnas_search.launch.blueprint import Blueprint
    from results.events import LoggedEvent
    from results.store import EventStore
    from results.view import RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenParts:
    """What is open while a search runs.

    Attributes:
        optimizer: Without history.
        store: Of the log; the coordinator is its only writer.
        clock: Seconds since the log was opened, see `elapsed_clock`.
    """

    optimizer: Optimizer
    executor: Executor
    store: EventStore
    clock: Callable[[], float]


def elapsed_clock() -> Callable[[], float]:
    """A clock that only rises, whatever is done to the machine's: seconds from now on."""
    began = time.monotonic()
    return lambda: time.monotonic() - began


def wired_search(
    blueprint: Blueprint,
    parts: OpenParts,
    *,
    log: Sequence[LoggedEvent],
    watchers: Sequence[Watcher],
    stop: StopSignal,
) -> Coordinator:
    """The coordinator of a search.

    Args:
        blueprint: What it is built from.
        parts: What it works with.
        log: All events so far.
        watchers: Who looks on, after those that keep the run's files.
        stop: Where an operator asks for an end.
    """
    view = fold(log)
    requests = RequestFactory(rungs=view.rungs, seed=blueprint.opened.seed)
    requests.remember(trial.request for trial in view.trials.values())
    artefacts = open_store(blueprint.run.artefacts)
    collector = CheckpointCollector(artefacts, max_bytes=blueprint.checkpoint_bytes)
    reception = Reception(artefacts=artefacts)
    reception.remember(
        (trial.request.config_id, trial.outcome) for trial in view.trials.values() if trial.outcome
    )
    return Coordinator(
        state=SearchState(
            max_attempts=blueprint.max_attempts,
            max_trials=blueprint.limits.trials,
            n_asked=len(view.trials),
        ),
        optimizer=parts.optimizer,
        executor=_in_virtual_time(parts.executor, blueprint, log),
        store=parts.store,
        view=view,
        requests=requests,
        reception=reception,
        make_job=blueprint.jobs.search_job,
        limits=blueprint.limits,
        failures=blueprint.failures,
        watchers=(
            FilePublisher(blueprint.run),
            SnapshotPublisher(blueprint.run),
            collector,
            _live(blueprint),
            *watchers,
        ),
        stop_signal=stop,
        utc_now=utc_now,
        clock=parts.clock,
    )


def wired_retraining(
    blueprint: Blueprint,
    view: RunView,
    *,
    executor: Executor,
    store: EventStore,
    stop: StopSignal,
) -> Retraining:
    """A retraining of configurations of a run.

    Args:
        blueprint: What it is built from.
        view: The run as of its last event.
        executor: Opened.
        store: Of the log; the retraining becomes its only writer.
        stop: Where an operator asks for an end.
    """
    live = _live(blueprint)
    return Retraining(
        look=live.write,
        executor=executor,
        store=store,
        reception=Reception(artefacts=open_store(blueprint.run.artefacts)),
        view=view,
        space=blueprint.jobs.space,
        make_job=blueprint.jobs.retrain_job,
        max_attempts=blueprint.max_attempts,
        stop_signal=stop,
        utc_now=utc_now,
        clock=elapsed_clock(),
    )


def _live(blueprint: Blueprint) -> LivePublisher:
    return LivePublisher(blueprint.run, utc_now=utc_now, clock=time.monotonic)


def _in_virtual_time(
    executor: Executor, blueprint: Blueprint, log: Sequence[LoggedEvent]
) -> Executor:
    """The executor, with results in the order of the seed where the run file says so."""
    if blueprint.slots is None:
        return executor
    clock = clock_of_log(log, n_slots=blueprint.slots, seed=blueprint.opened.seed)
    return VirtualTimeExecutor(executor, clock)
