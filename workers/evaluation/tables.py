"""Tables by group and intersection, made by fairlearn. The only place that knows fairlearn.

Loading it takes seconds; whoever does not want tables must not import this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, count
from numpy.typing import NDArray

from workers.data.packs.pack import GroupColumn
from workers.evaluation.angles import IntArray
from workers.evaluation.identification_metrics import Ranks

MIN_IDENTITIES = 30
"""Groups with fewer identities are flagged: their rates say little."""


def group_tables(
    ranks: Ranks, *, identity: IntArray, columns: Mapping[str, GroupColumn]
) -> dict[str, Any]:
    """Error, mean rank and mean log rank by each column's groups.

    Args:
        ranks: Of n images; those without a mate are left out.
        identity: Integers (n,).
        columns: Name -> labels and the codes of the n images; an intersection is a column too.
            Images of unknown group are left out of that column.

    Returns:
        Column -> `groups` (label -> `error`, `mean_rank`, `mean_log_rank`, `n_probes`,
        `n_identities`, `is_small`), and each metric's `difference` and `ratio` between groups;
        a ratio is None where the largest value is 0. Columns of which nothing is known are left
        out.
    """
    is_probe = ranks.rank_by_identity >= 0
    return {
        name: _table(ranks, identity, is_probe & (column.codes >= 0), column)
        for name, column in columns.items()
        if (is_probe & (column.codes >= 0)).any()
    }


def _table(
    ranks: Ranks, identity: IntArray, rows: NDArray[np.bool_], column: GroupColumn
) -> dict[str, Any]:
    values = ranks.rank_by_identity[rows].astype(np.float64)
    groups = pd.Series([column.labels[code] for code in column.codes[rows]], name="group")
    frame = MetricFrame(
        metrics={
            "error": lambda _, rank: float(np.mean(rank != 0)),
            "mean_rank": lambda _, rank: float(np.mean(rank)),
            "mean_log_rank": lambda _, rank: float(np.mean(np.log1p(rank))),
            "n_probes": count,
        },
        y_true=np.zeros(len(values)),
        y_pred=values,
        sensitive_features=groups,
    )
    own = identity[rows]
    n_identities = {label: len(np.unique(own[groups == label])) for label in frame.by_group.index}
    return {
        "groups": {
            str(label): {
                **{name: float(value) for name, value in row.items()},
                "n_probes": int(row["n_probes"]),
                "n_identities": n_identities[label],
                "is_small": n_identities[label] < MIN_IDENTITIES,
            }
            for label, row in frame.by_group.iterrows()
        },
        "difference": _compared(frame.difference(method="between_groups")),
        "ratio": _compared(frame.ratio(method="between_groups")),
    }


def _compared(values: Mapping[str, float]) -> dict[str, float | None]:
    return {
        name: float(values[name]) if np.isfinite(values[name]) else None
        for name in ("error", "mean_rank", "mean_log_rank")
    }
