from __future__ import annotations

import itertools

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from scipy import integrate, stats

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.density import (
    _categorical_density,
    _parzen_density,
    density_draws,
    n_good,
)
from results.pareto import FloatArray

TAKEN = {
    "none": [],
    "one": [0.3],
    "the middle": [0.5],
    "the ends": [0.0, 1.0],
    "equal": [0.2] * 8,
    "crowded": np.linspace(0.9, 1.0, 150).tolist(),
    "spread": [0.05, 0.11, 0.4, 0.42, 0.9],
}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mixture(centres: FloatArray, widths: FloatArray, x: FloatArray) -> FloatArray:
    """By scipy's truncated normal."""
    parts = [
        stats.truncnorm.pdf(x, -c / w, (1 - c) / w, loc=c, scale=w)
        for c, w in zip(centres, widths, strict=True)
    ]
    return np.asarray(np.mean(parts, axis=0))


@pytest.mark.parametrize("name", TAKEN)
def test_the_parzen_density_is_a_mixture_of_truncated_normals(name: str) -> None:
    density, x = _parzen_density(np.array(TAKEN[name])), np.linspace(0.0, 1.0, 201)
    expected = mixture(density.centres, density.widths, x)
    assert np.exp(density.log_pdf(x)).tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert integrate.trapezoid(np.exp(density.log_pdf(x)), x) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", TAKEN)
def test_numbers_are_drawn_from_their_density(name: str) -> None:
    density = _parzen_density(np.array(TAKEN[name]))
    drawn = density.draw(3000, generator())
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0
    edges = np.linspace(0.0, 1.0, 11)
    expected = np.array(
        [
            integrate.quad(lambda x: np.exp(density.log_pdf(np.array([x])))[0], a, b, limit=200)[0]
            for a, b in itertools.pairwise(edges)
        ]
    )
    found, _ = np.histogram(drawn, edges)
    assert stats.chisquare(found, 3000 * expected / expected.sum()).pvalue > 1e-3


def test_the_density_is_high_where_values_were_taken_and_nowhere_zero() -> None:
    density = _parzen_density(np.array([0.78, 0.8, 0.82, 0.81, 0.79]))
    at, near, far = np.exp(density.log_pdf(np.array([0.8, 0.6, 0.05])))
    assert at > 1.5
    assert at > near > far > 0.05


def test_one_part_spans_the_whole_range_whatever_was_taken() -> None:
    for values in TAKEN.values():
        density = _parzen_density(np.array(values))
        assert len(density.centres) == len(values) + 1
        wide = density.centres[density.widths == 1.0]
        assert 0.5 in wide.tolist()


def test_choices_have_their_counts_and_one_more_for_all_together() -> None:
    density = _categorical_density(np.array([0.0, 2.0, 2.0, 2.0]), 4)
    expected = [1.25 / 5, 0.25 / 5, 3.25 / 5, 0.25 / 5]
    assert density.probabilities.tolist() == pytest.approx(expected)
    logs = density.log_pdf(np.array([0.0, 1.0, 2.0, 3.0, 2.0]))
    assert np.exp(logs).tolist() == pytest.approx([*expected, 3.25 / 5])
    found = np.bincount(density.draw(4000, generator()).astype(int), minlength=4)
    assert stats.chisquare(found, 4000 * np.array(expected)).pvalue > 1e-3


def test_choices_that_nobody_took_are_equally_likely() -> None:
    assert _categorical_density(np.array([]), 5).probabilities.tolist() == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(
    ("n", "good"), [(1, 2), (2, 2), (20, 2), (21, 3), (100, 10), (250, 25), (10_000, 25)]
)
def test_the_best_tenth_is_good_within_bounds(n: int, good: int) -> None:
    assert n_good(n) == good


def conditional() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"], default_value="x")
    b = UniformFloatHyperparameter("b", 0.0, 1.0)
    c = UniformIntegerHyperparameter("c", 1, 9)
    d = CategoricalHyperparameter("d", ["0", "1"], default_value="0")
    space.add(a, b, c, d, Constant("e", "fixed"))
    space.add(EqualsCondition(b, a, "x"))
    space.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(a, "y"), ForbiddenEqualsClause(d, "1"))
    )
    return space


def test_draws_are_legal_configurations() -> None:
    space = conditional()
    vectors = VectorSpace(space)
    ranked = vectors.draw(40, generator(1))
    drawn = density_draws(vectors, ranked, generator())
    assert 20 <= len(drawn) <= 48
    for vector in drawn:
        Configuration(space, vector=vector).check_valid_configuration()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_results_are_enough(n: int) -> None:
    vectors = VectorSpace(conditional())
    assert len(density_draws(vectors, vectors.draw(n, generator()), generator())) > 0


def test_the_order_is_by_the_ratio_of_both_densities_of_what_is_active() -> None:
    vectors = VectorSpace(conditional())
    ranked = vectors.draw(60, generator(2))
    split, names = n_good(60), list(vectors.space)
    drawn = density_draws(vectors, ranked, generator(3))

    def log(rows: FloatArray, vector: FloatArray) -> float:
        total = 0.0
        for number, name in enumerate(names):
            values = rows[:, number][np.isfinite(rows[:, number])]
            if np.isnan(vector[number]) or name == "e":
                continue
            n = int(vectors.n_choices[number])
            if n:
                shares = (np.bincount(values.astype(int), minlength=n) + 1 / n) / (len(values) + 1)
                total += np.log(shares[int(vector[number])])
            else:
                parts = _parzen_density(values)
                at = np.array([vector[number]])
                total += np.log(mixture(parts.centres, parts.widths, at))[0]
        return total

    scores = [log(ranked[:split], each) - log(ranked[split:], each) for each in drawn]
    assert scores == pytest.approx(sorted(scores, reverse=True))


def test_draws_lie_where_the_good_ones_do() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(
        UniformFloatHyperparameter("f", 0.0, 1.0), CategoricalHyperparameter("c", list("abcd"))
    )
    vectors = VectorSpace(space)
    drawn = vectors.draw(100, generator())
    names = list(space)
    f, c = drawn[:, names.index("f")], drawn[:, names.index("c")]
    ranked = drawn[np.argsort(np.abs(f - 0.9) + (c != 2.0))]
    best = np.array([density_draws(vectors, ranked, generator(seed))[0] for seed in range(20)])
    assert (best[:, names.index("c")] == 2.0).mean() > 0.9
    assert np.abs(best[:, names.index("f")] - 0.9).mean() < 0.1
