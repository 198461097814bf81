"""One trial from its job to its outcome. Never raises: a failed trial is an outcome too."""

from __future__ import annotations

import logging
import math
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from results.trial import Architecture, FailureKind, TrialOutcome
from search_space.build import network_cost
from search_space.candidate import Candidate
from search_space.definition.decode import decode
from search_space.errors import InvalidConfigurationError
from workers.data.packs.pack import Pack, open_pack
from workers.data.pictures import TrainingSet, choose_device, training_set
from workers.errors import (
    CheckpointError,
    CollapsedError,
    DataError,
    NotEnoughMemoryError,
    TrainingDivergedError,
)
from workers.evaluation.evaluate import Evaluation, evaluate
from workers.models import ModelDescription, save_model
from workers.settings import TrialJob
from workers.training.checkpoints import (
    Checkpoint,
    fingerprint,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from workers.training.loop import (
    Training,
    restore,
    start_training,
    to_checkpoint,
    train_epoch,
)
from workers.training.memory import (
    SMALLEST_PART,
    MemoryPlan,
    available_bytes,
    measure_step,
    plan_memory,
)
from workers.training.recipe import Schedule, plan, recipe_of, uses_bfloat16
from workers.training.throughput import milliseconds_per_image

logger = logging.getLogger(__name__)

_OWN_THREADS = torch.get_num_threads()
"""What the process was started with; a job may want others."""

_DETAIL_LINES = 12
_FAILURES: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (torch.OutOfMemoryError, FailureKind.OUT_OF_MEMORY),
    (NotEnoughMemoryError, FailureKind.OUT_OF_MEMORY),
    (MemoryError, FailureKind.OUT_OF_MEMORY),
    (TrainingDivergedError, FailureKind.DIVERGED),
    (CollapsedError, FailureKind.COLLAPSED),
    (InvalidConfigurationError, FailureKind.INVALID_CONFIGURATION),
    (DataError, FailureKind.DATA_ERROR),
    (CheckpointError, FailureKind.DATA_ERROR),
)


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What is known of a trial so far; a failure reports it as well."""

    architecture: Architecture | None = None
    device: str = ""
    epochs_trained: int = 0
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is trained, on what, and who hears of it."""

    candidate: Candidate
    data: TrainingSet
    job: TrialJob
    progress: _Progress
    clock: Callable[[], float]


def run_trial(job: TrialJob, *, clock: Callable[[], float] = time.monotonic) -> TrialOutcome:
    """Train the job's configuration to its epochs and evaluate it.

    Continues from the configuration's latest checkpoint where there is one; a trial whose
    checkpoint for exactly these epochs exists is only evaluated, with the same result.

    Args:
        job: What to run.
        clock: Seconds that only rise.
    """
    started = clock()
    progress = _Progress()
    findings: dict[str, Any]
    try:
        findings = _run(job, progress, clock)
    except Exception as error:  # noqa: BLE001 - the one place: no exception crosses a process
        findings = {"failure": failure_kind(error), "detail": _detail(error)}
    if findings.get("failure") is FailureKind.OUT_OF_MEMORY and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return TrialOutcome(
        trial_id=job.request.trial_id,
        attempt=job.request.attempt,
        seconds=clock() - started,
        architecture=progress.architecture,
        device=progress.device,
        epochs_trained=progress.epochs_trained,
        checkpoint=progress.checkpoint,
        **findings,
    )


def failure_kind(error: BaseException) -> FailureKind:
    """What kind of failure an exception is."""
    for kind_of_error, kind in _FAILURES:
        if isinstance(error, kind_of_error):
            return kind
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return FailureKind.OUT_OF_MEMORY  # what torch's CPU allocator raises
    return FailureKind.CRASHED


def _run(job: TrialJob, progress: _Progress, clock: Callable[[], float]) -> dict[str, Any]:
    candidate = decode(job.request.configuration, job.space)
    pack = _opened_pack(job)
    progress.architecture = _architecture(candidate, pack)
    network_costs = _size_costs(progress.architecture)
    require_within(job.constraints, network_costs)
    torch.set_num_threads(job.training.threads or _OWN_THREADS)
    device = choose_device(job.training.device)
    progress.device = _device_name(device)
    data = training_set(pack, device, group=job.data.group)
    checkpoint = _latest_checkpoint(job, progress)
    memory = _memory_plan(candidate, data, job, checkpoint)
    training = start_training(candidate, job.training, data=data, seed=job.request.seed)
    network_costs |= _measured_costs(training, data, job)
    require_within(job.constraints, network_costs)
    if checkpoint is not None:
        restore(training, checkpoint)
        logger.info("trial %s goes on after %d epochs", job.request.trial_id, training.epochs)
    schedule = replace(_schedule(candidate, data, job), n_splits=memory.n_splits)
    task = _Task(candidate=candidate, data=data, job=job, progress=progress, clock=clock)
    n_splits = _train_in_memory(training, schedule, task)
    evaluation = evaluate(
        training.evaluated_network,
        pack,
        split=job.split,
        group=job.data.group,
        settings=job.evaluation,
        device=device,
    )
    # What is free is left out: a trial issued again has the same metrics.
    used = {"bytes_needed": memory.bytes_needed, "n_splits": n_splits}
    metrics = {**evaluation.metrics, "training": _course(training, data), "memory": used}
    if job.model_directory is not None:
        _save_model(training, job, pack, metrics)
    return {**_costs(evaluation, network_costs, job.objectives), "metrics": metrics}


def _train_in_memory(training: Training, schedule: Schedule, task: _Task) -> int:
    """Train to the job's epochs; returns the parts of each batch, doubled whenever memory ran out.

    The prediction of memory knows nothing of what else takes some, such as another process.
    """
    while True:
        try:
            _train(training, schedule, task)
        except (RuntimeError, MemoryError) as error:
            n_splits = 2 * schedule.n_splits
            is_memory = failure_kind(error) is FailureKind.OUT_OF_MEMORY
            if not is_memory or schedule.batch_size // n_splits < SMALLEST_PART:
                raise
        else:
            return schedule.n_splits
        logger.warning(
            "trial %s ran out of memory; it goes on from its last checkpoint with batches in %d "
            "parts",
            task.job.request.trial_id,
            n_splits,
        )
        schedule = replace(schedule, n_splits=n_splits)
        _begin_again(training, task)


def _begin_again(training: Training, task: _Task) -> None:
    """Put the training back to its last checkpoint, or to its beginning, in place."""
    job = task.job
    fresh = start_training(task.candidate, job.training, data=task.data, seed=job.request.seed)
    checkpoint = _latest_checkpoint(job, task.progress)
    if checkpoint is not None:
        restore(fresh, checkpoint)
    for field in fields(Training):  # in place, so that nobody keeps the old one's memory
        setattr(training, field.name, getattr(fresh, field.name))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _train(training: Training, schedule: Schedule, task: _Task) -> None:
    """Train to the job's epochs; saves at the end, and now and then on the way."""
    job, progress = task.job, task.progress
    saved = task.clock()

    def is_due() -> bool:
        return task.clock() - saved >= job.training.checkpoint_seconds

    while training.epochs < job.request.epochs:
        progress.epochs_trained += train_epoch(
            training, task.data, schedule=schedule, should_pause=is_due
        )
        logger.info(
            "trial %s: %d of %d epochs%s",
            job.request.trial_id,
            training.epochs,
            job.request.epochs,
            f", loss {training.losses[-1]:.4g}" if training.losses else "",
        )
        if training.epochs == job.request.epochs or is_due():
            checkpoint = to_checkpoint(
                training, fingerprint=_fingerprint(job), n_splits=schedule.n_splits
            )
            path = save_checkpoint(_checkpoint_directory(job), checkpoint)
            progress.checkpoint = path.relative_to(job.run_directory).as_posix()
            saved = task.clock()


def _schedule(candidate: Candidate, data: TrainingSet, job: TrialJob) -> Schedule:
    recipe = recipe_of(candidate, job.training)
    return plan(recipe, n_images=len(data.pictures), max_epochs=job.max_epochs)


def _memory_plan(
    candidate: Candidate, data: TrainingSet, job: TrialJob, checkpoint: Checkpoint | None
) -> MemoryPlan:
    """Into how many parts a batch is split here; as many as before where the training goes on.

    The parts are not part of the checkpoint's fingerprint: a trial whose worker was lost may go
    on where more memory is free, and must not be refused for fitting better there.
    """
    device, recipe = data.pictures.device, recipe_of(candidate, job.training)
    _, in_channels, image_size, _ = data.pictures.images.shape
    step = measure_step(
        candidate,
        recipe,
        image_shape=(in_channels, image_size),
        n_classes=data.n_classes,
        bfloat16=uses_bfloat16(recipe, device),
    )
    is_trained = checkpoint is not None and checkpoint.epochs >= job.request.epochs
    memory = plan_memory(
        step,
        batch_size=_schedule(candidate, data, job).batch_size,
        bytes_available=sys.maxsize if is_trained else available_bytes(device, recipe),
        n_splits=None if checkpoint is None else checkpoint.n_splits,
    )
    if memory.n_splits > 1:
        logger.info("trial %s: batches in %d parts", job.request.trial_id, memory.n_splits)
    return memory


def _course(training: Training, data: TrainingSet) -> dict[str, Any]:
    """How the training went, as JSON values."""
    course: dict[str, Any] = {"loss": training.losses[-1], "loss_by_epoch": training.losses}
    if training.group_log_weights is not None:
        weights = training.group_log_weights.exp().tolist()
        course["group_weights"] = dict(zip(data.group_labels, weights, strict=True))
    return course


def _latest_checkpoint(job: TrialJob, progress: _Progress) -> Checkpoint | None:
    path = latest_checkpoint(_checkpoint_directory(job), up_to_epochs=job.request.epochs)
    if path is None:
        return None
    checkpoint = load_checkpoint(path, expected_fingerprint=_fingerprint(job))
    progress.checkpoint = path.relative_to(job.run_directory).as_posix()
    return checkpoint


def _checkpoint_directory(job: TrialJob) -> Path:
    return Path(job.run_directory) / job.checkpoint_directory


def _fingerprint(job: TrialJob) -> str:
    """Everything the weights depend on; where and how long they are trained does not count."""
    recipe = asdict(job.training)
    for field in ("device", "threads", "memory_gb", "timeout_seconds", "checkpoint_seconds"):
        del recipe[field]
    return fingerprint(
        {
            "configuration": dict(job.request.configuration),
            "seed": job.request.seed,
            "space": asdict(job.space),
            "recipe": recipe,
            "max_epochs": job.max_epochs,
            "data": job.data.digest,
        }
    )


def _opened_pack(job: TrialJob) -> Pack:
    pack = _open_once(job.data.pack)
    if pack.digest != job.data.digest:
        _open_once.cache_clear()  # the file may have been replaced since it was opened
        pack = _open_once(job.data.pack)
    if pack.digest != job.data.digest:
        raise DataError(
            f"{job.data.pack} has digest {pack.digest[:12]}…, but the run was started with "
            f"{job.data.digest[:12]}…; give this worker the same pack"
        )
    return pack


@lru_cache(maxsize=4)
def _open_once(path: str) -> Pack:
    return open_pack(Path(path))


def _architecture(candidate: Candidate, pack: Pack) -> Architecture:
    cost = network_cost(candidate, in_channels=pack.channels, image_size=pack.size)
    return Architecture(
        family=cost.family,
        hash=cost.hash,
        parameters=cost.parameters,
        macs=cost.macs,
        activation_bytes=cost.activation_bytes,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()})"


def _size_costs(architecture: Architecture) -> dict[str, float]:
    return {
        "parameters": float(architecture.parameters),
        "macs": float(architecture.macs),
        "activation_bytes": float(architecture.activation_bytes),
    }


def _measured_costs(training: Training, data: TrainingSet, job: TrialJob) -> dict[str, float]:
    """What has to be measured on the device, and is only where somebody asks for it."""
    name = "milliseconds_per_image"
    if name not in job.objectives and f"max_{name}" not in job.constraints:
        return {}
    _, in_channels, image_size, _ = data.pictures.images.shape
    value = milliseconds_per_image(
        training.evaluated_network,
        in_channels=in_channels,
        image_size=image_size,
        device=data.pictures.device,
    )
    return {name: value}


def require_within(constraints: Mapping[str, float], network_costs: Mapping[str, float]) -> None:
    """Refuse a network that is larger or slower than a constraint allows.

    Args:
        constraints: `max_` and the name of a cost -> its largest value.
        network_costs: Those known so far; constraints on others are not looked at.

    Raises:
        InvalidConfigurationError: The first that is exceeded, with value and limit.
    """
    for name, value in network_costs.items():
        limit = constraints.get(f"max_{name}", math.inf)
        if value > limit:
            raise InvalidConfigurationError(
                f"{name.replace('_', ' ')} of this network: {value:,.12g}, more than "
                f"max_{name} allows: {limit:,.12g}; raise the limit or narrow the space"
            )


def _costs(
    evaluation: Evaluation, network_costs: Mapping[str, float], objectives: tuple[str, ...]
) -> dict[str, Any]:
    """Costs and their intervals; what a network costs does not depend on who is measured."""
    costs = {**evaluation.costs, **network_costs}
    exact = {name: (value, value) for name, value in network_costs.items()}
    intervals = {**evaluation.interval95, **exact}
    unknown = [name for name in objectives if name not in costs]
    if unknown:
        raise ValueError(f"objectives {unknown} are not measured; choose from {sorted(costs)}")
    return {
        "costs": {name: costs[name] for name in objectives},
        "interval95": {name: intervals[name] for name in objectives},
    }


def _save_model(training: Training, job: TrialJob, pack: Pack, metrics: Mapping[str, Any]) -> None:
    assert job.model_directory is not None
    description = ModelDescription(
        configuration=job.request.configuration,
        space=job.space,
        channels=pack.channels,
        image_size=pack.size,
        flip=job.evaluation.flip,
        metrics={**metrics, "split": job.split},
        provenance={
            **job.provenance,
            "trial_id": job.request.trial_id,
            "config_id": job.request.config_id,
            "seed": job.request.seed,
            "epochs": training.epochs,
            "data_digest": pack.digest,
        },
    )
    directory = Path(job.run_directory) / job.model_directory
    save_model(directory, training.evaluated_network, description)


def _detail(error: BaseException) -> str:
    """The message of an error raised on purpose; of any other the end of the traceback too."""
    if failure_kind(error) is not FailureKind.CRASHED:
        return str(error) or type(error).__name__
    # The reason first: lists of trials show the first line only.
    reason = "".join(traceback.format_exception_only(error)).strip()
    lines = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return "\n".join([reason, *lines[-_DETAIL_LINES:]])
