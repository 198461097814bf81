"""The hypervolume indicator: how much of the objective space a front dominates. Pure."""

from __future__ import annotations

import moocore
import numpy as np

from results.pareto import FloatArray


def hypervolume(costs: FloatArray, reference: FloatArray) -> float:
    """Volume dominated by `costs` and bounded by `reference`, all objectives minimised.

    Args:
        costs: Shape (n, m); finite; in the objectives' own units. Dominated rows and rows that
            are not better than `reference` in every objective add nothing.
        reference: Shape (m,); finite.

    Returns:
        Volume in the product of the units; 0.0 when nothing dominates `reference`.

    Raises:
        ValueError: The shapes disagree or a value is not finite.

    References:
        Zitzler & Thiele, PPSN 1998; computed by moocore, cross-checked by Monte Carlo in its test.
    """
    if costs.ndim != 2 or reference.shape != costs.shape[1:]:
        raise ValueError(
            f"costs have shape {costs.shape} and the reference {reference.shape}; "
            "give (n, m) and (m,)"
        )
    if not (np.isfinite(costs).all() and np.isfinite(reference).all()):
        raise ValueError("a cost or the reference is NaN or infinite")
    inside = costs[np.all(costs < reference, axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume(inside, ref=reference))
