"""What a training does for the groups that fare worse: order, weights and margins of its images.

Knows images by their row in the training set and groups by their code; an image whose group is
unknown has code -1, weight 1 and no extra margin, and for sampling all such images are one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search_space.candidate import Mitigation
from workers.data.pictures import TrainingSet
from workers.errors import DataError

_UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Treatment:
    """A candidate's mitigation, worked out for the n images of one training set.

    Attributes:
        group_codes: int64 (n,) on the device; None without mitigation.
        sampling_strength: Power of one over a group's size by which its images are drawn.
        image_weights: What each image's loss is multiplied with, float32 (n,) on the device; None
            is 1 for all.
        margin_offsets: What is added to the head's margin, float32 (n,) on the device; None is 0
            for all.
        first_log_weights: Logarithms of the groups' first weights in group DRO, float64 (G,) on
            the device, -inf for a group without images; None without group DRO.
        step_size: Of the groups' weights in group DRO.
    """

    group_codes: Tensor | None = None
    sampling_strength: float = 0.0
    image_weights: Tensor | None = None
    margin_offsets: Tensor | None = None
    first_log_weights: Tensor | None = None
    step_size: float = 0.0


def treatment_of(mitigation: Mitigation, data: TrainingSet) -> Treatment:
    """What the mitigation means for these images.

    Raises:
        DataError: The training set has no groups, or not one for which a margin is named.
    """
    if mitigation.name == "none":
        return Treatment()
    codes = data.group_codes
    if codes is None:
        raise DataError(
            f"mitigation {mitigation.name} needs the groups of the training images, but the pack "
            "does not have the run's group column; name another column or pack again with it"
        )
    if mitigation.name == "balanced_sampling":
        return Treatment(group_codes=codes, sampling_strength=mitigation.strength)
    if mitigation.name == "reweighting":
        return Treatment(
            group_codes=codes, image_weights=balancing_weights(codes, mitigation.strength)
        )
    if mitigation.name == "group_margin":
        return Treatment(
            group_codes=codes,
            margin_offsets=_margin_offsets(mitigation.margins, codes, data.group_labels),
        )
    return Treatment(
        group_codes=codes,
        first_log_weights=_equal_log_weights(codes, n_groups=len(data.group_labels)),
        step_size=mitigation.strength,
    )


def epoch_order(treatment: Treatment, n_images: int, *, generator: torch.Generator) -> Tensor:
    """The rows of one epoch in the order in which they are trained, int64 (n,) on the CPU.

    Without balanced sampling a permutation. With it a group of n_g images has a share of the n
    places in proportion to n_g ** (1 - strength), rounded so that they add up; it fills them with
    one fresh permutation of its images after another, so that no image comes twice more often than
    another of its group.

    Args:
        treatment: Of the training set.
        n_images: n.
        generator: On the CPU.
    """
    if treatment.group_codes is None or treatment.sampling_strength == 0.0:
        return torch.randperm(n_images, generator=generator)
    codes = treatment.group_codes.cpu()
    _, counts = torch.unique(codes, return_counts=True)
    n_places = _rounded(counts.double() ** (1.0 - treatment.sampling_strength), total=n_images)
    drawn = [
        _cycled(torch.nonzero(codes == code).flatten(), n, generator)
        for code, n in zip(torch.unique(codes).tolist(), n_places, strict=True)
    ]
    return torch.cat(drawn)[torch.randperm(n_images, generator=generator)]


def balancing_weights(codes: Tensor, strength: float) -> Tensor:
    """Weights in proportion to n_g ** -strength, with mean 1 over the images of known group.

    Args:
        codes: Groups, int64 (n,); -1 is unknown and has weight 1.
        strength: 0 weighs all alike, 1 gives each group the same total.

    Returns:
        float32 (n,) on the codes' device.
    """
    known = codes != _UNKNOWN
    weights = torch.ones(len(codes), dtype=torch.float64, device=codes.device)
    if known.any():
        sizes = torch.bincount(codes[known]).double()[codes[known]]
        raw = sizes**-strength
        weights[known] = raw / raw.mean()
    return weights.float()


def updated_log_weights(
    log_weights: Tensor, losses: Tensor, codes: Tensor, *, step_size: float
) -> Tensor:
    """The groups' weights after a batch: w_g exp(step_size * L_g), brought to sum 1.

    L_g is the mean loss of the group in the batch, 0 where it has no image there. Logarithms are
    kept, for a weight that has underflowed to 0 could never grow again.

    Args:
        log_weights: float64 (G,).
        losses: Of the batch, (b,), without gradient.
        codes: Groups of the batch, int64 (b,).
        step_size: 0 or more.

    References:
        Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020,
        algorithm 1.
    """
    is_of_group = _membership(codes, len(log_weights))
    sizes = is_of_group.sum(dim=1)
    mean_losses = is_of_group @ losses.double() / sizes.clamp_min(1.0)
    return torch.log_softmax(log_weights + step_size * mean_losses, dim=0)


def robust_weights(log_weights: Tensor, codes: Tensor) -> Tensor:
    """Weights of a batch's losses whose mean is the sum over the groups of w_g L_g.

    Where the batch has images of unknown group, that sum counts for the known share of the batch
    and the others weigh 1.

    Args:
        log_weights: float64 (G,), after the update with this batch.
        codes: int64 (b,).

    Returns:
        float32 (b,).
    """
    is_of_group = _membership(codes, len(log_weights))
    sizes = is_of_group.sum(dim=1)
    by_group = sizes.sum() * log_weights.exp() / sizes.clamp_min(1.0)
    weights = torch.where(codes == _UNKNOWN, 1.0, by_group[codes.clamp_min(0)])
    return weights.float()


def _membership(codes: Tensor, n_groups: int) -> Tensor:
    """1.0 where an image is of a group, float64 (G, b); sums over it do not depend on timing."""
    groups = torch.arange(n_groups, device=codes.device)
    return (codes[None, :] == groups[:, None]).double()


def _equal_log_weights(codes: Tensor, *, n_groups: int) -> Tensor:
    counts = torch.bincount(codes[codes != _UNKNOWN], minlength=n_groups)
    if not counts.any():
        raise DataError(
            "mitigation group_dro needs training images of known group, and there are none; "
            "pack again with their groups"
        )
    return torch.log_softmax((counts > 0).double().log(), dim=0)


def _margin_offsets(
    margins: tuple[tuple[str, float], ...], codes: Tensor, labels: tuple[str, ...]
) -> Tensor:
    offsets = torch.zeros(len(codes), device=codes.device)
    for label, margin in margins:
        if label not in labels:
            raise DataError(
                f"mitigation group_margin names a margin for the group {label!r}, but the groups "
                f"are {', '.join(labels)}; name one of these"
            )
        offsets[codes == labels.index(label)] = margin
    return offsets


def _rounded(shares: Tensor, *, total: int) -> list[int]:
    """Whole numbers in proportion to the shares that add up to `total`, each less than 1 off."""
    exact = shares / shares.sum() * total
    floors = exact.floor()
    n_missing = total - int(floors.sum())
    largest_remainders = torch.argsort(exact - floors, descending=True, stable=True)
    floors[largest_remainders[:n_missing]] += 1.0
    return [int(n) for n in floors.tolist()]


def _cycled(rows: Tensor, n_places: int, generator: torch.Generator) -> Tensor:
    n_rounds = -(-n_places // len(rows))
    rounds = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(n_rounds)]
    return torch.cat(rounds)[:n_places] if rounds else rows[:0]
