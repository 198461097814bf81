"""The training loop: one epoch after another, each reproducible from the seed and its number.

An epoch depends on the state before it, the seed and its number only; so training that stops,
is saved and goes on elsewhere equals training straight through, bit for bit on a CPU.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from search_space.build import build_network
from search_space.candidate import Candidate
from search_space.heads import build_head
from workers.augmentation import augment, draw_changes
from workers.checkpoints import Checkpoint
from workers.errors import DataError, TrainingDivergedError
from workers.pictures import TrainingSet
from workers.schedule import learning_rate_factor
from workers.settings import TrainingSettings

_CHECKED_STEPS = 20
_SMALLEST_MISTAKE = 1e-6
_NETWORK, _HEAD, _ORDER, _AUGMENTATION, _TORCH = range(5)
"""What a seed is derived for; a purpose keeps its number for ever."""


@dataclass(slots=True, kw_only=True)
class Training:
    """A training in progress: everything that changes from step to step.

    Attributes:
        averaged: The moving average of the network's weights; None when none is kept.
        norms: The network's batch norms, each with its own momentum.
        epochs: Epochs done since the very beginning.
        losses: Mean loss of each epoch done.
    """

    network: nn.Module
    head: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None
    norms: tuple[tuple[BatchNorm, float], ...]
    seed: int
    epochs: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def evaluated_network(self) -> nn.Module:
        """The network to evaluate: the average where one is kept."""
        return self.network if self.averaged is None else self.averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Steps per epoch and the learning rate over the run's maximal epochs."""

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int


def plan(settings: TrainingSettings, *, n_images: int, max_epochs: int) -> Schedule:
    """How the epochs divide into steps; the last, partial batch of an epoch is dropped.

    Raises:
        DataError: There are fewer than two images, too few for batch norm.
    """
    batch_size = min(settings.batch_size, n_images)
    if batch_size < 2:
        raise DataError(
            f"a batch of {batch_size} cannot be normalised (batch_size {settings.batch_size}, "
            f"{n_images} training images); give 2 or more of both"
        )
    steps_per_epoch = n_images // batch_size
    total_steps = steps_per_epoch * max_epochs
    return Schedule(
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        warmup_steps=round(total_steps * settings.warmup_fraction),
    )


def start_training(
    candidate: Candidate, settings: TrainingSettings, *, data: TrainingSet, seed: int
) -> Training:
    """A fresh network, head and optimizer on the data's device, all from the seed."""
    device = data.pictures.device
    _, in_channels, image_size, _ = data.pictures.images.shape
    network = build_network(
        candidate,
        in_channels=in_channels,
        image_size=image_size,
        seed=_derived_seed(seed, 0, _NETWORK),
    )
    head = build_head(
        candidate.head.name,
        embedding_size=candidate.embedding_size,
        n_classes=data.n_classes,
        scale=settings.scale,
        margin=settings.margin,
        generator=_generator(seed, 0, _HEAD),
    ).to(device)
    network = network.to(device).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval() if settings.ema_decay > 0.0 else None
    return Training(
        network=network,
        head=head,
        optimizer=build_optimizer(candidate, settings, network=network, head=head),
        averaged=averaged,
        norms=tuple(
            (module, module.momentum)
            for module in network.modules()
            if isinstance(module, BatchNorm) and module.momentum is not None
        ),
        seed=seed,
    )


def build_optimizer(
    candidate: Candidate, settings: TrainingSettings, *, network: nn.Module, head: nn.Module
) -> torch.optim.Optimizer:
    """The candidate's optimizer; biases, norms and the head's class weights do not decay.

    Class weights enter the loss by their direction only: decay would change their effective
    learning rate and nothing else.
    """
    weights = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": [*vectors, *head.parameters()], "weight_decay": 0.0},
    ]
    rate = candidate.learning_rate
    if candidate.optimizer == "SGD":
        return torch.optim.SGD(
            groups, lr=rate, momentum=settings.momentum, nesterov=settings.momentum > 0.0
        )
    if candidate.optimizer == "AdamW":
        return torch.optim.AdamW(groups, lr=rate)
    return torch.optim.Adam(groups, lr=rate)


def train_epoch(
    training: Training,
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    schedule: Schedule,
    learning_rate: float,
) -> None:
    """Train one more epoch, in place.

    The global random state, which dropout and drop-path draw from, is seeded for the epoch and
    restored afterwards.

    Raises:
        TrainingDivergedError: The loss stopped being finite.
    """
    device, epoch = data.pictures.device, training.epochs
    parameters = [*training.network.parameters(), *training.head.parameters()]
    order = torch.randperm(len(data.classes), generator=_generator(training.seed, epoch, _ORDER))
    changes = draw_changes(
        len(order), generator=_generator(training.seed, epoch, _AUGMENTATION)
    ).to(device)
    loss_sum = torch.zeros((), device=device)
    training.network.train()
    training.head.train()
    with _seeded(device, _derived_seed(training.seed, epoch, _TORCH)):
        for index in range(schedule.steps_per_epoch):
            step = epoch * schedule.steps_per_epoch + index
            _set_rate(training.optimizer, learning_rate, schedule, step)
            _set_momentum(training.norms, step)
            batch = slice(index * schedule.batch_size, (index + 1) * schedule.batch_size)
            images = augment(
                data.pictures.gather(order[batch]), changes[batch], strength=settings.augmentation
            ).contiguous(memory_format=torch.channels_last)
            with _autocast(settings, device):
                embeddings = training.network(images)
            classes = data.classes[order[batch].to(device)]
            logits, regulariser = training.head(embeddings.float(), classes)
            loss = classification_loss(logits, classes, regulariser, settings=settings)
            training.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(parameters, settings.clip_grad_norm)
            training.optimizer.step()
            _update_average(training, settings.ema_decay, step)
            loss_sum += loss.detach()
            if index % _CHECKED_STEPS == 0:
                _require_finite(loss_sum, step)
    _require_finite(loss_sum, (epoch + 1) * schedule.steps_per_epoch)
    training.losses.append(float(loss_sum) / schedule.steps_per_epoch)
    training.epochs = epoch + 1


def classification_loss(
    logits: Tensor, classes: Tensor, regulariser: Tensor, *, settings: TrainingSettings
) -> Tensor:
    """Mean of (focal) cross entropy and the head's regulariser.

    The focal factor is (1 - p)^gamma with p = exp(-cross entropy), as in the predecessor.

    Args:
        logits: (b, C), float32.
        classes: int64 (b,).
        regulariser: (b,), added to each sample's loss and not weighted by the focal factor.
        settings: `focal_gamma` and `label_smoothing` are read.
    """
    losses = F.cross_entropy(
        logits, classes, reduction="none", label_smoothing=settings.label_smoothing
    )
    if settings.focal_gamma > 0.0:
        # expm1 keeps small losses exact; at 0 the power would have no finite slope.
        mistaken = -torch.expm1(-losses)
        losses = losses * mistaken.clamp_min(_SMALLEST_MISTAKE) ** settings.focal_gamma
    return (losses + regulariser).mean()


def to_checkpoint(training: Training, *, fingerprint: str) -> Checkpoint:
    """Everything needed to go on after the epochs done so far."""
    return Checkpoint(
        fingerprint=fingerprint,
        epochs=training.epochs,
        losses=list(training.losses),
        network=training.network.state_dict(),
        head=training.head.state_dict(),
        optimizer=training.optimizer.state_dict(),
        averaged=None if training.averaged is None else training.averaged.state_dict(),
    )


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Put a fresh training of the same configuration where the checkpoint was taken."""
    training.network.load_state_dict(checkpoint.network)
    training.head.load_state_dict(checkpoint.head)
    training.optimizer.load_state_dict(checkpoint.optimizer)
    if training.averaged is not None and checkpoint.averaged is not None:
        training.averaged.load_state_dict(checkpoint.averaged)
    training.epochs = checkpoint.epochs
    training.losses = list(checkpoint.losses)


def _set_rate(
    optimizer: torch.optim.Optimizer, learning_rate: float, schedule: Schedule, step: int
) -> None:
    factor = learning_rate_factor(
        step, total_steps=schedule.total_steps, warmup_steps=schedule.warmup_steps
    )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * factor


def _set_momentum(norms: tuple[tuple[BatchNorm, float], ...], step: int) -> None:
    """Let running statistics begin as the plain mean of the batches seen so far.

    They start at mean 0 and variance 1; with the usual momentum of 0.1 a network of few steps
    would still be evaluated with much of that start, and look collapsed although it is not.
    """
    for norm, momentum in norms:
        norm.momentum = max(momentum, 1.0 / (step + 1))


def _autocast(
    settings: TrainingSettings, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    is_on_gpu = device.type == "cuda"
    enabled = settings.precision == "bfloat16" or (settings.precision == "auto" and is_on_gpu)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@torch.no_grad()
def _update_average(training: Training, decay: float, step: int) -> None:
    """Move the average towards the weights; early on faster, so that it forgets the start."""
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
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _derived_seed(seed: int, epoch: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint32)[0])


def _generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_derived_seed(seed, epoch, purpose))
