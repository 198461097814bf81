from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    UniformFloatHyperparameter,
)

from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.handover import (
    FewThenMany,
    RungProcess,
    _log_likelihood,
)
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import evidence_of

SPACE = ConfigurationSpace(seed=0)
SPACE.add(
    *(UniformFloatHyperparameter(f"x{number}", 0.0, 1.0) for number in range(3)),
    CategoricalHyperparameter("c", ["a", "b", "c"]),
)

Data = tuple[FloatArray, FloatArray]


def inputs_of(n: int) -> FloatArray:
    chance = np.random.default_rng(0)
    inputs = chance.random((n, 5))
    inputs[:, list(SPACE).index("c")] = chance.integers(0, 3, n)
    inputs[:, -1] = chance.choice([0.0, 0.5, 1.0], n)
    return inputs


def smooth(n: int) -> Data:
    """A bowl and a plane without noise."""
    inputs = inputs_of(n)
    x = inputs[:, [list(SPACE).index(f"x{number}") for number in range(3)]]
    bowl = ((x - 0.4) ** 2).sum(axis=1)
    return inputs, np.column_stack([bowl, x[:, 0] + 0.5 * x[:, 1] + 0.1 * inputs[:, -1]])


def stepped(n: int) -> Data:
    """Steps in a number, one of them beside another, and a few results that are far off."""
    inputs = inputs_of(n)
    chance = np.random.default_rng(1)
    x = inputs[:, list(SPACE).index("x0")]
    steps = np.where(x < 0.31, 0.0, np.where(x < 0.34, 9.0, np.where(x < 0.7, 1.0, 4.0)))
    spikes = 30.0 * (chance.random(n) < 0.04)
    return inputs, np.column_stack([steps + spikes, 5.0 * (x > 0.5) + spikes])


def trained(data: Data, n: int | None = None, *, seed: int = 0) -> FewThenMany:
    model = FewThenMany(SPACE, n_trees=10, seed=seed)
    model.train(data[0][:n], data[1][:n])
    return model


@pytest.mark.parametrize("make", [smooth, stepped])
@pytest.mark.parametrize("n", [3, 59])
def test_few_results_are_the_processs(make: object, n: int) -> None:
    assert trained(make(n)).is_smooth  # type: ignore[operator]


def test_many_results_are_the_forests_however_smooth() -> None:
    assert not trained(smooth(401)).is_smooth


def test_between_it_is_the_one_that_told_better_what_came_in() -> None:
    assert trained(smooth(80)).is_smooth
    assert not trained(stepped(80)).is_smooth


@pytest.mark.parametrize(("make", "is_smooth"), [(smooth, True), (stepped, False)])
def test_predictions_are_those_of_the_chosen_one(make: object, is_smooth: bool) -> None:
    inputs, costs = make(80)  # type: ignore[operator]
    alone = RungProcess(SPACE) if is_smooth else RungForest(SPACE, n_trees=10)
    alone.train(inputs, costs)
    model = trained((inputs, costs))
    for one, other in zip(model.predict(inputs), alone.predict(inputs), strict=True):
        assert np.array_equal(one, other)
    assert model.predict(inputs, None)[1] is None
    means, variances = model.predict_marginalized(inputs[:, :-1])
    assert means.shape == variances.shape == (80, 2)


def test_the_same_results_give_the_same_model_whatever_it_learnt_before() -> None:
    used, fresh = trained(smooth(70)), FewThenMany(SPACE, n_trees=10)
    inputs, costs = stepped(90)
    for model in (used, fresh):
        model.train(inputs, costs)
    assert used.is_smooth == fresh.is_smooth
    for one, other in zip(used.predict(inputs), fresh.predict(inputs), strict=True):
        assert np.array_equal(one, other)


def test_the_seed_and_the_proposals_number_reach_the_forest() -> None:
    data = stepped(80)
    asked = data[0] * 0.97
    asked[:, list(SPACE).index("c")] = data[0][:, list(SPACE).index("c")]
    found = [trained(data, seed=seed).predict(asked)[0] for seed in (0, 0, 1)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    model = FewThenMany(SPACE, n_trees=10)
    nothing = np.empty((0, 4))
    model.inform(evidence_of(nothing, nothing, number=7))
    model.train(*data)
    assert not np.array_equal(model.predict(asked)[0], found[0])


class _Counted(FewThenMany):
    """Counts the models that it makes; two for each judgement and one for each training."""

    n_made = 0

    def _smooth(self) -> RungProcess:
        self.n_made += 1
        return RungProcess(self._configspace, seed=self._seed)

    def _forest(self) -> RungForest:
        self.n_made += 1
        return RungForest(self._configspace, n_trees=3, seed=self._seed)


def test_it_judges_at_multiples_of_twenty_results() -> None:
    model, (inputs, costs) = _Counted(SPACE), stepped(110)
    found = []
    for n in range(55, 105):
        before = model.n_made
        model.train(inputs[:n], costs[:n])
        if model.n_made - before == 3:
            found.append(n)
    assert found == [60, 80, 100]


def test_between_two_judgements_the_choice_stays_whatever_comes_in() -> None:
    inputs, costs = stepped(80)
    better = costs.copy()
    better[60:] = 0.0
    assert trained((inputs, costs), 79).is_smooth == trained((inputs, better), 79).is_smooth


def test_one_that_begins_in_the_middle_judges_as_one_that_saw_all() -> None:
    model, (inputs, costs) = FewThenMany(SPACE, n_trees=10), stepped(99)
    for n in range(58, 100, 7):
        model.train(inputs[:n], costs[:n])
        assert trained((inputs, costs), n).is_smooth == model.is_smooth


class _Sure(RungForest):
    """Says the same of every configuration."""

    said = 0.0, 1.0

    def _train(self, X: FloatArray, Y: FloatArray) -> _Sure:  # noqa: N803 - SMAC's names
        self.n_trained = len(X)
        return self

    def _predict(
        self,
        X: FloatArray,  # noqa: N803 - SMAC's name
        covariance_type: str | None = "diagonal",
    ) -> tuple[FloatArray, FloatArray | None]:
        mean, variance = self.said
        return np.full((len(X), 1), mean), np.full((len(X), 1), variance)


def test_a_model_is_judged_by_the_last_fifth_under_its_likeliest_noise() -> None:
    inputs = inputs_of(50)
    costs = np.random.default_rng(3).normal(size=(50, 1))
    model = _Sure(SPACE)
    scale, last = costs.std(), costs[40:, 0] / costs.std()

    def likeliest(mean: float, variance: float) -> float:
        noises = np.geomspace(1e-3, 1.0, 13)
        spreads = variance / scale**2 + noises**2
        logs = -0.5 * (
            (last - mean / scale) ** 2 / spreads[:, None] + np.log(2 * np.pi * spreads[:, None])
        )
        return float(logs.sum(axis=1).max())

    for said in ((0.0, 1.0), (0.5, 0.01), (0.0, 1e-6)):
        model.said = said
        assert _log_likelihood(model, inputs, costs) == pytest.approx(likeliest(*said))
    assert model.n_trained == 40


def test_the_process_predicts_each_rung_by_itself() -> None:
    inputs, costs = smooth(40)
    model = RungProcess(SPACE)
    model.train(inputs, costs)
    means, variances = model.predict(inputs)
    _, deviations = model.predict(inputs, "std")
    assert variances is not None
    assert deviations is not None
    assert deviations**2 == pytest.approx(variances)
    assert model.predict(inputs, None)[1] is None
    for row in range(0, 40, 7):
        mean, variance = model.predict(inputs[row : row + 1])
        assert variance is not None
        assert mean[0] == pytest.approx(means[row])
        assert variance[0] == pytest.approx(variances[row], abs=1e-9)
    assert np.abs(means - costs).max() < 0.05
    assert model.predict(inputs[:0])[0].shape == (0, 2)
