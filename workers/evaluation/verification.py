"""1:1 verification of a list of pairs: ten folds, TAR at FAR, and both by group.

Works on plain arrays: the two images of each pair, whether they show one person, and the fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.angles import IntArray
from workers.evaluation.operating_point import (
    BoolArray,
    FloatArray,
    best_threshold,
    threshold_at,
    wilson_interval,
)

_Choice: TypeAlias = Callable[[FloatArray, BoolArray], float]

_PAIRS_PER_BLOCK = 65_536
_GRID = np.arange(0.0, 4.0, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldAccuracy:
    """Accuracy of k folds, each at the threshold that is best on the others.

    Attributes:
        mean: Over folds, 0..1.
        std: Over folds, with k in the denominator, as published tables have it.
        standard_error: With k - 1 in the denominator, over sqrt(k).
        accuracies: Of each fold.
        thresholds: Of each fold; cosine, or squared distance for `grid_fold_accuracy`.
    """

    mean: float
    std: float
    standard_error: float
    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]


def pair_scores(embeddings: NDArray[np.floating], first: IntArray, second: IntArray) -> FloatArray:
    """(n,): cosines of n pairs of L2-normalised embeddings (m, d), in double precision."""
    scores = np.empty(len(first))
    for start in range(0, len(first), _PAIRS_PER_BLOCK):
        block = slice(start, start + _PAIRS_PER_BLOCK)
        left = embeddings[first[block]].astype(np.float64)
        scores[block] = np.einsum("nd,nd->n", left, embeddings[second[block]])
    return scores


def fold_accuracy(scores: FloatArray, same: BoolArray, fold: IntArray) -> FoldAccuracy:
    """The LFW protocol (Huang et al. 2007) with exact thresholds.

    Args:
        scores: (n,), finite; higher is more alike.
        same: (n,).
        fold: (n,), of two values or more; people should not occur in two folds.

    Raises:
        ValueError: There are fewer than two folds.
    """
    return _over_folds(scores, same, fold, best_threshold)


def grid_fold_accuracy(scores: FloatArray, same: BoolArray, fold: IntArray) -> FoldAccuracy:
    """The same with squared distances 2 - 2 cos and thresholds 0, 0.01, ... 3.99.

    What insightface and face.evoLVe report, for comparison with their tables.

    Raises:
        ValueError: There are fewer than two folds.
    """
    distances = 2.0 - 2.0 * scores

    def best_on_grid(negated: FloatArray, alike: BoolArray) -> float:
        correct = [int(((negated > -cut) == alike).sum()) for cut in _GRID]
        return -float(_GRID[int(np.argmax(correct))])

    found = _over_folds(-distances, same, fold, best_on_grid)
    return FoldAccuracy(**{**asdict(found), "thresholds": tuple(-cut for cut in found.thresholds)})


def tar_at_far(scores: FloatArray, same: BoolArray, far: float) -> float:
    """Share of genuine pairs above the lowest threshold that at most `far` of the others exceed.

    Args:
        scores: (n,), with at least one genuine and one impostor pair.
        same: (n,).
        far: 0..1.

    Raises:
        ValueError: There is no impostor pair.
    """
    return float(np.mean(scores[same] > threshold_at(scores[~same], far)))


def equal_error_rate(scores: FloatArray, same: BoolArray) -> float:
    """The error where false matches and false non-matches are as near as they come; their mean."""
    cuts = np.unique(scores)
    fnmr = np.searchsorted(np.sort(scores[same]), cuts, side="right") / same.sum()
    fmr = 1.0 - np.searchsorted(np.sort(scores[~same]), cuts, side="right") / (~same).sum()
    nearest = int(np.argmin(np.abs(fmr - fnmr)))
    return float((fmr[nearest] + fnmr[nearest]) / 2)


def verify(
    scores: FloatArray, same: BoolArray, fold: IntArray, *, fars: Sequence[float] = (1e-2, 1e-3)
) -> dict[str, Any]:
    """Everything that is reported of one list of pairs, as a JSON object.

    TAR has a Wilson interval over all folds together. It takes pairs as independent, which they
    are not where people recur; it is then too narrow.

    Raises:
        ValueError: There are fewer than two folds, or only one kind of pair.
    """
    if same.all() or not same.any():
        raise ValueError("verification needs pairs of one person and pairs of two people")
    tars = {f"{far:g}": tar_at_far(scores, same, far) for far in fars}
    found = fold_accuracy(scores, same, fold)
    return {
        "accuracy": found.mean,
        "accuracy_std": found.std,
        "accuracy_standard_error": found.standard_error,
        "accuracy_by_fold": list(found.accuracies),
        "accuracy_on_grid": grid_fold_accuracy(scores, same, fold).mean,
        "equal_error_rate": equal_error_rate(scores, same),
        "tar": tars,
        "tar_interval95": {
            far: list(wilson_interval(tar, int(same.sum()))) for far, tar in tars.items()
        },
        "n_genuine": int(same.sum()),
        "n_impostor": int((~same).sum()),
    }


def verify_by_group(
    scores: FloatArray,
    same: BoolArray,
    fold: IntArray,
    *,
    codes: tuple[IntArray, IntArray],
    labels: Sequence[str],
) -> Mapping[str, Mapping[str, float]]:
    """Accuracy of each group's pairs at its own thresholds and at those of all pairs together.

    The usual table of RFW has thresholds of each group's own; what a person meets in use is one
    threshold for all.

    Args:
        scores: (n,).
        same: (n,).
        fold: (n,).
        codes: Groups of the first and of the second images; a pair belongs to a group when both
            do. Negative where unknown.
        labels: Names of the groups.

    Returns:
        Label -> `own_threshold`, `common_threshold`, `n_pairs`; groups with pairs in two folds.

    Raises:
        ValueError: There are fewer than two folds.
    """
    common = _decisions(scores, same, fold)
    groups = {}
    for label in sorted(labels):
        code = labels.index(label)
        rows = (codes[0] == code) & (codes[1] == code)
        if len(np.unique(fold[rows])) > 1:
            own = fold_accuracy(scores[rows], same[rows], fold[rows])
            groups[label] = {
                "own_threshold": own.mean,
                "common_threshold": float(np.mean(common[rows] == same[rows])),
                "n_pairs": int(rows.sum()),
            }
    return groups


def _decisions(scores: FloatArray, same: BoolArray, fold: IntArray) -> BoolArray:
    """(n,): whether each pair is accepted at the threshold of the folds that it is not in."""
    found = fold_accuracy(scores, same, fold)
    _, place = np.unique(fold, return_inverse=True)
    accepted: BoolArray = scores > np.asarray(found.thresholds)[place]
    return accepted


def _over_folds(
    scores: FloatArray, same: BoolArray, fold: IntArray, choose: _Choice
) -> FoldAccuracy:
    names = np.unique(fold)
    if len(names) < 2:
        raise ValueError(f"a threshold is chosen on other folds; got {len(names)} of them")
    thresholds = [choose(scores[fold != name], same[fold != name]) for name in names]
    accuracies = [
        float(np.mean((scores[fold == name] > cut) == same[fold == name]))
        for name, cut in zip(names, thresholds, strict=True)
    ]
    return FoldAccuracy(
        mean=float(np.mean(accuracies)),
        std=float(np.std(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / np.sqrt(len(names))),
        accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
    )
