"""Pareto dominance, all objectives minimised. Pure; computed by moocore."""

from __future__ import annotations

from typing import TypeAlias

import moocore
import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]


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
    if len(costs) == 0:
        return np.zeros(0, np.bool_)
    if costs.shape[1] == 1:
        return np.asarray(costs[:, 0] == costs.min(), np.bool_)
    return np.asarray(moocore.is_nondominated(costs, keep_weakly=True), np.bool_)


def non_dominated_ranks(costs: FloatArray) -> IntArray:
    """The front that each row is on, 0 the first; without it the next rows are one, and so on.

    Args:
        costs: Shape (n, m); finite. n may be 0.

    Returns:
        Shape (n,).

    Raises:
        ValueError: As in `non_dominated`.
    """
    _check(costs)
    if len(costs) == 0:
        return np.zeros(0, np.int64)
    if costs.shape[1] == 1:
        return np.asarray(np.unique(costs[:, 0], return_inverse=True)[1], np.int64)
    ranks: IntArray = np.asarray(moocore.pareto_rank(costs), np.int64)
    return np.asarray(ranks - ranks.min(), np.int64)


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
