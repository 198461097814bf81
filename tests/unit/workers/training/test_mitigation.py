from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from search_space.candidate import Mitigation, MitigationName
from workers.data.pictures import Pictures, TrainingSet
from workers.errors import DataError
from workers.training.mitigation import (
    Treatment,
    balancing_weights,
    epoch_order,
    robust_weights,
    treatment_of,
    updated_log_weights,
)

CPU = torch.device("cpu")


def codes_of(*sizes: int, unknown: int = 0) -> torch.Tensor:
    """Codes of groups of these sizes, mixed, with some unknown."""
    counts = [*sizes, unknown]
    codes = [*range(len(sizes)), -1]
    ordered = torch.repeat_interleave(torch.tensor(codes), torch.tensor(counts))
    return ordered[torch.randperm(len(ordered), generator=torch.Generator().manual_seed(1))]


def data_with(codes: torch.Tensor | None, labels: Sequence[str] = ("f", "m")) -> TrainingSet:
    n = 4 if codes is None else len(codes)
    images = np.zeros((n, 1, 2, 2), dtype=np.uint8)
    return TrainingSet(
        pictures=Pictures(images=images, rows=np.arange(n), device=CPU),
        classes=torch.zeros(n, dtype=torch.int64),
        n_classes=2,
        group_codes=codes,
        group_labels=tuple(labels),
    )


def order_of(codes: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    treatment = treatment_of(
        Mitigation(name="balanced_sampling", strength=strength), data_with(codes)
    )
    generator = torch.Generator().manual_seed(seed)
    return epoch_order(treatment, len(codes), generator=generator)


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(
    "codes", [codes_of(5, 60), codes_of(3, 10, 87), codes_of(5, 60, unknown=7)]
)
def test_each_group_has_its_share_of_the_epoch(codes: torch.Tensor, strength: float) -> None:
    order = order_of(codes, strength)
    assert len(order) == len(codes)
    _, sizes = torch.unique(codes, return_counts=True)
    shares = sizes.double() ** (1.0 - strength)
    expected = shares / shares.sum() * len(codes)
    _, drawn = torch.unique(codes[order], return_counts=True)
    assert (drawn - expected).abs().max() < 1.0


def test_full_balance_draws_all_groups_alike() -> None:
    codes = codes_of(5, 35, 20)
    drawn = torch.bincount(codes[order_of(codes, 1.0)])
    assert drawn.tolist() == [20, 20, 20]


def test_no_image_comes_twice_more_often_than_another_of_its_group() -> None:
    codes = codes_of(5, 60)
    times = torch.bincount(order_of(codes, 1.0), minlength=len(codes))
    small, large = times[codes == 0], times[codes == 1]
    assert small.min() == 6  # 33 places for 5 images
    assert small.max() == 7
    assert large.max() == 1


def test_over_the_epochs_all_images_are_used() -> None:
    codes = codes_of(5, 60)
    used = torch.cat([order_of(codes, 1.0, seed) for seed in range(12)])
    assert len(used.unique()) == len(codes)


def test_the_order_depends_on_the_generator_alone_and_mixes_the_groups() -> None:
    codes = codes_of(20, 60)
    assert torch.equal(order_of(codes, 1.0), order_of(codes, 1.0))
    assert not torch.equal(order_of(codes, 1.0), order_of(codes, 1.0, seed=1))
    first_half = codes[order_of(codes, 1.0)][:40]
    assert 10 < int((first_half == 0).sum()) < 30


@pytest.mark.parametrize(
    "mitigation", [Mitigation(), Mitigation(name="reweighting", strength=1.0)]
)
def test_the_order_is_the_plain_permutation_without_balanced_sampling(
    mitigation: Mitigation,
) -> None:
    treatment = treatment_of(mitigation, data_with(codes_of(5, 60)))
    order = epoch_order(treatment, 65, generator=torch.Generator().manual_seed(3))
    assert torch.equal(order, torch.randperm(65, generator=torch.Generator().manual_seed(3)))


def test_weights_have_their_closed_form() -> None:
    codes = torch.tensor([0, 1, 1, 1, 1, -1])
    # sizes 1 and 4: n ** -0.5 is 1 and 1/2, over the five known images 3 in all.
    expected = torch.tensor([5 / 3, *[5 / 6] * 4, 1.0])
    torch.testing.assert_close(balancing_weights(codes, 0.5), expected)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_weights_have_mean_1_and_balance_the_groups_totals(strength: float) -> None:
    codes = codes_of(5, 60, unknown=4)
    weights = balancing_weights(codes, strength)
    assert weights.mean().item() == pytest.approx(1.0)
    assert (weights[codes == -1] == 1.0).all()
    totals = [weights[codes == code].sum().item() for code in (0, 1)]
    assert totals[0] / totals[1] == pytest.approx((5 / 60) ** (1.0 - strength), rel=1e-5)


def test_weights_without_any_known_group_are_1() -> None:
    assert balancing_weights(torch.tensor([-1, -1]), 1.0).tolist() == [1.0, 1.0]


def test_group_dro_equals_two_steps_computed_by_hand() -> None:
    treatment = treatment_of(
        Mitigation(name="group_dro", strength=0.5), data_with(codes_of(3, 9, 4), "abc")
    )
    log_weights = treatment.first_log_weights
    assert log_weights is not None
    # Step 1: a has losses 1 and 3 (mean 2), b has 1, c is not there.
    losses, codes = torch.tensor([1.0, 1.0, 3.0]), torch.tensor([0, 1, 0])
    log_weights = updated_log_weights(log_weights, losses, codes, step_size=0.5)
    total = math.exp(1.0) + math.exp(0.5) + 1.0
    after_one = [math.exp(1.0) / total, math.exp(0.5) / total, 1.0 / total]
    assert log_weights.exp().tolist() == pytest.approx(after_one)
    loss = (robust_weights(log_weights, codes) * losses).mean().item()
    assert loss == pytest.approx(after_one[0] * 2.0 + after_one[1] * 1.0)
    # Step 2: only c, with a loss of 4.
    losses, codes = torch.tensor([4.0]), torch.tensor([2])
    log_weights = updated_log_weights(log_weights, losses, codes, step_size=0.5)
    raised = [after_one[0], after_one[1], after_one[2] * math.exp(2.0)]
    after_two = [weight / sum(raised) for weight in raised]
    assert log_weights.exp().tolist() == pytest.approx(after_two)
    loss = (robust_weights(log_weights, codes) * losses).mean().item()
    assert loss == pytest.approx(after_two[2] * 4.0)


def test_group_dro_gives_images_of_unknown_group_weight_1() -> None:
    log_weights = torch.tensor([0.25, 0.75]).double().log()
    codes, losses = torch.tensor([0, -1, 1, 1]), torch.tensor([1.0, 8.0, 2.0, 4.0])
    weights = robust_weights(log_weights, codes)
    assert weights[1] == 1.0
    known = 0.25 * 1.0 + 0.75 * 3.0
    assert (weights * losses).mean().item() == pytest.approx(0.75 * known + 0.25 * 8.0)
    moved = updated_log_weights(log_weights, losses, codes, step_size=1.0)
    alone = updated_log_weights(log_weights, losses[codes >= 0], codes[codes >= 0], step_size=1.0)
    assert torch.equal(moved, alone)


def test_a_group_that_lost_nearly_all_its_weight_can_come_back() -> None:
    log_weights = torch.tensor([0.5, 0.5]).double().log()
    losses, codes = torch.tensor([0.0, 900.0]), torch.tensor([0, 1])
    log_weights = updated_log_weights(log_weights, losses, codes, step_size=1.0)
    assert log_weights.exp()[0] == 0.0
    log_weights = updated_log_weights(log_weights, losses.flip(0), codes, step_size=1.0)
    torch.testing.assert_close(log_weights.exp(), torch.tensor([0.5, 0.5]).double())


def test_a_group_without_training_images_has_no_weight() -> None:
    mitigation = Mitigation(name="group_dro", strength=0.1)
    treatment = treatment_of(mitigation, data_with(torch.tensor([0, 2, 2, -1]), "abc"))
    assert treatment.first_log_weights is not None
    assert treatment.first_log_weights.exp().tolist() == pytest.approx([0.5, 0.0, 0.5])
    moved = updated_log_weights(
        treatment.first_log_weights, torch.ones(2), torch.tensor([0, 2]), step_size=0.1
    )
    assert moved.exp().tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_margins_are_those_of_the_groups_by_label() -> None:
    mitigation = Mitigation(name="group_margin", margins=(("m", 0.1),))
    treatment = treatment_of(mitigation, data_with(torch.tensor([1, 0, -1, 1])))
    assert treatment.margin_offsets is not None
    torch.testing.assert_close(treatment.margin_offsets, torch.tensor([0.1, 0.0, 0.0, 0.1]))


def test_no_mitigation_needs_no_groups() -> None:
    treatment = treatment_of(Mitigation(), data_with(None))
    assert all(getattr(treatment, name) in (None, 0.0) for name in Treatment.__slots__)


@pytest.mark.parametrize("name", ["balanced_sampling", "reweighting", "group_dro", "group_margin"])
def test_a_mitigation_without_groups_is_refused_by_name(name: MitigationName) -> None:
    with pytest.raises(DataError, match=rf"{name} needs the groups .* pack again"):
        treatment_of(Mitigation(name=name, strength=0.5), data_with(None))


def test_a_margin_of_an_unknown_group_is_refused_with_the_groups_there_are() -> None:
    mitigation = Mitigation(name="group_margin", margins=(("f", 0.1), ("x", 0.1)))
    with pytest.raises(DataError, match="'x', but the groups are f, m; name one"):
        treatment_of(mitigation, data_with(codes_of(3, 5)))


def test_group_dro_without_any_known_group_is_refused() -> None:
    with pytest.raises(DataError, match="there are none"):
        treatment_of(Mitigation(name="group_dro", strength=0.1), data_with(torch.tensor([-1, -1])))
