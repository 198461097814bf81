"""What every head must do, whichever it is; closed forms are in `test_softmax`."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from search_space.candidate import HeadChoice
from search_space.heads.build import (
    HeadOutput,
    MarginHead,
    build_head,
    default_scale,
)
from search_space.heads.losses import focal_cross_entropy
from search_space.heads.specs import HEAD_SPECS, HEADS

N_CLASSES, SIZE = 7, 16
LABELS = torch.tensor([0, 3, 6, 6, 2])
READ_THE_LENGTH = ("MagFace", "AdaFace")
CHANGE_OTHERS = ("SphereFace2", "CurricularFace")
LEARN = ("AdaFace", "CurricularFace")
CLOSE = {"rtol": 1e-4, "atol": 2e-3}  # near a pole the sine multiplies rounding a thousandfold


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(n: int = 5, size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.randn(n, size, generator=generator(seed)) * 3


def head_of(name: str, *, margin: float | None = None, scale: float = 10.0) -> MarginHead:
    choice = HeadChoice(name=name, margin=margin, scale=scale)
    return build_head(choice, embedding_size=SIZE, n_classes=N_CLASSES)


def own_logits(output: HeadOutput, labels: Tensor = LABELS) -> Tensor:
    return output.logits.gather(1, labels[:, None]).squeeze(1)


def losses_of(
    head: MarginHead, output: HeadOutput, labels: Tensor = LABELS, gamma: float = 0.0
) -> Tensor:
    plain = head.losses(output.logits, labels, label_smoothing=gamma / 20, focal_gamma=gamma)
    return plain + output.regulariser


def without_regulariser(head: MarginHead, x: Tensor) -> Tensor:
    return head.losses(head(x, LABELS).logits, LABELS, label_smoothing=0.0, focal_gamma=0.0)


def at_angles(head: MarginHead, thetas: Tensor, length: float) -> tuple[Tensor, Tensor]:
    """Embeddings so far from the first class, whose weights are set to the first axis."""
    with torch.no_grad():
        rows = torch.eye(N_CLASSES, SIZE)
        head.weight.copy_(rows.repeat_interleave(len(head.weight) // N_CLASSES, dim=0))
    x = torch.zeros(len(thetas), SIZE, dtype=torch.float64)
    x[:, 0], x[:, -1] = thetas.double().cos(), thetas.double().sin()
    return (length * x).float(), torch.zeros(len(thetas), dtype=torch.int64)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("is_autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", HEADS)
def test_everything_is_finite_at_poles_at_zero_and_far_out(
    name: str, dtype: torch.dtype, is_autocast: bool, gamma: float
) -> None:
    head = head_of(name, scale=64.0)
    rows = torch.eye(N_CLASSES, SIZE)  # whose own cosine is 1 to the last bit
    head.weight.data.copy_(rows.repeat_interleave(len(head.weight) // N_CLASSES, dim=0))
    signed = torch.cat((rows, -rows))
    scattered = 1e4 * normalize(embeddings(7))
    x = torch.cat((signed, 1e-2 * signed, 1e4 * signed, torch.zeros(7, SIZE), scattered))
    x = x.to(dtype).requires_grad_()
    labels = torch.arange(N_CLASSES).repeat(8)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        output = head(x, labels)
        each = losses_of(head, output, labels, gamma)
    assert output.logits.dtype == each.dtype == torch.float32
    assert output.logits.isfinite().all()
    assert each.isfinite().all()
    each.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert x.grad.isfinite().all()
    assert x.grad.any()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert all(buffer.isfinite().all() for buffer in head.buffers())


@pytest.mark.parametrize("name", HEADS)
def test_heads_compute_in_float32_under_autocast(name: str) -> None:
    head = head_of(name).eval()
    exact = head(embeddings(), LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = head(embeddings(), LABELS)
        cast_losses = losses_of(head, cast, gamma=2.0)
    assert torch.equal(cast.logits, exact.logits)
    assert torch.equal(cast_losses, losses_of(head, exact, gamma=2.0))
    assert {p.dtype for p in head.parameters()} == {torch.float32}


@settings(max_examples=30)
@given(
    margin=st.floats(0.0, 1.5),
    length=st.floats(0.1, 200.0),
    thetas=st.lists(st.floats(0.0, math.pi), min_size=2, max_size=8, unique=True),
)
@pytest.mark.parametrize("name", HEADS)
def test_the_own_logit_never_rises_with_the_angle(
    name: str, margin: float, length: float, thetas: list[float]
) -> None:
    head = head_of(name, margin=margin).eval()
    x, labels = at_angles(head, torch.tensor(sorted(thetas)), length)
    own = own_logits(head(x, labels), labels)
    assert (own.diff() <= CLOSE["atol"]).all()


@pytest.mark.parametrize("name", HEADS)
def test_the_own_logit_falls_as_the_angle_grows(name: str) -> None:
    """Where AdaFace has an angle to take away and SphereFace2 is not yet flat."""
    head = head_of(name).eval()
    x, labels = at_angles(head, torch.linspace(0.5, 2.9, 25), length=4.0)
    assert (own_logits(head(x, labels), labels).diff() < -1e-4).all()


@settings(max_examples=30)
@given(
    length=st.floats(0.1, 200.0),
    thetas=st.lists(st.floats(0.0, math.pi), min_size=1, max_size=8),
    margins=st.tuples(st.floats(0.0, 1.5), st.floats(0.0, 1.5)),
)
@pytest.mark.parametrize("name", HEADS)
def test_a_larger_margin_never_makes_the_own_logit_larger(
    name: str, length: float, thetas: list[float], margins: tuple[float, float]
) -> None:
    head = head_of(name, margin=0.0).eval()
    x, labels = at_angles(head, torch.tensor(thetas), length)
    smaller, larger = (
        own_logits(head(x, labels, torch.full((len(x),), margin)), labels)
        for margin in sorted(margins)
    )
    assert (larger <= smaller + 1e-4).all()


@pytest.mark.parametrize("name", HEADS)
def test_a_larger_margin_makes_the_own_logit_smaller(name: str) -> None:
    """Without the noise that ElasticFace adds to its margin while it is trained."""
    plain = head_of(name, margin=0.1).eval()
    harder = head_of(name, margin=0.3).eval()
    assert (
        own_logits(harder(embeddings(), LABELS)) < own_logits(plain(embeddings(), LABELS)) - 0.1
    ).all()


@settings(max_examples=30)
@given(
    margin=st.floats(0.0, 1.2),
    targets=st.lists(st.floats(0.0, 1.2), min_size=5, max_size=5),
    seed=st.integers(0, 100),
)
@pytest.mark.parametrize("name", HEADS)
def test_offsets_equal_a_changed_margin(
    name: str, margin: float, targets: list[float], seed: int
) -> None:
    head = head_of(name, margin=margin).eval()
    x = embeddings(seed=seed)
    offsets = torch.tensor([target - margin for target in targets], dtype=torch.float64)
    found = head(x, LABELS, offsets)
    for index, target in enumerate(targets):
        changed = head_of(name, margin=target).eval()
        changed.load_state_dict(head.state_dict())  # SphereFace2's bias began with its margin
        expected = changed(x, LABELS).logits[index]
        is_own = one_hot(LABELS[index], N_CLASSES).bool()
        torch.testing.assert_close(found.logits[index][is_own], expected[is_own], **CLOSE)
        if name != "CurricularFace":  # which compares with the own logit, by rounding
            torch.testing.assert_close(found.logits[index], expected, **CLOSE)


@pytest.mark.parametrize("name", HEADS)
def test_margins_stay_in_range_whatever_the_offsets(name: str) -> None:
    head = head_of(name, margin=0.4).eval()
    x = 0.1 * normalize(embeddings())  # too short for MagFace to add to the margin
    for offset, margin in ((-9.0, 0.0), (9.0, 1.57)):
        changed = head_of(name, margin=margin).eval()
        changed.load_state_dict(head.state_dict())
        torch.testing.assert_close(
            head(x, LABELS, torch.full((5,), offset)).logits, changed(x, LABELS).logits
        )


@pytest.mark.parametrize("shape", [(5, 1), (1,), (4,), ()])
def test_offsets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    head = head_of("CosFace")
    with pytest.raises(ValueError, match=r"for 5 samples; give one number per sample"):
        head(embeddings(), LABELS, torch.zeros(shape))


@pytest.mark.parametrize("name", [name for name in HEADS if name not in CHANGE_OTHERS])
def test_without_a_margin_these_heads_are_the_scaled_cosine(name: str) -> None:
    head = head_of(name, margin=0.0).eval()
    x = 0.01 * normalize(embeddings())  # below MagFace's shortest length
    cosines = normalize(x) @ normalize(head.weight.detach()).T
    expected = 10.0 * cosines.unflatten(1, (N_CLASSES, -1)).amax(2)
    torch.testing.assert_close(head(x, LABELS).logits, expected)


@pytest.mark.parametrize("name", [name for name in HEADS if name not in CHANGE_OTHERS])
def test_these_heads_make_only_the_own_logit_harder(name: str) -> None:
    head = head_of(name)
    x = embeddings()
    cosines = normalize(x) @ normalize(head.weight.detach()).T
    plain = 10.0 * cosines.unflatten(1, (N_CLASSES, -1)).amax(2)
    output = head(x, LABELS)
    is_own = one_hot(LABELS, N_CLASSES).bool()
    torch.testing.assert_close(output.logits[~is_own], plain[~is_own])
    assert (own_logits(output) < plain[is_own] - 0.1).all()


@settings(max_examples=25)
@given(st.floats(0.01, 1e4), st.integers(0, 100))
@pytest.mark.parametrize("name", [name for name in HEADS if name not in READ_THE_LENGTH])
def test_the_loss_does_not_depend_on_the_length(name: str, factor: float, seed: int) -> None:
    head = head_of(name).eval()
    x = embeddings(seed=seed)
    if name == "CurricularFace":  # away from the jump where a class begins to outscore
        x = x + 20.0 * head.weight.detach()[LABELS]
    torch.testing.assert_close(
        without_regulariser(head, factor * x), without_regulariser(head, x), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", READ_THE_LENGTH)
def test_the_loss_depends_on_the_length_where_a_head_reads_it(name: str) -> None:
    head = head_of(name).eval()
    x = normalize(embeddings())
    short, long = without_regulariser(head, 3.0 * x), without_regulariser(head, 15.0 * x)
    assert ((long - short).abs() > 1e-3).all()


@pytest.mark.parametrize("name", HEADS)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    head = head_of(name).eval()
    x = embeddings().requires_grad_()
    losses_of(head, head(x, LABELS)).sum().backward()
    assert x.grad is not None
    x_step = torch.randn(x.shape, generator=generator(7))
    if name == "AdaFace":  # reads the length, but passes no gradient to it
        unit = normalize(x.detach())
        x_step = x_step - (x_step * unit).sum(dim=1, keepdim=True) * unit
    w_step = torch.randn(head.weight.shape, generator=generator(8)) / 3
    assert head.weight.grad is not None
    slope = (x.grad * x_step).sum() + (head.weight.grad * w_step).sum()

    weight, h, sums = head.weight.detach().clone(), 2e-3, []
    with torch.no_grad():
        for step in (h, -h):
            head.weight.copy_(weight + step * w_step)
            sums.append(losses_of(head, head(x + step * x_step, LABELS)).double().sum().item())
    assert slope.item() == pytest.approx((sums[0] - sums[1]) / (2 * h), rel=0.01, abs=0.03)
    assert abs(slope.item()) > 0.3


@pytest.mark.parametrize("name", HEADS)
def test_losses_are_per_sample_and_apply_smoothing_and_focal_factor(name: str) -> None:
    head = head_of(name)
    logits = head(embeddings(), LABELS).logits
    found = head.losses(logits, LABELS, label_smoothing=0.1, focal_gamma=2.0)
    assert found.shape == (5,)
    if name != "SphereFace2":
        expected = focal_cross_entropy(logits, LABELS, label_smoothing=0.1, focal_gamma=2.0)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("name", HEADS)
def test_shapes_and_the_inputs_are_left_alone(name: str) -> None:
    head = head_of(name)
    x, offsets = embeddings(), torch.full((5,), 0.1)
    before = x.clone()
    output = head(x, LABELS, offsets)
    assert output.logits.shape == (5, N_CLASSES)
    assert output.regulariser.shape == (5,)
    assert output.regulariser.any() == (name == "MagFace")
    assert torch.equal(x, before)
    assert torch.equal(offsets, torch.full((5,), 0.1))
    losses_of(head, output).sum().backward(retain_graph=True)
    output.logits.sum().backward()  # nothing the graph needs was overwritten


@pytest.mark.parametrize("name", HEADS)
def test_a_restored_head_goes_on_where_the_saved_one_stopped(name: str) -> None:
    head, other = head_of(name), head_of(name)
    fresh = {key: value.clone() for key, value in head.state_dict().items()}
    for seed in (1, 2, 3):
        head(embeddings(seed=seed), LABELS)
    saved = {key: value.clone() for key, value in head.state_dict().items()}
    has_changed = any(not torch.equal(saved[key], fresh[key]) for key in fresh)
    assert has_changed == (name in LEARN)
    other.load_state_dict(saved)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = head(embeddings(seed=4), LABELS)
        torch.manual_seed(0)
        found = other(embeddings(seed=4), LABELS)
    assert torch.equal(found.logits, expected.logits)
    assert all(torch.equal(head.state_dict()[key], other.state_dict()[key]) for key in saved)


@pytest.mark.parametrize("name", HEADS)
def test_evaluation_changes_nothing_and_repeats_itself(name: str) -> None:
    head = head_of(name).eval()
    before = {key: value.clone() for key, value in head.state_dict().items()}
    first = head(embeddings(), LABELS)
    assert torch.equal(head(embeddings(), LABELS).logits, first.logits)
    assert all(torch.equal(head.state_dict()[key], before[key]) for key in before)


@pytest.mark.parametrize("name", HEADS)
def test_class_weights_are_unit_rows_from_the_generator(name: str) -> None:
    has_several = name == "SubCenterArcFace"

    def weight(seed: int) -> Tensor:
        head = build_head(
            HeadChoice(name=name, numbers=(("sub_centers", 4),) if has_several else ()),
            embedding_size=8,
            n_classes=5,
            generator=generator(seed),
        )
        return head.weight.detach()

    n_rows = 20 if has_several else 5
    assert weight(1).shape == (n_rows, 8)
    torch.testing.assert_close(weight(1).norm(dim=1), torch.ones(n_rows))
    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


@pytest.mark.parametrize("name", HEADS)
def test_building_leaves_the_global_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    one, other = head_of(name), head_of(name)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", HEADS)
def test_no_margin_means_the_published_one(name: str) -> None:
    default, given_margin = head_of(name), head_of(name, margin=HEAD_SPECS[name].margin)
    assert default.margin == HEAD_SPECS[name].margin
    assert torch.equal(
        default.eval()(embeddings(), LABELS).logits,
        given_margin.eval()(embeddings(), LABELS).logits,
    )


def test_the_scale_follows_the_number_of_classes() -> None:
    assert default_scale(2) == 8.0
    assert default_scale(8631) == pytest.approx(12.8, abs=0.05)
    assert default_scale(10177) == pytest.approx(13.05, abs=0.05)
    for name in HEADS:
        head = build_head(HeadChoice(name=name), embedding_size=8, n_classes=8631)
        assert head.scale == (40.0 if name == "SphereFace2" else default_scale(8631))
        assert head_of(name, scale=33.0).scale == 33.0


@pytest.mark.parametrize(
    ("choice", "n_classes", "message"),
    [
        ({"name": "SphereFace"}, 5, "unknown head 'SphereFace'; choose from CosFace, ArcFace, "),
        ({}, 1, "a head of 1 classes learns nothing; give 2 or more"),
        ({"scale": 0.0}, 5, "the scale of CosFace is 0.0; give a finite number above 0"),
        ({"scale": math.nan}, 5, "the scale of CosFace is nan"),
        ({"name": "SphereFace2", "scale": math.inf}, 5, "the scale of SphereFace2 is inf"),
        ({"margin": -0.1}, 5, "the margin of CosFace is -0.1; give a number from 0 to 1.57"),
        ({"margin": math.nan}, 5, "the margin of CosFace is nan"),
        ({"name": "MagFace", "margin": 1.6}, 5, "the margin of MagFace is 1.6"),
        (
            {"name": "SubCenterArcFace", "numbers": (("sub_centers", 0),)},
            5,
            "with 0 weights per class",
        ),
        (
            {"name": "MagFace", "numbers": (("regulariser_factor", 0.9),)},
            5,
            "factor of MagFace is 0.9; give",
        ),
        (
            {"name": "MagFace", "numbers": (("regulariser_factor", math.nan),)},
            5,
            "factor of MagFace is nan",
        ),
        ({"numbers": (("sub_centers", 4),)}, 5, "no number 'sub_centers'; its own are: none"),
    ],
)
def test_impossible_heads_are_refused(
    choice: dict[str, object], n_classes: int, message: str
) -> None:
    impossible = replace(HeadChoice(name="CosFace"), **choice)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        build_head(impossible, embedding_size=8, n_classes=n_classes)
