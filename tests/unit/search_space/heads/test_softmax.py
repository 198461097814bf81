from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor
from torch.nn.functional import normalize

from search_space.candidate import HeadChoice
from search_space.heads.build import build_head
from search_space.heads.softmax import (
    AdaFace,
    CurricularFace,
    ElasticFace,
    MagFace,
)

N_CLASSES, SIZE = 7, 16
LABELS = torch.tensor([0, 3, 6, 6, 2])


def embeddings(n: int = 5, size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed)) * 3


def at_angles(thetas: list[float], lengths: list[float], size: int) -> tuple[Tensor, Tensor]:
    """Embeddings so far from the first of two classes, and in a right angle to the other."""
    theta, length = torch.tensor(thetas).double(), torch.tensor(lengths).double()
    x = torch.zeros(len(thetas), size, dtype=torch.float64)
    x[:, 0], x[:, 2] = length * theta.cos(), length * theta.sin()
    return x.float(), torch.zeros(len(thetas), dtype=torch.int64)


def cosines_of(x: Tensor, weight: Tensor) -> np.ndarray:
    return (normalize(x.double()) @ normalize(weight.detach().double()).T).numpy()


@pytest.mark.parametrize(
    ("name", "oracle", "margin", "oracle_margin"),
    [
        ("CosFace", losses.CosFaceLoss, 0.35, 0.35),
        ("CosFace", losses.CosFaceLoss, 0.1, 0.1),
        ("ArcFace", losses.ArcFaceLoss, 0.5, math.degrees(0.5)),
        ("ArcFace", losses.ArcFaceLoss, 0.2, math.degrees(0.2)),
        ("ArcFace", losses.ArcFaceLoss, 1.4, math.degrees(1.4)),  # some angles pass pi
        ("SubCenterArcFace", losses.SubCenterArcFaceLoss, 0.5, math.degrees(0.5)),
        ("SubCenterArcFace", losses.SubCenterArcFaceLoss, 0.2, math.degrees(0.2)),
    ],
)
def test_logits_and_loss_equal_another_librarys(
    name: str, oracle: type, margin: float, oracle_margin: float
) -> None:
    more = {"sub_centers": 4} if name == "SubCenterArcFace" else {}
    head = build_head(
        HeadChoice(name=name, scale=20.0, margin=margin, numbers=tuple(more.items())),
        embedding_size=SIZE,
        n_classes=N_CLASSES,
    )
    other = oracle(
        num_classes=N_CLASSES, embedding_size=SIZE, margin=oracle_margin, scale=20.0, **more
    )
    other.W.data = head.weight.detach().T.clone()
    mine, theirs = embeddings().requires_grad_(), embeddings().requires_grad_()
    logits, regulariser = head(mine, LABELS)
    assert not regulariser.any()

    cosines = other.get_cosine(theirs)
    hardened = other.modify_cosine_of_target_classes(cosines.gather(1, LABELS[:, None]))
    torch.testing.assert_close(
        logits, 20.0 * cosines.scatter(1, LABELS[:, None], hardened), rtol=1e-5, atol=1e-4
    )

    loss = head.losses(logits, LABELS, label_smoothing=0.0, focal_gamma=0.0).mean()
    expected = other(theirs, LABELS)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.weight.grad, other.W.grad.T, rtol=1e-4, atol=1e-6)


def test_one_sub_center_is_arcface() -> None:
    many = build_head(
        HeadChoice(name="SubCenterArcFace", numbers=(("sub_centers", 1),)),
        embedding_size=SIZE,
        n_classes=N_CLASSES,
    )
    one = build_head(HeadChoice(name="ArcFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    assert torch.equal(many(embeddings(), LABELS).logits, one(embeddings(), LABELS).logits)


def test_magface_follows_its_closed_form() -> None:
    size = 512
    head = build_head(
        HeadChoice(name="MagFace", scale=64.0, numbers=(("regulariser_factor", 2.0),)),
        embedding_size=size,
        n_classes=N_CLASSES,
    )
    directions = normalize(embeddings(size=size)).double()
    lengths = np.array([3.0, 10.0, 22.6, 60.0, 500.0])
    logits, regulariser = head((directions * torch.tensor(lengths)[:, None]).float(), LABELS)

    angles = np.arccos(cosines_of(directions, head.weight))
    lengths = lengths.clip(10, 110)
    margins = 0.45 + 0.35 * (lengths - 10) / 100
    expected = 64.0 * np.cos(angles)
    own = angles[np.arange(5), LABELS.numpy()]
    assert (own + margins < math.pi).all()
    expected[np.arange(5), LABELS.numpy()] = 64.0 * np.cos(own + margins)
    np.testing.assert_allclose(logits.detach(), expected, rtol=1e-5, atol=1e-4)

    bound = 64 * 0.0035 * 100 * 12100 / 12000
    assert bound == pytest.approx(22.6, abs=0.02)
    np.testing.assert_allclose(
        regulariser, 2.0 * bound * (lengths / 12100 + 1 / lengths), rtol=1e-5
    )


def test_magface_rewards_length_and_holds_on_to_the_shortest() -> None:
    """At the shortest length the reward outweighs the larger margin, at any scale and size."""
    for scale, size in ((8.0, 64), (64.0, 512), (30.0, 16)):
        head = build_head(
            HeadChoice(name="MagFace", scale=scale), embedding_size=size, n_classes=2
        )
        assert isinstance(head, MagFace)
        lengths = torch.tensor([head.shortest * 1.001], requires_grad=True)
        head.regulariser(lengths).sum().backward()
        assert lengths.grad is not None
        assert -lengths.grad.item() > scale * head.rise


def test_magface_lengths_fit_the_neck_at_every_embedding_size() -> None:
    for size in (16, 64, 512, 1024):
        head = build_head(HeadChoice(name="MagFace"), embedding_size=size, n_classes=2)
        assert isinstance(head, MagFace)
        assert head.shortest < math.sqrt(size) < head.longest


def test_magfaces_given_margin_moves_both_ends() -> None:
    head = build_head(
        HeadChoice(name="MagFace", margin=0.1, scale=1.0), embedding_size=512, n_classes=2
    )
    head.weight.data.copy_(torch.eye(2, 512))
    x, labels = at_angles([0.6, 0.6], [10.0, 110.0], 512)
    expected = torch.tensor([math.cos(0.6 + 0.1), math.cos(0.6 + 0.45)])
    torch.testing.assert_close(head(x, labels).logits[:, 0], expected)


def test_magfaces_margin_stays_below_a_right_angle() -> None:
    head = build_head(
        HeadChoice(name="MagFace", margin=1.5, scale=1.0), embedding_size=512, n_classes=2
    )
    head.weight.data.copy_(torch.eye(2, 512))
    x, labels = at_angles([0.6], [110.0], 512)
    assert head(x, labels).logits[0, 0].item() == pytest.approx(math.cos(0.6 + 1.57), abs=1e-5)


@pytest.mark.parametrize("size", [512, 128, 8])
def test_adaface_follows_its_closed_form(size: int) -> None:
    unit = math.sqrt(size / 512)
    head = build_head(HeadChoice(name="AdaFace", scale=30.0), embedding_size=size, n_classes=2)
    assert isinstance(head, AdaFace)
    head.weight.data.copy_(torch.eye(2, size))
    head.mean_length.fill_(20.0)
    head.length_deviation.fill_(5.0)
    head.eval()
    # The last four: no angle left to take away, past pi, and lengths beyond both limits.
    thetas = [0.5, 1.0, 1.5, 2.0, 2.5, 0.1, 3.0, 1.0, 1.0]
    lengths = [20.0, 22.0, 30.0, 18.0, 12.0, 60.0, 5.0, 1000.0, 1e-5]
    x, labels = at_angles(thetas, [unit * length for length in lengths], size)
    logits = head(x, labels).logits

    expected = []
    for theta, length in zip(thetas, lengths, strict=True):
        q = 0.333 * (min(max(length, 0.001), 100.0) - 20.0) / (5.0 + 0.001)
        q = min(max(q, -1.0), 1.0)
        turned = theta - 0.4 * q
        if turned > math.pi:
            arc = math.cos(theta) + 0.4 * q * math.sin(-0.4 * q)
        else:
            arc = math.cos(max(turned, 0.0))
        expected.append(30.0 * (arc - 0.4 - 0.4 * q))
    assert logits[:, 0].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert logits[:, 1].tolist() == pytest.approx([0.0] * 9, abs=1e-4)


def test_adaface_runs_mean_and_deviation_along_before_it_uses_them() -> None:
    head = build_head(HeadChoice(name="AdaFace", scale=1.0), embedding_size=128, n_classes=2)
    assert isinstance(head, AdaFace)
    head.weight.data.copy_(torch.eye(2, 128))
    assert (head.mean_length.item(), head.length_deviation.item()) == (20.0, 100.0)
    mean, deviation = 20.0, 100.0
    for lengths in ([5.0, 15.0, 40.0], [30.0, 300.0, 10.0]):
        in_units = np.clip(np.array(lengths) / 0.5, 0.001, 100.0)
        mean = 0.99 * mean + 0.01 * in_units.mean()
        deviation = 0.99 * deviation + 0.01 * in_units.std()
        x, labels = at_angles([1.0, 1.2, 1.4], lengths, 128)
        logits = head(x, labels).logits
        assert head.mean_length.item() == pytest.approx(mean, rel=1e-6)
        assert head.length_deviation.item() == pytest.approx(deviation, rel=1e-6)
        q = np.clip(0.333 * (in_units - mean) / (deviation + 0.001), -1, 1)
        expected = np.cos(np.array([1.0, 1.2, 1.4]) - 0.4 * q) - 0.4 - 0.4 * q
        assert logits[:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_adaface_learns_nothing_from_one_sample_or_a_broken_batch() -> None:
    head = build_head(HeadChoice(name="AdaFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    assert isinstance(head, AdaFace)
    output = head(embeddings(1), LABELS[:1])
    assert output.logits.isfinite().all()
    broken = embeddings()
    broken[2, 3] = math.nan
    head(broken, LABELS)
    assert (head.mean_length.item(), head.length_deviation.item()) == (20.0, 100.0)
    head(embeddings(), LABELS)
    assert head.mean_length.item() != 20.0
    assert head.length_deviation.item() != 100.0


def test_adaface_passes_no_gradient_to_the_length() -> None:
    head = build_head(HeadChoice(name="AdaFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    x = embeddings().requires_grad_()
    logits = head(x, LABELS).logits
    head.losses(logits, LABELS, label_smoothing=0.0, focal_gamma=0.0).sum().backward()
    assert x.grad is not None
    assert (x.grad.norm(dim=1) > 1e-3).all()
    along = (x.grad * normalize(x.detach())).sum(dim=1)
    assert (along.abs() < 1e-5 * x.grad.norm(dim=1).clamp_min(1)).all()


def test_curricularface_follows_its_closed_form() -> None:
    head = build_head(
        HeadChoice(name="CurricularFace", scale=30.0), embedding_size=SIZE, n_classes=N_CLASSES
    )
    assert isinstance(head, CurricularFace)
    progress, n_hard, n_easy = 0.0, 0, 0
    for seed in (1, 2, 3):
        x = embeddings(seed=seed) + 4.0 * head.weight.detach()[LABELS]
        logits = head(x, LABELS).logits.detach().numpy()
        cosines = cosines_of(x, head.weight)
        own = cosines[np.arange(5), LABELS.numpy()]
        progress = 0.01 * own.mean() + 0.99 * progress
        assert head.progress.item() == pytest.approx(progress, abs=1e-6)
        hardened = np.cos(np.arccos(own) + 0.5)
        assert (np.arccos(own) + 0.5 < math.pi).all()
        is_hard = cosines > hardened[:, None]
        expected = np.where(is_hard, cosines * (progress + cosines), cosines)
        expected[np.arange(5), LABELS.numpy()] = hardened
        np.testing.assert_allclose(logits, 30.0 * expected, rtol=1e-4, atol=1e-4)
        is_hard[np.arange(5), LABELS.numpy()] = False
        n_hard, n_easy = n_hard + is_hard.sum(), n_easy + (~is_hard).sum() - 5
    assert n_hard > 5
    assert n_easy > 5
    assert progress > 0.005


def test_curricularface_passes_over_a_broken_batch() -> None:
    head = build_head(HeadChoice(name="CurricularFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    assert isinstance(head, CurricularFace)
    head(torch.full((5, SIZE), math.nan), LABELS)
    assert head.progress.item() == 0.0


def test_elasticface_draws_margins_from_the_global_generator_in_training() -> None:
    head = build_head(
        HeadChoice(name="ElasticFace", scale=1.0), embedding_size=SIZE, n_classes=N_CLASSES
    )
    own = cosines_of(embeddings(), head.weight)[np.arange(5), LABELS.numpy()]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        draws = torch.randn(5).double().numpy()
        torch.manual_seed(5)
        logits = head(embeddings(), LABELS).logits
        again = head(embeddings(), LABELS).logits
    margins = 0.5 + 0.05 * draws
    assert (np.arccos(own) + margins < math.pi).all()
    found = logits[torch.arange(5), LABELS].tolist()
    assert found == pytest.approx(np.cos(np.arccos(own) + margins).tolist(), abs=1e-5)
    assert not torch.equal(logits, again)


def test_elasticface_is_arcface_in_evaluation_and_without_deviation() -> None:
    elastic = build_head(HeadChoice(name="ElasticFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    arc = build_head(HeadChoice(name="ArcFace"), embedding_size=SIZE, n_classes=N_CLASSES)
    assert isinstance(elastic, ElasticFace)
    expected = arc(embeddings(), LABELS).logits
    state = torch.get_rng_state()
    assert torch.equal(elastic.eval()(embeddings(), LABELS).logits, expected)
    assert torch.equal(torch.get_rng_state(), state)
    elastic.deviation = 0.0
    assert torch.equal(elastic.train()(embeddings(), LABELS).logits, expected)


def test_no_draw_of_elasticface_leaves_the_range_of_margins() -> None:
    head = build_head(HeadChoice(name="ElasticFace", scale=1.0), embedding_size=SIZE, n_classes=2)
    assert isinstance(head, ElasticFace)
    head.deviation = 100.0
    head.weight.data.copy_(torch.eye(2, SIZE))
    x, labels = at_angles([1.0] * 200, [5.0] * 200, SIZE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = head(x, labels).logits[:, 0]
    assert own.max().item() == pytest.approx(math.cos(1.0), abs=1e-5)
    assert own.min().item() == pytest.approx(math.cos(1.0 + 1.57), abs=1e-5)
