from __future__ import annotations

import json

import numpy as np
import pytest

from workers.data.packs.pack import GroupColumn
from workers.evaluation.identification_metrics import Ranks, evaluate_ranks
from workers.evaluation.tables import group_tables


def world() -> tuple[Ranks, np.ndarray, dict[str, GroupColumn]]:
    generator = np.random.default_rng(0)
    identity = np.repeat(np.arange(90), 4)
    sex = (identity % 2).astype(np.int16)
    race = (identity % 3).astype(np.int16)
    values = generator.geometric(0.4, 360) - 1
    values[:2] = -1
    both = (race * 2 + sex).astype(np.int16)
    both[8:12] = -1
    columns = {
        "sex": GroupColumn(labels=("f", "m"), codes=sex),
        "race": GroupColumn(labels=("a", "b", "c"), codes=race),
        "race*sex": GroupColumn(labels=tuple(r + s for r in "abc" for s in "fm"), codes=both),
        "unknown": GroupColumn(labels=("x",), codes=np.full(360, -1, np.int16)),
    }
    return Ranks(rank_by_identity=values, rank_by_image=values), identity, columns


def test_tables_by_group_and_intersection_agree_with_the_metrics() -> None:
    ranks, identity, columns = world()
    tables = group_tables(ranks, identity=identity, columns=columns)
    assert list(tables) == ["sex", "race", "race*sex"]
    json.dumps(tables, allow_nan=False)
    for name in tables:
        column, table = columns[name], tables[name]
        metrics = evaluate_ranks(
            ranks, identity=identity, codes=column.codes, labels=column.labels
        )
        assert table["groups"].keys() == metrics.groups.keys()
        for label, group in metrics.groups.items():
            row = table["groups"][label]
            assert row["error"] == pytest.approx(group.error)
            assert row["mean_rank"] == pytest.approx(group.mean_rank)
            assert row["mean_log_rank"] == pytest.approx(group.mean_log_rank)
            assert row["n_probes"] == group.n_probes
            assert row["n_identities"] == group.n_identities
            assert row["is_small"] is (group.n_identities < 30)
        assert table["difference"]["error"] == pytest.approx(metrics.gaps["disparity"])
        assert table["difference"]["mean_rank"] == pytest.approx(metrics.gaps["rank_disparity"])


def test_a_ratio_of_zeros_is_none() -> None:
    _, identity, columns = world()
    zeros = np.zeros(360, dtype=np.int64)
    tables = group_tables(
        Ranks(rank_by_identity=zeros, rank_by_image=zeros),
        identity=identity,
        columns={"sex": columns["sex"]},
    )
    assert tables["sex"]["ratio"]["error"] is None
    assert tables["sex"]["difference"]["error"] == 0.0
