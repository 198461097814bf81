"""What a space holds within constraints, however rare it is."""

from __future__ import annotations

import logging

import pytest

from frnas_search.config.reading import parse_run_file
from frnas_search.config.requests import SpaceRequest, preparation_request
from frnas_search.launch import space_samples
from frnas_search.launch.constraints import CostConstraints, CostModel
from frnas_search.launch.space_preparation import (
    PreparedSpace,
    SpaceFindings,
    limit_faults,
)
from frnas_search.launch.space_samples import (
    constraint_faults,
    sample_statistics,
    sample_within,
    share_within,
)
from frnas_search.space_documents.report import within_record
from search_space.candidate import SpaceSettings
from search_space.definition.space import sample

SETTINGS = SpaceSettings(preset="joint", sources=("dag",), width=0.1, tune=("embedding_size",))
COSTS = CostModel(in_channels=1, image_size=32, backbones={})
RARE = {"max_parameters": 25_000.0}
"""None of a thousand samples, and a few of many thousands."""


def found(settings: SpaceSettings = SETTINGS) -> SpaceFindings:
    prepared = PreparedSpace(settings=settings, enqueued=(), costs=COSTS, left_out=(), timm=None)
    return SpaceFindings(prepared=prepared, faults=(), broken=frozenset())


def request(limits: dict[str, float]) -> SpaceRequest:
    content = {"name": "x", "data": {"synthetic": {}}, "constraints": limits}
    return preparation_request(parse_run_file(content, where="f")).space


def test_what_is_rarer_than_a_thousand_samples_tell_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drawn = sample(SETTINGS, 1000, seed=0)
    statistics = sample_statistics(drawn, SETTINGS, COSTS, RARE)
    assert constraint_faults(statistics)  # as far as these can tell
    with caplog.at_level(logging.INFO):
        assert limit_faults(request(RARE), found()) == []
    assert "constraints: within them lies " in caplog.text


def test_what_is_found_nowhere_is_a_fault() -> None:
    (fault,) = limit_faults(request({"max_parameters": 100.0}), found())
    assert str(fault).startswith("constraints: none of 1,000 samples of the space keeps within")


def test_constraints_that_leave_most_of_a_space_are_worth_no_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        assert limit_faults(request({"max_parameters": 1e9}), found()) == []
    assert caplog.text == ""


def test_of_what_is_rare_more_is_drawn_until_the_share_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(space_samples, "_N_MOST", 2000)
    drawn = sample(SETTINGS, 10, seed=0)
    statistics = sample_statistics(drawn, SETTINGS, COSTS, RARE)
    effort = share_within(statistics, SETTINGS, COSTS, RARE)
    assert effort is not None
    assert effort.drawn == 2010
    record = within_record(effort)["within_constraints"]
    assert 0 <= record["share_low"] <= record["share"] <= record["share_high"] < 0.01
    assert record["count"] == effort.accepted


def test_a_sample_that_tells_is_not_drawn_again() -> None:
    limits = {"max_parameters": 1e9}
    statistics = sample_statistics(sample(SETTINGS, 50, seed=0), SETTINGS, COSTS, limits)
    effort = share_within(statistics, SETTINGS, COSTS, limits)
    assert effort is not None
    assert (effort.drawn, effort.accepted) == (50, 50)


def test_without_constraints_that_are_known_beforehand_there_is_no_share() -> None:
    limits = {"max_activation_bytes": 1.0}
    statistics = sample_statistics(sample(SETTINGS, 50, seed=0), SETTINGS, COSTS, limits)
    assert share_within(statistics, SETTINGS, COSTS, limits) is None
    assert within_record(None) == {}
    assert sample_within(SETTINGS, COSTS, limits) == []


def test_a_sample_of_what_is_rare_keeps_within() -> None:
    configurations = sample_within(SETTINGS, COSTS, RARE)
    accepts = CostConstraints(SETTINGS, COSTS, RARE)
    assert len(configurations) > 10
    assert all(accepts(configuration) for configuration in configurations)
