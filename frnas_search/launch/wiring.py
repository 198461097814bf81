"""Builds the concrete classes of a search and connects them. The only place that does."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frnas_search.config.reading import FileFaults, RunFile
from frnas_search.config.requests import preparation_request
from frnas_search.config.run_config import (
    RunConfig,
    with_absolute_paths,
    with_families,
    with_fixed_workers,
)
from frnas_search.config.run_file import to_yaml
from frnas_search.coordinator.coordinator import Coordinator, StopSignal, Watcher
from frnas_search.coordinator.jobs import JobTemplate
from frnas_search.coordinator.publishing import CheckpointCollector, FilePublisher
from frnas_search.coordinator.replay import replay
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.retrain import Retraining
from frnas_search.coordinator.state import Event, Reissued, SearchState
from frnas_search.executors.cluster import (
    connect,
    local_cluster,
    present_gpus,
    resolve_scheduler,
    worker_slots,
)
from frnas_search.executors.dask import DaskExecutor
from frnas_search.executors.virtual_clock import clock_of_log
from frnas_search.executors.virtual_time import VirtualTimeExecutor
from frnas_search.launch.constraints import violations
from frnas_search.launch.preparation import Prepared, prepare, warm_start
from frnas_search.launch.provenance import git_commit, library_versions, manifest, utc_now
from frnas_search.launch.run_entry import (
    begun_directory,
    refuse_changes,
    refuse_other_run,
    resumed_config,
)
from frnas_search.optimizers.registry import Problem, open_optimizer
from results.atomic import write_json_atomically, write_text_atomically
from results.events import LimitsChanged, LoggedEvent, Resumed, RunOpened, WarmStarted
from results.lock import run_lock
from results.run_directory import RunDirectory
from results.sqlite_store import SqliteStore
from results.view import fold
from search_space.definition.decode import decode
from search_space.definition.families import families_in_use
from search_space.definition.space import build_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from frnas_search.coordinator.executor import Executor
    from frnas_search.coordinator.optimizer import Optimizer
    from results.store import EventStore
    from search_space.candidate import Value

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that is ready to run, and what to begin with."""

    run: RunDirectory
    coordinator: Coordinator
    first: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is searched, on what, from what on, and where it is kept."""

    run: RunDirectory
    config: RunConfig
    prepared: Prepared
    warm_started: WarmStarted | None = None


@contextlib.contextmanager
def new_search(
    run_file: RunFile, runs_directory: Path, *, watchers: Sequence[Watcher], stop: StopSignal
) -> Iterator[Search]:
    """A new run under `runs_directory`; nothing is written before all is checked.

    Raises:
        RunFileError: The run file, its data or its space have faults.
        RunExistsError: The directory holds another run.
        SchedulerUnreachableError: No scheduler answers.
    """
    config = with_fixed_workers(run_file.config)
    run = RunDirectory(runs_directory / config.name)
    if not run_file.unknown:  # its name may have a fault, and a fault is told first
        refuse_other_run(run)
    prepared = prepare(preparation_request(run_file, runs_directory=runs_directory))
    plan = _Plan(run=run, config=config, prepared=prepared, warm_started=prepared.warm_started)
    with executor_for(config) as executor, begun_directory(run):
        write_text_atomically(run.run_yaml, to_yaml(_self_contained(plan)))
        record = manifest(
            run=run.name,
            seed=config.seed,
            data=prepared.data_record | {"pack": prepared.data.pack},
            space=prepared.space_record,
        )
        write_json_atomically(run.manifest, record)
        run.events.unlink(missing_ok=True)  # without an event, as was checked
        with SqliteStore.create(run.events) as store, _optimizer(plan) as optimizer:
            opened = _opening(plan)
            store.append(opened, time=opened.at)
            log = store.read()
            publisher = FilePublisher(run)
            publisher.publish(fold(log))
            coordinator = _coordinator(
                plan,
                optimizer=optimizer,
                executor=executor,
                store=store,
                watchers=(publisher, _collector(plan), *watchers),
                stop=stop,
            )
            for watcher in watchers:
                watcher.changed(coordinator.view, log[0])
            _log_warm_start(coordinator, plan)
            yield Search(run=run, coordinator=coordinator, first=())


@contextlib.contextmanager
def resumed_search(
    run: RunDirectory,
    *,
    overrides: tuple[str, ...],
    watchers: Sequence[Watcher],
    stop: StopSignal,
) -> Iterator[Search]:
    """An earlier run, to be continued from its log.

    Raises:
        RunChangedError: Data, space or objectives are not those of the run.
        RunFileError: An override is wrong, or changes what a resumed run may not change.
        RunLockedError: Another coordinator is at work on it.
        ReplayError: The optimizer does not propose what the log holds.
    """
    config = with_fixed_workers(resumed_config(run, overrides))
    run_file = RunFile(config=config, found=FileFaults(where=str(run.run_yaml)))
    prepared = prepare(preparation_request(run_file))
    with run_lock(run.path), SqliteStore.open(run.events) as store:
        log = store.read()
        view = fold(log)
        refuse_changes(run, view, config, prepared)
        earlier = view.warm_started
        if earlier is None and not view.trials:  # killed before it could be written
            request = preparation_request(run_file, runs_directory=run.path.parent)
            earlier = warm_start(request, prepared.space)
        plan = _Plan(run=run, config=config, prepared=prepared, warm_started=earlier)
        with executor_for(config) as executor, _optimizer(plan) as optimizer:
            coordinator = _coordinator(
                plan,
                optimizer=optimizer,
                executor=executor,
                store=store,
                watchers=(FilePublisher(run), _collector(plan), *watchers),
                stop=stop,
            )
            first = _take_over(coordinator, log, config)
            _log_warm_start(coordinator, plan)
            yield Search(run=run, coordinator=coordinator, first=first)


@contextlib.contextmanager
def executor_for(config: RunConfig) -> Iterator[Executor]:
    """Workers at a scheduler's, or started here for as long as the block runs.

    Raises:
        SchedulerUnreachableError: No scheduler answers at the address.
    """
    if config.workers.scheduler is not None:
        # A scheduler that was restarted may have written another address into its file.
        find = functools.partial(resolve_scheduler, config.workers.scheduler)
        with contextlib.closing(DaskExecutor(connect(find()), find)) as executor:
            yield executor
        return
    gpus = [] if config.training.device == "cpu" else present_gpus()
    slots = worker_slots(gpus=gpus[: config.workers.local], n_cpu_workers=config.workers.local)
    if len(slots) < config.workers.local:
        logger.warning(
            "workers.local is %d and there are %d GPUs; one worker for each GPU is started",
            config.workers.local,
            len(slots),
        )
    with (
        local_cluster(slots) as (client, address),
        contextlib.closing(DaskExecutor(client, lambda: address)) as executor,
    ):
        yield executor


@contextlib.contextmanager
def retraining(
    run: RunDirectory, *, overrides: tuple[str, ...], stop: StopSignal
) -> Iterator[Retraining]:
    """A retraining of configurations of the run; starts workers like the search did.

    Raises:
        As `resumed_search`.
    """
    config = resumed_config(run, overrides)
    run_file = RunFile(config=config, found=FileFaults(where=str(run.run_yaml)))
    prepared = prepare(preparation_request(run_file))
    plan = _Plan(run=run, config=config, prepared=prepared)
    with run_lock(run.path), SqliteStore.open(run.events) as store:
        view = fold(store.read())
        refuse_changes(run, view, config, prepared)
        with executor_for(config) as executor:
            yield Retraining(
                executor=executor,
                store=store,
                view=view,
                space=prepared.space,
                make_job=_job_template(plan).retrain_job,
                max_attempts=config.workers.max_attempts,
                stop_signal=stop,
                utc_now=utc_now,
                clock=time.monotonic,
            )


def _self_contained(plan: _Plan) -> RunConfig:
    """The run file with all it points to made the run's own: backbones, a user's space."""
    config, run, space = plan.config, plan.run, plan.prepared.space
    config = with_absolute_paths(with_families(config, families_in_use(space)))
    if not space.definition:
        return config
    write_text_atomically(run.space, space.definition)
    section = config.space.model_copy(update={"file": run.space.absolute()})
    return config.model_copy(update={"space": section})


def _collector(plan: _Plan) -> CheckpointCollector:
    gigabytes = plan.config.workers.checkpoint_gb
    max_bytes = math.inf if gigabytes is None else gigabytes * 1e9
    return CheckpointCollector(plan.run, max_bytes=max_bytes)


def _job_template(plan: _Plan) -> JobTemplate:
    run, config, prepared = plan.run, plan.config, plan.prepared
    return JobTemplate(
        run=run,
        data=prepared.data,
        space=prepared.space,
        training=config.training.settings(),
        evaluation=config.evaluation.settings(),
        objectives=config.objectives,
        max_epochs=config.fidelity.max_epochs,
        constraints=config.constraints.limits(),
        provenance={
            "run": run.name,
            "space_fingerprint": prepared.space_record["fingerprint"],
            "commit": git_commit(),
            "versions": library_versions(),
        },
    )


def _optimizer(plan: _Plan) -> contextlib.AbstractContextManager[Optimizer]:
    config, prepared = plan.config, plan.prepared
    limits = config.constraints.limits()

    def accepts(configuration: Mapping[str, Value]) -> bool:
        candidate = decode(configuration, prepared.space)
        return not violations(prepared.costs.predicted(candidate), limits)

    problem = Problem(
        space=build_space(prepared.space, config.seed),
        objectives=prepared.objectives,
        fidelity=config.fidelity.fidelity(),
        seed=config.seed,
        n_initial_configurations=config.search.initial_configurations,
        enqueued=prepared.enqueued,
        accepts=accepts if limits else None,
        max_costs=config.constraints.max_cost,
        earlier=() if plan.warm_started is None else plan.warm_started.results,
    )
    return open_optimizer(config.search.sampler, problem)


def _coordinator(
    plan: _Plan,
    *,
    optimizer: Optimizer,
    executor: Executor,
    store: EventStore,
    watchers: tuple[Watcher, ...],
    stop: StopSignal,
) -> Coordinator:
    log, config = store.read(), plan.config
    view = fold(log)
    requests = RequestFactory(rungs=view.rungs, seed=config.seed)
    requests.remember(trial.request for trial in view.trials.values())
    limits = config.stop.limits()
    return Coordinator(
        state=SearchState(
            max_attempts=config.workers.max_attempts,
            max_trials=limits.trials,
            n_asked=len(view.trials),
        ),
        optimizer=optimizer,
        executor=_ordered(executor, config, log),
        store=store,
        view=view,
        requests=requests,
        make_job=_job_template(plan).search_job,
        limits=limits,
        failures=config.failures.limits(),
        watchers=watchers,
        stop_signal=stop,
        utc_now=utc_now,
        clock=time.monotonic,
    )


def _ordered(executor: Executor, config: RunConfig, log: Sequence[LoggedEvent]) -> Executor:
    """The executor, in virtual time where the run file says so."""
    slots = config.search.slots
    if slots is None:
        return executor
    return VirtualTimeExecutor(executor, clock_of_log(log, n_slots=slots, seed=config.seed))


def _opening(plan: _Plan) -> RunOpened:
    config, prepared = plan.config, plan.prepared
    return RunOpened(
        run=plan.run.name,
        objectives=prepared.objectives,
        rungs=config.fidelity.fidelity().rungs,
        data=prepared.data_record,
        space=prepared.space_record,
        seed=config.seed,
        versions=library_versions(),
        at=utc_now(),
        stop=config.stop.model_dump(),
        max_costs=config.constraints.max_cost,
    )


def _log_warm_start(coordinator: Coordinator, plan: _Plan) -> None:
    """Write down what the optimizer knows from other runs, once and before the first ask."""
    if plan.warm_started is not None and coordinator.view.warm_started is None:
        coordinator.log(plan.warm_started)


def _take_over(
    coordinator: Coordinator, log: Sequence[LoggedEvent], config: RunConfig
) -> tuple[Event, ...]:
    """Replay the log, say so in it, and return the trials to hand out again."""
    logger.info("replaying %d events", len(log))
    replay(coordinator.optimizer, log)
    in_flight = [trial for trial in coordinator.view.trials.values() if trial.outcome is None]
    resumed = Resumed(
        reissued=tuple(trial.request.trial_id for trial in in_flight), versions=library_versions()
    )
    coordinator.log(resumed)
    limits = config.stop.model_dump()
    if _given(limits) != _given(coordinator.view.limits):
        coordinator.log(LimitsChanged(stop=limits))
    return tuple(Reissued(trial.next_request) for trial in in_flight)


def _given(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Limits that are in force; an older log may not name those that it did not know."""
    return {name: limit for name, limit in limits.items() if limit is not None}
