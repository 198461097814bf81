"""Whether configurations may be proposed, judged many at once. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from results.pareto import BoolArray, FloatArray

Accepts: TypeAlias = Callable[[Mapping[str, bool | int | float | str]], bool]
"""Whether a configuration may be proposed; a function of its plain values and of nothing else."""

_UNNAMED = "the constraints"


@runtime_checkable
class Graded(Protocol):
    """A predicate that also tells by how much it refuses, so that one can look downhill."""

    def __call__(self, configuration: Mapping[str, bool | int | float | str]) -> bool:
        """Whether the configuration may be proposed."""

    def excess(self, configuration: Mapping[str, bool | int | float | str]) -> Mapping[str, float]:
        """Each constraint that is broken -> by how much, above 0; empty when it is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdicts:
    """What is thought of n configurations.

    Attributes:
        accepted: Shape (n,).
        excess: Shape (n,); how far from being accepted, 0 for those that are; infinite where
            nobody tells.
        refused_by: Constraint -> configurations that break it.
    """

    accepted: BoolArray
    excess: FloatArray
    refused_by: Mapping[str, int]


def judged(
    accepts: Accepts | None, configurations: Sequence[Mapping[str, bool | int | float | str]]
) -> Verdicts:
    """The verdicts on configurations given by their plain values.

    Args:
        accepts: None accepts every one.
        configurations: Legal ones of the space.
    """
    if accepts is None:
        n = len(configurations)
        return Verdicts(accepted=np.ones(n, bool), excess=np.zeros(n), refused_by={})
    if isinstance(accepts, Graded):
        return _graded([accepts.excess(configuration) for configuration in configurations])
    accepted = np.array([bool(accepts(values)) for values in configurations], bool)
    n_refused = int((~accepted).sum())
    return Verdicts(
        accepted=accepted,
        excess=np.where(accepted, 0.0, math.inf),
        refused_by={_UNNAMED: n_refused} if n_refused else {},
    )


def _graded(found: Sequence[Mapping[str, float]]) -> Verdicts:
    return Verdicts(
        accepted=np.array([not broken for broken in found], bool),
        excess=np.array([sum(broken.values()) for broken in found], float),
        refused_by=Counter(name for broken in found for name in broken),
    )
