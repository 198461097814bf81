from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.evaluation.operating_point import best_threshold, threshold_at, wilson_interval

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=25)


@given(SCORES, st.floats(0, 1))
def test_a_threshold_is_the_lowest_score_that_few_enough_exceed(
    values: list[int], rate: float
) -> None:
    scores = np.array(values, dtype=float)
    threshold = threshold_at(scores, rate)
    assert np.mean(scores > threshold) <= rate + 1e-9
    lower = [-np.inf, *sorted(set(values))]
    admissible = [cut for cut in lower if np.mean(scores > cut) <= rate + 1e-9]
    assert threshold == min(admissible)


def test_equal_scores_are_all_rejected() -> None:
    assert threshold_at(np.array([0.9, 0.5, 0.5, 0.5, 0.1]), 0.4) == 0.5
    assert threshold_at(np.array([0.9, 0.5, 0.5, 0.5, 0.1]), 0.0) == 0.9
    assert threshold_at(np.array([0.9, 0.5]), 1.0) == -np.inf


def test_no_scores_have_no_threshold() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        threshold_at(np.zeros(0), 0.1)


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=20))
def test_the_best_threshold_is_the_best_of_all(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=float)
    same = np.array([alike for _, alike in pairs])
    everywhere = np.arange(-5.25, 5.5, 0.25)
    best = max(np.mean((scores > cut) == same) for cut in everywhere)
    found = best_threshold(scores, same)
    assert np.mean((scores > found) == same) == best
    higher = [cut for cut in everywhere if np.mean((scores > cut) == same) == best]
    accepted = np.sum(scores > found)
    assert accepted == min(np.sum(scores > cut) for cut in higher)


def test_wilson_is_the_published_interval() -> None:
    # 10 of 10: Wilson's lower bound is n / (n + z^2).
    low, high = wilson_interval(1.0, 10)
    assert low == pytest.approx(10 / (10 + 1.959963984540054**2))
    assert high == pytest.approx(1.0)
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
