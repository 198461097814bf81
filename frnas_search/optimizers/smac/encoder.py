"""What the surrogate learns from: results of all rungs, finite and between 0 and 1. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.history import Snapshot
    from results.pareto import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """One row for each result.

    Attributes:
        vectors: Shape (k, d).
        fidelities: Shape (k,); 0 the lowest, the cheapest rung's, to 1 the highest.
        costs: Shape (k, m); finite.
    """

    vectors: FloatArray
    fidelities: FloatArray
    costs: FloatArray


def observations(
    known: Snapshot,
    *,
    n_rungs: int,
    uses_all_rungs: bool = True,
    earlier: Observations | None = None,
) -> Observations:
    """The results as the surrogate sees them.

    A failure counts as the worst cost that was measured, of each objective: a bound that nothing
    ever reaches would take up all of the surrogate's attention.

    Args:
        known: With at least one success, if there is nothing earlier.
        n_rungs: Of the fidelity.
        uses_all_rungs: Else those of the highest rung alone, as soon as there is one.
        earlier: Results of other runs, successes only.
    """
    measured = known.costs[known.is_success]
    if earlier is not None:
        measured = np.vstack([measured, earlier.costs])
    own = Observations(
        vectors=known.vectors[known.indices],
        # A single rung is the highest.
        fidelities=known.rungs / (n_rungs - 1) if n_rungs > 1 else np.ones(len(known.rungs)),
        costs=np.where(known.is_success[:, None], known.costs, measured.max(axis=0)),
    )
    data = own if earlier is None else _together(own, earlier)
    used = data.fidelities == 1.0
    if uses_all_rungs or not used.any():
        return data
    return Observations(
        vectors=data.vectors[used], fidelities=data.fidelities[used], costs=data.costs[used]
    )


def _together(first: Observations, second: Observations) -> Observations:
    return Observations(
        vectors=np.vstack([first.vectors, second.vectors]),
        fidelities=np.concatenate([first.fidelities, second.fidelities]),
        costs=np.vstack([first.costs, second.costs]),
    )
