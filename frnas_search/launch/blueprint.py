"""What a search is built from: small records, read once from the run file and what it names.

Behind this module nobody knows the run file; the parts of a search take the records that are
theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from frnas_search.config.run_config import with_absolute_paths, with_families
from frnas_search.config.run_file import to_yaml
from frnas_search.coordinator.jobs import JobTemplate
from frnas_search.executors.registry import WorkerPool
from frnas_search.launch.constraints import CostConstraints
from frnas_search.launch.provenance import git_commit, library_versions, manifest
from frnas_search.launch.seal import MANIFEST, RUN_FILE, sealed_manifest, sealed_settings
from frnas_search.optimizers.registry import Problem, Sampler
from results.clock import utc_now
from results.events import RunOpened
from search_space.definition.families import families_in_use
from search_space.definition.space import build_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frnas_search.config.run_config import RunConfig
    from frnas_search.coordinator.failure_limits import FailureLimits
    from frnas_search.coordinator.limits import Limits
    from frnas_search.launch.preparation import Prepared
    from frnas_search.optimizers.constraint import Accepts
    from results.events import WarmStarted
    from results.run_directory import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Everything that one search is built from.

    Attributes:
        run: Where it is kept.
        run_file: The resolved run file as YAML, with all that it points to made the run's own.
        manifest: Where its results come from, but for the time.
        opened: The first event of its log, but for the time.
        earlier: What it knows from other runs; None where it asks for none.
        sampler: Who proposes.
        problem: What is searched.
        jobs: What a trial is.
        pool: Where trials run.
        slots: Trials at once in virtual time; None in the workers' own time.
        limits: When it ends.
        failures: When it gives up.
        max_attempts: For a trial whose worker is lost.
        checkpoint_bytes: What checkpoints may take in all; infinite without a limit.
    """

    run: RunDirectory
    run_file: str
    manifest: Mapping[str, Any]
    opened: RunOpened
    earlier: WarmStarted | None
    sampler: Sampler
    problem: Problem
    jobs: JobTemplate
    pool: WorkerPool
    slots: int | None
    limits: Limits
    failures: FailureLimits
    max_attempts: int
    checkpoint_bytes: float


def blueprint_of(
    config: RunConfig, prepared: Prepared, *, run: RunDirectory, earlier: WarmStarted | None
) -> Blueprint:
    """The records of a run file, and of the data and the space that were prepared for it."""
    gigabytes = config.workers.checkpoint_gb
    record = _manifest(config, prepared, run)
    opened = opening_event(config, prepared, run)
    return Blueprint(
        run=run,
        run_file=to_yaml(_self_contained(config, prepared, run)),
        manifest=record,
        opened=replace(opened, seal={**opened.seal, MANIFEST: sealed_manifest(record)}),
        earlier=earlier,
        sampler=config.search.sampler,
        problem=_problem(config, prepared, earlier),
        jobs=_jobs(config, prepared, run),
        pool=_pool(config),
        slots=config.search.slots,
        limits=config.stop.limits(),
        failures=config.failures.limits(),
        max_attempts=config.workers.max_attempts,
        checkpoint_bytes=math.inf if gigabytes is None else gigabytes * 1e9,
    )


def _self_contained(config: RunConfig, prepared: Prepared, run: RunDirectory) -> RunConfig:
    """The run file with backbones by name, and with a user's own space where the run keeps it."""
    config = with_absolute_paths(with_families(config, families_in_use(prepared.space)))
    if not prepared.space.definition:
        return config
    section = config.space.model_copy(update={"file": run.space.absolute()})
    return config.model_copy(update={"space": section})


def _manifest(config: RunConfig, prepared: Prepared, run: RunDirectory) -> dict[str, Any]:
    return manifest(
        run=run.name,
        seed=config.seed,
        data={**prepared.data_record, "pack": prepared.data.pack},
        space=prepared.space_record,
    )


def opening_event(config: RunConfig, prepared: Prepared, run: RunDirectory) -> RunOpened:
    """What the run is, as the first event of its log says it; the time is now."""
    return RunOpened(
        run=run.name,
        objectives=prepared.objectives,
        rungs=config.fidelity.fidelity().rungs,
        data=prepared.data_record,
        space=prepared.space_record,
        seed=config.seed,
        versions=library_versions(),
        at=utc_now(),
        stop=config.stop.model_dump(),
        max_costs=config.constraints.max_cost,
        seal={RUN_FILE: sealed_settings(_self_contained(config, prepared, run))},
    )


def _problem(config: RunConfig, prepared: Prepared, earlier: WarmStarted | None) -> Problem:
    return Problem(
        space=build_space(prepared.space, config.seed),
        objectives=prepared.objectives,
        fidelity=config.fidelity.fidelity(),
        seed=config.seed,
        n_initial_configurations=config.search.initial_configurations,
        enqueued=prepared.enqueued,
        accepts=_accepts(prepared, config.constraints.limits()),
        max_costs=config.constraints.max_cost,
        earlier=() if earlier is None else earlier.results,
        engine=config.search.engine.settings(),
    )


def _accepts(prepared: Prepared, limits: Mapping[str, float]) -> Accepts | None:
    return CostConstraints(prepared.space, prepared.costs, limits) if limits else None


def _jobs(config: RunConfig, prepared: Prepared, run: RunDirectory) -> JobTemplate:
    return JobTemplate(
        artefacts=run.artefacts,
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
        stall_seconds=config.workers.stall_seconds,
    )


def _pool(config: RunConfig) -> WorkerPool:
    scheduler = config.workers.scheduler
    return WorkerPool(
        executor="local" if scheduler is None else "scheduler",
        scheduler=scheduler or "",
        n_local=config.workers.local,
        device=config.training.device,
    )
