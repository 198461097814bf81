"""From a network to costs: embed, refuse a collapsed network, rank, compare the groups.

A network that tells nobody apart treats all groups alike; it must never leave here with costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from workers.data.packs.pack import GroupColumn, Pack
from workers.data.pictures import Pictures
from workers.errors import CollapsedError, DataError
from workers.evaluation.angles import IntArray, identity_angles
from workers.evaluation.bootstrap import bootstrap_intervals
from workers.evaluation.chance import require_above_chance
from workers.evaluation.embedding import embed
from workers.evaluation.identification_metrics import (
    Ranks,
    costs_of,
    evaluate_ranks,
    metrics_to_json,
)
from workers.evaluation.intervals import Interval
from workers.evaluation.matching import match_all_pairs
from workers.evaluation.open_set import open_set
from workers.evaluation.permutation import permutation_p_values
from workers.evaluation.ranks import collapse_reason, leave_one_out_ranks, require_finite
from workers.evaluation.verification import pair_scores, verify, verify_by_group
from workers.settings import EvaluationSettings, Split

MIN_FOLDS = 2
_BOOTSTRAP_SEED = 0
_CHOICE_SEED = 0
_REPORTED_SPLIT: Split = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        costs: Every metric that can be an objective.
        interval95: For each cost, its bounds over resampled identities.
        metrics: Every metric, as `identification_metrics.metrics_to_json` writes it, with
            `interval95` of each cost, `p_values`, and `verification`, `open_set` and `tables`
            where they were asked for.
    """

    costs: Mapping[str, float]
    interval95: Mapping[str, tuple[float, float]]
    metrics: Mapping[str, Any]


class _Faces(NamedTuple):
    """What was found of n images and who they show, on the device and in numpy."""

    embeddings: Tensor
    ranks: Ranks
    identity: IntArray
    codes: IntArray
    labels: tuple[str, ...]


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

    On the test split, which only a retraining reads, everything is measured; on others
    verification, open set and tables only where the settings say so.

    Raises:
        CollapsedError: The embeddings are not finite, tell nobody apart, or rank like random ones.
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
    is_report = split == _REPORTED_SPLIT
    faces = _faces(embeddings.to(device), ranks, pack, rows, group)
    found = _evaluation(faces, settings, is_report=is_report)
    more: dict[str, Any] = {}
    if settings.tables or is_report:
        more["tables"] = _tables(pack, rows, faces)
    if settings.verification or is_report:
        everyone = _group_column(pack, group, np.arange(len(pack.identity)))
        more["pairs"] = _pairs_report(
            network, pack, everyone, settings, split=split, device=device
        )
    return replace(found, metrics={**found.metrics, **more})


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
    return _evaluation(_faces(embeddings, ranks, pack, rows, group), settings, is_report=False)


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


def _faces(
    embeddings: Tensor, ranks: Ranks, pack: Pack, rows: NDArray[np.int64], group: str
) -> _Faces:
    column = _group_column(pack, group, rows)
    return _Faces(embeddings, ranks, pack.identity[rows], column.codes, column.labels)


def _evaluation(faces: _Faces, settings: EvaluationSettings, *, is_report: bool) -> Evaluation:
    identity, codes, labels = faces.identity, faces.codes, faces.labels
    metrics = evaluate_ranks(faces.ranks, identity=identity, codes=codes, labels=labels)
    angles = identity_angles(
        faces.embeddings.cpu().numpy(), identity=identity, codes=codes, labels=labels
    )
    own = bootstrap_intervals(
        faces.ranks,
        identity=identity,
        codes=codes,
        n_replicates=settings.n_replicates,
        seed=_BOOTSTRAP_SEED,
    )
    more = _optional_measures(faces, settings, is_report=is_report)
    intervals = {**own, **more.interval95}
    return Evaluation(
        costs={**costs_of(metrics), **more.costs},
        interval95=intervals,
        metrics={
            **metrics_to_json(metrics, angles),
            **more.metrics,
            "interval95": {name: list(interval) for name, interval in intervals.items()},
        },
    )


def _optional_measures(
    faces: _Faces, settings: EvaluationSettings, *, is_report: bool
) -> Evaluation:
    """What is measured only where it is wanted, or for a report where the faces allow it."""
    costs: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    report: dict[str, Any] = {}
    if settings.n_permutations:
        report["p_values"] = permutation_p_values(
            faces.ranks,
            identity=faces.identity,
            codes=faces.codes,
            n_permutations=settings.n_permutations,
            seed=_BOOTSTRAP_SEED,
        )
    wanted = {"verification": settings.verification, "open_set": settings.open_set}
    for name, measure in _MEASURES.items():
        try:
            found = measure(faces, settings) if wanted[name] or is_report else None
        except DataError as error:
            if wanted[name]:
                raise
            report[name] = {"missing": str(error)}  # a report has what there is
            continue
        if found is not None:
            costs |= found.costs
            intervals |= found.interval95
            report[name] = dict(found.metrics)
    return Evaluation(costs=costs, interval95=intervals, metrics=report)


def _verification(faces: _Faces, settings: EvaluationSettings) -> Evaluation:
    found = match_all_pairs(
        faces.embeddings,
        identity=faces.identity,
        codes=faces.codes,
        labels=faces.labels,
        fmr=settings.fmr,
        n_replicates=settings.n_replicates,
    )
    return Evaluation(costs=found.costs, interval95=found.interval95, metrics=found.report)


def _open_set(faces: _Faces, settings: EvaluationSettings) -> Evaluation:
    found, interval = open_set(
        faces.embeddings,
        identity=faces.identity,
        codes=faces.codes,
        labels=faces.labels,
        fpir=settings.fpir,
        n_replicates=settings.n_replicates,
    )
    return Evaluation(costs={"fnir": found["fnir"]}, interval95={"fnir": interval}, metrics=found)


_MEASURES: Mapping[str, Callable[[_Faces, EvaluationSettings], Evaluation]] = {
    "verification": _verification,
    "open_set": _open_set,
}


def _pairs_report(
    network: nn.Module,
    pack: Pack,
    column: GroupColumn,
    settings: EvaluationSettings,
    *,
    split: Split,
    device: torch.device,
) -> dict[str, Any]:
    """10-fold verification of the pack's own pairs that lie in the split; empty without them."""
    if pack.pairs is None:
        return {}
    number = np.full(len(pack.identity), -1, dtype=np.int64)
    rows = np.intersect1d(pack.rows(split), np.concatenate([pack.pairs.first, pack.pairs.second]))
    number[rows] = np.arange(len(rows))
    pairs = pack.pairs.renumbered(number)
    if len(np.unique(pairs.fold)) < MIN_FOLDS or len(np.unique(pairs.same)) < 2:
        return {}
    pictures = Pictures(images=pack.images, rows=rows, device=device)
    vectors = embed(network, pictures, batch_size=settings.batch_size, flip=settings.flip)
    require_finite(vectors)
    scores = pair_scores(vectors.numpy(), pairs.first, pairs.second)
    codes = column.codes[rows]
    return {
        **verify(scores, pairs.same, pairs.fold),
        "groups": verify_by_group(
            scores,
            pairs.same,
            pairs.fold,
            codes=(codes[pairs.first], codes[pairs.second]),
            labels=column.labels,
        ),
    }


def _tables(pack: Pack, rows: NDArray[np.int64], faces: _Faces) -> dict[str, Any]:
    from workers.evaluation.tables import (
        group_tables,  # its library takes longer to load than many a trial
    )

    columns = {name: _group_column(pack, name, rows) for name in pack.groups}
    return group_tables(faces.ranks, identity=faces.identity, columns=columns)


def _group_column(pack: Pack, group: str, rows: NDArray[np.int64]) -> GroupColumn:
    """The column of these rows, its labels in alphabetical order."""
    column = pack.groups.get(group)
    if column is None:
        raise DataError(
            f"{pack.path}: no group column {group!r}; choose from {', '.join(pack.groups)}"
        )
    order = sorted(range(len(column.labels)), key=column.labels.__getitem__)
    # Its last place is for code -1, the unknown.
    renumbered = np.append(np.argsort(order), -1).astype(np.int16)
    return GroupColumn(
        labels=tuple(column.labels[code] for code in order),
        codes=renumbered[column.codes[rows]],
    )
