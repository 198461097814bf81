"""How large checkpoints get, from what networks are predicted to hold. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_space.candidate import Candidate
    from search_space.prediction import Cost

FLOAT_BYTES = 4
FILES_KEPT = 2
"""Of a configuration that was promoted: its last two; one of a lower rung has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSizes:
    """Over a sample of the space.

    Attributes:
        samples: Configurations that keep within the constraints.
    """

    samples: int
    mean_bytes: float
    worst_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What of a run's recipe a checkpoint depends on."""

    n_classes: int
    has_momentum: bool
    has_average: bool


def checkpoint_bytes(candidate: Candidate, cost: Cost, training: Training) -> int:
    """Network, class weights and the optimizer's moments of both, in float32.

    Statistics of batch norms and the file's own frame are left out: a few percent.
    """
    network, head = cost.parameters, training.n_classes * candidate.embedding_size
    momentum = training.has_momentum if candidate.momentum is None else candidate.momentum > 0.0
    n_moments = int(momentum) if candidate.optimizer == "SGD" else 2
    numbers = (network + head) * (1 + n_moments) + network * int(training.has_average)
    return FLOAT_BYTES * numbers


def checkpoint_sizes(sizes: Sequence[int]) -> CheckpointSizes | None:
    """None without any."""
    if not sizes:
        return None
    return CheckpointSizes(
        samples=len(sizes), mean_bytes=sum(sizes) / len(sizes), worst_bytes=max(sizes)
    )


def n_files(ending: Mapping[int, int]) -> int:
    """Checkpoints that lie there at the end at most, by the rung where configurations ended.

    Args:
        ending: Rung -> configurations whose training ends there; those of the highest rung as
            well, for all of them may be on the front.
    """
    return sum(count * (1 if rung == 0 else FILES_KEPT) for rung, count in ending.items())
