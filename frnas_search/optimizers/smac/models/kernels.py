"""How alike two configurations at two fidelities are: a Matern kernel of weighted distances. Pure.

Each hyperparameter is one input with a squared distance of its own, and the fidelity is the last.
Two numbers are as far from each other as they are in [0, 1]. Any two values of a choice are as far
from each other as two random numbers are on average, and what is inactive is one more of them. An
inactive number lies beside the middle of the range: far from none and like none that is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from results.pareto import BoolArray, FloatArray, IntArray

_MIDDLE = 0.5
"""Of the range of a number."""

_ASIDE = 0.5
"""How far an inactive number lies beside the middle."""

_APART = 1.0 / 6.0
"""Squared distance of two values of a choice: the mean of that of two numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Configurations as coordinates, whose squared differences add up to squared distances.

    Attributes:
        coordinates: Shape (n, c).
        owners: Shape (c,); which input each coordinate belongs to, ascending from 0 to d.
    """

    coordinates: FloatArray
    owners: IntArray

    def rows(self, chosen: IntArray | BoolArray) -> Inputs:
        """Some of the configurations."""
        return Inputs(self.coordinates[chosen], self.owners)

    def in_units(self, lengths: FloatArray) -> FloatArray:
        """Coordinates in units of their inputs' lengths, shape (n, c).

        Args:
            lengths: Shape (d + 1,), above 0.
        """
        return np.asarray(self.coordinates / lengths[self.owners])

    def squared_distances(self, first: IntArray, second: IntArray) -> FloatArray:
        """Of pairs of configurations in each input, shape (d + 1, p).

        Args:
            first: Shape (p,); one of each pair.
            second: Shape (p,); the other.
        """
        columns = self.coordinates.T
        squares = (columns[:, first] - columns[:, second]) ** 2
        starts = np.searchsorted(self.owners, np.arange(self.owners[-1] + 1))
        return np.asarray(np.add.reduceat(squares, starts, axis=0))


def inputs_of(vectors: FloatArray, fidelities: FloatArray, n_choices: IntArray) -> Inputs:
    """The coordinates of configurations at fidelities.

    Args:
        vectors: Shape (n, d); numbers in [0, 1], indices of choices, NaN where inactive.
        fidelities: Shape (n,); in [0, 1].
        n_choices: Shape (d,); how many values a choice has, 1 for a constant, 0 for a number.
    """
    blocks = [
        _choice(column, int(n)) if n else _number(column)
        for column, n in zip(vectors.T, n_choices, strict=True)
    ]
    blocks.append(np.asarray(fidelities, np.float64)[:, None])
    owners = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    return Inputs(np.hstack(blocks), owners)


def squared_distances_between(first: FloatArray, second: FloatArray) -> FloatArray:
    """Of every row of (k, c) to every row of (n, c), shape (k, n)."""
    norms = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    return np.asarray(np.maximum(norms - 2.0 * (first @ second.T), 0.0))


def matern(squares: FloatArray) -> FloatArray:
    """Correlations between 0 and 1, those of twice differentiable functions.

    Args:
        squares: Squared distances in units of the length, of any shape.

    References:
        Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equation 4.17.
    """
    distances = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + distances * (1.0 + distances / 3.0)) * np.exp(-distances))


def matern_and_slope(squares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same, and the derivatives by the squared distances."""
    distances = np.sqrt(5.0 * squares)
    decay = np.exp(-distances)
    linear = 1.0 + distances
    correlations = (linear + distances * distances / 3.0) * decay
    return np.asarray(correlations), np.asarray(linear * decay * (-5.0 / 6.0))


def _number(column: FloatArray) -> FloatArray:
    is_active = np.isfinite(column)
    return np.column_stack(
        [np.where(is_active, column, _MIDDLE), np.where(is_active, 0.0, _ASIDE)]
    )


def _choice(column: FloatArray, n: int) -> FloatArray:
    # A constant's value may be anything.
    indices = column if n > 1 else column * 0.0
    codes = np.nan_to_num(indices, nan=n)
    is_value = codes[:, None] == np.arange(n + 1)
    # Two of the columns differ.
    return np.where(is_value, np.sqrt(0.5 * _APART), 0.0)
