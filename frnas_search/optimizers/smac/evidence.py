"""What the engine's parts know of a search besides what SMAC hands them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from results.pareto import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A search at the moment of one proposal.

    Attributes:
        number: Configurations that were proposed before, 0 or more; those of the user's list do
            not count, so that what they are changes no random number.
        vectors: Shape (n, d); configurations with a success.
        measured: Shape (n, m); their costs at the highest rung, NaN where that was not reached.
        pending: Shape (p, d); configurations in flight, or about to be.
    """

    number: int
    vectors: FloatArray
    measured: FloatArray
    pending: FloatArray

    @property
    def top_costs(self) -> FloatArray:
        """Costs at the highest rung, shape (k, m)."""
        return self.measured[np.isfinite(self.measured).all(axis=1)]


@runtime_checkable
class Informed(Protocol):
    """A part that is told the evidence before it is used; SMAC's own selector never does."""

    def inform(self, evidence: Evidence) -> None:
        """The evidence of the proposal that is made next."""
