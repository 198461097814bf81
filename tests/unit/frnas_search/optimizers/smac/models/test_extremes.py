from __future__ import annotations

import numpy as np
import pytest

from frnas_search.optimizers.smac.models.extremes import without_extremes


def test_bad_costs_are_bounded_by_what_good_ones_differ_in() -> None:
    costs = np.linspace(0.0, 1.0, 11)[:, None] * [1.0, 10.0]
    costs[-1] = [1e4, 10.0]
    bounded = without_extremes(costs)
    assert bounded[-1] == pytest.approx([0.5 + 3 * 0.4, 10.0])
    assert np.array_equal(bounded[:-1], costs[:-1])


def test_the_front_is_bounded_only_far_beyond_everything() -> None:
    good = np.linspace(0.0, 1.0, 11)
    costs = np.column_stack([good, good[::-1]])
    costs[0, 1], costs[-1, 0] = 4.0, 1e4
    bounded = without_extremes(costs)
    assert bounded[0, 1] == 4.0
    assert bounded[-1, 0] == pytest.approx(0.5 + 10 * 0.4)
    costs[-1] = [-1e4, 0.0]
    assert without_extremes(costs)[-1, 0] == pytest.approx(0.4 - 10 * 0.4)


def test_costs_that_mostly_equal_the_best_are_left() -> None:
    costs = np.array([0.0, 0.0, 0.0, 0.0, 5.0])[:, None]
    assert np.array_equal(without_extremes(costs), costs)


def test_what_is_beyond_a_limit_stays_beyond_it() -> None:
    costs = np.linspace(0.0, 1.0, 11)[:, None] * [1.0, 1.0]
    costs[-1] = [50.0, 50.0]
    bounded = without_extremes(costs, np.array([20.0, np.inf]))
    assert bounded[-1, 0] > 20.0
    assert bounded[-1, 1] < 2.0
