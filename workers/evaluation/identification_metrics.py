"""Identification metrics from ranks: overall, per group, and between groups. Pure numpy.

What is computed between groups stands in `workers.evaluation.catalogue`. Ratios with a zero
denominator are None: no metric is ever NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import DataError
from workers.evaluation.angles import Angles, IntArray
from workers.evaluation.catalogue import CATALOGUE, Rates, between_groups, costs_between, values_of

CMC_RANKS = (1, 5, 10, 20, 50)


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
        mean_log_rank: Mean of ln(1 + rank by identity), which a few hard faces do not dominate.
        n_probes: Probes with a mate; those without one are not counted anywhere here.
        n_identities: Identities with such a probe.
    """

    accuracy: float
    error: float
    mean_rank: float
    mean_log_rank: float
    n_probes: int
    n_identities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Everything measured on one split.

    Attributes:
        groups: By label, in alphabetical order; only groups with at least one probe.
        gaps: Every metric of `fairness.between_groups("identification")`. With two groups, labels
            in alphabetical order, the ratios are |1 - second / first|: of `f` and `m`, or `female`
            and `male`, the women are the denominator, as in the predecessor's tables.
        cmc: Share of probes found among the first k identities, by k; overall and by label.
        n_singletons: Images without a mate: distractors in the gallery, never probes.
        n_ungrouped: Probes that belong to no group; they count overall only.
    """

    overall: RankSummary
    groups: Mapping[str, RankSummary]
    gaps: Mapping[str, float | None]
    cmc: Mapping[str, Mapping[str, float]]
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
    found: dict[str, NDArray[np.bool_]] = {}
    for label in sorted(labels):
        rows = is_probe & (codes == labels.index(label))
        if rows.any():
            found[label] = rows
    by_identity = ranks.rank_by_identity
    groups = {label: summarise(by_identity[rows], identity[rows]) for label, rows in found.items()}
    return Metrics(
        overall=summarise(ranks.rank_by_identity[is_probe], identity[is_probe]),
        groups=groups,
        gaps=gaps_between(groups),
        cmc={
            "overall": cmc(by_identity[is_probe]),
            **{label: cmc(by_identity[rows]) for label, rows in found.items()},
        },
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
        mean_log_rank=float(np.mean(np.log1p(ranks))),
        n_probes=len(ranks),
        n_identities=len(np.unique(identity)),
    )


def gaps_between(groups: Mapping[str, RankSummary]) -> dict[str, float | None]:
    """The catalogue's metrics of identification between two or more groups.

    Raises:
        DataError: There are fewer than two groups.
    """
    if len(groups) < 2:
        raise DataError(
            f"groups cannot be compared: probes with a mate belong to {sorted(groups) or 'none'}; "
            f"choose a group column with two or more labels in this split"
        )
    return values_of(between_groups("identification"), rates_of(groups))


def cmc(ranks: IntArray) -> dict[str, float]:
    """The cumulative match characteristic at the ranks of `CMC_RANKS`, by k as text.

    Args:
        ranks: (n,), 0 is the first place; of probes with a mate, at least one.

    Returns:
        Share of probes whose nearest mate is among the first k, rising with k, 0..1.
    """
    return {str(k): float(np.mean(ranks < k)) for k in CMC_RANKS}


def rates_of(groups: Mapping[str, RankSummary]) -> Rates:
    """The rates of G groups, each (G,), in alphabetical order of their labels."""
    ordered = [groups[label] for label in sorted(groups)]
    return {
        "accuracy": np.array([group.accuracy for group in ordered]),
        "error": np.array([group.error for group in ordered]),
        "mean_rank": np.array([group.mean_rank for group in ordered]),
        "mean_log_rank": np.array([group.mean_log_rank for group in ordered]),
        "n_probes": np.array([group.n_probes for group in ordered], np.float64),
    }


def costs_of(metrics: Metrics) -> dict[str, float]:
    """Every metric of identification that can be an objective, by the objective's name."""
    between = costs_between(between_groups("identification"), rates_of(metrics.groups))
    return {"error": float(CATALOGUE["error"].cost(_rates_of_all(metrics))), **between}


def _rates_of_all(metrics: Metrics) -> Rates:
    return rates_of({"all": metrics.overall})


def metrics_to_json(metrics: Metrics, angles: Angles) -> dict[str, Any]:
    """The metrics as a JSON object: `overall` with the gaps, `groups` by label, and counts.

    The angles of all and of each group stand beside their other metrics.
    """
    return {
        "overall": {**asdict(metrics.overall), **metrics.gaps, **angles.overall},
        "groups": {
            label: {**asdict(group), **angles.groups.get(label, {})}
            for label, group in metrics.groups.items()
        },
        "n_probes": metrics.overall.n_probes,
        "n_identities": metrics.overall.n_identities,
        "n_singletons": metrics.n_singletons,
        "n_ungrouped": metrics.n_ungrouped,
        "cmc": {label: dict(curve) for label, curve in metrics.cmc.items()},
    }
