"""Pareto dominance, all objectives minimised. Pure."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


def non_dominated(costs: FloatArray) -> BoolArray:
    """Which rows are on the Pareto front.

    A row is dominated when another is nowhere worse and somewhere better. Rows of equal costs do
    not dominate each other: all of them stay or all of them go.

    Args:
        costs: Shape (n, m); finite. n may be 0.

    Returns:
        Shape (n,); True for the front.

    Raises:
        ValueError: `costs` has no two axes or a value that is not finite.
    """
    _check(costs)
    mask = np.zeros(len(costs), dtype=np.bool_)
    front = np.empty_like(costs)
    n_front = 0
    # In lexicographic order no row is dominated by a later one, so one pass against the front
    # found so far is enough.
    for index in np.lexsort(costs.T[::-1]):
        row = costs[index]
        if not dominates_any(front[:n_front], row):
            mask[index] = True
            front[n_front] = row
            n_front += 1
    return mask


def dominates_any(costs: FloatArray, row: FloatArray) -> bool:
    """Whether at least one of `costs`, shape (n, m), dominates `row`, shape (m,)."""
    return bool(np.any(np.all(costs <= row, axis=1) & np.any(costs < row, axis=1)))


def dominated_by(row: FloatArray, costs: FloatArray) -> BoolArray:
    """Which of `costs`, shape (n, m), are dominated by `row`, shape (m,); shape (n,)."""
    mask: BoolArray = np.all(row <= costs, axis=1) & np.any(row < costs, axis=1)
    return mask


def _check(costs: FloatArray) -> None:
    if costs.ndim != 2:
        raise ValueError(f"costs have shape {costs.shape}; give one row per trial")
    if not np.isfinite(costs).all():
        raise ValueError("a cost is NaN or infinite; leave failed trials out")
