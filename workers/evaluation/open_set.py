"""Open-set identification: how many are missed when few strangers may be taken for somebody.

FNIR at FPIR in the sense of ISO/IEC 19795-1 and NIST's FRTE 1:N: one candidate is returned, and
only above a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.errors import DataError
from workers.evaluation.bootstrap import by_resampled_identities
from workers.evaluation.catalogue import CATALOGUE
from workers.evaluation.gallery import (
    BoolArray,
    IntArray,
    Searches,
    enrol,
    search_gallery,
)
from workers.evaluation.identification_metrics import cmc
from workers.evaluation.intervals import Interval, cost_intervals
from workers.evaluation.operating_point import threshold_at

ENROLLED_SHARE = 0.5


def false_negatives(searches: Searches, threshold: float) -> BoolArray:
    """(n,): whether a probe's own image is not found first and above the threshold."""
    missed: BoolArray = (searches.rank != 0) | (searches.mate_score <= threshold)
    return missed


def open_set(
    embeddings: Tensor,
    *,
    identity: IntArray,
    codes: IntArray,
    labels: Sequence[str],
    fpir: float,
    n_replicates: int,
) -> tuple[dict[str, Any], Interval]:
    """Half of the identities are enrolled by one image each and searched for by their others.

    Args:
        embeddings: (n, d), L2-normalised, finite.
        identity: Integers (n,).
        codes: Group of each image (n,), negative where unknown.
        labels: Names of the groups.
        fpir: Share of the probes of people who are not enrolled that may be accepted.
        n_replicates: Of the interval.

    Returns:
        A JSON object: the threshold, FPIR and FNIR reached overall and by group at that one
        threshold, the CMC of the enrolled, and counts; and the interval of the FNIR over
        resampled enrolled identities, threshold held fixed.

    Raises:
        DataError: Nobody is enrolled, or nobody is not.
    """
    enrolment = enrol(identity, enrolled_share=ENROLLED_SHARE)
    if not len(enrolment.mated) or not len(enrolment.unmated):
        raise DataError(
            f"an open set needs people in the gallery and people who are not; of this split "
            f"{len(enrolment.gallery)} are enrolled, with {len(enrolment.unmated)} pictures of "
            f"others; use a larger split or evaluation.open_set: false"
        )
    searches = search_gallery(embeddings, identity, enrolment)
    n_mated = len(enrolment.mated)
    strangers = searches.best_other[n_mated:]
    threshold = threshold_at(strangers, fpir)
    missed = false_negatives(searches, threshold)[:n_mated]
    accepted = strangers > threshold
    metric = CATALOGUE["fnir"]
    rates = {"fnir": np.array([missed.mean()])}
    resampled = by_resampled_identities(
        missed[:, None].astype(np.float64),
        identity=identity[enrolment.mated],
        codes=codes[enrolment.mated],
        n_replicates=n_replicates,
    )
    interval = cost_intervals([metric], rates, {"fnir": resampled[:, :1]})["fnir"]
    found = {
        "threshold": threshold if np.isfinite(threshold) else None,
        "fpir": float(accepted.mean()),
        "fnir": float(missed.mean()),
        "cmc": cmc(searches.rank[:n_mated]),
        "n_enrolled": len(enrolment.gallery),
        "n_mated": n_mated,
        "n_unmated": len(strangers),
        "groups": _by_group(
            labels,
            missed=(missed, codes[enrolment.mated]),
            accepted=(accepted, codes[enrolment.unmated]),
        ),
    }
    return found, interval


def _by_group(
    labels: Sequence[str],
    *,
    missed: tuple[BoolArray, NDArray[Any]],
    accepted: tuple[BoolArray, NDArray[Any]],
) -> Mapping[str, Any]:
    """FNIR and FPIR of each group that has such probes; None where it has none of the kind."""
    groups = {}
    for label in sorted(labels):
        code = labels.index(label)
        own = {"fnir": missed[0][missed[1] == code], "fpir": accepted[0][accepted[1] == code]}
        if any(len(values) for values in own.values()):
            groups[label] = {
                name: float(values.mean()) if len(values) else None for name, values in own.items()
            }
    return groups
