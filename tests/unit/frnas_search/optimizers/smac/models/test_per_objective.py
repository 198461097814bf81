from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
    UniformFloatHyperparameter,
)
from smac.model.gaussian_process import GaussianProcess
from smac.model.random_forest import RandomForest

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.models.per_objective import (
    PerObjective,
    smac_forest,
    smac_process,
)
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import evidence_of

Make = Callable[..., PerObjective]

MODELS = [smac_forest, smac_process]


def space_of(*, has_choice: bool = True) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    x, y = (UniformFloatHyperparameter(name, 0.0, 1.0) for name in ("x", "y"))
    space.add(x, y)
    if has_choice:
        kind = CategoricalHyperparameter("kind", ["a", "b"], default_value="a")
        space.add(kind, EqualsCondition(y, kind, "a"))
    return space


SPACE = space_of()


def data(n: int, m: int, space: ConfigurationSpace = SPACE) -> tuple[FloatArray, FloatArray]:
    chance = np.random.default_rng(0)
    vectors = VectorSpace(space).draw(n, chance)
    heights = chance.choice([0.0, 1.0], n)
    x = vectors[:, list(space).index("x")]
    costs = x[:, None] * np.arange(1, m + 1) + 0.5 * heights[:, None]
    return np.column_stack([vectors, heights]), costs


@functools.cache
def trained(make: Make, m: int) -> PerObjective:
    """SMAC's process takes seconds to train."""
    model = make(SPACE)
    model.train(*data(10, m))
    return model


@pytest.mark.parametrize(
    ("make", "m", "kind"),
    [(smac_forest, m, RandomForest) for m in (1, 2, 3)]
    + [(smac_process, m, GaussianProcess) for m in (1, 2)],
)
def test_each_objective_has_a_model_of_smacs(make: Make, m: int, kind: type) -> None:
    model, (inputs, _) = trained(make, m), data(10, m)
    assert [type(each) for each in model._models] == [kind] * m
    means, variances = model.predict(inputs[:5])
    assert variances is not None
    assert means.shape == variances.shape == (5, m)
    assert np.isfinite(means).all()
    assert (variances >= 0).all()
    alone, nothing = model.predict(inputs[:5], None)
    assert nothing is None
    assert np.array_equal(alone, means)
    deviations = model.predict(inputs[:5], "std")[1]
    assert deviations == pytest.approx(np.sqrt(variances))


@pytest.mark.parametrize("make", MODELS)
def test_they_learn_the_costs_and_the_rung(make: Make) -> None:
    model, (inputs, costs) = trained(make, 2), data(10, 2)
    means, _ = model.predict(inputs)
    assert np.corrcoef(means[:, 0], costs[:, 0])[0, 1] > 0.9
    low, high = (
        model.predict(np.column_stack([inputs[:, :-1], np.full(10, height)]))[0].mean()
        for height in (0.0, 1.0)
    )
    assert high > low + 0.1


@pytest.mark.parametrize("make", MODELS)
def test_marginalised_is_at_the_highest_rung(make: Make) -> None:
    model, (inputs, _) = trained(make, 2), data(10, 2)
    means, variances = model.predict_marginalized(inputs[:, :-1])
    expected, _ = model.predict(np.column_stack([inputs[:, :-1], np.ones(10)]))
    assert np.array_equal(means, expected)
    assert (variances > 0).all()


@pytest.mark.parametrize("make", MODELS)
def test_what_was_asked_and_learnt_before_changes_nothing(make: Make) -> None:
    inputs, costs = data(10, 1)
    used, fresh = make(SPACE), trained(make, 1)
    used.train(inputs[:4], costs[:4])
    used.predict(inputs)
    used.train(inputs, costs)
    used.predict(inputs[::-1])
    for one, other in zip(used.predict(inputs), fresh.predict(inputs), strict=True):
        assert np.array_equal(one, other)
    backwards = fresh.predict(inputs[::-1])[0][::-1]
    assert backwards == pytest.approx(used.predict(inputs)[0])


def test_the_seed_and_the_number_of_the_proposal_decide() -> None:
    inputs, costs = data(20, 2)
    found, nothing = [], np.empty((0, 3))
    for seed, number in ((0, 0), (0, 0), (1, 0), (0, 1)):
        model = smac_forest(SPACE, seed=seed)
        model.inform(evidence_of(nothing, nothing, number=number))
        model.train(inputs, costs)
        found.append(model.predict(inputs)[0])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[3])


@pytest.mark.parametrize("make", MODELS)
def test_a_space_without_choices_is_fine(make: Make) -> None:
    space = space_of(has_choice=False)
    inputs, costs = data(6, 1, space)
    model = make(space)
    model.train(inputs, costs)
    assert model.predict(inputs)[0].shape == (6, 1)
