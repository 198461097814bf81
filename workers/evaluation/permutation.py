"""Is there any disparity? Group labels are shuffled over identities, and the gaps compared.

Under the hypothesis that groups do not matter every assignment of the labels is as likely as the
one that was seen.
"""

from __future__ import annotations

import numpy as np

from workers.evaluation.angles import IntArray
from workers.evaluation.bootstrap import identity_sums, probe_values, rates_of_totals
from workers.evaluation.catalogue import FloatArray, between_groups
from workers.evaluation.identification_metrics import Ranks

_PERMUTATIONS_PER_BLOCK = 100
_ROUNDING = 1e-9


def permutation_p_values(
    ranks: Ranks, *, identity: IntArray, codes: IntArray, n_permutations: int, seed: int
) -> dict[str, float]:
    """Exact Monte Carlo p-values of every objective between groups.

    p = (1 + number of shuffles with at least the cost seen) / (1 + number of shuffles), which is
    never 0 and valid for any number (Phipson and Smyth 2010). What is shuffled is the group of
    an identity's probes, all together; an identity with images in two groups counts as two.

    Args:
        ranks: Of n images; those without a mate are left out.
        identity: Integers (n,).
        codes: Group of each image (n,); those with a negative one are left out.
        n_permutations: Shuffles, at least 1.
        seed: Of the shuffles.

    Returns:
        Objective -> p, in (0, 1].
    """
    rows = (ranks.rank_by_identity >= 0) & (codes >= 0)
    _, group = np.unique(codes[rows], return_inverse=True)
    owner = np.unique(identity[rows], return_inverse=True)[1] * (int(group.max()) + 1) + group
    sums = identity_sums(probe_values(ranks.rank_by_identity[rows]), owner)
    labels = np.unique(owner) % (int(group.max()) + 1)
    seen = _costs(labels[None], sums)
    n_extreme = dict.fromkeys(seen, 1)
    generator = np.random.default_rng([seed, len(labels)])
    for start in range(0, n_permutations, _PERMUTATIONS_PER_BLOCK):
        n_rows = min(_PERMUTATIONS_PER_BLOCK, n_permutations - start)
        shuffled = generator.permuted(np.tile(labels, (n_rows, 1)), axis=1)
        for name, costs in _costs(shuffled, sums).items():
            # Summed in another order the same assignment may differ in the last digit.
            n_extreme[name] += int((costs >= seen[name] - _ROUNDING * (1 + abs(seen[name]))).sum())
    return {name: n / (1 + n_permutations) for name, n in n_extreme.items()}


def _costs(labels: IntArray, sums: FloatArray) -> dict[str, FloatArray]:
    """Objective -> (b,) for labels (b, n_identities)."""
    groups = range(int(labels.max()) + 1)
    totals = np.stack([(labels == code).astype(np.float64) @ sums for code in groups], axis=1)
    rates = rates_of_totals(totals)
    metrics = between_groups("identification")
    return {m.cost_name: m.cost(rates) for m in metrics if m.cost_name is not None}
