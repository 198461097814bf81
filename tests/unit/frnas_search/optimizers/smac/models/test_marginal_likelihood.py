from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from frnas_search.optimizers.smac.models.kernels import inputs_of
from frnas_search.optimizers.smac.models.marginal_likelihood import (
    NegativeLogPosterior,
    fitted,
    inverse,
)
from results.pareto import FloatArray

N_CHOICES = np.array([0, 0, 3, 0])


def data(n: int) -> tuple[FloatArray, FloatArray]:
    chance = np.random.default_rng(0)
    vectors = chance.random((n, 4))
    vectors[:, 2] = chance.integers(0, 3, n)
    return vectors, chance.choice([0.0, 0.5, 1.0], n)


def standardised(costs: FloatArray) -> FloatArray:
    return np.asarray((costs - costs.mean()) / costs.std())


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7])
def test_the_gradient_is_that_of_small_steps(shift: float) -> None:
    vectors, fidelities = data(25)
    targets = standardised(np.sin(5 * vectors[:, 0]) + vectors[:, 2] - fidelities)
    objective = NegativeLogPosterior(inputs_of(vectors, fidelities, N_CHOICES), targets)
    logs = objective.mode_of_prior + shift * np.linspace(-1.0, 1.0, 6)
    error = check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], logs)
    assert error < 1e-4 * max(1.0, float(np.linalg.norm(objective(logs)[1])))


def test_what_has_an_effect_gets_a_short_length() -> None:
    vectors, fidelities = data(60)
    targets = standardised(np.sin(6 * vectors[:, 0]) + 2.0 * (vectors[:, 2] == 1))
    lengths = fitted(inputs_of(vectors, fidelities, N_CHOICES), targets).lengths
    assert max(lengths[[0, 2]]) < 0.5 * min(lengths[[1, 3, 4]])


def test_noise_is_found_where_there_is_some() -> None:
    vectors, fidelities = data(80)
    inputs = inputs_of(vectors, fidelities, N_CHOICES)
    smooth = vectors[:, 0] + vectors[:, 1]
    noisy = smooth + 0.3 * np.random.default_rng(1).normal(size=80)
    found = [fitted(inputs, standardised(costs)).noise for costs in (smooth, noisy)]
    assert found[0] < 0.01 < 0.05 < found[1]


def test_a_single_cost_leaves_what_was_believed() -> None:
    inputs = inputs_of(np.array([[0.5, 0.5, 1.0, np.nan]]), np.ones(1), N_CHOICES)
    mode = NegativeLogPosterior(inputs, np.zeros(1)).mode_of_prior
    assert np.log(fitted(inputs, np.zeros(1)).lengths) == pytest.approx(mode[:-1])


def test_an_inverse_reads_the_lower_triangle() -> None:
    root = np.random.default_rng(0).normal(size=(5, 5))
    covariance = root @ root.T + np.eye(5)
    found, half = inverse(np.tril(covariance))
    assert found @ covariance == pytest.approx(np.eye(5), abs=1e-9)
    assert 2 * half == pytest.approx(np.linalg.slogdet(covariance)[1])
