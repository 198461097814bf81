from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space.candidate import HEADS, Preset, SpaceSettings, Value
from search_space.heads import PUBLISHED_MARGINS
from search_space.hyperparameters import (
    Choice,
    Condition,
    Range,
    accepted,
    accepts,
    canonical_value,
    hyperparameters,
    n_discrete_combinations,
    unrestricted,
    values_of,
)
from search_space.space import fingerprint

RATE = Range(name="rate", lower=0.1, upper=10.0, default=1.0, is_log=True)
COUNT = Range(name="count", lower=1, upper=3, default=2, is_integer=True)
EDGE = Choice(name="edge", choices=("0", "1"), default="0")
SIZE = Choice(name="size", choices=(0.5, 1.0, 2.0), default=1.0)


@pytest.mark.parametrize("head", HEADS)
def test_the_default_margin_is_the_published_one(head: str) -> None:
    space = {p.name: p for p in unrestricted(SpaceSettings(preset="joint"))}
    margin = space[f"margin.{head}"]
    assert isinstance(margin, Range)
    assert margin.default == PUBLISHED_MARGINS[head]  # type: ignore[index]
    assert margin.lower < margin.default < margin.upper


@pytest.mark.parametrize("preset", get_args(Preset))
def test_parents_come_first_and_defaults_are_accepted(preset: Preset) -> None:
    seen: set[str] = set()
    for parameter in hyperparameters(SpaceSettings(preset=preset, groups=("f", "m"))):
        assert parameter.name not in seen
        assert accepts(parameter, parameter.default)
        for condition in parameter.conditions:
            assert condition.parent in seen
            assert condition.values
        seen.add(parameter.name)


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


def test_a_condition_that_always_holds_is_left_out() -> None:
    settings = SpaceSettings(preset="joint", limit={"optimizer": ("Adam", "AdamW")})
    space = {p.name: p for p in hyperparameters(settings)}
    assert space["lr_adam"].conditions == ()
    assert "lr_sgd" not in space
    assert "momentum" not in space
    # Every tail that is left has a path to drop, so the tail's own condition takes its place.
    limited = SpaceSettings(
        preset="joint", sources=("dual_path", "dag"), limit={"dag.tail": ("residual",)}
    )
    drop_path = {p.name: p for p in hyperparameters(limited)}["drop_path"]
    assert drop_path.conditions == (
        Condition(parent="architecture", values=("dual_path",)),
        Condition(parent="architecture", values=("dag",)),
    )


def test_a_limited_range_of_whole_numbers_keeps_whole_numbers() -> None:
    limited = SpaceSettings(preset="dag", limit={"dag.blocks.1": (2, "3")})
    found = {each.name: each for each in hyperparameters(limited)}["dag.blocks.1"]
    assert isinstance(found, Range)
    assert [found.lower, found.upper, found.default] == [2, 3, 2]
    assert all(type(each) is int for each in (found.lower, found.upper, found.default))
    unlimited = SpaceSettings(preset="dag", limit={"dag.blocks.1": (1, 3)})
    assert hyperparameters(unlimited) == hyperparameters(SpaceSettings(preset="dag"))
    assert fingerprint(unlimited) == fingerprint(SpaceSettings(preset="dag"))
