from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace, NormalFloatHyperparameter
from ConfigSpace import UniformFloatHyperparameter as Uniform
from scipy import stats
from smac.acquisition.function import EI
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction

from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.smac.acquisition import REFERENCE, scale_of
from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    NoisyHypervolumeImprovement,
    PriorWeighted,
    WithinLimits,
    prior_weight,
)
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates
from frnas_search.optimizers.smac.evidence import Evidence, Informed
from frnas_search.optimizers.smac.parts import Setting, acquisition_function_of
from results.hypervolume import hypervolume
from results.pareto import FloatArray, non_dominated
from tests.unit.frnas_search.optimizers.smac.conftest import evidence_of, scenario_of

SHARE = 0.02
"""Of the front's extent, that is added to what the model says it does not know."""


@dataclass
class Identity:
    """A model of a space whose vectors are their own costs, known up to a deviation."""

    deviation: float = 0.1

    def predict_marginalized(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        return vectors.copy(), np.full(vectors.shape, self.deviation**2)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def points(n: int, m: int, seed: int = 0) -> FloatArray:
    return generator(seed).random((n, m))


def updated(
    function: AbstractAcquisitionFunction,
    evidence: Evidence | None,
    model: Any = None,
    vectors: FloatArray | None = None,
) -> AbstractAcquisitionFunction:
    """As our selector does it; without evidence as SMAC's."""
    if evidence is not None and isinstance(function, Informed):
        function.inform(evidence)
    if vectors is None:
        assert evidence is not None
        vectors = evidence.vectors
    function.update(
        model=model or Identity(), X=vectors, num_data=len(vectors), eta=0.5, incumbent_array=None
    )
    return function


def values(function: AbstractAcquisitionFunction, vectors: FloatArray) -> FloatArray:
    found = function._compute(vectors)
    assert found.shape == (len(vectors), 1)
    return np.asarray(found[:, 0])


def known(n: int = 12, m: int = 2, **options: Any) -> Evidence:
    vectors = points(n, m, seed=1)
    return evidence_of(vectors, vectors.copy(), **options)


def gain(front: FloatArray, point: FloatArray) -> float:
    reference = np.full(front.shape[1], REFERENCE)
    return hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)


def test_with_two_objectives_it_is_what_monte_carlo_finds() -> None:
    evidence, asked = known(), points(5, 2, seed=2) * 0.7
    found = values(updated(HypervolumeImprovement(), evidence), asked)
    scale = scale_of(evidence.measured)
    front = scale.scaled(evidence.measured[non_dominated(evidence.measured)])
    for mean, value in zip(scale.scaled(asked), found, strict=True):
        drawn = generator(3).normal(mean, 0.1 / scale.span + SHARE, (800, 2))
        gains = np.array([gain(front, each) for each in drawn])
        assert value == pytest.approx(gains.mean(), abs=4.5 * gains.std() / math.sqrt(800) + 1e-4)


def test_with_one_objective_it_is_the_expected_improvement_of_the_best() -> None:
    evidence, asked = known(m=1), points(6, 1, seed=2)
    found = values(updated(HypervolumeImprovement(), evidence), asked)
    scale = scale_of(evidence.measured)
    for mean, value in zip(scale.scaled(asked)[:, 0], found, strict=True):
        drawn = generator(4).normal(mean, 0.1 / scale.span[0] + SHARE, 100_000)
        assert value == pytest.approx(np.maximum(0.0, -drawn).mean(), abs=0.02)


def test_with_three_objectives_it_ranks_as_the_gain_does() -> None:
    evidence, asked = known(m=3), points(60, 3, seed=2)
    found = values(updated(HypervolumeImprovement(), evidence, Identity(1e-9)), asked)
    scale = scale_of(evidence.measured)
    front = scale.scaled(evidence.measured[non_dominated(evidence.measured)])
    exact = [gain(front, each) for each in scale.scaled(asked)]
    assert stats.spearmanr(found, exact).statistic > 0.85


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_same_evidence_gives_the_same_values_whatever_was_asked_before(
    kind: type[HypervolumeImprovement], m: int
) -> None:
    evidence, asked = known(m=m), points(9, m, seed=2)
    fresh, used = kind(seed=3), kind(seed=3)
    updated(used, known(7, m=m))._compute(asked)
    first = values(updated(used, evidence), asked)
    assert first.tolist() == values(used, asked).tolist()
    assert first.tolist() == values(updated(fresh, evidence), asked).tolist()
    assert np.isfinite(first).all()
    assert (first >= 0).all()


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
def test_what_is_drawn_depends_on_the_seed_and_the_proposals_number(
    kind: type[HypervolumeImprovement],
) -> None:
    asked = points(9, 3, seed=2)
    found = {
        tuple(values(updated(kind(seed=seed), known(m=3, number=number)), asked).tolist())
        for seed in (0, 1)
        for number in (5, 6)
    }
    assert len(found) == 4


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_it_works_before_anything_reached_the_highest_rung(
    kind: type[HypervolumeImprovement], m: int
) -> None:
    vectors = points(8, m, seed=1)
    nothing = np.full((8, m), np.nan)
    for evidence in (
        evidence_of(vectors, nothing),
        evidence_of(vectors, nothing, pending=points(2, m)),
        evidence_of(vectors, np.vstack([vectors[:1], nothing[1:]])),
    ):
        better, worse = values(
            updated(kind(), evidence), np.vstack([np.zeros((1, m)), np.ones((1, m))])
        )
        assert better > worse >= 0


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("fantasises", [True, False])
def test_it_works_when_all_that_is_known_comes_from_other_searches(
    kind: type[HypervolumeImprovement], fantasises: bool
) -> None:
    nothing, others = np.empty((0, 2)), points(9, 2, seed=1)
    for pending in (None, points(2, 2)):
        evidence = evidence_of(nothing, nothing, pending=pending)
        function = updated(kind(fantasises=fantasises), evidence, vectors=others)
        better, worse = values(function, np.array([[0.0, 0.0], [1.0, 1.0]]))
        assert better > worse >= 0


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_trials_in_flight_keep_others_away_from_them(
    kind: type[HypervolumeImprovement], m: int
) -> None:
    best = np.full((1, m), -0.3)
    alone, beside = known(m=m), known(m=m, pending=best)
    free = values(updated(kind(), alone), best)[0]
    assert values(updated(kind(), beside), best)[0] < 0.7 * free
    careless = kind(fantasises=False)
    assert values(updated(careless, beside), best)[0] == pytest.approx(free)


@pytest.mark.parametrize("m", [1, 2])
def test_with_nothing_uncertain_the_noisy_one_is_the_plain_one(m: int) -> None:
    asked, model = points(20, m, seed=2), Identity(1e-9)
    for evidence in (known(m=m), known(m=m, pending=points(2, m, seed=5) / 4)):
        plain = values(updated(HypervolumeImprovement(), evidence, model), asked)
        noisy = values(updated(NoisyHypervolumeImprovement(), evidence, model), asked)
        assert noisy.tolist() == pytest.approx(plain.tolist(), abs=1e-6)


def test_a_lucky_result_asks_for_less_when_results_are_noisy() -> None:
    vectors = points(12, 1, seed=1) + 0.4
    measured = vectors.copy()
    measured[3] = 0.0  # which the model takes for luck
    evidence, asked = evidence_of(vectors, measured), np.array([[0.3]])
    plain = values(updated(HypervolumeImprovement(), evidence, Identity(0.05)), asked)
    noisy = values(updated(NoisyHypervolumeImprovement(), evidence, Identity(0.05)), asked)
    assert noisy[0] > 2 * plain[0]


def test_the_noisy_one_is_the_mean_over_possible_fronts() -> None:
    evidence, asked = known(), points(7, 2, seed=2)
    function = NoisyHypervolumeImprovement(seed=5)
    updated(function, evidence)
    means, deviations = function._scale.scaled(asked), 0.1 / function._scale.span + SHARE
    each = [
        function._gains(means, np.tile(deviations, (7, 1)), front) for front in function._fronts
    ]
    assert len(each) == 8
    assert len({tuple(gains) for gains in each}) == 8
    assert values(function, asked).tolist() == pytest.approx(np.mean(each, axis=0).tolist())


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_uninformed_as_under_smacs_own_selector_the_front_is_what_the_model_expects(
    kind: type[HypervolumeImprovement], m: int
) -> None:
    vectors, asked = points(12, m, seed=1), points(9, m, seed=2)
    alone = values(updated(kind(), None, vectors=vectors), asked)
    told = values(updated(kind(), evidence_of(vectors, vectors)), asked)
    assert alone.tolist() == pytest.approx(told.tolist())


def space_of(m: int) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add(*(Uniform(f"x{number}", 0.0, 1.0) for number in range(m)))
    return space


@dataclass
class Counter:
    """A function of nothing that keeps what it is told."""

    value: float = 2.0
    evidence: Evidence | None = None
    model: Any = None
    name: str = "Counter"

    @property
    def meta(self) -> dict[str, Any]:
        return {"name": self.name}

    def inform(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def update(self, model: Any, **kwargs: Any) -> None:
        self.model = model

    def _compute(self, vectors: FloatArray) -> FloatArray:
        return np.full((len(vectors), 1), self.value)


@pytest.mark.parametrize("limits", [(0.4, 0.6), (0.4, math.inf), (math.inf, math.inf)])
def test_a_value_within_limits_is_times_the_probability_that_all_are_kept(
    limits: tuple[float, float],
) -> None:
    function = updated(WithinLimits(Counter(), np.array(limits)), known())
    asked = points(6, 2, seed=2)
    for mean, value in zip(asked, values(function, asked), strict=True):
        drawn = generator(5).normal(mean, 0.1, (20_000, 2))
        share = (drawn <= np.array(limits)).all(axis=1).mean()
        assert value / 2.0 == pytest.approx(share, abs=0.015)


def test_where_there_is_nothing_to_gain_what_keeps_the_limits_is_still_better() -> None:
    function = updated(WithinLimits(Counter(0.0), np.array([0.4, 0.4])), known())
    near, far = values(function, np.array([[0.41, 0.2], [0.6, 0.6]]))
    assert near > far > 0


def test_what_is_beyond_a_limit_is_nothing_to_improve_on() -> None:
    vectors = np.array([[0.1, 0.9], [0.3, 0.3], [0.9, 0.1], [0.2, 0.2], [0.1, 0.6]])
    measured = vectors.copy()
    measured[3:] = np.nan
    evidence = evidence_of(vectors, measured, number=7, pending=np.array([[0.4, 0.6], [0.4, 0.5]]))
    inner = Counter()
    updated(WithinLimits(inner, np.array([math.inf, 0.5])), evidence)
    told = inner.evidence
    assert told is not None
    assert told.top_costs.tolist() == [[0.3, 0.3], [0.9, 0.1]]
    assert told.vectors.tolist() == [[0.3, 0.3], [0.9, 0.1], [0.2, 0.2]]
    assert np.isnan(told.measured[2]).all()
    assert told.pending.tolist() == [[0.4, 0.5]]
    assert told.number == 7
    assert evidence.measured[0].tolist() == [0.1, 0.9]


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
def test_what_is_beyond_a_limit_takes_nothing_from_the_gain_of_what_keeps_it(
    kind: type[HypervolumeImprovement],
) -> None:
    within = np.array([[0.3, 0.45], [0.6, 0.4], [0.7, 0.1]])
    beyond = np.array([[0.1, 0.51], [0.05, 0.8]])
    limits, model, asked = np.array([1.0, 0.5]), Identity(1e-4), np.array([[0.15, 0.48]])
    vectors = np.vstack([within, beyond])
    alone, beside = (
        values(updated(WithinLimits(kind(), limits), evidence_of(known, known), model), asked)
        for known in (within, vectors)
    )
    assert beside[0] == pytest.approx(alone[0], rel=0.02)
    assert beside[0] > 1e-3


@pytest.mark.parametrize("inner", [HypervolumeImprovement(), NoisyHypervolumeImprovement(), EI()])
def test_limits_and_priors_work_uninformed_and_around_smacs_own(
    inner: AbstractAcquisitionFunction,
) -> None:
    function = PriorWeighted(
        WithinLimits(inner, np.array([0.5])), lambda vectors: np.zeros(len(vectors))
    )
    vectors = points(9, 1, seed=1)
    updated(function, None, vectors=vectors)
    space = space_of(1)
    configurations = [Configuration(space, vector=vector) for vector in ([0.1], [0.9])]
    found = function(configurations)
    assert found.shape == (2, 1)
    assert found[0, 0] > found[1, 0]
    assert found[:, 0] == pytest.approx(values(function, np.array([[0.1], [0.9]])))


@pytest.mark.parametrize("n", [1, 4, 50])
def test_a_prior_decays_with_results(n: int) -> None:
    def log_prior(vectors: FloatArray) -> FloatArray:
        return -np.asarray(vectors[:, 0])

    inner = Counter()
    function = PriorWeighted(inner, log_prior)
    updated(function, known(n))
    found = values(function, np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert found[0] == 2.0
    assert found[1] == pytest.approx(2.0 * math.exp(-10.0 / n))
    assert inner.evidence is not None


def test_a_priors_weight_falls_as_results_come_in() -> None:
    weights = [prior_weight(n) for n in range(200)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == weights[1] == 10.0
    assert weights[100] == pytest.approx(0.1)


def setting(
    acquisition: Any, *, limits: tuple[float, float] | None = None, has_prior: bool = False
) -> Setting:
    space, drawn_from = space_of(2), ConfigurationSpace(seed=0)
    drawn_from.add(Uniform("x0", 0.0, 1.0), NormalFloatHyperparameter("x1", 0.8, 0.1, 0.0, 1.0))
    return Setting(
        scenario=scenario_of(space),
        engine=EngineSettings(acquisition=acquisition),
        candidates=Candidates(VectorSpace(space, drawn_from if has_prior else None)),
        eta=3,
        limits=np.array(limits or (math.inf, math.inf)),
        enqueued=(),
        earlier=None,
    )


@pytest.mark.parametrize(
    ("acquisition", "kind"),
    [
        ("hypervolume", HypervolumeImprovement),
        ("noisy_hypervolume", NoisyHypervolumeImprovement),
        ("parego_ei", EI),
    ],
)
def test_each_name_has_its_function_alone_where_nothing_more_is_wanted(
    acquisition: str, kind: type
) -> None:
    assert type(acquisition_function_of(setting(acquisition))) is kind


def test_the_prior_is_around_the_limits_and_these_are_around_the_function() -> None:
    made = acquisition_function_of(setting("hypervolume", limits=(0.5, math.inf), has_prior=True))
    assert isinstance(made, PriorWeighted)
    assert isinstance(made._function, WithinLimits)
    assert isinstance(made._function._function, HypervolumeImprovement)
    assert made.name == "Expected hypervolume improvement within limits times prior"
    assert made.meta["function"]["limits"] == [0.5, math.inf]
    assert made.meta["function"]["function"]["name"] == "HypervolumeImprovement"
    evidence, asked = known(), points(9, 2, seed=2)
    updated(made, evidence)
    plain = values(made._function._function, asked)
    kept = stats.norm.cdf((0.5 - asked[:, 0]) / 0.1)
    space = setting("hypervolume", has_prior=True).candidates.space
    prior = np.exp(prior_weight(12) * space.log_prior(asked))
    assert values(made, asked).tolist() == pytest.approx(((plain + 1e-12) * kept * prior).tolist())


def test_one_cost_of_all_has_no_limits_of_each() -> None:
    made = acquisition_function_of(setting("parego_ei", limits=(0.5, 0.5), has_prior=True))
    assert isinstance(made, PriorWeighted)
    assert isinstance(made._function, EI)
