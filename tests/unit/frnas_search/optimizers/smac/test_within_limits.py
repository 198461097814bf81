from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float

from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    NoisyHypervolumeImprovement,
    WithinLimits,
)
from frnas_search.optimizers.smac.evidence import Evidence
from frnas_search.optimizers.smac.models.forest import RungForest
from results.pareto import BoolArray, FloatArray

LIMITS = np.array([0.3, np.inf])
GENERATOR = np.random.default_rng(0)
VECTORS = GENERATOR.random((24, 2))
COSTS = np.column_stack([(1 - VECTORS[:, 0]) ** 2, VECTORS[:, 0] + 0.1 * VECTORS[:, 1]])
ASKED = GENERATOR.random((50, 2))


@pytest.fixture
def model() -> RungForest:
    space = ConfigurationSpace(seed=0)
    space.add(Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0)))
    forest = RungForest(space)
    forest.train(np.column_stack([VECTORS, np.ones(len(VECTORS))]), COSTS)
    return forest


def values(
    model: RungForest, kind: type[HypervolumeImprovement], kept: BoolArray, *, is_told: bool = True
) -> FloatArray:
    """Of the function where only those that are kept are known."""
    function = WithinLimits(kind(), LIMITS)
    if is_told:
        function.inform(
            Evidence(
                number=24,
                vectors=VECTORS[kept],
                measured=COSTS[kept],
                pending=np.empty((0, 2)),
            )
        )
    function.update(model=model, X=VECTORS[kept], num_data=24, eta=None, incumbent_array=None)
    return np.asarray(function._compute(ASKED))


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
def test_what_is_beyond_a_limit_is_nothing_to_improve_on(
    model: RungForest, kind: type[HypervolumeImprovement]
) -> None:
    is_within = (COSTS <= LIMITS).all(axis=1)
    assert 3 <= is_within.sum() < len(COSTS)
    everything = values(model, kind, np.ones(len(COSTS), bool))
    assert np.array_equal(everything, values(model, kind, is_within))
    assert everything.max() > 0


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
def test_nor_is_it_where_nobody_tells_what_was_measured(
    model: RungForest, kind: type[HypervolumeImprovement]
) -> None:
    expected, _ = model.predict_marginalized(VECTORS)
    is_within = (expected <= LIMITS).all(axis=1)
    found = values(model, kind, np.ones(len(COSTS), bool), is_told=False)
    assert np.array_equal(found, values(model, kind, is_within, is_told=False))


@pytest.mark.parametrize("kind", [HypervolumeImprovement, NoisyHypervolumeImprovement])
@pytest.mark.parametrize("is_told", [True, False])
def test_it_goes_on_where_nothing_keeps_within(
    model: RungForest, kind: type[HypervolumeImprovement], is_told: bool
) -> None:
    beyond = (COSTS > LIMITS).any(axis=1) & (model.predict_marginalized(VECTORS)[0][:, 0] > 0.3)
    found = values(model, kind, beyond, is_told=is_told)
    assert np.isfinite(found).all()
    assert found.max() > 0
