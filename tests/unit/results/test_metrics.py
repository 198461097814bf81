from __future__ import annotations

import math

import pytest

from results.metrics import METRICS, MetricDefinition
from results.objectives import OBJECTIVE_NAMES, objective

SIZES = ("parameters", "macs", "activation_bytes", "milliseconds_per_image")
DEFINITIONS = tuple(METRICS.values())


def test_objectives_are_the_metrics_costs_and_the_sizes_in_this_order() -> None:
    costs = [definition.cost_name for definition in DEFINITIONS if definition.cost_name]
    assert tuple(costs) + SIZES == OBJECTIVE_NAMES
    assert set(METRICS) - set(costs) == {"mean_rank", "min_max", "fdr"}
    assert OBJECTIVE_NAMES[:5] == (
        "error",
        "rank_disparity",
        "log_rank_disparity",
        "disparity",
        "worst_group_error",
    )


@pytest.mark.parametrize("definition", DEFINITIONS, ids=METRICS)
def test_a_cost_spans_what_the_value_spans(definition: MetricDefinition) -> None:
    assert definition.formula
    assert definition.source
    if definition.cost_name is None:
        return
    found = objective(definition.cost_name, n_identities=100)
    assert found.unit == definition.unit
    if math.isfinite(definition.worst):
        assert found.bound - found.best == pytest.approx(abs(definition.worst - definition.best))
    if definition.direction == "lower":
        assert found.best == definition.best
    else:
        assert (definition.best, found.best) == (1.0, 0.0)
