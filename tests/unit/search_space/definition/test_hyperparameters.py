from __future__ import annotations

from typing import get_args

import pytest

from search_space.candidate import Preset, SpaceSettings
from search_space.definition.hyperparameters import hyperparameters, unrestricted
from search_space.definition.records import (
    Condition,
    Range,
    accepts,
)
from search_space.definition.space import fingerprint
from search_space.heads.specs import HEAD_SPECS, HEADS


@pytest.mark.parametrize("head", HEADS)
def test_the_default_margin_is_the_published_one(head: str) -> None:
    space = {p.name: p for p in unrestricted(SpaceSettings(preset="joint"))}
    margin = space[f"margin.{head}"]
    assert isinstance(margin, Range)
    assert margin.default == HEAD_SPECS[head].margin
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
