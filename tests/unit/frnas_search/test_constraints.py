from __future__ import annotations

from collections.abc import Mapping

import pytest

from frnas_search.constraints import (
    MOST_REFUSALS,
    ConstrainedOptimizer,
    CostModel,
    violations,
)
from frnas_search.optimizer import Proposal
from search_space.candidate import SpaceSettings
from search_space.decode import complete, decode
from search_space.prediction import Cost
from search_space.variants import VariantRecord


class Counting:
    """Proposes 0, 1, 2, … and notes what it is told."""

    def __init__(self, n: int) -> None:
        self.n, self.next = n, 0
        self.told: list[tuple[int, Mapping[str, float] | None]] = []

    def ask(self) -> Proposal | None:
        if self.next == self.n:
            return None
        self.next += 1
        return Proposal(configuration={"x": self.next - 1}, rung=0)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        self.told.append((int(proposal.configuration["x"]), costs))


def odd(proposal: Proposal) -> list[str]:
    return ["it is odd"] if int(proposal.configuration["x"]) % 2 else []


def test_what_is_refused_is_told_as_failed_and_never_seen() -> None:
    inner = Counting(6)
    optimizer = ConstrainedOptimizer(inner, odd)
    seen = []
    while (proposal := optimizer.ask()) is not None:
        seen.append(int(proposal.configuration["x"]))
        optimizer.tell(proposal, {"error": 0.5})
    assert seen == [0, 2, 4]
    assert inner.told == [
        (0, {"error": 0.5}),
        (1, None),
        (2, {"error": 0.5}),
        (3, None),
        (4, {"error": 0.5}),
        (5, None),
    ]


def test_a_space_in_which_everything_is_too_large_ends(caplog: pytest.LogCaptureFixture) -> None:
    inner = Counting(10**9)
    assert ConstrainedOptimizer(inner, lambda _: ["too large"]).ask() is None
    assert inner.next == MOST_REFUSALS
    assert "loosen them or narrow the space" in caplog.text


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
