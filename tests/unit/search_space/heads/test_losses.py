from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from search_space.heads.losses import focal_cross_entropy, one_against_all


def logits_of(seed: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 4, generator=generator) * scale
    return logits, torch.randint(4, (6,), generator=generator)


@given(st.integers(0, 1000), st.floats(0.0, 0.5))
def test_without_a_focal_factor_it_is_the_cross_entropy(seed: int, smoothing: float) -> None:
    logits, labels = logits_of(seed)
    found = focal_cross_entropy(logits, labels, label_smoothing=smoothing, focal_gamma=0.0)
    log_p = logits.double().log_softmax(dim=1)
    target = (1 - smoothing) * F.one_hot(labels, 4).double() + smoothing / 4
    torch.testing.assert_close(found.double(), -(target * log_p).sum(1), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 1000), st.floats(0.0, 0.5), st.floats(0.1, 5.0))
def test_the_focal_factor_follows_its_closed_form(
    seed: int, smoothing: float, gamma: float
) -> None:
    logits, labels = logits_of(seed)
    found = focal_cross_entropy(logits, labels, label_smoothing=smoothing, focal_gamma=gamma)
    plain = F.cross_entropy(
        logits.double(), labels, reduction="none", label_smoothing=smoothing
    ).numpy()
    expected = [loss * (1.0 - math.exp(-loss)) ** gamma for loss in plain]
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_focal_loss_of_a_certain_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    focal_cross_entropy(
        logits, torch.tensor([0]), label_smoothing=0.0, focal_gamma=0.5
    ).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@given(st.integers(0, 1000), st.floats(0.0, 1.0))
def test_one_against_all_is_a_weighted_binary_cross_entropy(seed: int, share: float) -> None:
    logits, labels = logits_of(seed)
    found = one_against_all(logits, labels, own_share=share)
    p = torch.sigmoid(logits.double()).numpy()
    expected = [
        -sum(
            share * math.log(p[i, j]) if j == label else (1 - share) * math.log(1 - p[i, j])
            for j in range(4)
        )
        for i, label in enumerate(labels.tolist())
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_one_against_all_stays_finite_for_logits_far_out() -> None:
    logits = torch.tensor([[-1e4, 1e4], [1e4, -1e4]], requires_grad=True)
    losses = one_against_all(logits, torch.tensor([0, 0]), own_share=0.7)
    assert losses.tolist() == pytest.approx([0.7e4 + 0.3e4, 0.0])
    losses.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
