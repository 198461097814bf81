"""Vectors of a conditional space, for surrogates that measure distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace

    from results.pareto import FloatArray

INACTIVE = 0.5


def encoded(space: ConfigurationSpace, configurations: Sequence[Configuration]) -> FloatArray:
    """One row for each configuration, within [0, 1].

    Numbers are as ConfigSpace scales them, an ordinal is its place, a choice has a column for each
    of its options, a constant none. An inactive number is `INACTIVE`, an inactive choice all
    zeros; that they are, the columns of their conditions tell.

    Returns:
        Shape (n, width).
    """
    vectors = np.array([configuration.get_array() for configuration in configurations])
    columns = [
        _columns(hyperparameter, vectors[:, [index]])
        for index, hyperparameter in enumerate(space.values())
    ]
    return np.hstack(columns)


def _columns(hyperparameter: Any, values: FloatArray) -> FloatArray:
    match hyperparameter:
        case Constant():
            return values[:, :0]
        case CategoricalHyperparameter(choices=choices):
            return np.equal(values, np.arange(len(choices))).astype(np.float64)
        case OrdinalHyperparameter(sequence=sequence):
            return np.nan_to_num(values / max(1, len(sequence) - 1), nan=INACTIVE)
        case _:
            return np.nan_to_num(values, nan=INACTIVE)
