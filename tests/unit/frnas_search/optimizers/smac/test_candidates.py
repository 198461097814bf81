from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace, Constant, UniformFloatHyperparameter
from hypothesis import given
from hypothesis import strategies as st

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import _MOST_REFUSED, Candidates, keys, vectors_of
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import small_space, square, tiny_space

SPACE = VectorSpace(small_space())
NONE = np.empty((0, SPACE.n_dimensions))


def drawn(n: int, seed: int = 0) -> FloatArray:
    return SPACE.draw(n, np.random.default_rng(seed))


def test_equal_configurations_have_equal_keys() -> None:
    vector = np.array([[0.1, math.nan, 1.0]])
    assert keys(vector) == keys(vector + 1e-12)
    assert keys(np.array([[-0.0, 1.0]])) == keys(np.array([[0.0, 1.0]]))
    assert keys(vector) != keys(np.array([[0.1, 0.0, 1.0]]))
    assert keys(np.empty((0, 3))) == []


@given(st.integers(0, 2**32 - 1))
def test_keys_tell_configurations_apart_in_whatever_memory_they_lie(seed: int) -> None:
    vectors = drawn(40, seed)
    assert len(set(keys(vectors))) == 40
    assert keys(np.asfortranarray(vectors)) == keys(vectors)
    assert keys(vectors[::2]) == keys(vectors)[::2]


def test_configurations_as_arrays_have_their_shape_even_when_there_is_none() -> None:
    vectors = drawn(3)
    made = [Configuration(SPACE.space, vector=vector) for vector in vectors]
    assert np.array_equal(vectors_of(made, SPACE.n_dimensions), vectors, equal_nan=True)
    assert vectors_of([], SPACE.n_dimensions).shape == (0, SPACE.n_dimensions)


def test_all_that_are_new_come_once_in_their_order_with_their_origin() -> None:
    first, second = drawn(5), drawn(5, seed=1)
    batches = [first, np.vstack([first[1:3], second])]
    found = list(Candidates(SPACE).new(batches, first[:2], "model"))
    expected = keys(np.vstack([first[2:], second]))
    assert keys(vectors_of(found, SPACE.n_dimensions)) == expected
    assert {each.origin for each in found} == {"model"}


def test_the_first_is_the_first_of_all_that_are_new() -> None:
    vectors = drawn(5)
    candidates = Candidates(SPACE)
    first = candidates.first([vectors], vectors[:3], "random")
    assert first is not None
    assert keys(first.get_array()[None]) == keys(vectors[3:4])
    assert candidates.first([vectors], vectors, "random") is None
    assert candidates.first([], NONE, "random") is None


def test_later_batches_are_not_made_before_they_are_wanted() -> None:
    def batches() -> Any:
        yield drawn(1)
        raise AssertionError

    assert Candidates(SPACE).first(batches(), NONE, "random") is not None


@pytest.mark.parametrize("seed", range(3))
def test_each_is_as_its_values_encode_it(seed: int) -> None:
    """A log holds values; what is made of the vector must be what is made of them again."""
    for found in Candidates(SPACE).new([drawn(30, seed)], NONE, "model"):
        again = Configuration(SPACE.space, values=dict(found))
        assert np.array_equal(again.get_array(), found.get_array(), equal_nan=True)
        found.check_valid_configuration()


def test_what_becomes_the_same_when_its_values_are_rounded_counts_as_the_same() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(UniformFloatHyperparameter("lr", 1e-9, 2e-9))
    candidates = Candidates(VectorSpace(space))
    near = np.linspace(0.5, 0.5 + 4e-9, 3)[:, None]
    found = list(candidates.new([near], np.empty((0, 1)), "model"))
    exact = keys(vectors_of(found, 1))
    assert len(set(exact)) == len(exact)
    assert list(candidates.new([near], vectors_of(found, 1), "model")) == []


def test_what_is_forbidden_is_left_out() -> None:
    names = list(SPACE.space)
    vector = drawn(1)[0]
    vector[names.index("kind")], vector[names.index("y")] = 1.0, math.nan
    vector[names.index("n")] = SPACE.space["n"].to_vector(8)
    vectors = np.vstack([vector, drawn(1, seed=2)])
    (found,) = Candidates(SPACE).new([vectors], NONE, "model")
    assert keys(found.get_array()[None]) == keys(vectors[1:])


def test_only_what_is_accepted_comes_and_it_is_judged_by_plain_values() -> None:
    asked: list[Mapping[str, Any]] = []

    def accepts(values: Mapping[str, Any]) -> bool:
        asked.append(values)
        return values["kind"] == "a"

    found = list(Candidates(SPACE, accepts).new([drawn(40)], NONE, "model"))
    assert {each["kind"] for each in found} == {"a"}
    assert 0 < len(found) < 40 == len(asked)
    plain = {type(value) for values in asked for value in values.values()}
    assert plain <= {bool, int, float, str}


def test_too_many_in_a_row_that_are_not_accepted_are_the_end() -> None:
    candidates = Candidates(VectorSpace(square()), lambda values: values["x"] > 0.5)
    bad = np.column_stack([np.linspace(0.0, 0.4, _MOST_REFUSED), np.zeros(_MOST_REFUSED)])
    good = np.array([[0.9, 0.9]])
    nothing = np.empty((0, 2))
    assert list(candidates.new([bad, good], nothing, "model")) == []
    assert len(list(candidates.new([bad[1:], good, bad[:-1], good / 1.1], nothing, "model"))) == 2


def test_draws_end_with_everything_that_there_is() -> None:
    space = VectorSpace(tiny_space())
    candidates = Candidates(space)
    batches = list(candidates.drawn(np.random.default_rng(0)))
    assert len({*keys(batches[0])}) == len({*keys(batches[-1])}) == 5
    found = candidates.new(batches, np.empty((0, space.n_dimensions)), "random")
    assert len(list(found)) == 5


def test_a_space_of_constants_has_one_configuration() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(Constant("only", 3))
    candidates = Candidates(VectorSpace(space))
    batches = list(candidates.drawn(np.random.default_rng(0)))
    assert len(list(candidates.new(batches, np.empty((0, 1)), "random"))) == 1
