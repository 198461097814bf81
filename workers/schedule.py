"""The learning rate over a whole run. Knows the run's length, never the rung's."""

from __future__ import annotations

import math

FINAL_FACTOR = 0.01


def learning_rate_factor(step: int, *, total_steps: int, warmup_steps: int) -> float:
    """What the configuration's learning rate is multiplied with at `step`, in (0, 1].

    Rises linearly over the warm-up, then falls along half a cosine to 1 %. `total_steps` belongs
    to the run's maximal epochs, so that a lower rung is the beginning of the same training.

    Args:
        step: Optimizer steps done before this one; beyond `total_steps` the factor stays at 1 %.
        total_steps: Of the longest training of the run.
        warmup_steps: 0 starts at the full rate.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    decay_steps = max(1, total_steps - warmup_steps)
    progress = min(1.0, (step - warmup_steps) / decay_steps)
    return FINAL_FACTOR + (1.0 - FINAL_FACTOR) * 0.5 * (1.0 + math.cos(math.pi * progress))
