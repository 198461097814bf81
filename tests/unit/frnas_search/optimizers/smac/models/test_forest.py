from __future__ import annotations

import warnings

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, UniformFloatHyperparameter
from sklearn.ensemble import ExtraTreesRegressor

from frnas_search.optimizers.smac.models.forest import RungForest
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import evidence_of

SPACE = ConfigurationSpace(seed=0)
SPACE.add(*(UniformFloatHyperparameter(f"x{number}", 0.0, 1.0) for number in range(4)))


def data(n: int, m: int) -> tuple[FloatArray, FloatArray]:
    """Inputs with their rung, and costs that rise with it; some values are inactive."""
    chance = np.random.default_rng(0)
    vectors = chance.random((n, 4))
    vectors[chance.random((n, 4)) < 0.2] = np.nan
    heights = chance.choice([0.0, 0.5, 1.0], n)
    costs = np.nan_to_num(vectors, nan=-1.0)[:, :1] * np.arange(1, m + 1) + heights[:, None]
    return np.column_stack([vectors, heights]), costs


def at(inputs: FloatArray, height: float) -> FloatArray:
    return np.column_stack([inputs[:, :-1], np.full(len(inputs), height)])


def trained(n: int = 40, m: int = 2, *, number: int | None = None, seed: int = 0) -> RungForest:
    inputs, costs = data(n, m)
    forest = RungForest(SPACE, n_trees=7, seed=seed)
    if number is not None:
        nothing = np.empty((0, 4))
        forest.inform(evidence_of(nothing, nothing, number=number))
    forest.train(inputs, costs)
    return forest


@pytest.mark.parametrize("m", [1, 2, 3])
def test_predictions_are_what_scikit_learns_trees_predict_of_standardised_costs(m: int) -> None:
    inputs, costs = data(40, m)
    forest = RungForest(SPACE, n_trees=7, max_features=0.8, min_leaf=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that one column should be flat
        forest.train(inputs, costs)
    reference = ExtraTreesRegressor(
        7, max_features=0.8, min_samples_leaf=2, random_state=forest._seed_of_training(40)
    )
    filled = np.where(np.isnan(inputs), -1.0, inputs)
    standardised = (costs - costs.mean(axis=0)) / costs.std(axis=0)
    reference.fit(filled, standardised if m > 1 else standardised[:, 0])
    asked = at(filled, 0.5)
    each = np.array([tree.predict(asked).reshape(40, m) for tree in reference.estimators_])
    means, variances = forest.predict(at(inputs, 0.5))
    assert variances is not None
    assert means == pytest.approx(each.mean(axis=0) * costs.std(axis=0) + costs.mean(axis=0))
    assert variances == pytest.approx(each.var(axis=0) * costs.std(axis=0) ** 2)


def test_what_was_learnt_is_known_again() -> None:
    inputs, costs = data(30, 2)
    forest = RungForest(SPACE)
    forest.train(inputs, costs)
    means, variances = forest.predict(inputs)
    assert means == pytest.approx(costs)
    assert variances == pytest.approx(np.zeros((30, 2)), abs=1e-9)


def test_the_unit_of_an_objective_changes_no_split() -> None:
    """Else the objective with the widest range would choose every split."""
    inputs, costs = data(60, 2)
    costs[:, 1] = np.nan_to_num(inputs[:, 1], nan=0.0)
    units = np.array([1.0, 1024.0])  # of which no product is rounded
    one, other = RungForest(SPACE), RungForest(SPACE)
    one.train(inputs, costs)
    other.train(inputs, costs * units)
    asked = at(inputs * 0.9, 1.0)
    (means, variances), (found, spread) = one.predict(asked), other.predict(asked)
    assert variances is not None
    assert found == pytest.approx(means * units)
    assert spread == pytest.approx(variances * units**2)


def test_the_rung_matters() -> None:
    forest, (inputs, _) = trained(60), data(60, 2)
    low, high = (forest.predict(at(inputs, height))[0].mean() for height in (0.0, 1.0))
    assert high > low + 0.5


def test_marginalised_is_at_the_highest_rung() -> None:
    forest, (inputs, _) = trained(), data(40, 2)
    means, variances = forest.predict_marginalized(inputs[:, :-1])
    expected, spread = forest.predict(at(inputs, 1.0))
    assert spread is not None
    assert np.array_equal(means, expected)
    assert np.array_equal(variances, np.maximum(spread, forest._var_threshold))
    assert (variances > 0).all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_predictions_have_smacs_shapes(m: int) -> None:
    forest, (inputs, _) = trained(m=m), data(40, m)
    means, variances = forest.predict(inputs[:9])
    alone, nothing = forest.predict(inputs[:9], None)
    _, deviations = forest.predict(inputs[:9], "std")
    assert means.shape == (9, m)
    assert nothing is None
    assert np.array_equal(alone, means)
    assert variances is not None
    assert deviations is not None
    assert deviations**2 == pytest.approx(variances)
    assert variances.shape == (9, m)
    for found in forest.predict_marginalized(inputs[:0, :-1]):
        assert found.shape == (0, m)


def test_training_again_forgets_and_the_seed_decides() -> None:
    inputs, costs = data(30, 2)
    again = RungForest(SPACE, n_trees=7)
    again.train(inputs[:5], costs[:5])
    again.train(inputs, costs)
    half = at(inputs * 0.9, 1.0)
    assert np.array_equal(again.predict(half)[0], trained(30).predict(half)[0])
    assert not np.array_equal(again.predict(half)[0], trained(30, seed=1).predict(half)[0])


def test_each_proposal_has_trees_of_its_own() -> None:
    half = at(data(30, 2)[0] * 0.9, 1.0)
    found = [trained(30, number=number).predict(half)[0] for number in (0, 1, 1)]
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])
    assert np.array_equal(found[0], trained(30).predict(half)[0])


def test_the_given_arrays_are_left_alone() -> None:
    inputs, costs = data(10, 2)
    before = inputs.copy(), costs.copy()
    forest = RungForest(SPACE, n_trees=2)
    forest.train(inputs, costs)
    forest.predict(inputs)
    assert np.array_equal(inputs, before[0], equal_nan=True)
    assert np.array_equal(costs, before[1])


def test_costs_that_are_all_equal_are_expected_everywhere() -> None:
    inputs, _ = data(12, 2)
    forest = RungForest(SPACE, n_trees=3)
    forest.train(inputs, np.full((12, 2), 0.25))
    means, variances = forest.predict(at(inputs * 0.5, 1.0))
    assert means == pytest.approx(np.full((12, 2), 0.25))
    assert variances == pytest.approx(np.zeros((12, 2)))


def test_a_flat_column_of_costs_is_one_objective() -> None:
    inputs, costs = data(12, 1)
    one, other = RungForest(SPACE, n_trees=3), RungForest(SPACE, n_trees=3)
    one.train(inputs, costs)
    other.train(inputs, costs[:, 0])
    assert np.array_equal(one.predict(inputs)[0], other.predict(inputs)[0])


def test_with_very_many_costs_each_tree_learns_from_a_sample_of_its_own() -> None:
    inputs, costs = data(9000, 2)
    one, again = (RungForest(SPACE, n_trees=4) for _ in range(2))
    for forest in (one, again):
        forest.train(inputs, costs)
    asked = inputs[:500]
    assert np.array_equal(one.predict(asked)[0], again.predict(asked)[0])
    filled = np.nan_to_num(asked, nan=-1.0).astype(np.float32)
    each = np.array([tree.predict(filled).reshape(-1, 2) for tree in one._trees])
    # A third of the costs is in a sample of 4,000 draws; the rest is only close.
    is_known = np.isclose(each * one._deviation + one._mean, costs[:500])
    assert 0.2 < is_known[..., 0].mean() < 0.6
    assert np.abs(one.predict(asked)[0] - costs[:500]).mean() < 0.05
