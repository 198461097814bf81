from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space.candidate import Value
from search_space.definition.records import (
    Choice,
    Condition,
    Range,
    accepted,
    accepts,
    canonical_value,
    n_discrete_combinations,
    values_of,
)

RATE = Range(name="rate", lower=0.1, upper=10.0, default=1.0, is_log=True)
COUNT = Range(name="count", lower=1, upper=3, default=2, is_integer=True)
EDGE = Choice(name="edge", choices=("0", "1"), default="0")
SIZE = Choice(name="size", choices=(0.5, 1.0, 2.0), default=1.0)


@pytest.mark.parametrize(
    ("parameter", "value", "written"),
    [
        (EDGE, 1, "1"),
        (EDGE, "1", "1"),
        (EDGE, 7, 7),
        (EDGE, True, True),
        (SIZE, 1, 1.0),
        (SIZE, "1", "1"),
        (RATE, 1, 1.0),
        (RATE, "1e-1", 0.1),
        (RATE, "fast", "fast"),
        (RATE, True, True),
        (RATE, "1e3", 1000.0),
        (COUNT, 2.0, 2),
        (COUNT, "3", 3),
        (COUNT, 2.5, 2.5),
    ],
)
def test_what_a_person_writes_becomes_the_spaces_own(
    parameter: Choice | Range, value: Value, written: Value
) -> None:
    found = canonical_value(parameter, value)
    assert found == written
    assert type(found) is type(written)


@given(st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=3), st.none()))
def test_values_are_accepted_or_not_and_never_break(value: object) -> None:
    for parameter in (RATE, COUNT, EDGE, SIZE):
        if accepts(parameter, value):
            assert not isinstance(value, bool)
            assert value is not None
    if isinstance(value, float):
        assert accepts(RATE, value) == (0.1 <= value <= 10.0) or abs(value - 10.0) < 1e-7


def test_words_for_what_is_accepted() -> None:
    assert accepted(RATE) == "a number from 0.1 to 10"
    assert accepted(COUNT) == "a whole number from 1 to 3"
    assert accepted(EDGE) == "one of the strings 0, 1"
    assert accepted(SIZE) == "one of the values 0.5, 1.0, 2.0"
    assert accepted(Choice(name="a", choices=("x",), default="x")) == "the string x"


def test_combinations_are_counted_as_by_listing_them() -> None:
    root = Choice(name="root", choices=("a", "b", "c"), default="a")
    below_a = Choice(
        name="one",
        choices=("x", "y"),
        default="x",
        conditions=(Condition(parent="root", values=("a", "b")),),
    )
    deeper = Range(
        name="two",
        lower=1,
        upper=3,
        default=1,
        is_integer=True,
        conditions=(Condition(parent="one", values=("x",)),),
    )
    space = (root, below_a, deeper, COUNT, RATE)
    listed = set()
    for r, one, two, count in itertools.product(
        values_of(root), (*values_of(below_a), None), (*values_of(deeper), None), values_of(COUNT)
    ):
        if (one is not None) == (r in ("a", "b")) and (two is not None) == (one == "x"):
            listed.add((r, one, two, count))
    assert n_discrete_combinations(space) == len(listed) == (4 + 4 + 1) * 3
