"""Identification metrics from ranks: overall, per group, and the gaps between groups. Pure numpy.

Ratios with a zero denominator are None: no metric is ever NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.angles import Angles, IntArray
from workers.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Where each probe's nearest mate stands among all other images; 0 is a correct match.

    Attributes:
        rank_by_identity: int64 (n,); other identities with an image at least as similar as the
            nearest mate; -1 for a probe without a mate.
        rank_by_image: int64 (n,); images of other identities at least as similar as the nearest
            mate; -1 for a probe without a mate.
    """

    rank_by_identity: NDArray[np.int64]
    rank_by_image: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSummary:
    """Identification of one set of probes.

    Attributes:
        accuracy: Share of probes whose nearest neighbour is a mate.
        error: 1 - accuracy.
        mean_rank: Mean rank by identity; 0 is perfect.
        n_probes: Probes with a mate; those without one are not counted anywhere here.
        n_identities: Identities with such a probe.
    """

    accuracy: float
    error: float
    mean_rank: float
    n_probes: int
    n_identities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """How far the groups lie apart. With two groups these are the predecessor's five metrics.

    For two groups, with labels in alphabetical order, the ratios are |1 - second / first|: of `f`
    and `m`, or `female` and `male`, the women are the denominator, as in the predecessor's tables.
    For more than two groups they are 1 - smallest / largest, which has no direction.

    Attributes:
        rank_disparity: Largest minus smallest mean rank.
        disparity: Largest minus smallest accuracy.
        ratio: Of the accuracies; None when the denominator is zero.
        rank_ratio: Of the mean ranks; None when the denominator is zero.
        error_ratio: Of the errors; None when the denominator is zero.
        worst_group_error: The largest error of a group; levelling others down does not lower it.
    """

    rank_disparity: float
    disparity: float
    ratio: float | None
    rank_ratio: float | None
    error_ratio: float | None
    worst_group_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Everything measured on one split.

    Attributes:
        groups: By label, in alphabetical order; only groups with at least one probe.
        n_singletons: Images without a mate: distractors in the gallery, never probes.
        n_ungrouped: Probes that belong to no group; they count overall only.
    """

    overall: RankSummary
    groups: Mapping[str, RankSummary]
    gaps: Gaps
    n_singletons: int
    n_ungrouped: int


def evaluate_ranks(
    ranks: Ranks, *, identity: IntArray, codes: IntArray, labels: Sequence[str]
) -> Metrics:
    """Metrics overall, per group and between groups.

    Args:
        ranks: Of n images.
        identity: Integers (n,).
        codes: Group of each image (n,): an index into `labels`, negative where unknown.
        labels: Names of the groups.

    Raises:
        DataError: There are no probes with a mate, or fewer than two groups have one.
    """
    is_probe = ranks.rank_by_identity >= 0
    if not is_probe.any():
        raise DataError("no image has a second one of the same identity; nothing can be ranked")
    groups: dict[str, RankSummary] = {}
    for label in sorted(labels):
        rows = is_probe & (codes == labels.index(label))
        if rows.any():
            groups[label] = summarise(ranks.rank_by_identity[rows], identity[rows])
    return Metrics(
        overall=summarise(ranks.rank_by_identity[is_probe], identity[is_probe]),
        groups=groups,
        gaps=gaps_between(groups),
        n_singletons=int((~is_probe).sum()),
        n_ungrouped=int((is_probe & (codes < 0)).sum()),
    )


def summarise(ranks: NDArray[np.int64], identity: IntArray) -> RankSummary:
    """Summary of probes that all have a mate; at least one."""
    error = float(np.mean(ranks != 0))
    return RankSummary(
        accuracy=float(np.mean(ranks == 0)),
        error=error,
        mean_rank=float(np.mean(ranks)),
        n_probes=len(ranks),
        n_identities=len(np.unique(identity)),
    )


def gaps_between(groups: Mapping[str, RankSummary]) -> Gaps:
    """Gaps between two or more groups.

    Raises:
        DataError: There are fewer than two groups.
    """
    if len(groups) < 2:
        raise DataError(
            f"groups cannot be compared: probes with a mate belong to {sorted(groups) or 'none'}; "
            f"choose a group column with two or more labels in this split"
        )
    ordered = [groups[label] for label in sorted(groups)]
    mean_ranks = [group.mean_rank for group in ordered]
    accuracies = [group.accuracy for group in ordered]
    errors = [group.error for group in ordered]
    return Gaps(
        rank_disparity=spread(mean_ranks),
        disparity=spread(accuracies),
        ratio=relative_gap(accuracies),
        rank_ratio=relative_gap(mean_ranks),
        error_ratio=relative_gap(errors),
        worst_group_error=max(errors),
    )


def spread(values: Sequence[float]) -> float:
    """Largest minus smallest; for two values their absolute difference."""
    return max(abs(a - b) for a, b in combinations(values, 2))


def relative_gap(values: Sequence[float]) -> float | None:
    """|1 - second / first| of two values, 1 - smallest / largest of more; None if undefined."""
    if len(values) == 2:
        first, second = values
        return abs(1.0 - second / first) if first else None
    largest = max(values)
    return 1.0 - min(values) / largest if largest else None


def costs_of(metrics: Metrics) -> dict[str, float]:
    """Every metric that can be an objective, by the objective's name."""
    return {
        "error": metrics.overall.error,
        "rank_disparity": metrics.gaps.rank_disparity,
        "disparity": metrics.gaps.disparity,
        "worst_group_error": metrics.gaps.worst_group_error,
    }


def metrics_to_json(metrics: Metrics, angles: Angles) -> dict[str, Any]:
    """The metrics as a JSON object: `overall` with the gaps, `groups` by label, and counts.

    The angles of all and of each group stand beside their other metrics.
    """
    return {
        "overall": {**asdict(metrics.overall), **asdict(metrics.gaps), **angles.overall},
        "groups": {
            label: {**asdict(group), **angles.groups.get(label, {})}
            for label, group in metrics.groups.items()
        },
        "n_probes": metrics.overall.n_probes,
        "n_identities": metrics.overall.n_identities,
        "n_singletons": metrics.n_singletons,
        "n_ungrouped": metrics.n_ungrouped,
    }
