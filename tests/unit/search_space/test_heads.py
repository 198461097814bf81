from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from search_space.candidate import PAPER_HEADS as HEADS
from search_space.heads import (
    HeadOutput,
    MagFace,
    add_angle,
    build_head,
    default_scale,
)

N_CLASSES, SIZE = 7, 16
LABELS = torch.tensor([0, 3, 6, 6, 2])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(n: int = 5, size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.randn(n, size, generator=generator(seed)) * 3


def own_logits(output: HeadOutput) -> Tensor:
    return output.logits.gather(1, LABELS[:, None]).squeeze(1)


@pytest.mark.parametrize(
    ("name", "oracle", "margin", "oracle_margin"),
    [
        ("CosFace", losses.CosFaceLoss, 0.35, 0.35),
        ("CosFace", losses.CosFaceLoss, 0.1, 0.1),
        ("ArcFace", losses.ArcFaceLoss, 0.5, math.degrees(0.5)),
        ("ArcFace", losses.ArcFaceLoss, 0.2, math.degrees(0.2)),
    ],
)
def test_logits_and_loss_equal_another_librarys(
    name: str, oracle: type, margin: float, oracle_margin: float
) -> None:
    head = build_head(
        name,
        embedding_size=SIZE,
        n_classes=N_CLASSES,
        scale=20.0,
        margin=margin,
        generator=generator(0),
    )
    other = oracle(N_CLASSES, SIZE, margin=oracle_margin, scale=20.0)
    other.W.data = head.weight.detach().T.clone()
    mine, theirs = embeddings().requires_grad_(), embeddings().requires_grad_()
    logits, regulariser = head(mine, LABELS)
    loss = cross_entropy(logits, LABELS)
    expected = other(theirs, LABELS)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.weight.grad, other.W.grad.T, rtol=1e-4, atol=1e-6)
    assert not regulariser.any()


def test_magface_follows_its_closed_form() -> None:
    scale, size = 64.0, 512
    head = build_head("MagFace", embedding_size=size, n_classes=N_CLASSES, scale=scale)
    directions = normalize(embeddings(size=size)).double()
    lengths = torch.tensor([3.0, 10.0, 22.6, 60.0, 500.0]).double()
    logits, regulariser = head((directions * lengths[:, None]).float(), LABELS)

    angles = (directions @ normalize(head.weight.detach().double()).T).arccos()
    lengths = lengths.clamp(10, 110)
    margins = 0.45 + 0.35 * (lengths - 10) / 100
    expected = scale * angles.cos()
    own = angles.gather(1, LABELS[:, None]).squeeze(1)
    assert (own + margins < math.pi).all()
    expected[torch.arange(5), LABELS] = scale * (own + margins).cos()
    torch.testing.assert_close(logits.double(), expected, rtol=1e-5, atol=1e-4)

    bound = 64 * 0.0035 * 100 * 12100 / 12000
    assert bound == pytest.approx(22.6, abs=0.02)
    torch.testing.assert_close(
        regulariser.double(), 1.5 * bound * (lengths / 12100 + 1 / lengths), rtol=1e-5, atol=1e-5
    )


def test_magface_rewards_length_and_holds_on_to_the_shortest() -> None:
    """At the shortest length the reward outweighs the larger margin, at any scale and size."""
    for scale, size in ((8.0, 64), (64.0, 512), (30.0, 16)):
        head = build_head("MagFace", embedding_size=size, n_classes=2, scale=scale)
        assert isinstance(head, MagFace)
        lengths = torch.tensor([head.shortest * 1.001], requires_grad=True)
        head.regulariser(lengths).sum().backward()
        assert lengths.grad is not None
        assert -lengths.grad.item() > scale * head.rise


def test_magface_lengths_fit_the_neck_at_every_embedding_size() -> None:
    for size in (16, 64, 512, 1024):
        head = build_head("MagFace", embedding_size=size, n_classes=2)
        assert isinstance(head, MagFace)
        assert head.shortest < math.sqrt(size) < head.longest


def test_magfaces_given_margin_moves_both_ends() -> None:
    head = build_head("MagFace", embedding_size=512, n_classes=2, margin=0.1)
    cosines = torch.full((2,), 0.6)
    expected = torch.cos(torch.tensor(0.6).arccos() + torch.tensor([0.1, 0.45]))
    hardened = head.with_margin(cosines, torch.tensor([10.0, 110.0]))
    torch.testing.assert_close(hardened, expected)


@pytest.mark.parametrize("name", HEADS)
def test_without_a_margin_every_head_is_the_scaled_cosine(name: str) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES, scale=10.0, margin=0.0)
    x = embeddings()
    if name == "MagFace":
        x = normalize(x) * 0.01  # below the shortest length, where nothing is added
    expected = 10.0 * normalize(x) @ normalize(head.weight).T
    torch.testing.assert_close(head(x, LABELS).logits, expected)


@pytest.mark.parametrize("name", HEADS)
def test_only_the_own_logit_is_made_harder(name: str) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES, scale=10.0)
    x = embeddings()
    plain = 10.0 * normalize(x) @ normalize(head.weight).T
    output = head(x, LABELS)
    is_own = torch.nn.functional.one_hot(LABELS, N_CLASSES).bool()
    torch.testing.assert_close(output.logits[~is_own], plain[~is_own])
    assert (own_logits(output) < plain[is_own]).all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("length", [1e-3, 1.0, 30.0, 1e3])
def test_gradients_are_finite_at_cosines_of_plus_and_minus_one(name: str, length: float) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES, scale=64.0)
    weight = torch.eye(N_CLASSES, SIZE)  # rows whose own cosine is 1 to the last bit
    head.weight.data.copy_(weight)
    x = torch.cat((weight, -weight)) * length
    x.requires_grad_()
    labels = torch.arange(N_CLASSES).repeat(2)
    output = head(x, labels)
    (cross_entropy(output.logits, labels) + output.regulariser.mean()).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert head.weight.grad is not None
    assert head.weight.grad.isfinite().all()


def test_the_slope_is_finite_at_and_beyond_the_poles() -> None:
    beyond = 1.0 + 1e-6  # what rounding makes of the cosine between equal directions
    cosines = torch.tensor([1.0, -1.0, beyond, -beyond, 1.0 - 1e-7], requires_grad=True)
    hardened = add_angle(cosines, torch.full((5,), 0.5))
    hardened.sum().backward()
    assert hardened.isfinite().all()
    assert cosines.grad is not None
    assert (cosines.grad.abs() < 10).all()


@pytest.mark.parametrize("name", HEADS)
def test_embeddings_of_length_zero_give_finite_gradients(name: str) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES)
    x = torch.zeros(5, SIZE, requires_grad=True)
    output = head(x, LABELS)
    (cross_entropy(output.logits, LABELS) + output.regulariser.mean()).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@settings(deadline=None)
@given(st.floats(-1.0, 1.0), st.floats(0.0, 2.3))
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
        assert found == pytest.approx(math.cos(theta + angle), abs=1.1e-3)  # the clamped sine
    else:
        assert found == pytest.approx(cosine - angle * math.sin(angle), abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.5, 0.8, 1.5])
def test_an_added_angle_never_makes_a_worse_cosine_better(angle: float) -> None:
    cosines = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    hardened = add_angle(cosines, torch.full_like(cosines, angle))
    assert (hardened.diff() > 0).all()
    assert (hardened <= cosines + 1e-12).all()


@pytest.mark.parametrize("name", HEADS)
def test_heads_compute_in_float32_under_autocast(name: str) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES)
    exact = head(embeddings(), LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = head(embeddings(), LABELS)
    assert cast.logits.dtype == torch.float32
    assert torch.equal(cast.logits, exact.logits)
    assert head.weight.dtype == torch.float32


@pytest.mark.parametrize("name", HEADS)
def test_shapes_and_the_inputs_are_left_alone(name: str) -> None:
    head = build_head(name, embedding_size=SIZE, n_classes=N_CLASSES)
    x = embeddings()
    before = x.clone()
    output = head(x, LABELS)
    assert output.logits.shape == (5, N_CLASSES)
    assert output.regulariser.shape == (5,)
    assert torch.equal(x, before)


def test_class_weights_are_unit_rows_from_the_generator() -> None:
    def weight(seed: int) -> Tensor:
        head = build_head("CosFace", embedding_size=8, n_classes=5, generator=generator(seed))
        return head.weight.detach()

    torch.testing.assert_close(weight(1).norm(dim=1), torch.ones(5))
    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


def test_heads_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    one = build_head("ArcFace", embedding_size=8, n_classes=5)
    other = build_head("ArcFace", embedding_size=8, n_classes=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.weight, other.weight)


def test_the_scale_follows_the_number_of_classes() -> None:
    assert default_scale(2) == 8.0
    assert default_scale(8631) == pytest.approx(12.8, abs=0.05)
    assert default_scale(10177) == pytest.approx(13.05, abs=0.05)
    assert build_head("CosFace", embedding_size=8, n_classes=8631).scale == default_scale(8631)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SphereFace", {}, "choose from CosFace, ArcFace, MagFace"),
        ("CosFace", {"n_classes": 1}, "a head of 1 classes learns nothing; give 2 or more"),
        ("CosFace", {"scale": 0.0}, "the scale of CosFace is 0.0; give a finite number above 0"),
        ("CosFace", {"scale": math.nan}, "the scale of CosFace is nan"),
        ("ArcFace", {"margin": -0.1}, "the margin of ArcFace is -0.1; give a number from 0"),
        ("ArcFace", {"margin": math.nan}, "the margin of ArcFace is nan"),
        ("MagFace", {"margin": 1.6}, "the margin of MagFace is 1.6"),
    ],
)
def test_impossible_heads_are_refused(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_head(name, **{"embedding_size": 8, "n_classes": 5, **options})  # type: ignore[arg-type]
