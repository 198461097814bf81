"""The trial function of face recognition: train a network, then measure how it treats groups.

Read `run` from top to bottom; it is the story that ARCHITECTURE.md tells.
"""

from __future__ import annotations

import functools
import logging
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from results.trial import Architecture, FailureKind
from search_space.build import network_cost
from search_space.candidate import Candidate
from search_space.definition.decode import decode
from workers.artefacts.registry import open_store
from workers.artefacts.store import ArtefactStore
from workers.data.packs.pack import Pack
from workers.data.packs.stored import pack_of, require_intact_pack
from workers.data.pictures import TrainingSet, choose_device, training_set
from workers.errors import CheckpointError, CollapsedError, LeavingError
from workers.evaluation.evaluate import Evaluation, evaluate
from workers.models import ModelDescription, save_model
from workers.settings import Split, TrialJob
from workers.training.checkpoints import (
    Checkpoint,
    FoundCheckpoint,
    SavedCheckpoint,
    fingerprint,
    newest_checkpoint,
    save_checkpoint,
)
from workers.training.continuation import require_taken
from workers.training.loop import Training, restore, start_training, to_checkpoint, train_epoch
from workers.training.memory import (
    SMALLEST_PART,
    MemoryPlan,
    available_bytes,
    measure_step,
    plan_memory,
)
from workers.training.recipe import Schedule, plan, recipe_of, uses_bfloat16
from workers.training.throughput import milliseconds_per_image
from workers.trials.constraints import require_within, size_costs
from workers.trials.failures import failure_kind
from workers.trials.function import Findings, Progress
from workers.trials.watching import TrainingWatch

logger = logging.getLogger(__name__)

_OWN_THREADS = torch.get_num_threads()
"""What the process was started with; a job may want others."""

_ON_THE_WAY: Split = "val"
_FEW_REPLICATES = 100
"""Nobody reads an interval on the way."""

_MEASURED_COST = "milliseconds_per_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """What is trained, on what, and where it is kept."""

    job: TrialJob
    candidate: Candidate
    pack: Pack
    data: TrainingSet
    store: ArtefactStore
    clock: Callable[[], float]

    @property
    def fingerprint(self) -> str:
        """Everything the weights depend on; where and how long they are trained does not count."""
        job = self.job
        recipe = asdict(job.training)
        for name in ("device", "threads", "memory_gb", "timeout_seconds", "checkpoint_seconds"):
            del recipe[name]
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

    @property
    def schedule(self) -> Schedule:
        """Of the whole training, whichever rung this is; batches in one part."""
        recipe = recipe_of(self.candidate, self.job.training)
        n_images = len(self.data.pictures)
        return plan(recipe, n_images=n_images, max_epochs=self.job.max_epochs)


def run(job: TrialJob, progress: Progress, *, clock: Callable[[], float]) -> Findings:
    """Train the job's configuration to its epochs and evaluate it.

    Goes on from the configuration's latest checkpoint where there is one; a trial whose checkpoint
    for exactly these epochs exists is only evaluated, with the same result.

    Raises:
        Exception: As `workers.trials.failures.failure_kind` names them.
    """
    candidate = decode(job.request.configuration, job.space)
    pack = pack_of(job.data)
    progress.architecture = _architecture(candidate, pack)
    network_costs = size_costs(progress.architecture)
    require_within(job.constraints, network_costs)

    torch.set_num_threads(job.training.threads or _OWN_THREADS)
    device = choose_device(job.training.device)
    progress.device = _device_name(device)
    trial = _Trial(
        job=job,
        candidate=candidate,
        pack=pack,
        data=training_set(pack, device, group=job.data.group),
        store=open_store(job.artefacts),
        clock=clock,
    )
    checkpoint = _latest_checkpoint(trial, progress)
    memory = _memory_plan(trial, checkpoint)
    network_costs |= _measured_costs(trial)
    require_within(job.constraints, network_costs)

    training, n_splits = _trained(trial, progress, checkpoint, n_splits=memory.n_splits)
    progress.advance("evaluating")
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
    course = _course(training, trial.data)
    metrics = {**evaluation.metrics, "training": course, "memory": used}
    require_intact_pack(job.data)
    if job.model is not None:
        progress.artefacts |= save_model(
            trial.store, job.model, training.evaluated_network, _description(trial, metrics)
        )
    return _findings(evaluation, network_costs, job.objectives, metrics)


def _trained(
    trial: _Trial, progress: Progress, checkpoint: Checkpoint | None, *, n_splits: int
) -> tuple[Training, int]:
    """The training at the job's epochs, and the parts in which its last batches went.

    The parts are doubled whenever memory ran out: their prediction knows nothing of what else
    takes some, such as another process.
    """
    schedule = replace(trial.schedule, n_splits=n_splits)
    while True:
        progress.advance("preparing")
        training = _begun(trial, checkpoint)
        try:
            _train(training, schedule, trial, progress)
        except (RuntimeError, MemoryError) as error:
            if not _helps_to_split(schedule, error):
                raise
            schedule = replace(schedule, n_splits=2 * schedule.n_splits)
        else:
            return training, schedule.n_splits
        logger.warning(
            "trial %s ran out of memory; it goes on from its last checkpoint with batches in %d "
            "parts",
            trial.job.request.trial_id,
            schedule.n_splits,
        )
        del training  # its memory, before the next one takes some
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        checkpoint = _latest_checkpoint(trial, progress)


def _begun(trial: _Trial, checkpoint: Checkpoint | None) -> Training:
    """The training as of a checkpoint, or at its beginning."""
    job = trial.job
    training = start_training(
        trial.candidate, job.training, data=trial.data, seed=job.request.seed
    )
    if checkpoint is not None:
        restore(training, checkpoint)
        logger.info("trial %s goes on after %d epochs", job.request.trial_id, training.epochs)
    return training


def _train(training: Training, schedule: Schedule, trial: _Trial, progress: Progress) -> None:
    """Train to the job's epochs; saves at the end, now and then on the way, and to leave.

    Raises:
        LeavingError: The trial is to end before it is done; it has saved itself.
    """
    job, clock = trial.job, trial.clock
    saved = clock()
    watch = TrainingWatch(progress, schedule, n_epochs=job.request.epochs)

    def is_due() -> bool:
        watch.stepped(training)
        return clock() - saved >= job.training.checkpoint_seconds or progress.is_to_leave()

    while training.epochs < job.request.epochs:
        is_whole = train_epoch(training, trial.data, schedule=schedule, should_pause=is_due)
        progress.epochs_trained += is_whole
        logger.info(
            "trial %s: %d of %d epochs%s",
            job.request.trial_id,
            training.epochs,
            job.request.epochs,
            f", loss {training.losses[-1]:.4g}" if training.losses else "",
        )
        is_last = training.epochs == job.request.epochs
        if is_whole:
            costs = {} if is_last else _costs_on_the_way(training, trial, progress)
            watch.ended_epoch(training, costs)
        if is_last or is_due():
            checkpoint = to_checkpoint(
                training, fingerprint=trial.fingerprint, n_splits=schedule.n_splits
            )
            progress.advance("preparing")  # a large pack may still be read
            require_intact_pack(job.data)  # before others go on from what was learned from it
            _note(
                progress,
                save_checkpoint(
                    trial.store, job.checkpoints, checkpoint, previous=progress.checkpoint
                ),
            )
            saved = clock()
            watch.saved()
            if progress.is_to_leave():
                raise LeavingError(_left(training, job))


def _left(training: Training, job: TrialJob) -> str:
    within = f" and {training.steps} steps" if training.steps else ""
    return (
        f"told to end; saved after {training.epochs} of {job.request.epochs} epochs{within}, and "
        "goes on from there"
    )


def _costs_on_the_way(training: Training, trial: _Trial, progress: Progress) -> dict[str, float]:
    """What an epoch's network costs on the validation split, where the run asks for it."""
    job = trial.job
    every = job.evaluation.every_epochs
    if every is None or training.epochs % every:
        return {}
    progress.advance("evaluating")  # which takes its time, and is no stall
    settings = replace(job.evaluation, n_replicates=_FEW_REPLICATES, n_permutations=0)
    try:
        evaluation = evaluate(
            training.evaluated_network,
            trial.pack,
            split=_ON_THE_WAY,
            group=job.data.group,
            settings=settings,
            device=trial.data.pictures.device,
        )
    except CollapsedError:
        return {}  # it may still recover
    return {name: evaluation.costs[name] for name in job.objectives if name in evaluation.costs}


def _helps_to_split(schedule: Schedule, error: Exception) -> bool:
    """Whether memory is the reason, and parts of batches can still be smaller."""
    is_memory = failure_kind(error) is FailureKind.OUT_OF_MEMORY
    return is_memory and schedule.batch_size // (2 * schedule.n_splits) >= SMALLEST_PART


def _latest_checkpoint(trial: _Trial, progress: Progress) -> Checkpoint | None:
    """The configuration's newest checkpoint that it can go on from, noted; None where none is.

    Raises:
        UnfitWorkerError: The job names one that this worker does not see.
    """
    job = trial.job
    found = newest_checkpoint(
        trial.store,
        job.checkpoints,
        expected_fingerprint=trial.fingerprint,
        up_to_epochs=job.request.epochs,
        resume_from=job.resume_from,
        prove=functools.partial(_prove, trial),
    )
    if found is None:
        return None
    _note(progress, found.file)
    return found.checkpoint


def _prove(trial: _Trial, found: FoundCheckpoint) -> None:
    """Find out whether the training takes the checkpoint's states.

    Raises:
        CheckpointError: It does not.
    """
    job = trial.job
    training = start_training(
        trial.candidate, job.training, data=trial.data, seed=job.request.seed
    )
    try:
        require_taken(training, found.checkpoint)
    except CheckpointError as error:
        place = trial.store.describe(found.file.key)
        raise CheckpointError(
            f"checkpoint {place} does not fit its training ({error}); remove it"
        ) from error


def _note(progress: Progress, file: SavedCheckpoint) -> None:
    """Let the trial's outcome name the file as the last checkpoint."""
    progress.artefacts.pop(progress.checkpoint or "", None)
    progress.checkpoint = file.key
    progress.artefacts[file.key] = file.digest


def _memory_plan(trial: _Trial, checkpoint: Checkpoint | None) -> MemoryPlan:
    """Into how many parts a batch is split here; as many as before where the training goes on.

    The parts are not part of the checkpoint's fingerprint: a trial whose worker was lost may go
    on where more memory is free, and must not be refused for fitting better there.
    """
    job, device = trial.job, trial.data.pictures.device
    recipe = recipe_of(trial.candidate, job.training)
    step = measure_step(
        trial.candidate,
        recipe,
        image_shape=(trial.pack.channels, trial.pack.size),
        n_classes=trial.data.n_classes,
        bfloat16=uses_bfloat16(recipe, device),
    )
    is_trained = checkpoint is not None and checkpoint.epochs >= job.request.epochs
    memory = plan_memory(
        step,
        batch_size=trial.schedule.batch_size,
        bytes_available=sys.maxsize if is_trained else available_bytes(device, recipe),
        n_splits=None if checkpoint is None else checkpoint.n_splits,
    )
    if memory.n_splits > 1:
        logger.info("trial %s: batches in %d parts", job.request.trial_id, memory.n_splits)
    return memory


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


def _measured_costs(trial: _Trial) -> dict[str, float]:
    """What has to be measured on the device, and is only where somebody asks for it."""
    job = trial.job
    if _MEASURED_COST not in job.objectives and f"max_{_MEASURED_COST}" not in job.constraints:
        return {}
    training = start_training(
        trial.candidate, job.training, data=trial.data, seed=job.request.seed
    )
    value = milliseconds_per_image(
        training.evaluated_network,
        in_channels=trial.pack.channels,
        image_size=trial.pack.size,
        device=trial.data.pictures.device,
    )
    return {_MEASURED_COST: value}


def _course(training: Training, data: TrainingSet) -> dict[str, Any]:
    """How the training went, as JSON values."""
    course: dict[str, Any] = {"loss": training.losses[-1], "loss_by_epoch": training.losses}
    if training.group_log_weights is not None:
        weights = training.group_log_weights.exp().tolist()
        course["group_weights"] = dict(zip(data.group_labels, weights, strict=True))
    return course


def _findings(
    evaluation: Evaluation,
    network_costs: Mapping[str, float],
    objectives: tuple[str, ...],
    metrics: Mapping[str, Any],
) -> Findings:
    """Costs and their intervals; what a network costs does not depend on who is measured."""
    costs = {**evaluation.costs, **network_costs}
    exact = {name: (value, value) for name, value in network_costs.items()}
    intervals = {**evaluation.interval95, **exact}
    unknown = [name for name in objectives if name not in costs]
    if unknown:
        raise ValueError(f"objectives {unknown} are not measured; choose from {sorted(costs)}")
    return Findings(
        costs={name: costs[name] for name in objectives},
        interval95={name: intervals[name] for name in objectives},
        metrics=metrics,
    )


def _description(trial: _Trial, metrics: Mapping[str, Any]) -> ModelDescription:
    job, pack = trial.job, trial.pack
    return ModelDescription(
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
            "epochs": job.request.epochs,
            "data_digest": pack.digest,
        },
    )
