from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from frnas_search.optimizers.smac.models.kernels import (
    inputs_of,
    matern,
    matern_and_slope,
    squared_distances_between,
)

_NAN = float("nan")
# A number, a choice of three, a constant.
N_CHOICES = np.array([0, 3, 1])
VECTORS = np.array([[0.2, 0, 1], [0.9, 2, 1], [_NAN, _NAN, _NAN], [0.5, 1, 1]])
FIDELITIES = np.array([0.0, 1.0, 1.0, 0.5])


def distances(first: int, second: int) -> list[float]:
    inputs = inputs_of(VECTORS, FIDELITIES, N_CHOICES)
    squares = inputs.squared_distances(np.array([first]), np.array([second]))
    return list(squares[:, 0])


def test_numbers_differ_by_their_way_choices_by_a_random_one_and_constants_not_at_all() -> None:
    assert distances(0, 1) == pytest.approx([0.49, 1 / 6, 0.0, 1.0])


def test_what_is_inactive_is_like_no_value() -> None:
    assert distances(0, 2) == pytest.approx([0.09 + 0.25, 1 / 6, 1 / 6, 1.0])
    assert distances(3, 2) == pytest.approx([0.25, 1 / 6, 1 / 6, 0.25])
    assert distances(2, 2) == [0.0] * 4


def test_weighted_distances_add_up_to_those_of_scaled_coordinates() -> None:
    inputs = inputs_of(VECTORS, FIDELITIES, N_CHOICES)
    lengths = np.array([0.3, 2.0, 5.0, 1.5])
    first, second = np.divmod(np.arange(16), 4)
    added = lengths**-2.0 @ inputs.squared_distances(first, second)
    scaled = inputs.in_units(lengths)
    assert squared_distances_between(scaled, scaled).ravel() == pytest.approx(added, abs=1e-12)


def test_some_rows_are_those_of_the_same_configurations() -> None:
    inputs = inputs_of(VECTORS, FIDELITIES, N_CHOICES).rows(np.array([1, 3]))
    expected = inputs_of(VECTORS[[1, 3]], FIDELITIES[[1, 3]], N_CHOICES)
    assert np.array_equal(inputs.coordinates, expected.coordinates)


def test_the_correlation_is_scikit_learns() -> None:
    points = np.random.default_rng(0).random((6, 3))
    expected = Matern(1.0, nu=2.5)(points)
    assert matern(squared_distances_between(points, points)) == pytest.approx(expected, abs=1e-6)


def test_the_slope_is_that_of_a_small_step() -> None:
    squares = np.array([0.01, 0.5, 3.0])
    correlations, slopes = matern_and_slope(squares)
    assert correlations == pytest.approx(matern(squares))
    step = 1e-6
    numeric = (matern(squares + step) - matern(squares - step)) / (2 * step)
    assert slopes == pytest.approx(numeric, rel=1e-5)
