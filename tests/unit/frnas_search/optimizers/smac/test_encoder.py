from __future__ import annotations

import numpy as np
import pytest

from frnas_search.optimizers.smac.encoder import observations
from frnas_search.optimizers.smac.history import Snapshot

NAN = float("nan")


def snapshot(told: list[tuple[int, int, tuple[float, float]]]) -> Snapshot:
    return Snapshot(
        vectors=np.array([[0.0, NAN], [0.1, 1.0], [0.2, 0.0]]),
        indices=np.array([index for index, _, _ in told], np.int64),
        rungs=np.array([rung for _, rung, _ in told], np.int64),
        costs=np.array([costs for _, _, costs in told], float),
        pending=(),
    )


KNOWN = snapshot([(0, 0, (0.5, 0.2)), (1, 0, (NAN, NAN)), (2, 0, (0.1, 0.7)), (0, 1, (0.4, 0.1))])


def test_each_result_is_a_row_with_its_vector_and_height() -> None:
    data = observations(KNOWN, n_rungs=3)
    assert np.array_equal(data.vectors, KNOWN.vectors[[0, 1, 2, 0]], equal_nan=True)
    assert data.fidelities.tolist() == [0.0, 0.0, 0.0, 0.5]


def test_a_failure_counts_as_the_worst_that_was_measured_of_each_objective() -> None:
    data = observations(KNOWN, n_rungs=3)
    assert data.costs.tolist() == [[0.5, 0.2], [0.5, 0.7], [0.1, 0.7], [0.4, 0.1]]
    assert np.isnan(KNOWN.costs[1]).all()


def test_the_highest_rung_alone_is_used_as_soon_as_it_has_a_result() -> None:
    alone = observations(KNOWN, n_rungs=2, uses_all_rungs=False)
    assert alone.fidelities.tolist() == [1.0]
    assert alone.costs.tolist() == [[0.4, 0.1]]
    none_yet = observations(KNOWN, n_rungs=3, uses_all_rungs=False)
    assert none_yet.costs.tolist() == observations(KNOWN, n_rungs=3).costs.tolist()


def test_with_one_rung_every_height_is_the_same() -> None:
    data = observations(snapshot([(0, 0, (0.5, 0.2)), (2, 0, (0.1, 0.3))]), n_rungs=1)
    assert len(set(data.fidelities.tolist())) == 1


@pytest.mark.parametrize("uses_all_rungs", [True, False])
def test_everything_is_finite(uses_all_rungs: bool) -> None:
    assert np.isfinite(observations(KNOWN, n_rungs=2, uses_all_rungs=uses_all_rungs).costs).all()
