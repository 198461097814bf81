"""Opens a search, new or resumed, or a retraining: its directory, its log, its workers.

All is checked before anything is written, and what was begun is closed when the block ends.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from frnas_search.config.reading import without_past_deadline
from frnas_search.config.requests import preparation_request
from frnas_search.config.run_config import with_fixed_workers
from frnas_search.coordinator.publishing import FilePublisher
from frnas_search.coordinator.replay import replay
from frnas_search.coordinator.state import Event, Reissued
from frnas_search.executors.registry import open_executor
from frnas_search.launch.blueprint import Blueprint, blueprint_of, opening_event
from frnas_search.launch.preparation import prepare, warm_start
from frnas_search.launch.proof import mark, proof_request
from frnas_search.launch.provenance import library_versions
from frnas_search.launch.run_entry import (
    begun_directory,
    refuse_changes,
    refuse_other_run,
    resumed_file,
)
from frnas_search.launch.wiring import OpenParts, elapsed_clock, wired_retraining, wired_search
from frnas_search.optimizers.registry import open_optimizer
from results.atomic import write_json_atomically, write_text_atomically
from results.clock import utc_now
from results.events import LimitsChanged, LoggedEvent, Resumed
from results.lock import run_lock
from results.run_directory import RunDirectory
from results.sqlite_store import SqliteStore
from results.view import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from frnas_search.config.reading import RunFile
    from frnas_search.coordinator.coordinator import Coordinator, StopSignal, Watcher
    from frnas_search.coordinator.retrain import Retraining

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that is ready to run, and what to begin with."""

    run: RunDirectory
    coordinator: Coordinator
    first: tuple[Event, ...]


def planned_search(run_file: RunFile, runs_directory: Path) -> Blueprint:
    """A new run under `runs_directory`, with everything found in order; writes nothing.

    Raises:
        RunFileError: The run file, its data or its space have faults.
        RunExistsError: The directory holds another run.
    """
    run_file = without_past_deadline(run_file, now=datetime.now(UTC))
    run = RunDirectory(runs_directory / run_file.config.name)
    if not run_file.unknown:  # its name may have a fault, and a fault is told first
        refuse_other_run(run)
    prepared = prepare(preparation_request(run_file, runs_directory=runs_directory))
    config = with_fixed_workers(run_file.config)
    return blueprint_of(config, prepared, run=run, earlier=prepared.warm_started)


@contextlib.contextmanager
def new_search(
    blueprint: Blueprint, *, watchers: Sequence[Watcher], stop: StopSignal
) -> Iterator[Search]:
    """The search of a blueprint from `planned_search`, in a directory of its own.

    Raises:
        RunExistsError: The directory holds another run by now.
        SchedulerUnreachableError: No scheduler answers.
    """
    run = blueprint.run
    proof = proof_request(blueprint.jobs)
    with open_executor(blueprint.pool, proof) as executor, begun_directory(run):
        _write_provenance(blueprint)
        mark(proof)
        run.events.unlink(missing_ok=True)  # without an event, as was checked
        with (
            SqliteStore.create(run.events) as store,
            open_optimizer(blueprint.sampler, blueprint.problem) as optimizer,
        ):
            clock = elapsed_clock()
            opened = replace(blueprint.opened, at=utc_now())  # now that there are workers
            store.append(opened, time=opened.at, elapsed_seconds=clock())
            log = store.read()
            FilePublisher(run).publish(fold(log))
            parts = OpenParts(optimizer=optimizer, executor=executor, store=store, clock=clock)
            coordinator = wired_search(blueprint, parts, log=log, watchers=watchers, stop=stop)
            for watcher in watchers:
                watcher.changed(coordinator.view, log[0])
            _log_warm_start(coordinator, blueprint)
            yield Search(run=run, coordinator=coordinator, first=())


@contextlib.contextmanager
def resumed_search(
    run: RunDirectory,
    *,
    overrides: tuple[str, ...],
    watchers: Sequence[Watcher],
    stop: StopSignal,
    accept_shorter_log: bool = False,
) -> Iterator[Search]:
    """An earlier run, to be continued from its log.

    Args:
        run: Its directory.
        overrides: Limits and workers, `a.b=c` each.
        watchers: Who looks on.
        stop: Where an operator asks for an end.
        accept_shorter_log: Go on also where the log has lost its end, from what is left.

    Raises:
        ShorterLogError: The log has lost its end, and that is not accepted.
        RunChangedError: Data, space or objectives are not those of the run.
        RunFileError: An override is wrong, or changes what a resumed run may not change.
        RunLockedError: Another coordinator is at work on it.
        ReplayError: The optimizer does not propose what the log holds.
    """
    run_file = resumed_file(run, overrides)
    prepared = prepare(preparation_request(run_file))
    with (
        run_lock(run.path),
        SqliteStore.open(run.events, accept_shorter=accept_shorter_log) as store,
    ):
        log = store.read()
        view = fold(log)
        config = with_fixed_workers(run_file.config)
        refuse_changes(run, before=view.opened, now=opening_event(config, prepared, run))
        earlier = view.warm_started
        if earlier is None and not view.trials:  # killed before it could be written
            request = preparation_request(run_file, runs_directory=run.path.parent)
            earlier = warm_start(request, prepared.space)
        blueprint = blueprint_of(config, prepared, run=run, earlier=earlier)
        proof = proof_request(blueprint.jobs)
        mark(proof)
        with (
            open_executor(blueprint.pool, proof) as executor,
            open_optimizer(blueprint.sampler, blueprint.problem) as optimizer,
        ):
            parts = OpenParts(
                optimizer=optimizer, executor=executor, store=store, clock=elapsed_clock()
            )
            coordinator = wired_search(blueprint, parts, log=log, watchers=watchers, stop=stop)
            first = _take_over(coordinator, log, limits=blueprint.opened.stop)
            _log_warm_start(coordinator, blueprint)
            yield Search(run=run, coordinator=coordinator, first=first)


@contextlib.contextmanager
def retraining(
    run: RunDirectory,
    *,
    overrides: tuple[str, ...],
    stop: StopSignal,
    accept_shorter_log: bool = False,
) -> Iterator[Retraining]:
    """A retraining of configurations of the run; starts workers like the search did.

    Raises:
        As `resumed_search`.
    """
    run_file = resumed_file(run, overrides)
    prepared = prepare(preparation_request(run_file))
    blueprint = blueprint_of(run_file.config, prepared, run=run, earlier=None)
    with (
        run_lock(run.path),
        SqliteStore.open(run.events, accept_shorter=accept_shorter_log) as store,
    ):
        view = fold(store.read())
        refuse_changes(run, before=view.opened, now=blueprint.opened)
        proof = proof_request(blueprint.jobs)
        mark(proof)
        with open_executor(blueprint.pool, proof) as executor:
            try:
                yield wired_retraining(blueprint, view, executor=executor, store=store, stop=stop)
            finally:
                run.live.unlink(missing_ok=True)


def _write_provenance(blueprint: Blueprint) -> None:
    """Keep what the run came from: its run file, a user's own space, versions and digests."""
    run = blueprint.run
    if definition := blueprint.jobs.space.definition:
        write_text_atomically(run.space, definition)
    write_text_atomically(run.run_yaml, blueprint.run_file)
    write_json_atomically(run.manifest, {**blueprint.manifest, "started": utc_now()})


def _log_warm_start(coordinator: Coordinator, blueprint: Blueprint) -> None:
    """Write down what the optimizer knows from other runs, once and before the first ask."""
    if blueprint.earlier is not None and coordinator.view.warm_started is None:
        coordinator.log(blueprint.earlier)


def _take_over(
    coordinator: Coordinator, log: Sequence[LoggedEvent], *, limits: Mapping[str, Any]
) -> tuple[Event, ...]:
    """Replay the log, say so in it, and return the trials to hand out again."""
    logger.info("replaying %d events", len(log))
    replay(coordinator.optimizer, log)
    in_flight = [trial for trial in coordinator.view.trials.values() if trial.outcome is None]
    resumed = Resumed(
        reissued=tuple(trial.request.trial_id for trial in in_flight), versions=library_versions()
    )
    coordinator.log(resumed)
    if _given(limits) != _given(coordinator.view.limits):
        coordinator.log(LimitsChanged(stop=limits))
    return tuple(Reissued(trial.next_request) for trial in in_flight)


def _given(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Limits that are in force; an older log may not name those that it did not know."""
    return {name: limit for name, limit in limits.items() if limit is not None}
