from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from search_space.heads.core import add_angle, directions


def test_directions_have_length_1_and_none_where_there_is_none() -> None:
    vectors = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)) * 50
    vectors[2] = 0.0
    vectors[3] = 1e-8
    vectors.requires_grad_()
    units = directions(vectors)
    torch.testing.assert_close(units[:2], normalize(vectors[:2]))
    assert not units[2:].any()
    units.sum().backward()
    assert vectors.grad is not None
    assert vectors.grad[:2].any()
    assert not vectors.grad[2:].any()


def test_the_slope_is_finite_at_and_beyond_the_poles() -> None:
    beyond = 1.0 + 1e-6  # what rounding makes of the cosine between equal directions
    for angle in (0.5, -0.5, 0.0):
        cosines = torch.tensor([1.0, -1.0, beyond, -beyond, 1.0 - 1e-7], requires_grad=True)
        hardened = add_angle(cosines, torch.full((5,), angle))
        hardened.sum().backward()
        assert hardened.isfinite().all()
        assert cosines.grad is not None
        assert (cosines.grad.abs() < 10).all()


@given(st.floats(-1.0, 1.0), st.floats(-1.5, 2.3))
def test_an_added_angle_equals_the_arc_up_to_where_it_would_turn_back(
    cosine: float, angle: float
) -> None:
    theta = math.acos(cosine)
    found = add_angle(
        torch.tensor([cosine], dtype=torch.float64), torch.tensor([angle], dtype=torch.float64)
    ).item()
    if abs(theta + angle - math.pi) < 1e-6:
        return  # either branch, by rounding
    if theta + angle < math.pi:
        expected = math.cos(max(theta + angle, 0.0))
        assert found == pytest.approx(expected, abs=1.1e-3)  # the clamped sine
    else:
        assert found == pytest.approx(cosine - angle * math.sin(angle), abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.5, 0.8, 1.5])
def test_an_added_angle_never_makes_a_worse_cosine_better(angle: float) -> None:
    cosines = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    hardened = add_angle(cosines, torch.full_like(cosines, angle))
    assert (hardened.diff() > 0).all()
    assert (hardened <= cosines + 1e-12).all()


@pytest.mark.parametrize("angle", [0.0, 0.01, 0.4, 1.5])
def test_an_angle_taken_away_never_turns_the_order_around(angle: float) -> None:
    cosines = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    eased = add_angle(cosines, torch.full_like(cosines, -angle))
    is_flat = cosines >= math.cos(angle)
    assert (eased.diff()[~is_flat[1:]] > 0).all()
    assert (eased[is_flat] == 1.0).all()
    assert (eased >= cosines - 1e-12).all()
