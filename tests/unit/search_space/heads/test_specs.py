from __future__ import annotations

import inspect

import pytest

from search_space.heads.build import head_class
from search_space.heads.core import MarginHead
from search_space.heads.specs import HEAD_SPECS, HEADS, LARGEST_MARGIN, PUBLISHED_HEADS, HeadSpec

SPECS = tuple(HEAD_SPECS.values())
NUMBERS = [(spec, number) for spec in SPECS for number in spec.numbers]


@pytest.mark.parametrize("spec", SPECS, ids=HEADS)
def test_a_record_names_a_head_that_takes_its_numbers(spec: HeadSpec) -> None:
    found = head_class(spec)
    assert isinstance(found, type)
    assert issubclass(found, MarginHead)
    arguments = set(inspect.signature(found).parameters) - {"weight", "scale", "margin"}
    assert arguments == {number.argument for number in spec.numbers}


@pytest.mark.parametrize("spec", SPECS, ids=HEADS)
def test_the_searched_margins_lie_around_the_published_one(spec: HeadSpec) -> None:
    lower, upper = spec.searched_margins
    assert 0.0 < lower < spec.margin < upper < LARGEST_MARGIN


def test_the_searched_numbers_lie_around_their_defaults_and_work() -> None:
    assert len(NUMBERS) == 2
    for spec, number in NUMBERS:
        lower, upper = number.searched
        assert number.smallest <= lower <= number.default <= upper
        assert spec.values_of([])[number.argument] == number.default


def test_no_two_numbers_share_a_hyperparameter() -> None:
    assert len({number.hyperparameter for _, number in NUMBERS}) == len(NUMBERS)


def test_the_published_heads_are_the_predecessors() -> None:
    assert PUBLISHED_HEADS == ("CosFace", "ArcFace", "MagFace")


def test_only_sub_centers_add_class_weights() -> None:
    counts = {spec.name: spec.weights_per_class([]) for spec in SPECS}
    assert counts == dict.fromkeys(HEADS, 1) | {"SubCenterArcFace": 3}
    assert HEAD_SPECS["SubCenterArcFace"].weights_per_class([("sub_centers", 5)]) == 5
