from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.schedule import learning_rate_factor


def test_it_rises_to_one_and_falls_to_one_percent() -> None:
    factors = [learning_rate_factor(step, total_steps=100, warmup_steps=10) for step in range(101)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.505)
    assert factors[100] == pytest.approx(0.01)


@given(
    st.integers(0, 5000),
    st.integers(1, 1000),
    st.integers(0, 1000),
)
def test_it_is_always_positive_and_at_most_one(step: int, total: int, warmup: int) -> None:
    factor = learning_rate_factor(step, total_steps=total, warmup_steps=warmup)
    assert 0.0 < factor <= 1.0


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert learning_rate_factor(0, total_steps=10, warmup_steps=0) == 1.0
