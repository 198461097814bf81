from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenEqualsClause,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import keys
from frnas_search.optimizers.vectors import Numbering, plain_values
from search_space.candidate import SpaceSettings
from search_space.definition.space import build_space, plain


def discrete() -> ConfigurationSpace:
    """2 * 3 * 4 combinations; `n` counts for one kind alone, and one size is forbidden."""
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b"])
    size = OrdinalHyperparameter("size", [1, 2, 4])
    n = UniformIntegerHyperparameter("n", 1, 4, log=True)
    space.add(kind, size, n, Constant("only", "x"))
    space.add(EqualsCondition(n, kind, "a"), ForbiddenEqualsClause(size, 4))
    return space


def mixed() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add(
        CategoricalHyperparameter("flag", [True, False]),
        CategoricalHyperparameter("share", [0.1, 1 / 3, 1.0]),
        UniformFloatHyperparameter("rate", 1e-9, 1e3, log=True),
        UniformIntegerHyperparameter("n", 1, 10**9, log=True),
    )
    return space


@pytest.mark.parametrize(
    "space",
    [
        discrete(),
        mixed(),
        build_space(SpaceSettings(), seed=0),
        build_space(SpaceSettings(preset="joint", sources=("dual_path", "dag")), seed=0),
    ],
)
def test_values_of_many_are_those_of_one_at_a_time(space: ConfigurationSpace) -> None:
    vectors = VectorSpace(space).draw(100, np.random.default_rng(0))
    expected = [plain(Configuration(space, vector=vector)) for vector in vectors]
    found = plain_values(space, vectors)
    assert found == expected
    assert [list(row) for row in found] == [list(row) for row in expected]
    kinds = [{name: type(value) for name, value in row.items()} for row in found]
    assert kinds == [{name: type(value) for name, value in row.items()} for row in expected]


def test_of_no_vector_there_are_no_values() -> None:
    assert plain_values(discrete(), np.empty((0, 4))) == []


def test_combinations_are_counted_and_a_number_stands_for_each() -> None:
    numbering = Numbering(discrete())
    assert numbering.n == 2 * 3 * 4
    vectors = numbering.vectors(np.arange(24))
    assert len(set(keys(vectors))) == 24
    assert np.isfinite(vectors).all()


def test_what_has_a_range_of_real_numbers_has_no_end() -> None:
    assert Numbering(mixed()).n is None


def test_each_configuration_is_one_of_the_combinations_alone() -> None:
    space = VectorSpace(discrete())
    numbering = Numbering(space.space)
    complete = numbering.vectors(np.arange(24))
    active = space.activated(complete)
    firsts = active[numbering.is_first(complete, active) & space.allowed(active)]
    everything = space.enumerated(np.random.default_rng(0))
    assert len(firsts) == len(everything) == 2 * 4 + 2
    assert set(keys(firsts)) == set(keys(everything))
