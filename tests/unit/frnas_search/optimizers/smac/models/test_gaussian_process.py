from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from frnas_search.optimizers.smac.models.gaussian_process import (
    GaussianProcess,
    Process,
    most_telling,
)
from frnas_search.optimizers.smac.models.kernels import inputs_of
from frnas_search.optimizers.smac.models.marginal_likelihood import Hyperparameters
from results.pareto import FloatArray

# Two numbers, a choice of three, a number that may be inactive, a constant.
N_CHOICES = np.array([0, 0, 3, 0, 1])


def draws(n: int, seed: int = 0) -> FloatArray:
    chance = np.random.default_rng(seed)
    vectors = chance.random((n, 5))
    vectors[:, 2] = chance.integers(0, 3, n)
    vectors[:, 4] = 1.0
    vectors[vectors[:, 2] == 0, 3] = np.nan
    return vectors


def smooth(vectors: FloatArray, fidelities: FloatArray | float = 1.0) -> FloatArray:
    a, b, c, d, _ = np.nan_to_num(vectors, nan=0.2).T
    first = np.sin(3 * a) + b**2 + 0.5 * (c == 1) - 0.5 * np.asarray(fidelities)
    return np.column_stack([first, a * b + d - 0.2 * c])


def trained(n: int, seed: int = 0) -> tuple[GaussianProcess, FloatArray, FloatArray]:
    vectors = draws(n, seed)
    costs = smooth(vectors)
    process = GaussianProcess(N_CHOICES)
    process.train(vectors, np.ones(n), costs)
    return process, vectors, costs


def given(n: int) -> tuple[Process, FloatArray, FloatArray, FloatArray]:
    """With fixed lengths and noise; besides, points of numbers and a fidelity, and targets."""
    points = np.random.default_rng(0).random((n, 3))
    targets = np.sin(4 * points[:, 0]) - points[:, 1] * points[:, 2]
    targets -= targets.mean()
    lengths = np.array([0.4, 0.9, 1.7])
    inputs = inputs_of(points[:, :2], points[:, 2], np.zeros(2, np.int64))
    return Process.given(inputs, targets, Hyperparameters(lengths, 0.05)), points, targets, lengths


def test_the_posterior_is_that_of_scikit_learn() -> None:
    process, points, targets, lengths = given(20)
    kernel = ConstantKernel(process.variance) * Matern(lengths, nu=2.5)
    reference = GaussianProcessRegressor(kernel, alpha=0.05 * process.variance, optimizer=None)
    asked = np.random.default_rng(1).random((9, 3))
    means, deviations = reference.fit(points, targets).predict(asked, return_std=True)
    found = process.predict(inputs_of(asked[:, :2], asked[:, 2], np.zeros(2, np.int64)))
    assert found[0] == pytest.approx(means, abs=1e-8)
    assert found[1] == pytest.approx(deviations**2, abs=1e-8)


def test_what_was_learnt_is_known_again_and_certain() -> None:
    process, vectors, costs = trained(60)
    means, variances = process.predict(vectors)
    assert means == pytest.approx(costs, abs=0.05)
    assert np.sqrt(variances).max() < 0.1


def test_smooth_costs_are_foreseen_with_an_honest_doubt() -> None:
    process, _vectors, learnt = trained(60)
    asked = draws(300, seed=1)
    costs = smooth(asked)
    means, variances = process.predict(asked)
    assert np.all(np.abs(means - costs).mean(axis=0) < 0.3 * learnt.std(axis=0))
    assert 0.1 < np.abs((means - costs) / np.sqrt(variances)).mean() < 1.2


def test_nothing_is_known_far_away() -> None:
    process = GaussianProcess(np.zeros(1, np.int64))
    process.train(np.linspace(0, 0.1, 8)[:, None], np.ones(8), np.linspace(0, 1, 8)[:, None] ** 2)
    _, variances = process.predict(np.array([[0.05], [1.0]]))
    assert variances[1] > 100 * variances[0]


def test_the_fidelity_matters() -> None:
    vectors, fidelities = draws(60), np.tile([0.0, 0.5, 1.0], 20)
    process = GaussianProcess(N_CHOICES)
    process.train(vectors, fidelities, smooth(vectors, fidelities))
    asked = draws(50, seed=1)
    low, high = (process.predict(asked, fidelity)[0][:, 0].mean() for fidelity in (0.0, 1.0))
    assert low - high == pytest.approx(0.5, abs=0.1)


def test_how_choices_are_numbered_does_not_matter() -> None:
    process, vectors, costs = trained(40)
    asked = draws(20, seed=1)
    renamed = GaussianProcess(N_CHOICES)
    names = np.array([2.0, 0.0, 1.0])
    renamed.train(_with_names(vectors, names), np.ones(40), costs)
    expected, found = process.predict(asked), renamed.predict(_with_names(asked, names))
    assert found[0] == pytest.approx(expected[0], abs=1e-4)
    assert found[1] == pytest.approx(expected[1], rel=1e-2, abs=1e-6)


def _with_names(vectors: FloatArray, names: FloatArray) -> FloatArray:
    renamed = vectors.copy()
    renamed[:, 2] = names[vectors[:, 2].astype(int)]
    return renamed


def test_costs_in_other_units_are_predicted_in_those() -> None:
    process, vectors, costs = trained(40)
    other = GaussianProcess(N_CHOICES)
    scale, shift = np.array([8.0, 0.25]), np.array([-4.0, 16.0])
    other.train(vectors, np.ones(40), costs * scale + shift)
    expected, found = process.predict(vectors), other.predict(vectors)
    assert found[0] == pytest.approx(expected[0] * scale + shift, rel=1e-4)
    assert found[1] == pytest.approx(expected[1] * scale**2, rel=1e-2)


def test_one_objective_does_not_depend_on_another() -> None:
    process, vectors, costs = trained(30)
    alone = GaussianProcess(N_CHOICES)
    alone.train(vectors, np.ones(30), costs[:, 1:])
    assert np.array_equal(alone.predict(vectors)[0], process.predict(vectors)[0][:, 1:])


def test_what_is_always_inactive_does_not_matter() -> None:
    vectors, costs = draws(30), smooth(draws(30))
    vectors[:, 3] = np.nan
    numbers, choices = GaussianProcess(N_CHOICES), GaussianProcess(np.array([0, 0, 3, 7, 1]))
    for process in (numbers, choices):
        process.train(vectors, np.ones(30), costs)
    assert numbers.predict(vectors)[0] == pytest.approx(choices.predict(vectors)[0], abs=1e-4)


def test_training_again_forgets_and_nothing_is_drawn() -> None:
    process, vectors, costs = trained(30)
    again = GaussianProcess(N_CHOICES)
    again.train(vectors[:5], np.zeros(5), costs[:5])
    again.train(vectors, np.ones(30), costs)
    for one, other in zip(process.predict(vectors), again.predict(vectors), strict=True):
        assert np.array_equal(one, other)


def test_the_given_arrays_are_left_alone() -> None:
    vectors, fidelities, costs = draws(10), np.ones(10), smooth(draws(10))
    costs[0] = 1e4
    before = vectors.copy(), fidelities.copy(), costs.copy()
    process = GaussianProcess(N_CHOICES)
    process.train(vectors, fidelities, costs)
    process.predict(vectors)
    for one, other in zip(before, (vectors, fidelities, costs), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("n", [1, 2, 20])
def test_equal_costs_are_predicted_everywhere(n: int) -> None:
    process = GaussianProcess(N_CHOICES)
    process.train(draws(n), np.ones(n), np.tile([0.1, 7.0], (n, 1)))
    means, variances = process.predict(draws(8, seed=1))
    assert means == pytest.approx(np.tile([0.1, 7.0], (8, 1)))
    assert np.all((variances > 0) & (variances < 1e-12))


def test_the_same_configuration_with_other_costs_is_predicted_between() -> None:
    vectors = np.repeat(draws(5), 8, axis=0)
    costs = smooth(vectors) + np.tile([-0.1, 0.1], 20)[:, None]
    process = GaussianProcess(N_CHOICES)
    process.train(vectors, np.ones(40), costs)
    means, variances = process.predict(vectors)
    assert means == pytest.approx(smooth(vectors), abs=0.15)
    assert np.isfinite(variances).all()


def test_nothing_but_inactive_inputs_is_no_obstacle() -> None:
    process = GaussianProcess(N_CHOICES)
    costs = np.random.default_rng(0).random((15, 2))
    process.train(np.full((15, 5), np.nan), np.ones(15), costs)
    means, _variances = process.predict(np.full((1, 5), np.nan))
    assert means[0] == pytest.approx(costs.mean(axis=0), abs=0.1)


def test_a_few_huge_costs_do_not_drown_the_others() -> None:
    process, vectors, costs = trained(60)
    expected, _ = process.predict(draws(100, seed=1))
    ruined = costs.copy()
    ruined[[3, 30]] = 1e4
    process.train(vectors, np.ones(60), ruined)
    means, _ = process.predict(draws(100, seed=1))
    spread = costs.std(axis=0)
    assert np.all(np.median(np.abs(means - expected), axis=0) < 0.5 * spread)


def test_high_fidelities_are_the_most_telling_then_the_latest() -> None:
    fidelities = np.array([1.0, 0.0, 0.5, 0.5, 0.0, 1.0])
    kept = [list(most_telling(fidelities, most)) for most in (6, 3, 2, 1)]
    assert kept == [[0, 1, 2, 3, 4, 5], [0, 3, 5], [0, 5], [5]]


def test_of_very_many_costs_the_most_telling_are_learnt() -> None:
    vectors = draws(450)
    fidelities = np.where(np.arange(450) < 60, 0.0, 1.0)
    costs = smooth(vectors)
    process, reference = GaussianProcess(N_CHOICES), GaussianProcess(N_CHOICES)
    process.train(vectors, fidelities, costs)
    reference.train(vectors[50:], fidelities[50:], costs[50:])
    assert np.array_equal(process.predict(vectors[:9])[0], reference.predict(vectors[:9])[0])
