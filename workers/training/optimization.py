"""How weights are moved: the candidate's optimizer and its learning rate at each step, by timm.

With `search_space.backbones.timm_backbones` the only module that knows timm. The learning rate
depends on the step and the run's maximal epochs, never on the rung or on what was restored.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn

from search_space.candidate import Candidate
from workers.settings import TrainingSettings
from workers.training.recipe import Schedule

FINAL_FACTOR = 0.01


def build_optimizer(
    candidate: Candidate, recipe: TrainingSettings, *, network: nn.Module, head: nn.Module
) -> torch.optim.Optimizer:
    """The candidate's optimizer; biases, norms and all of the head do not decay.

    Class weights enter the loss by their direction only: decay would change their effective
    learning rate and nothing else.

    Args:
        candidate: Its optimizer and learning rate are read.
        recipe: As `workers.training.recipe.recipe_of` returned it; weight decay and momentum are
            read.
        network: On its device.
        head: On its device.
    """
    weights = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": [*vectors, *head.parameters()], "weight_decay": 0.0},
    ]
    own: dict[str, Any] = {}
    if candidate.optimizer == "SGD":  # timm's own default refuses a momentum of 0
        own = {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0.0}
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        groups, opt=candidate.optimizer.lower(), lr=candidate.learning_rate, **own
    )
    return optimizer


def build_scheduler(
    optimizer: torch.optim.Optimizer, schedule: Schedule, *, learning_rate: float
) -> CosineLRScheduler:
    """Sets the learning rate of a step when told its number: `step_update(step)`.

    The rate rises linearly over the warm-up, from more than 0 at step 0 to `learning_rate`, then
    falls along half a cosine to 1 % at the run's last step, where it stays.

    Args:
        optimizer: New or restored; all of its groups have the same rate.
        schedule: The run's, see `workers.training.recipe.plan`.
        learning_rate: The candidate's.
    """
    for group in optimizer.param_groups:
        # What timm starts from. It would take the present rate for it, which is a decayed one in
        # an optimizer that was restored.
        group["initial_lr"] = learning_rate
    return CosineLRScheduler(
        optimizer,
        t_initial=max(1, schedule.total_steps - schedule.warmup_steps),
        lr_min=FINAL_FACTOR * learning_rate,
        warmup_t=schedule.warmup_steps,
        warmup_lr_init=learning_rate / (schedule.warmup_steps + 1),
        warmup_prefix=True,
        t_in_epochs=False,
        initialize=False,
    )
