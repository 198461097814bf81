"""Which runs a report is made of."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.methods import METHODS, NEEDS_ITS_BUDGET
from benchmarks.quality.report import Report
from benchmarks.search_quality import Task, counted, measure, told_budgets


def record(task: Task, shares: dict[str, float]) -> dict[str, Any]:
    return {**task._asdict(), "shares": shares, "spent": float(task.budget), "error": None}


def test_a_method_that_needs_its_budget_is_run_for_each_that_is_reported() -> None:
    assert told_budgets("smac-full", 200) == [25, 50, 100, 200]
    assert told_budgets("smac-full", 60) == [25, 50]
    assert told_budgets("smac-hyperband", 25) == [25]
    assert told_budgets("smac-hyperband", 10) == [10]
    assert told_budgets("optuna-tpe", 200) == [200]
    assert METHODS.keys() >= NEEDS_ITS_BUDGET


def test_a_share_counts_only_where_the_run_was_told_its_budget() -> None:
    shares = {"25": 0.2, "50": 0.5}
    assert counted(record(Task("p", "smac-full", 0, 50), shares))["shares"] == {"50": 0.5}
    assert counted(record(Task("p", "smac-full", 0, 60), shares))["shares"] == {}
    assert counted(record(Task("p", "random", 0, 50), shares))["shares"] == shares


def test_a_report_takes_each_figure_from_its_own_run_of_an_older_journal(tmp_path: Path) -> None:
    records = [
        record(Task("vgg_table", "smac-full", 0, 25), {"25": 0.4}),
        record(Task("vgg_table", "smac-full", 0, 50), {"25": 0.1, "50": 0.6}),
        record(Task("vgg_table", "random", 0, 50), {"25": 0.3, "50": 0.5}),
    ]
    journal = tmp_path / "runs.jsonl"
    journal.write_text("".join(json.dumps(run) + "\n" for run in records))
    found = measure(
        argparse.Namespace(
            seeds=1,
            problems=["vgg_table"],
            methods=["smac-full", "random"],
            budget=50,
            jobs=1,
            shared=tmp_path,
            resume=journal,
        )
    )
    rows = {row["name"]: row["value"] for row in Report(found, ours=[], peers=METHODS).rows()}
    assert rows["vgg_table at 25, smac-full"] == pytest.approx(0.4)
    assert rows["vgg_table at 50, smac-full"] == pytest.approx(0.6)
    assert rows["vgg_table at 25, random"] == pytest.approx(0.3)
    assert rows["mean rank at 25, smac-full"] == 1
