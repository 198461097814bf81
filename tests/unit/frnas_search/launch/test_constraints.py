from __future__ import annotations

import pytest

from frnas_search.launch import constraints
from frnas_search.launch.constraints import CostConstraints, CostModel, violations
from frnas_search.optimizers.constraint import Graded
from search_space.candidate import SpaceSettings
from search_space.definition.decode import complete, decode
from search_space.definition.space import sample
from search_space.definition.variants import VariantRecord
from search_space.prediction import Cost


def test_violations_say_by_how_much() -> None:
    cost = Cost(parameters=2_000_000, macs=300)
    limits = {"max_parameters": 1e6, "max_macs": 300.0, "max_activation_bytes": 1.0}
    assert violations(cost, limits) == ["parameters 2,000,000 exceeds max_parameters 1,000,000"]
    assert violations(cost, {}) == []


def test_the_cost_model_knows_cells_by_arithmetic_and_backbones_by_their_record() -> None:
    record = VariantRecord(
        name="test_resnet",
        feature_size=100,
        options={},
        parameters=5000,
        macs=70_000,
        accepts_drop_path=False,
    )
    costs = CostModel(in_channels=3, image_size=224, backbones={"test_resnet": record})
    settings = SpaceSettings(
        preset="joint",
        sources=("dual_path", "timm"),
        families={"t": ("test_resnet",)},
        tune=(),
        embedding_size=10,
    )
    backbone = decode(complete({"timm.family": "t"}, settings), settings)
    assert costs.predicted(backbone) == Cost(5000 + 100 * 10 + 10, 70_000 + 100 * 10)
    cell = decode(complete({"edge1": 3, "edge2": 0, "edge3": 1}, settings), settings)
    expected = 35_523_264 - 2_433_000 + 2432 * 10 + 10
    assert costs.predicted(cell).parameters == expected


RECORD = VariantRecord(
    name="m", feature_size=100, options={}, parameters=5000, macs=70_000, accepts_drop_path=True
)


@pytest.mark.parametrize(
    "settings",
    [
        SpaceSettings(),
        SpaceSettings(preset="joint", width=0.1, families={"t": ("m",)}),
        SpaceSettings(preset="timm", families={"t": ("m",)}, tune=()),
    ],
)
def test_constraints_judge_a_configuration_as_its_candidate_is_judged(
    settings: SpaceSettings,
) -> None:
    costs = CostModel(in_channels=3, image_size=64, backbones={"m": RECORD})
    limits = {"max_parameters": 1.5e6, "max_macs": 2e7, "max_activation_bytes": 1.0}
    accepts = CostConstraints(settings, costs, limits)
    assert isinstance(accepts, Graded)
    for configuration in sample(settings, 60, seed=0) * 2:  # the second time they are remembered
        cost = costs.predicted(decode(configuration, settings))
        refusals = violations(cost, limits)
        assert accepts(configuration) == (not refusals)
        named = [refusal.split(" exceeds ")[1].split()[0] for refusal in refusals]
        assert sorted(accepts.excess(configuration)) == sorted(named)
        assert costs.of_configuration(configuration, settings) == cost


def test_the_larger_a_network_is_the_farther_it_is_from_its_limit() -> None:
    settings = SpaceSettings(preset="timm", families={"t": ("m",)}, tune=(), embedding_size=10)
    costs = CostModel(in_channels=3, image_size=64, backbones={"m": RECORD})
    (configuration,) = sample(settings, 1, seed=0)
    near, far = (
        CostConstraints(settings, costs, {"max_parameters": limit}).excess(configuration)
        for limit in (6000.0, 600.0)
    )
    assert near["max_parameters"] == pytest.approx(0.00167, rel=0.01)  # ln(6010 / 6000)
    assert far["max_parameters"] == pytest.approx(2.304, rel=0.01)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "_MOST_REMEMBERED", 5)
    settings = SpaceSettings()
    accepts = CostConstraints(
        settings,
        CostModel(in_channels=3, image_size=64, backbones={}),
        {"max_parameters": 2e7},
    )
    drawn = sample(settings, 30, seed=0)
    first = [accepts(configuration) for configuration in drawn]
    assert [accepts(configuration) for configuration in drawn] == first
    assert len(accepts._known) <= 5
