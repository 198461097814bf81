"""From a network to costs: embed, refuse a collapsed network, rank, compare the groups.

A network that tells nobody apart treats all groups alike; it must never leave here with costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from workers.angles import IntArray, identity_angles
from workers.bootstrap import bootstrap_intervals
from workers.embedding import embed
from workers.errors import CollapsedError, DataError
from workers.metrics import Ranks, costs_of, evaluate_ranks, metrics_to_json
from workers.pack import GroupColumn, Pack
from workers.pictures import Pictures
from workers.ranks import collapse_reason, leave_one_out_ranks, require_finite
from workers.settings import EvaluationSettings, Split

CHANCE_STANDARD_ERRORS = 2.0
MIN_IDENTITIES_FOR_CHANCE = 20
_BOOTSTRAP_SEED = 0
_CHOICE_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        costs: Every metric that can be an objective.
        interval95: For each cost, its bounds over resampled identities.
        metrics: Every metric, as `workers.metrics.metrics_to_json` writes it.
    """

    costs: Mapping[str, float]
    interval95: Mapping[str, tuple[float, float]]
    metrics: Mapping[str, Any]


def evaluate(
    network: nn.Module,
    pack: Pack,
    *,
    split: Split,
    group: str,
    settings: EvaluationSettings,
    device: torch.device,
) -> Evaluation:
    """Leave-one-out identification on one split, compared between the groups of one column.

    Raises:
        TrainingDivergedError: An embedding is not finite.
        CollapsedError: The embeddings tell nobody apart, or rank like random ones.
        DataError: The split or the group column does not allow the comparison.
    """
    rows = evaluation_rows(pack, split=split, max_images=settings.max_images_per_identity)
    # Each picture is needed once, so none is kept on the device.
    pictures = Pictures(images=pack.images, rows=rows, device=device)
    embeddings = embed(network, pictures, batch_size=settings.batch_size, flip=settings.flip)
    require_finite(embeddings)
    identity = pack.identity[rows]
    reason = collapse_reason(embeddings, n_identities=len(np.unique(identity)))
    if reason is not None:
        raise CollapsedError(reason)
    ranks = leave_one_out_ranks(embeddings.to(device), identity)
    require_above_chance(ranks, identity)
    return _evaluation(embeddings, ranks, pack, rows, group, settings)


def raw_pixel_evaluation(
    pack: Pack, *, split: Split, group: str, settings: EvaluationSettings
) -> Evaluation:
    """The same measure on the pixels themselves: what a network must beat to have learned.

    Pixels minus the mean picture of the split, L2-normalised, stand for the embedding.

    Raises:
        DataError: The split or the group column does not allow the comparison.
    """
    rows = evaluation_rows(pack, split=split, max_images=settings.max_images_per_identity)
    pixels = torch.from_numpy(pack.images[rows]).flatten(1).float()
    embeddings = F.normalize(pixels - pixels.mean(dim=0), dim=1)
    ranks = leave_one_out_ranks(embeddings, pack.identity[rows])
    return _evaluation(embeddings, ranks, pack, rows, group, settings)


def evaluation_rows(pack: Pack, *, split: Split, max_images: int) -> NDArray[np.int64]:
    """Rows of the split, ascending, with at most `max_images` of each identity.

    The choice depends on the identity alone, so that every trial is measured on the same images.

    Raises:
        DataError: The split is empty.
    """
    rows = pack.rows(split)
    if not len(rows):
        raise DataError(f"{pack.path}: the {split} split is empty; pack again with a share for it")
    chosen = []
    by_identity = rows[np.argsort(pack.identity[rows], kind="stable")]
    bounds = np.flatnonzero(np.diff(pack.identity[by_identity])) + 1
    for images in np.split(by_identity, bounds):
        if len(images) > max_images:
            generator = np.random.default_rng([_CHOICE_SEED, int(pack.identity[images[0]])])
            images = generator.choice(images, max_images, replace=False)
        chosen.append(images)
    return np.sort(np.concatenate(chosen))


def require_above_chance(ranks: Ranks, identity: IntArray) -> None:
    """Refuse ranks that random embeddings could have given.

    Two statistics are compared with their expectation under random embeddings, where each of the
    n - 1 other images is equally likely to come first. A probe with m mates is then correct with
    probability m / (n - 1), and the share of non-mates before its nearest mate is 1 / (m + 1) on
    average, with variance m / ((m + 1)^2 (m + 2)) (the minimum of m uniform draws). A weak but
    honest network after few epochs may have hardly a correct probe, but it ranks mates better
    than that; so a network is refused only when neither statistic is two standard errors better
    than chance. Probes of one identity are alike, so identities count as the independent draws.
    With fewer than 20 identities that have mates nothing is refused: too few to tell.

    Raises:
        CollapsedError: Both statistics are at chance.
    """
    _, codes, counts = np.unique(identity, return_inverse=True, return_counts=True)
    is_probe = ranks.rank_by_identity >= 0
    n_mates = (counts[codes] - 1)[is_probe].astype(np.float64)
    n_others = len(identity) - 1.0
    n_identities = int((counts > 1).sum())
    if n_identities < MIN_IDENTITIES_FOR_CHANCE:
        return
    by_chance = n_mates / n_others
    accuracy = float(np.mean(ranks.rank_by_identity[is_probe] == 0))
    accuracy_error = np.sqrt(np.mean(by_chance * (1.0 - by_chance)) / n_identities)
    share = float(np.mean(ranks.rank_by_image[is_probe] / (n_others - n_mates)))
    share_error = np.sqrt(
        np.mean(n_mates / ((n_mates + 1.0) ** 2 * (n_mates + 2.0))) / n_identities
    )
    random_accuracy, random_share = float(by_chance.mean()), float(np.mean(1.0 / (n_mates + 1.0)))
    if (
        accuracy <= random_accuracy + CHANCE_STANDARD_ERRORS * accuracy_error
        and share >= random_share - CHANCE_STANDARD_ERRORS * share_error
    ):
        raise CollapsedError(
            f"identification is at chance: accuracy {accuracy:.4f} (random embeddings: "
            f"{random_accuracy:.4f}), {share:.3f} of the other images come before the nearest "
            f"mate (random: {random_share:.3f})"
        )


def _evaluation(
    embeddings: Tensor,
    ranks: Ranks,
    pack: Pack,
    rows: NDArray[np.int64],
    group: str,
    settings: EvaluationSettings,
) -> Evaluation:
    column = _group_column(pack, group)
    identity, codes = pack.identity[rows], column.codes[rows]
    metrics = evaluate_ranks(ranks, identity=identity, codes=codes, labels=column.labels)
    angles = identity_angles(
        embeddings.numpy(), identity=identity, codes=codes, labels=column.labels
    )
    return Evaluation(
        costs=costs_of(metrics),
        interval95=bootstrap_intervals(
            ranks,
            identity=identity,
            codes=codes,
            n_replicates=settings.n_replicates,
            seed=_BOOTSTRAP_SEED,
        ),
        metrics=metrics_to_json(metrics, angles),
    )


def _group_column(pack: Pack, group: str) -> GroupColumn:
    column = pack.groups.get(group)
    if column is None:
        raise DataError(
            f"{pack.path}: no group column {group!r}; choose from {', '.join(pack.groups)}"
        )
    return column
