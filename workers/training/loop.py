"""The training loop: one epoch after another, each reproducible from the seed and its number.

An epoch depends on the state before it, the seed and its number only; so training that stops,
is saved and goes on elsewhere equals training straight through, bit for bit on a CPU.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from search_space.build import build_network
from search_space.candidate import Candidate
from search_space.heads.build import MarginHead, build_head
from workers.data.pictures import TrainingSet
from workers.data.prefetch import gathered_batches
from workers.errors import TrainingDivergedError
from workers.settings import TrainingSettings
from workers.training.augmentation import augment, draw_changes
from workers.training.checkpoints import Checkpoint
from workers.training.memory import part_sizes
from workers.training.mitigation import (
    Treatment,
    epoch_order,
    robust_weights,
    treatment_of,
    updated_log_weights,
)
from workers.training.optimization import build_optimizer, build_scheduler
from workers.training.recipe import Schedule, head_of, recipe_of, uses_bfloat16

_CHECKED_STEPS = 20
_NETWORK, _HEAD, _ORDER, _AUGMENTATION, _TORCH = range(5)
"""What a seed is derived for; a purpose keeps its number for ever."""


@dataclass(slots=True, kw_only=True)
class Training:
    """A training in progress: everything that changes from step to step.

    Attributes:
        averaged: The moving average of the network's weights; None when none is kept.
        norms: The network's batch norms, each with its own momentum.
        recipe: The run's settings with the candidate's own in their place.
        learning_rate: The candidate's, before the schedule.
        treatment: What is done for the groups.
        group_log_weights: Logarithms of the groups' weights in group DRO, float64 (G,); None
            without it.
        epochs: Epochs done since the very beginning.
        losses: Mean loss of each epoch done.
        steps: Steps done of the epoch after these; 0 between two epochs.
        loss_sum: Of these steps; None between two epochs.
        random_states: Torch's, of the CPU and on a GPU of that too, after these steps; empty
            between two epochs.
    """

    network: nn.Module
    head: MarginHead
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None
    norms: tuple[tuple[BatchNorm, float], ...]
    recipe: TrainingSettings
    learning_rate: float
    treatment: Treatment
    group_log_weights: Tensor | None
    seed: int
    epochs: int = 0
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    loss_sum: Tensor | None = None
    random_states: list[Tensor] = field(default_factory=list)

    @property
    def evaluated_network(self) -> nn.Module:
        """The network to evaluate: the average where one is kept."""
        return self.network if self.averaged is None else self.averaged


def start_training(
    candidate: Candidate, settings: TrainingSettings, *, data: TrainingSet, seed: int
) -> Training:
    """A fresh network, head and optimizer on the data's device, all from the seed.

    Args:
        candidate: What is trained; where it does not say how, the settings do.
        settings: The run's.
        data: What it is trained on.
        seed: 0 or more.

    Raises:
        DataError: The candidate's mitigation does not fit the groups of the data.
        InvalidConfigurationError: As in `build_network`.
    """
    device = data.pictures.device
    recipe = recipe_of(candidate, settings)
    treatment = treatment_of(candidate.mitigation, data)
    _, in_channels, image_size, _ = data.pictures.images.shape
    network = build_network(
        candidate,
        in_channels=in_channels,
        image_size=image_size,
        seed=_derived_seed(seed, 0, _NETWORK),
    )
    head = build_head(
        head_of(candidate, recipe),
        embedding_size=candidate.embedding_size,
        n_classes=data.n_classes,
        generator=_generator(seed, 0, _HEAD),
    ).to(device)
    network = network.to(device).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval() if recipe.ema_decay > 0.0 else None
    return Training(
        network=network,
        head=head,
        optimizer=build_optimizer(candidate, recipe, network=network, head=head),
        averaged=averaged,
        norms=tuple(
            (module, module.momentum)
            for module in network.modules()
            if isinstance(module, BatchNorm) and module.momentum is not None
        ),
        recipe=recipe,
        learning_rate=candidate.learning_rate,
        treatment=treatment,
        group_log_weights=treatment.first_log_weights,
        seed=seed,
    )


def train_epoch(
    training: Training,
    data: TrainingSet,
    *,
    schedule: Schedule,
    should_pause: Callable[[], bool] = lambda: False,
) -> bool:
    """Train one more epoch, or go on with the one that was paused, in place.

    The global random state, which dropout and drop-path draw from, is seeded for the epoch and
    restored afterwards.

    Args:
        training: What is trained.
        data: What it is trained on.
        schedule: See `workers.training.recipe.plan`.
        should_pause: Asked after each step but the epoch's last.

    Returns:
        Whether the epoch is done. Else it was paused; the next call goes on after the same step,
        to the same weights, bit for bit on a CPU.

    Raises:
        TrainingDivergedError: The loss stopped being finite.
    """
    device, epoch, recipe = data.pictures.device, training.epochs, training.recipe
    parameters = [*training.network.parameters(), *training.head.parameters()]
    order, changes = _drawn_epoch(training, data)
    shape = (schedule.steps_per_epoch, schedule.batch_size)
    batches = order[: math.prod(shape)].reshape(shape)
    gathered = gathered_batches(data.pictures, list(batches[training.steps :]))
    if training.loss_sum is None:
        training.loss_sum = torch.zeros((), device=device)
    scheduler = build_scheduler(training.optimizer, schedule, learning_rate=training.learning_rate)
    training.network.train()
    training.head.train()
    with _random_states(training, device), contextlib.closing(gathered) as pictures:
        for index, images in enumerate(pictures, start=training.steps):
            step = epoch * schedule.steps_per_epoch + index
            scheduler.step_update(step)
            training.optimizer.zero_grad(set_to_none=True)
            places = slice(index * schedule.batch_size, (index + 1) * schedule.batch_size)
            batch = _Batch(
                data=data, rows=order[places], images=images, changes=changes[places], step=step
            )
            training.loss_sum += _add_gradients(training, batch, n_splits=schedule.n_splits)
            if recipe.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(parameters, recipe.clip_grad_norm)
            training.optimizer.step()
            _update_average(training, recipe.ema_decay, step)
            if index % _CHECKED_STEPS == 0:
                _require_finite(training.loss_sum, step)
            training.steps = index + 1
            if training.steps < schedule.steps_per_epoch and should_pause():
                training.random_states = _present_random_states(device)
                return False
    _require_finite(training.loss_sum, (epoch + 1) * schedule.steps_per_epoch)
    training.losses.append(float(training.loss_sum) / schedule.steps_per_epoch)
    training.epochs, training.steps = epoch + 1, 0
    training.loss_sum, training.random_states = None, []
    return True


def _drawn_epoch(training: Training, data: TrainingSet) -> tuple[Tensor, Tensor]:
    """The epoch's rows in order, int64 on the CPU, and the changes of their pictures."""
    seed, epoch = training.seed, training.epochs
    order = epoch_order(
        training.treatment, len(data.classes), generator=_generator(seed, epoch, _ORDER)
    )
    changes = draw_changes(
        len(order),
        generator=_generator(seed, epoch, _AUGMENTATION),
        erasing=training.recipe.erasing > 0.0,
    )
    return order, changes.to(data.pictures.device)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    """Rows of the training set with their pictures, and what is to be changed of these.

    Attributes:
        rows: int64 (b,) on the CPU.
        images: uint8 (b, c, s, s) on the device.
    """

    data: TrainingSet
    rows: Tensor
    images: Tensor
    changes: Tensor
    step: int

    def parts(self, n_splits: int) -> list[slice]:
        ends = [0, *itertools.accumulate(part_sizes(len(self.rows), n_splits))]
        return [slice(start, end) for start, end in itertools.pairwise(ends)]


def _add_gradients(training: Training, batch: _Batch, *, n_splits: int) -> Tensor:
    """Backward pass of the batch's mean loss, part by part; returns that loss, without gradient.

    The sum of the parts' gradients is the batch's, but for what networks and heads take from the
    pictures they see at a time, such as the statistics of batch norm.
    """
    parts = batch.parts(n_splits)
    is_robust = training.group_log_weights is not None
    weights = _image_weights(training, batch)
    if is_robust and n_splits > 1:
        weights = _robust_weights(training, batch, _losses_ahead(training, batch, parts))
    total = torch.zeros((), device=batch.data.pictures.device)
    for number, part in enumerate(parts):
        _set_momentum(training.norms, batch.step * n_splits + number, n_splits)
        losses, regulariser = _losses(training, batch, part)
        if is_robust and n_splits == 1:
            weights = _robust_weights(training, batch, losses.detach())
        if weights is not None:
            losses = losses * weights[part]
        loss = (losses + regulariser).mean() * (len(losses) / len(batch.rows))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total


def _losses(training: Training, batch: _Batch, part: slice) -> tuple[Tensor, Tensor]:
    """Each picture's loss and the head's regulariser, float32 (b,) each."""
    data, recipe, device = batch.data, training.recipe, batch.data.pictures.device
    rows = batch.rows[part]
    images = augment(
        batch.images[part],
        batch.changes[part],
        strength=recipe.augmentation,
        erasing=recipe.erasing,
    ).contiguous(memory_format=torch.channels_last)
    with _autocast(recipe, device):
        embeddings = training.network(images)
    rows = rows.to(device)
    classes = data.classes[rows]
    offsets = training.treatment.margin_offsets
    logits, regulariser = training.head(
        embeddings.float(), classes, None if offsets is None else offsets[rows]
    )
    losses = training.head.losses(
        logits,
        classes,
        label_smoothing=recipe.label_smoothing,
        focal_gamma=recipe.focal_gamma,
    )
    return losses, regulariser


def _losses_ahead(training: Training, batch: _Batch, parts: list[slice]) -> Tensor:
    """The losses that the parts are about to have, for a weight that depends on all of them.

    Buffers, such as running statistics, and the random state are as before: the parts go through
    the same once more, with gradient.
    """
    device = batch.data.pictures.device
    buffers = [*training.network.buffers(), *training.head.buffers()]
    before = [buffer.clone() for buffer in buffers]
    devices = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        losses = torch.cat([_losses(training, batch, part)[0] for part in parts])
    for buffer, value in zip(buffers, before, strict=True):
        buffer.copy_(value)
    return losses


def _image_weights(training: Training, batch: _Batch) -> Tensor | None:
    weights = training.treatment.image_weights
    return None if weights is None else weights[batch.rows.to(weights.device)]


def _robust_weights(training: Training, batch: _Batch, losses: Tensor) -> Tensor:
    """Move the groups' weights by the batch's losses, then weigh the batch with them."""
    treatment = training.treatment
    assert treatment.group_codes is not None
    assert training.group_log_weights is not None
    codes = treatment.group_codes[batch.rows.to(losses.device)]
    training.group_log_weights = updated_log_weights(
        training.group_log_weights, losses, codes, step_size=treatment.step_size
    )
    return robust_weights(training.group_log_weights, codes)


def to_checkpoint(training: Training, *, fingerprint: str, n_splits: int = 1) -> Checkpoint:
    """Everything needed to go on after the epochs and steps done so far.

    Args:
        training: What is saved.
        fingerprint: See `workers.training.checkpoints.fingerprint`.
        n_splits: Of the schedule it was trained by.
    """
    return Checkpoint(
        fingerprint=fingerprint,
        epochs=training.epochs,
        losses=list(training.losses),
        network=training.network.state_dict(),
        head=training.head.state_dict(),
        optimizer=training.optimizer.state_dict(),
        averaged=None if training.averaged is None else training.averaged.state_dict(),
        group_log_weights=training.group_log_weights,
        n_splits=n_splits,
        steps=training.steps,
        loss_sum=training.loss_sum,
        random_states=training.random_states,
    )


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Put a fresh training of the same configuration where the checkpoint was taken."""
    training.network.load_state_dict(checkpoint.network)
    training.head.load_state_dict(checkpoint.head)
    training.optimizer.load_state_dict(checkpoint.optimizer)
    if training.averaged is not None and checkpoint.averaged is not None:
        training.averaged.load_state_dict(checkpoint.averaged)
    if training.group_log_weights is not None and checkpoint.group_log_weights is not None:
        training.group_log_weights = checkpoint.group_log_weights.to(
            training.group_log_weights.device
        )
    training.epochs = checkpoint.epochs
    training.losses = list(checkpoint.losses)
    training.steps = checkpoint.steps
    training.random_states = list(checkpoint.random_states)
    device = next(training.network.parameters()).device
    training.loss_sum = None if checkpoint.loss_sum is None else checkpoint.loss_sum.to(device)


def _set_momentum(norms: tuple[tuple[BatchNorm, float], ...], n_seen: int, n_splits: int) -> None:
    """Let running statistics begin as the plain mean of the batches, or their parts, seen so far.

    They start at mean 0 and variance 1; with the usual momentum of 0.1 a network of few steps
    would still be evaluated with much of that start, and look collapsed although it is not.
    """
    for norm, momentum in norms:
        norm.momentum = max(momentum / n_splits, 1.0 / (n_seen + 1))


def _autocast(
    recipe: TrainingSettings, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    enabled = uses_bfloat16(recipe, device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@torch.no_grad()
def _update_average(training: Training, decay: float, step: int) -> None:
    """Move the average towards the weights; early on faster, so that it forgets the start.

    Not by timm's `ModelEmaV3`, whose warm-up is another: told this one at each step it computes
    the same bits, but takes more code than it replaces.
    """
    if training.averaged is None:
        return
    pull = 1.0 - min(decay, (1.0 + step) / (10.0 + step))
    averages: list[Tensor] = list(training.averaged.parameters())
    weights: list[Tensor] = list(training.network.parameters())
    torch._foreach_lerp_(averages, weights, pull)
    buffers = zip(training.averaged.buffers(), training.network.buffers(), strict=True)
    for average, buffer in buffers:
        average.copy_(buffer)


def _require_finite(loss_sum: Tensor, step: int) -> None:
    if not math.isfinite(float(loss_sum)):
        raise TrainingDivergedError(
            f"the loss was not finite by step {step}; lower the learning rate"
        )


@contextlib.contextmanager
def _random_states(training: Training, device: torch.device) -> Iterator[None]:
    """Torch's random state for the epoch: seeded for it, or as it was at the pause."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_derived_seed(training.seed, training.epochs, _TORCH))
        if training.random_states:
            torch.set_rng_state(training.random_states[0])
        if len(training.random_states) > 1 and device.type == "cuda":
            torch.cuda.set_rng_state(training.random_states[1], device)
        yield


def _present_random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _derived_seed(seed: int, epoch: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint32)[0])


def _generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_derived_seed(seed, epoch, purpose))
