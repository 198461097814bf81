"""Does a network rank better than random embeddings would? Pure numpy."""

from __future__ import annotations

import numpy as np

from workers.errors import CollapsedError
from workers.evaluation.angles import IntArray
from workers.evaluation.identification_metrics import Ranks

CHANCE_STANDARD_ERRORS = 2.0
MIN_IDENTITIES_FOR_CHANCE = 20


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
