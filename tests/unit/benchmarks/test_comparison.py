"""Ranks, intervals and significance of made-up runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.quality.comparison import Shares, holm, wilcoxon
from benchmarks.quality.report import Report


def runs(shares: Mapping[str, list[float]], problem: str = "p") -> list[dict[str, Any]]:
    return [
        {
            "problem": problem,
            "method": method,
            "seed": seed,
            "shares": {"25": value},
            "spent": 25.0,
            "error": None,
        }
        for method, values in shares.items()
        for seed, value in enumerate(values)
    ]


def test_a_mean_has_students_interval() -> None:
    mean = Shares(runs({"a": [0.1, 0.2, 0.3]}), 25).mean("p", "a")
    assert mean.value == pytest.approx(0.2)
    assert mean.half_width == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)


def test_ranks_are_of_each_problem_and_seed_and_ties_share_one() -> None:
    table = runs({"a": [0.9, 0.5], "b": [0.1, 0.5], "c": [0.2, 0.4]})
    ranks = Shares(table, 25).mean_ranks(["a", "b", "c"])
    assert {name: rank.value for name, rank in ranks.items()} == {"a": 1.25, "b": 2.25, "c": 2.5}


def test_a_seed_that_a_method_lacks_is_left_out_for_all() -> None:
    ranks = Shares(runs({"a": [0.9, 0.1], "b": [0.5]}), 25).mean_ranks(["a", "b"])
    assert {name: rank.value for name, rank in ranks.items()} == {"a": 1, "b": 2}


def test_holm_corrects_from_the_smallest_on_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_equal_runs_are_not_different() -> None:
    assert wilcoxon([0.0, 0.0]) == 1.0
    assert wilcoxon([0.1 * k for k in range(1, 11)]) == pytest.approx(2 / 2**10)


def test_a_method_is_behind_only_where_the_difference_is_significant() -> None:
    better = [0.5 + 0.01 * seed for seed in range(10)]
    worse = [each - 0.1 - 0.001 * seed for seed, each in enumerate(better)]
    table = [
        *runs({"ours": worse, "peer": better, "other": [0.0] * 10}, "lost"),
        *runs({"ours": better, "peer": worse}, "won"),
        *runs({"ours": better, "peer": [*better[:-1], 0.7]}, "even"),
    ]
    verdicts = Shares(table, 25).verdicts("ours", ["peer", "other"])
    assert {each.problem: each.is_behind for each in verdicts} == {
        "lost": True,
        "won": False,
        "even": False,
    }
    assert {each.best_peer for each in verdicts} == {"peer"}


def test_rows_hold_ours_against_the_best_peer() -> None:
    table = runs({"ours": [0.6, 0.7], "peer": [0.4, 0.5]})
    rows = {row["name"]: row for row in Report(table, ours=["ours"], peers=["peer"]).rows()}
    share = rows["p at 25, ours"]
    assert share["value"] == pytest.approx(0.65)
    assert share["baseline"] == share["target"] == pytest.approx(0.45)
    assert share["met"] is True
    rank = rows["mean rank at 25, ours"]
    assert (rank["value"], rank["baseline"], rank["target"], rank["met"]) == (1, 2, 2, True)
    assert rows["p at 25, peer"]["met"] is None


def test_a_method_that_never_evaluated_is_named_as_failed_and_not_ranked() -> None:
    failed = {**runs({"broken": [0.0]})[0], "spent": 0.0, "error": "Traceback\nImportError: no"}
    report = Report([*runs({"a": [0.5]}), failed], ours=[], peers=["a", "broken"])
    text = "\n".join(report.lines())
    assert "failed: broken on p, 1 runs: ImportError: no" in text
    assert [row["name"] for row in report.rows()] == ["mean rank at 25, a", "p at 25, a"]


def test_an_ablation_is_shown_and_judges_nobody() -> None:
    table = runs({"ours": [0.6, 0.7], "ours-without": [0.8, 0.9], "peer": [0.4, 0.5]})
    report = Report(table, ours=["ours"], peers=["peer"])
    assert "   25 p                        peer" in "\n".join(report.lines())
    rows = {row["name"]: row for row in report.rows()}
    assert rows["p at 25, ours-without"]["value"] == pytest.approx(0.85)
    assert rows["p at 25, ours"]["baseline"] == pytest.approx(0.45)
