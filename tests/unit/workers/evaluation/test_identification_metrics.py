from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import SHARED
from workers.errors import DataError
from workers.evaluation.angles import Angles
from workers.evaluation.identification_metrics import (
    Ranks,
    RankSummary,
    cmc,
    costs_of,
    evaluate_ranks,
    gaps_between,
    metrics_to_json,
)

TABLE = SHARED / "frnas-results/analysis/vgg_val_phase1.csv"
N_PER_GROUP = 15_300


NO_ANGLES = Angles(overall={}, groups={})


def ranks_of(values: list[int] | np.ndarray) -> Ranks:
    by_identity = np.asarray(values, dtype=np.int64)
    return Ranks(rank_by_identity=by_identity, rank_by_image=by_identity * 2)


def test_a_hand_worked_case() -> None:
    metrics = evaluate_ranks(
        ranks_of([0, 0, 3, 1, -1, 0, 0, 0, 2]),
        identity=np.array([1, 1, 2, 2, 3, 4, 4, 5, 5]),
        codes=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1]),
        labels=("m", "f"),
    )
    assert metrics.overall.error == 3 / 8
    assert metrics.n_singletons == 1
    men, women = metrics.groups["m"], metrics.groups["f"]
    assert (men.accuracy, men.mean_rank, men.n_probes, men.n_identities) == (0.5, 1.0, 4, 2)
    assert (women.accuracy, women.mean_rank, women.n_probes) == (0.75, 0.5, 4)
    gaps = metrics.gaps
    assert (gaps["rank_disparity"], gaps["disparity"]) == (0.5, 0.25)
    assert gaps["worst_group_error"] == 0.5
    assert gaps["ratio"] == pytest.approx(abs(1 - 0.5 / 0.75))
    assert gaps["rank_ratio"] == pytest.approx(1.0)
    assert gaps["error_ratio"] == pytest.approx(1.0)
    assert gaps["log_rank_disparity"] == pytest.approx((math.log(8) - math.log(3)) / 4)
    assert gaps["accuracy_std"] == pytest.approx(0.25 / math.sqrt(2))
    assert gaps["ser"] == pytest.approx(2.5 / 1.5)
    assert gaps["min_max"] == pytest.approx(2.5 / 3.5)
    assert metrics.cmc["overall"] == {"1": 5 / 8, "5": 1.0, "10": 1.0, "20": 1.0, "50": 1.0}


def rows_of_the_predecessor() -> list[dict[str, str]]:
    if not TABLE.exists():
        pytest.skip(
            "needs ../shared/frnas-results/analysis/vgg_val_phase1.csv, which is not in the "
            "repository"
        )
    with TABLE.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["Error"]]
    assert len(rows) == 354
    return rows


def summary(n_errors: int) -> RankSummary:
    return RankSummary(
        accuracy=(N_PER_GROUP - n_errors) / N_PER_GROUP,
        error=n_errors / N_PER_GROUP,
        mean_rank=0.0,
        mean_log_rank=0.0,
        n_probes=N_PER_GROUP,
        n_identities=200,
    )


def test_every_row_of_the_predecessors_table_is_reproduced_from_its_error_counts() -> None:
    for row in rows_of_the_predecessor():
        n_errors = round(float(row["Error"]) * 2 * N_PER_GROUP)
        gap = round(float(row["Disparity"]) * N_PER_GROUP)
        # The table does not say which group is ahead; its ratios do.
        possible = [
            gaps_between({"f": summary((n_errors + g) // 2), "m": summary((n_errors - g) // 2)})
            for g in (gap, -gap)
        ]
        assert possible[0]["disparity"] == pytest.approx(float(row["Disparity"]), abs=1e-12)
        if not row["Ratio"]:  # no correct probe at all: the predecessor divided zero by zero
            assert [each["ratio"] for each in possible] == [None, None]
            continue
        expected = (float(row["Ratio"]), float(row["Error Ratio"]))
        assert any(
            (each["ratio"], each["error_ratio"]) == pytest.approx(expected, abs=1e-12)
            for each in possible
        ), row["index"]


def test_a_row_of_the_predecessors_table_comes_out_of_its_probes() -> None:
    # selecsls60b_MagFace_SGD, vgg_val_phase1: 5,238 women and 3,491 men of 15,300 are mistaken.
    wrong = np.zeros(2 * N_PER_GROUP, dtype=np.int64)
    wrong[:5238] = 1
    wrong[N_PER_GROUP : N_PER_GROUP + 3491] = 1
    metrics = evaluate_ranks(
        ranks_of(wrong),
        identity=np.arange(2 * N_PER_GROUP) // 2,
        codes=np.repeat([0, 1], N_PER_GROUP),
        labels=("f", "m"),
    )
    assert metrics.overall.error == pytest.approx(0.2852614379084968, abs=1e-12)
    assert metrics.gaps["disparity"] == pytest.approx(0.1141830065359477, abs=1e-12)
    assert metrics.gaps["ratio"] == pytest.approx(0.17362353408865028, abs=1e-12)
    assert metrics.gaps["error_ratio"] == pytest.approx(0.3335242464, abs=1e-9)


def test_an_undefined_ratio_is_none_and_not_nan() -> None:
    metrics = evaluate_ranks(
        ranks_of([0, 0, 1, 0]),
        identity=np.array([0, 0, 1, 1]),
        codes=np.array([0, 0, 1, 1]),
        labels=("f", "m"),
    )
    assert metrics.gaps["error_ratio"] is None
    assert metrics.gaps["rank_ratio"] is None
    assert metrics.gaps["ratio"] == 0.5
    text = json.dumps(metrics_to_json(metrics, NO_ANGLES), allow_nan=False)
    assert json.loads(text)["overall"]["error_ratio"] is None


def test_more_than_two_groups_compare_the_extremes() -> None:
    metrics = evaluate_ranks(
        ranks_of([0, 0, 0, 4, 2, 0, 1, 1]),
        identity=np.array([0, 0, 1, 1, 2, 2, 3, 3]),
        codes=np.array([0, 0, 1, 1, 2, 2, -1, -1]),
        labels=("a", "b", "c", "d"),
    )
    assert list(metrics.groups) == ["a", "b", "c"]
    assert metrics.gaps["rank_disparity"] == 2.0
    assert metrics.gaps["disparity"] == 0.5
    assert metrics.gaps["ratio"] == 0.5
    assert metrics.gaps["rank_ratio"] == 1.0
    assert metrics.n_ungrouped == 2
    assert metrics.overall.n_probes == 8


def test_one_group_alone_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="cannot be compared"):
        evaluate_ranks(
            ranks_of([0, 1]),
            identity=np.array([0, 0]),
            codes=np.array([1, 1]),
            labels=("f", "m"),
        )


def test_only_singletons_cannot_be_ranked() -> None:
    with pytest.raises(DataError, match="nothing can be ranked"):
        evaluate_ranks(
            ranks_of([-1, -1]),
            identity=np.array([0, 1]),
            codes=np.array([0, 1]),
            labels=("f", "m"),
        )


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=8, max_size=40),
    st.permutations(range(4)),
)
def test_costs_do_not_depend_on_the_order_of_the_labels(
    probes: list[tuple[int, int]], order: list[int]
) -> None:
    values = np.array([rank for rank, _ in probes])
    codes = np.array([code for _, code in probes])
    codes[:2] = [0, 1]
    labels = ("a", "b", "c", "d")
    identity = np.arange(len(probes)) // 2
    new_code = np.argsort(order)
    first = evaluate_ranks(ranks_of(values), identity=identity, codes=codes, labels=labels)
    second = evaluate_ranks(
        ranks_of(values),
        identity=identity,
        codes=new_code[codes],
        labels=[labels[i] for i in order],
    )
    assert metrics_to_json(first, NO_ANGLES) == metrics_to_json(second, NO_ANGLES)
    assert all(math.isfinite(cost) for cost in costs_of(first).values())
    assert first.gaps["worst_group_error"] >= first.overall.error


def mean_rank_pairs(rank_disparity: float, rank_ratio: float) -> list[tuple[float, float]]:
    """(women's, men's) mean ranks with these two gaps; the table does not say who is ahead."""
    return [
        (rank_disparity / rank_ratio, rank_disparity / rank_ratio + sign * rank_disparity)
        for sign in (1, -1)
    ]


def test_rank_columns_of_the_predecessors_table_agree_with_each_other() -> None:
    n_checked = 0
    for row in rows_of_the_predecessor():
        disparity, ratio = float(row["Rank Disparity"]), float(row["Rank Ratio"])
        if not ratio:
            assert disparity == 0.0
            continue
        # The sums of ranks behind both columns are whole numbers: no pair of others fits.
        women, men = min(
            mean_rank_pairs(disparity, ratio),
            key=lambda pair: abs(pair[0] * N_PER_GROUP - round(pair[0] * N_PER_GROUP)),
        )
        sums = (
            round(women * N_PER_GROUP),
            round(women * N_PER_GROUP) + round((men - women) * N_PER_GROUP),
        )
        groups = {
            label: replace(summary(0), mean_rank=total / N_PER_GROUP)
            for label, total in zip(("f", "m"), sums, strict=True)
        }
        gaps = gaps_between(groups)
        assert gaps["rank_disparity"] == pytest.approx(disparity, rel=2e-5, abs=1e-6)
        assert gaps["rank_ratio"] == pytest.approx(ratio, rel=1e-4, abs=1e-6), row["index"]
        n_checked += 1
    assert n_checked >= 290


def table(name: str) -> list[list[str]]:
    path = TABLE.parents[1] / name
    if not path.exists():
        pytest.skip(f"needs ../shared/frnas-results/{name}, which is not in the repository")
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_the_predecessors_other_searches_are_reproduced_from_their_counts() -> None:
    header, *rows = table("random_ngsa2/random_ngsa2_results.csv")
    single = [row for row in rows if not row[0].startswith("SMAC")]
    assert len(single) == 4
    for row in single:
        values = dict(zip(header[1:], map(float, row[1:]), strict=True))
        n_errors = round((1 - values["Accuracy"]) * 2 * N_PER_GROUP)
        gap = round(values["Disparity"] * N_PER_GROUP)
        gaps = gaps_between(
            {"f": summary((n_errors + gap) // 2), "m": summary((n_errors - gap) // 2)}
        )
        assert gaps["disparity"] == pytest.approx(values["Disparity"], abs=1e-12)
        assert gaps["ratio"] == pytest.approx(values["Ratio"], abs=1e-12)
        assert gaps["error_ratio"] == pytest.approx(values["Error Ratio"], abs=1e-12)


def test_cmc_equals_counting_one_by_one() -> None:
    ranks = np.random.default_rng(0).geometric(0.05, 300) - 1
    curve = cmc(ranks)
    for k in (1, 5, 10, 20, 50):
        assert curve[str(k)] == sum(1 for rank in ranks if rank + 1 <= k) / 300
    assert list(curve.values()) == sorted(curve.values())
    assert curve["1"] == np.mean(ranks == 0)


def test_cmc_is_that_of_the_predecessors_rank_file() -> None:
    header, *rows = table(
        "Checkpoints/Phase1B/ese_vovnet39b_ArcFace_AdamW/"
        "ese_vovnet39b_ArcFace_AdamW_rank_by_id_val.first60rows.csv"
    )
    column = header.index("epoch_99")
    ranks = np.array([int(row[column]) for row in rows])
    assert len(ranks) == 60
    assert cmc(ranks)["1"] == sum(row[column] == "0" for row in rows) / 60
