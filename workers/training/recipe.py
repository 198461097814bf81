"""What one candidate is trained with: the run's settings, its own, and what follows of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from search_space.candidate import Candidate, HeadChoice
from workers.errors import DataError
from workers.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Steps per epoch and the learning rate over the run's maximal epochs.

    Attributes:
        n_splits: Parts in which a batch goes through the network, see `workers.training.memory`.
    """

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    n_splits: int = 1


def recipe_of(candidate: Candidate, settings: TrainingSettings) -> TrainingSettings:
    """The run's settings, with what the candidate says for itself in their place."""
    own: dict[str, Any] = {
        "weight_decay": candidate.weight_decay,
        "momentum": candidate.momentum,
        "label_smoothing": candidate.label_smoothing,
        "augmentation": candidate.augmentation,
        "margin": candidate.head.margin,
        "scale": candidate.head.scale,
    }
    return replace(settings, **{name: value for name, value in own.items() if value is not None})


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


def head_of(candidate: Candidate, recipe: TrainingSettings) -> HeadChoice:
    """The candidate's head with the recipe's margin and scale."""
    return replace(candidate.head, margin=recipe.margin, scale=recipe.scale)


def uses_bfloat16(recipe: TrainingSettings, device: torch.device) -> bool:
    """Whether the network's convolutions and matrix products are trained in bfloat16."""
    is_on_gpu = device.type == "cuda"
    return recipe.precision == "bfloat16" or (recipe.precision == "auto" and is_on_gpu)
