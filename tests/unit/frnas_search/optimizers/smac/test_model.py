from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from frnas_search.optimizers.smac.model import Forest
from results.pareto import FloatArray


def data(n: int, m: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    chance = np.random.default_rng(0)
    vectors = chance.random((n, 4))
    vectors[chance.random((n, 4)) < 0.2] = np.nan
    fidelities = chance.choice([0.0, 0.5, 1.0], n)
    costs = np.nan_to_num(vectors, nan=-1.0)[:, :1] * np.arange(1, m + 1) + fidelities[:, None]
    return vectors, fidelities, costs


@pytest.mark.parametrize("m", [1, 2, 3])
def test_predictions_are_what_scikit_learns_trees_predict(m: int) -> None:
    vectors, fidelities, costs = data(40, m)
    forest = Forest(n_trees=7, max_features=0.8, min_leaf=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that one column should be flat
        forest.train(vectors, fidelities, costs, seed=3)
    reference = ExtraTreesRegressor(7, max_features=0.8, min_samples_leaf=2, random_state=3)
    inputs = np.column_stack([np.where(np.isnan(vectors), -1.0, vectors), fidelities])
    reference.fit(inputs, costs if m > 1 else costs[:, 0])
    asked = np.column_stack([inputs[:, :-1], np.full(40, 0.5)])
    expected = [tree.predict(asked).reshape(40, m) for tree in reference.estimators_]
    found = forest.predict_per_tree(vectors, 0.5)
    assert found.shape == (7, 40, m)
    assert np.array_equal(found, np.array(expected))


def test_what_was_learnt_is_known_again() -> None:
    vectors, _heights, costs = data(30, 2)
    forest = Forest()
    forest.train(vectors, np.ones(30), costs, seed=0)
    assert forest.predict_per_tree(vectors).mean(axis=0) == pytest.approx(costs)


def test_the_rung_matters() -> None:
    vectors, fidelities, costs = data(60, 2)
    forest = Forest()
    forest.train(vectors, fidelities, costs, seed=0)
    low, high = (forest.predict_per_tree(vectors, fidelity).mean() for fidelity in (0.0, 1.0))
    assert high > low + 0.5


def test_training_again_forgets_and_the_seed_decides() -> None:
    vectors, fidelities, costs = data(30, 2)
    one, again, other = Forest(), Forest(), Forest()
    again.train(vectors[:5], fidelities[:5], costs[:5], seed=9)
    for forest, seed in ((one, 0), (again, 0), (other, 1)):
        forest.train(vectors, fidelities, costs, seed=seed)
    half = vectors * 0.9
    assert np.array_equal(one.predict_per_tree(half), again.predict_per_tree(half))
    assert not np.array_equal(one.predict_per_tree(half), other.predict_per_tree(half))


def test_the_given_vectors_are_left_alone() -> None:
    vectors, fidelities, costs = data(10, 2)
    before = vectors.copy()
    forest = Forest(n_trees=2)
    forest.train(vectors, fidelities, costs, seed=0)
    forest.predict_per_tree(vectors)
    assert np.array_equal(vectors, before, equal_nan=True)


def test_with_very_many_costs_each_tree_learns_from_a_sample_of_its_own() -> None:
    vectors, fidelities, costs = data(9000, 2)
    one, again = Forest(n_trees=4), Forest(n_trees=4)
    for forest in (one, again):
        forest.train(vectors, fidelities, costs, seed=0)
    asked = vectors[:500]
    predictions = one.predict_per_tree(asked)
    assert np.array_equal(predictions, again.predict_per_tree(asked))
    # A third of the costs is in a sample of 4,000 draws; the rest is only close.
    is_known = np.isclose(predictions[..., 0], (costs - fidelities[:, None] + 1.0)[:500, 0])
    assert 0.2 < is_known.mean() < 0.6
    assert (
        np.abs(predictions.mean(axis=0) - (costs - fidelities[:, None] + 1.0)[:500]).mean() < 0.05
    )
