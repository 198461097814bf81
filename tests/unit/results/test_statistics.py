from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from results.statistics import mean_and_interval


def test_a_hand_worked_interval_of_three_seeds() -> None:
    mean, interval = mean_and_interval([1.0, 2.0, 3.0])

    # s = 1, so the half width is 4.302653 (Student's t, 2 degrees of freedom) / sqrt(3).
    assert mean == 2.0
    assert interval == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)


def test_one_seed_says_nothing_about_the_spread() -> None:
    assert mean_and_interval([0.25]) == (0.25, None)


def test_equal_values_have_an_interval_without_width() -> None:
    assert mean_and_interval([0.5, 0.5, 0.5]) == (0.5, (0.5, 0.5))


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_the_interval_is_scipys(values: list[float]) -> None:
    mean, interval = mean_and_interval(values)

    expected = np.mean(values) + np.array(t.ppf([0.025, 0.975], len(values) - 1)) * (
        np.std(values, ddof=1) / math.sqrt(len(values))
    )
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx(tuple(expected), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_without_a_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one value, all finite"):
        mean_and_interval(values)
