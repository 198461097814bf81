from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration
from smac.random_design import ModulusRandomDesign

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, keys, vectors_of
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import (
    Accepts,
    evidence_of,
    small_space,
    tiny_space,
)

SPACE = VectorSpace(small_space())
X = list(SPACE.space).index("x")
KIND = list(SPACE.space).index("kind")


@dataclass
class Model:
    """Expects two costs of a vector: its x, and how far that is from 1."""

    asked: list[int] = field(default_factory=list)

    def predict_marginalized(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.asked.append(len(vectors))
        x = vectors[:, X]
        means = np.column_stack([x, 1.0 - x])
        return means, np.full(means.shape, 0.01)


@dataclass
class Function:
    """A value of vectors that is known."""

    value: Callable[[FloatArray], FloatArray] = lambda vectors: -np.abs(vectors[:, X] - 0.3)
    model: Any = field(default_factory=Model)
    n_asked: int = 0

    def _compute(self, vectors: FloatArray) -> FloatArray:
        self.n_asked += len(vectors)
        return np.asarray(self.value(vectors))[:, None]


def maximizer(
    function: Any = None,
    *,
    density_share: float = 0.0,
    seed: int = 0,
    limits: tuple[float, ...] | None = None,
    earlier: FloatArray | None = None,
    accepts: Accepts | None = None,
    space: VectorSpace = SPACE,
) -> ArrayMaximizer:
    return ArrayMaximizer(
        space.space,
        function or Function(),
        seed=seed,
        candidates=Candidates(space, accepts),
        density_share=density_share,
        limits=None if limits is None else np.array(limits),
        earlier=earlier,
    )


def configurations(n: int, seed: int = 0, space: VectorSpace = SPACE) -> list[Configuration]:
    drawn = space.draw(n, np.random.default_rng(seed))
    return [Configuration(space.space, vector=vector) for vector in drawn]


def vectors(some: list[Configuration], space: VectorSpace = SPACE) -> FloatArray:
    return vectors_of(some, space.n_dimensions)


KNOWN = configurations(12)


def informed(made: ArrayMaximizer, known: list[Configuration], **options: Any) -> ArrayMaximizer:
    means, _ = Model().predict_marginalized(vectors(known))
    made.inform(evidence_of(vectors(known), options.pop("measured", means), **options))
    return made


def found(made: ArrayMaximizer, n: int = 5, known: list[Configuration] = KNOWN) -> list[bytes]:
    return keys(vectors(list(made.maximize(known, n_points=n))))


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_what_it_gives_is_new_legal_and_as_its_values_encode_it(density_share: float) -> None:
    made = list(informed(maximizer(density_share=density_share), KNOWN).maximize(KNOWN, 20))
    assert len(made) == 20
    assert len({*keys(vectors(made))} - {*keys(vectors(KNOWN))}) == 20
    for each in made:
        each.check_valid_configuration()
        again = Configuration(SPACE.space, values=dict(each)).get_array()
        assert np.array_equal(again, each.get_array(), equal_nan=True)
        assert each.origin == "model"


def test_it_comes_closer_to_the_maximum_than_draws_do() -> None:
    best, *_ = informed(maximizer(), KNOWN).maximize(KNOWN, 1)
    values = Function().value
    drawn = SPACE.draw(2000, np.random.default_rng(5))
    value = float(values(best.get_array()[None])[0])
    assert value > values(drawn).max()
    assert value > -1e-3


def test_the_best_comes_first() -> None:
    made = vectors(list(informed(maximizer(), KNOWN).maximize(KNOWN, 30)))
    values = Function().value(made)
    assert values.tolist() == sorted(values, reverse=True)


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_it_is_a_function_of_the_evidence_whatever_was_asked_before(density_share: float) -> None:
    fresh, used = (maximizer(density_share=density_share) for _ in range(2))
    found(informed(used, KNOWN[:7]), known=KNOWN[:7])
    assert found(informed(used, KNOWN)) == found(informed(fresh, KNOWN)) == found(used)


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_the_seed_and_the_number_of_the_proposal_decide(density_share: float) -> None:
    made = {
        tuple(
            found(informed(maximizer(density_share=density_share, seed=s), KNOWN, number=number))
        )
        for s in (0, 1)
        for number in (5, 6)
    }
    assert len(made) == 4


def test_most_follow_the_function_and_the_share_follows_the_density() -> None:
    n_dense = 0
    for number in range(60):
        function = Function()
        found(informed(maximizer(function, density_share=0.25), KNOWN, number=number), 1)
        n_dense += function.n_asked == 0
    assert 6 <= n_dense <= 26


def test_what_follows_the_density_lies_where_the_good_ones_do() -> None:
    """The best have the smallest sum of costs that were measured: those of one kind."""
    known = configurations(60, seed=3)
    kinds = vectors(known)[:, KIND]
    measured = np.column_stack([kinds != 1.0, kinds != 1.0]) + 0.01 * vectors(known)[:, [X, X]]
    made = [
        next(
            iter(
                informed(
                    maximizer(density_share=1.0), known, measured=measured, number=number
                ).maximize(known, 1)
            )
        )
        for number in range(12)
    ]
    assert sum(each["kind"] == "b" for each in made) >= 9


def test_before_anything_is_known_there_is_nothing_to_begin_from() -> None:
    assert list(informed(maximizer(), []).maximize([], 3)) == []
    uninformed: list[Configuration] = []
    assert list(maximizer().maximize(uninformed, 3)) == []


def test_costs_that_were_measured_count_more_than_those_that_are_expected() -> None:
    measured = np.full((12, 2), np.nan)
    measured[4] = -5.0
    made = informed(maximizer(), KNOWN, measured=measured)
    ranked = made._ranked(vectors(KNOWN))
    assert keys(ranked[:1]) == keys(vectors(KNOWN[4:5]))
    assert sorted(keys(ranked)) == sorted(keys(vectors(KNOWN)))


def test_those_above_a_limit_are_the_last_to_begin_from() -> None:
    made = informed(maximizer(limits=(0.3, math.inf)), KNOWN)
    first = made._ranked(vectors(KNOWN))[:, X]
    n_kept = int((first <= 0.3).sum())
    assert 0 < n_kept < 12
    assert (first[:n_kept] <= 0.3).all()
    assert first[n_kept:].tolist() == sorted(first[n_kept:])


def test_with_one_cost_of_all_measured_costs_and_limits_of_each_are_left_alone() -> None:
    class Scalar(Model):
        def predict_marginalized(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
            means, variances = super().predict_marginalized(vectors)
            return means[:, :1], variances[:, :1]

    made = informed(maximizer(Function(model=Scalar()), limits=(0.1, 0.1)), KNOWN)
    x = made._ranked(vectors(KNOWN))[:, X]
    assert x.tolist() == sorted(x)
    assert len(found(made)) == 5


def test_a_good_configuration_of_another_search_may_be_given_again() -> None:
    others = vectors(configurations(30, seed=7))
    best = others[[others[:, X].argmin()]]
    target = keys(best)

    def value(some: FloatArray) -> FloatArray:
        return np.array([key == target[0] for key in keys(some)], float)

    for known in ([], KNOWN):
        made = informed(maximizer(Function(value), earlier=others), known)
        # The values of the vector are rounded.
        first, *_ = made.maximize(known, 1)
        assert first.get_array() == pytest.approx(best[0], abs=1e-7, nan_ok=True)
    known = [Configuration(SPACE.space, vector=best[0])]
    made = informed(maximizer(Function(value), earlier=best), known)
    assert target[0] not in found(made, known=known)


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_only_what_is_accepted_is_given(density_share: float) -> None:
    made = informed(
        maximizer(density_share=density_share, accepts=lambda values: values["kind"] == "b"), KNOWN
    )
    given = list(made.maximize(KNOWN, 5))
    assert {each["kind"] for each in given} == {"b"}
    # SMAC's list of challengers breaks on none at all.
    nothing = informed(maximizer(accepts=lambda _: False), KNOWN)
    assert list(nothing.maximize(KNOWN, 5)) == [KNOWN[-1]]


def test_of_a_small_space_what_is_left_is_given() -> None:
    space = VectorSpace(tiny_space())
    known: list[Configuration] = configurations(1, space=space)

    class Flat(Model):
        def predict_marginalized(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
            return np.zeros((len(vectors), 1)), np.ones((len(vectors), 1))

    function = Function(lambda some: np.zeros(len(some)), model=Flat())
    given = list(maximizer(function, space=space).maximize(known, 20))
    assert len({*keys(vectors(given + known, space))}) == len(given) + 1 == 5


def test_uninformed_as_under_smacs_own_selector_all_known_are_begun_from() -> None:
    one, other = maximizer(), informed(maximizer(), KNOWN)
    assert found(one) == found(other)


def test_smac_may_mix_it_with_draws_and_asks_for_as_many_as_were_named() -> None:
    design = ModulusRandomDesign(modulus=2.0)
    given = list(ArrayMaximizer(SPACE.space, Function(), 6).maximize(KNOWN, random_design=design))
    assert [each.origin == "model" for each in given[:4]] == [True, False, True, False]
    assert sum(each.origin == "model" for each in given) == 6
