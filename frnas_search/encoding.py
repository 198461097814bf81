"""What the surrogate learns from: results of all rungs, finite and between 0 and 1. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from frnas_search.history import Snapshot
    from results.pareto import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """One row for each result.

    Attributes:
        vectors: Shape (k, d).
        heights: Shape (k,); 0 the cheapest rung, 1 the dearest.
        costs: Shape (k, m); finite.
    """

    vectors: FloatArray
    heights: FloatArray
    costs: FloatArray


def evidence(known: Snapshot, *, n_rungs: int, uses_all_rungs: bool = True) -> Evidence:
    """The results as the surrogate sees them.

    A failure counts as the worst cost that was measured, of each objective: a bound that nothing
    ever reaches would take up all of the surrogate's attention.

    Args:
        known: With at least one success.
        n_rungs: Of the fidelity.
        uses_all_rungs: Else those of the dearest rung alone, as soon as there is one.
    """
    costs = np.where(
        known.is_success[:, None], known.costs, known.costs[known.is_success].max(axis=0)
    )
    used = known.rungs == n_rungs - 1
    if uses_all_rungs or not used.any():
        used = np.ones(len(known.rungs), np.bool_)
    return Evidence(
        vectors=known.vectors[known.indices[used]],
        heights=known.rungs[used] / max(1, n_rungs - 1),
        costs=costs[used],
    )
