"""Whether a training can go on from a checkpoint: tried out before anything hangs on it.

A checkpoint can be whole and of the right training by its own words, and hold states that are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from workers.errors import CheckpointError
from workers.training.checkpoints import Checkpoint
from workers.training.loop import Training, restore

_SHOWN_CHARACTERS = 200


def require_taken(training: Training, checkpoint: Checkpoint) -> None:
    """Put a fresh training where the checkpoint was taken, and look at what that made of it.

    Args:
        training: Fresh; not to be trained afterwards.
        checkpoint: What it is to go on from.

    Raises:
        CheckpointError: The states are not those of such a training.
        MemoryError, torch.OutOfMemoryError: There is no memory for them.
    """
    options = [set(group) for group in training.optimizer.param_groups]
    try:
        restore(training, checkpoint)
        faults = [*_state_faults(training, checkpoint), *_optimizer_faults(training, options)]
        _try_random_states(checkpoint)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        if "can't allocate memory" in str(error):
            raise
        # Of a network's many weights that do not fit, the first few will do.
        faults = [" ".join(str(error).split())[:_SHOWN_CHARACTERS]]
    if faults:
        raise CheckpointError("; ".join(faults))


def _state_faults(training: Training, checkpoint: Checkpoint) -> Iterator[str]:
    """States that `restore` leaves as they were, or takes whatever they are."""
    if (training.averaged is None) != (checkpoint.averaged is None):
        yield "an average of the weights is kept in one of the two only"
    ours, theirs = training.treatment.first_log_weights, checkpoint.group_log_weights
    if _shape(ours) != _shape(theirs):
        yield f"weights of groups have shape {_shape(theirs)}, not {_shape(ours)}"
    if (checkpoint.loss_sum is None) == (checkpoint.steps > 0):
        yield "the losses so far do not fit the steps so far"
    if checkpoint.loss_sum is not None and checkpoint.loss_sum.ndim:
        yield f"the losses so far have shape {_shape(checkpoint.loss_sum)}"


def _optimizer_faults(training: Training, options: list[set[str]]) -> Iterator[str]:
    """What `Optimizer.load_state_dict` takes and the next step does not."""
    for ours, group in zip(options, training.optimizer.param_groups, strict=True):
        if missing := sorted(ours - set(group)):
            yield f"the optimizer has no {', '.join(missing)}"
    for parameter, state in training.optimizer.state.items():
        for name, value in _tensors(state):
            if value.ndim and value.shape != parameter.shape:
                yield (
                    f"the optimizer's {name} has shape {_shape(value)} for a weight of "
                    f"{_shape(parameter)}"
                )
                return


def _tensors(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in state.items() if isinstance(value, Tensor))


def _try_random_states(checkpoint: Checkpoint) -> None:
    """The CPU's; that of a GPU is taken on a GPU only, and has a size of its own there."""
    if checkpoint.random_states:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(checkpoint.random_states[0])


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)
