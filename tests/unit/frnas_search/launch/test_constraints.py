from __future__ import annotations

from frnas_search.launch.constraints import CostModel, violations
from search_space.candidate import SpaceSettings
from search_space.definition.decode import complete, decode
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
