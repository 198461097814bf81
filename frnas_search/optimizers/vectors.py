"""Vectors of a space as plain values by the thousand, and a finite space's vectors by number.

A vector is ConfigSpace's own encoding of a configuration: one number for each hyperparameter, NaN
where it is inactive.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import FloatHyperparameter
from ConfigSpace.hyperparameters.hp_components import ROUND_PLACES

from search_space.definition.space import as_plain

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from results.pareto import BoolArray, FloatArray
    from results.trial import ConfigurationValue

_CONSTANT = 1.0


class Vectors(Protocol):
    """What is needed of a space as arrays."""

    @property
    def space(self) -> ConfigurationSpace:
        """Of the vectors."""

    @property
    def n_dimensions(self) -> int:
        """Length of a vector."""

    def sampled(self, n: int, generator: np.random.Generator) -> FloatArray:
        """The legal ones of `n` draws as the priors say, shape (k, d)."""

    def activated(self, vectors: FloatArray) -> FloatArray:
        """The vectors, shape (n, d), with NaN for what is inactive."""

    def allowed(self, vectors: FloatArray) -> BoolArray:
        """Which of the activated vectors no clause forbids, shape (n,)."""

    def crossed(
        self, mothers: FloatArray, fathers: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """One child of each pair, shape (n, d) or fewer where some are forbidden."""

    def mutate(
        self,
        parents: FloatArray,
        generator: np.random.Generator,
        *,
        n_changes: FloatArray,
        spread: float,
    ) -> FloatArray:
        """One neighbour of each parent, shape (n, d) or fewer where some are forbidden."""


def plain_values(
    space: ConfigurationSpace, vectors: FloatArray
) -> list[dict[str, ConfigurationValue]]:
    """The active values of each vector, as `plain` gives them of one configuration.

    Args:
        space: Of the vectors.
        vectors: Shape (n, d); legal.
    """
    rows: list[dict[str, ConfigurationValue]] = [{} for _ in range(len(vectors))]
    for column, (name, hyperparameter) in zip(vectors.T, space.items(), strict=True):
        active = np.flatnonzero(np.isfinite(column))
        if len(active) == 0:
            continue
        values = _values_of(hyperparameter, column[active])
        for row, value in zip(active.tolist(), values, strict=True):
            rows[row][name] = value
    return rows


def _values_of(hyperparameter: Any, column: FloatArray) -> list[ConfigurationValue]:
    values = np.asarray(hyperparameter.to_value(column))
    if isinstance(hyperparameter, FloatHyperparameter):  # as a configuration rounds it
        values = np.round(values, ROUND_PLACES)
    return [as_plain(value) for value in values.tolist()]


class Numbering:
    """The combinations of a finite space, each by a number from 0.

    Args:
        space: Any.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self._hyperparameters = list(space.values())

    @cached_property
    def n(self) -> int | None:
        """How many there are, those that are not legal included; None without end."""
        sizes = [_n_values(hyperparameter) for hyperparameter in self._hyperparameters]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def vectors(self, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
        """The combinations of these numbers, shape (k, d), with a value for everything."""
        found = np.empty((len(numbers), len(self._hyperparameters)))
        left = numbers.copy()
        for column, values in enumerate(self._values):
            left, chosen = np.divmod(left, len(values))
            found[:, column] = values[chosen]
        return found

    def is_first(self, complete: FloatArray, active: FloatArray) -> BoolArray:
        """Which have the first value of all that is inactive; the others are the same ones again.

        Args:
            complete: Shape (n, d); from `vectors`.
            active: Shape (n, d); the same with NaN for what is inactive.
        """
        firsts = np.array([values[0] for values in self._values])
        return np.asarray(np.all(np.isfinite(active) | (complete == firsts), axis=1))

    @cached_property
    def _values(self) -> list[FloatArray]:
        return [_all_values(hyperparameter) for hyperparameter in self._hyperparameters]


def _n_values(hyperparameter: Any) -> int | None:
    if isinstance(hyperparameter, Constant):
        return 1
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return len(hyperparameter.choices)
    if isinstance(hyperparameter, OrdinalHyperparameter):
        return len(hyperparameter.sequence)
    size = getattr(hyperparameter, "size", math.inf)
    return int(size) if math.isfinite(size) else None


def _all_values(hyperparameter: Any) -> FloatArray:
    """Every value in the encoding of vectors."""
    if isinstance(hyperparameter, Constant):
        return np.array([_CONSTANT])
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return np.arange(len(hyperparameter.choices)).astype(float)
    if isinstance(hyperparameter, OrdinalHyperparameter):
        return np.arange(len(hyperparameter.sequence)).astype(float)
    numbers = np.arange(hyperparameter.lower, hyperparameter.upper + 1)
    return np.asarray(hyperparameter.to_vector(numbers), float)
