from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from search_space.candidate import HeadChoice
from search_space.heads.build import build_head
from search_space.heads.sphereface2 import SphereFace2, initial_bias

LABELS = torch.tensor([0, 3, 6, 6, 2])


def sphereface2(choice: HeadChoice, *, n_classes: int = 7, size: int = 16) -> SphereFace2:
    head = build_head(choice, embedding_size=size, n_classes=n_classes)
    assert isinstance(head, SphereFace2)
    return head


def embeddings(size: int = 16) -> Tensor:
    return torch.randn(5, size, generator=torch.Generator().manual_seed(1)) * 3


@pytest.mark.parametrize(("scale", "margin"), [(40.0, 0.4), (10.0, 0.1)])
def test_logits_and_losses_follow_their_closed_forms(scale: float, margin: float) -> None:
    head = sphereface2(HeadChoice(name="SphereFace2", scale=scale, margin=margin))
    x = embeddings()
    logits, regulariser = head(x, LABELS)
    losses = head.losses(logits, LABELS, label_smoothing=0.0, focal_gamma=0.0)

    unit = x.double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    weight = head.weight.detach().double().numpy()
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    spread = 2 * ((unit @ weight.T + 1) / 2) ** 3 - 1
    is_own = np.eye(7, dtype=bool)[LABELS.numpy()]
    signs = np.where(is_own, 1.0, -1.0)
    expected = scale * (spread - signs * margin) + head.bias.item()
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-4, atol=1e-4)

    wrong = np.log1p(np.exp(-signs * expected))
    expected_losses = 50 / scale * (np.where(is_own, 0.7, 0.3) * wrong).sum(axis=1)
    np.testing.assert_allclose(losses.detach().numpy(), expected_losses, rtol=1e-4)
    assert not regulariser.any()


@settings(max_examples=300)
@given(st.integers(2, 100_000), st.floats(1.0, 100.0), st.floats(0.0, 1.57))
@example(2, 64.0, 1.0)
@example(3, 100.0, 1.57)
@example(100_000, 100.0, 1.57)
def test_at_the_start_both_sides_pull_equally_on_the_bias(
    n_classes: int, scale: float, margin: float
) -> None:
    bias = initial_bias(n_classes, scale=scale, margin=margin)
    at_rest = 2 * ((0 + 1) / 2) ** 3 - 1
    own = scale * (at_rest - margin) + bias
    other = scale * (at_rest + margin) + bias
    # Logarithms, for the sigmoids reach down to exp(-300).
    pull_up = math.log(0.7) - np.logaddexp(0, own)
    pull_down = math.log(0.3 * (n_classes - 1)) - np.logaddexp(0, -other)
    assert pull_up == pytest.approx(pull_down, abs=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3, 12])
def test_a_fresh_heads_loss_has_no_slope_in_the_bias(n_classes: int) -> None:
    head = sphereface2(HeadChoice(name="SphereFace2", scale=6.0), n_classes=n_classes)
    head.weight.data.copy_(torch.eye(n_classes, 16))
    x = torch.zeros(2, 16)
    x[:, -1] = 4.0  # at a right angle to every class
    labels = torch.tensor([0, 1])
    logits = head(x, labels).logits
    p = torch.sigmoid(logits[0])
    assert 0.7 * (1 - p[0]).item() == pytest.approx(0.3 * p[1:].sum().item(), rel=1e-4)
    head.losses(logits, labels, label_smoothing=0.0, focal_gamma=0.0).sum().backward()
    assert head.bias.grad is not None
    assert abs(head.bias.grad.item()) < 1e-5
    with torch.no_grad():
        head.bias += 0.5
    head.losses(
        head(x, labels).logits, labels, label_smoothing=0.0, focal_gamma=0.0
    ).sum().backward()
    assert head.bias.grad.item() > 1e-2


def test_smoothing_and_focal_factor_do_not_apply() -> None:
    head = sphereface2(HeadChoice(name="SphereFace2"))
    logits = head(embeddings(), LABELS).logits
    plain = head.losses(logits, LABELS, label_smoothing=0.0, focal_gamma=0.0)
    assert torch.equal(head.losses(logits, LABELS, label_smoothing=0.3, focal_gamma=2.0), plain)


def test_the_scale_is_the_published_one_at_any_number_of_classes() -> None:
    for n_classes in (2, 9000):
        head = sphereface2(HeadChoice(name="SphereFace2"), n_classes=n_classes, size=4)
        assert head.scale == 40.0


def test_a_larger_margin_lifts_the_other_classes_too() -> None:
    head = sphereface2(HeadChoice(name="SphereFace2"))
    is_own = torch.nn.functional.one_hot(LABELS, 7).bool()
    plain = head(embeddings(), LABELS).logits
    moved = head(embeddings(), LABELS, torch.full((5,), 0.1)).logits
    torch.testing.assert_close(moved[is_own], plain[is_own] - 4.0)
    torch.testing.assert_close(moved[~is_own], plain[~is_own] + 4.0)
