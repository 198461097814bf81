"""Runs as data frames: finished, running, empty, and with failures only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import frnas
from results.events import Asked, Ended, Retrained
from results.lock import run_lock
from results.trial import FailureKind, TrialOutcome, TrialRequest
from tests.unit.results.conftest import RunBuilder

Begin = Callable[..., RunBuilder]

COSTS = [f"{name}{end}" for name in ("error", "rank_disparity") for end in ("", "_low", "_high")]
ARCHITECTURE = [
    f"architecture.{name}" for name in ("family", "hash", "parameters", "macs", "activation_bytes")
]
CONFIGURATION = [f"configuration.{name}" for name in ("edge1", "head", "lr_sgd")]
FRONT = [
    *("config_id", "trial_id", "rung", "epochs", "gpu_seconds"),
    *COSTS,
    *ARCHITECTURE,
    "checkpoint",
]
TRIALS = [
    *("trial_id", "config_id", "state", "failure", "rung", "epochs", "seed", "origin"),
    *COSTS,
    *("detail", "attempts", "epochs_trained", "seconds", "worker", "device", "asked", "told"),
    *ARCHITECTURE,
]


def test_a_front_has_one_row_a_point(begin: Begin) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    run.trial(2, 0.2, 9.0)
    run.trial(3, 0.6, 9.0)  # dominated

    front = frnas.open_run("lfw").front()

    assert list(front.columns) == FRONT + CONFIGURATION
    assert front["trial_id"].tolist() == ["t0002", "t0001"]
    assert front["error"].tolist() == [0.2, 0.5]
    assert front["error_low"].tolist() == pytest.approx([0.18, 0.45])
    assert front["rank_disparity_low"].isna().all(), "it was not measured"
    assert front["architecture.parameters"].tolist() == [1000, 1000]
    assert front["checkpoint"].tolist() == [f"checkpoints/c000{i}/last.pt" for i in (2, 1)]
    assert front["configuration.edge1"].tolist() == [3, 3]
    assert front["configuration.lr_sgd"].dtype == "float64"
    assert front["configuration.head"].dtype == "string"


def test_a_front_of_a_rung_within_limits_at_an_event_is_shown(begin: Begin) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0, rung=0)
    event = run.n_events
    run.trial(2, 0.2, 9.0, rung=0)
    opened = frnas.open_run("lfw")

    assert opened.front().empty
    assert len(opened.front(rung=0)) == 2
    assert opened.front(rung=0, max_costs={"error": 0.3})["config_id"].tolist() == ["c0002"]
    assert opened.front(rung=0, at=event)["config_id"].tolist() == ["c0001"]
    assert len(opened.trials(at=event)) == 1
    with pytest.raises(frnas.errors.SelectionError, match="no rung 3"):
        opened.front(rung=3)
    with pytest.raises(frnas.errors.SelectionError, match="no objective 'eror'"):
        opened.front(max_costs={"eror": 0.3})
    with pytest.raises(frnas.errors.SelectionError, match="no event 99"):
        opened.trials(at=99)


def test_trials_have_one_row_each_with_the_reason_of_a_failure(begin: Begin) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    run.ask(2)
    run.fail(2, FailureKind.COLLAPSED)
    run.ask(3)

    trials = frnas.open_run("lfw").trials()

    assert list(trials.columns) == TRIALS + CONFIGURATION
    assert trials["state"].tolist() == ["finished", "failed", "interrupted"]
    assert trials["failure"].tolist() == [pd.NA, "collapsed", pd.NA]
    assert trials["detail"][1] == "all embeddings are equal"
    assert trials["error"].isna().tolist() == [False, True, True]
    assert trials["epochs_trained"].tolist() == [6, 3, pd.NA]
    assert trials["asked"][0] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert trials["told"].isna().tolist() == [False, False, True]
    with run_lock(Path("runs/lfw")):
        assert frnas.open_run("lfw").trials()["state"][2] == "running"


def test_an_empty_run_and_one_of_failures_give_the_same_columns(begin: Begin) -> None:
    begin("runs/empty")
    failed = begin("runs/failed")
    failed.ask(1)
    failed.fail(1)
    full = begin("runs/full")
    full.trial(1, 0.5, 5.0)

    for name, n_trials in (("empty", 0), ("failed", 1)):
        run = frnas.open_run(name)
        assert len(run.front()) == len(run.groups()) == len(run.models()) == 0
        assert len(run.trials()) == n_trials
        for frame, whole in (
            (run.front(), frnas.open_run("full").front()),
            (run.trials(), frnas.open_run("full").trials()),
        ):
            types = {column: str(kind) for column, kind in frame.dtypes.items()}
            assert types.items() <= {column: str(k) for column, k in whole.dtypes.items()}.items()


def test_values_keep_the_narrowest_type_that_holds_them(begin: Begin) -> None:
    run = begin()
    configurations: list[dict[str, bool | int | float | str]] = [
        {"flag": True, "layers": 3, "rate": 1, "mixed": 3},
        {"layers": 4, "rate": 0.5, "mixed": "three"},
        {},
    ]
    for number, configuration in enumerate(configurations):
        request = TrialRequest(
            trial_id=f"t{number}",
            config_id=f"c{number}",
            configuration=configuration,
            rung=0,
            epochs=3,
            seed=0,
        )
        run.log(Asked(request=request))

    trials = frnas.open_run("lfw").trials()

    assert {name: str(trials[f"configuration.{name}"].dtype) for name in configurations[0]} == {
        "flag": "boolean",
        "layers": "Int64",
        "rate": "float64",
        "mixed": "object",
    }
    assert trials["configuration.layers"].tolist() == [3, 4, pd.NA]


def test_groups_have_one_row_a_point_and_group(begin: Begin) -> None:
    run = begin()
    measured = {"error": 0.25, "mean_rank": 2, "n_probes": 10, "n_identities": 5, "fnmr": 0.5}
    run.ask(1)
    run.tell(1, 0.5, 5.0, metrics={"groups": {"f": measured, "m": measured | {"error": 0.0}}})

    groups = frnas.open_run("lfw").groups()

    assert groups["group"].tolist() == ["f", "m"]
    assert groups["error"].tolist() == [0.25, 0.0]
    assert groups["fnmr"].tolist() == [0.5, 0.5]
    assert groups["mean_rank"].dtype == "float64"
    assert groups["n_probes"].dtype == "Int64"


def test_models_have_their_path_and_their_costs(begin: Begin, tmp_path: Path) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    good = TrialOutcome(
        trial_id="x",
        attempt=1,
        costs={"error": 0.4, "rank_disparity": 2.0},
        interval95={"error": (0.3, 0.5)},
    )
    bad = TrialOutcome(trial_id="y", attempt=1, failure=FailureKind.DIVERGED, detail="nan")
    for seed, outcome, model in ((1, good, "models/c0001-s1"), (2, bad, None)):
        run.log(Retrained(config_id="c0001", seed=seed, epochs=27, outcome=outcome, model=model))

    models = frnas.open_run("lfw").models()

    assert models["path"].tolist() == [str(tmp_path / "runs/lfw/models/c0001-s1"), pd.NA]
    assert models["failure"].tolist() == [pd.NA, "diverged"]
    assert models["error"].tolist()[0] == 0.4
    assert models["error_high"].tolist()[0] == 0.5
    assert models["error"].isna().tolist() == [False, True]


def test_the_status_is_a_record(begin: Begin) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    run.ask(2)
    run.fail(2)
    opened = frnas.open_run("lfw")
    assert opened.status().state == "stopped"
    run.log(Ended(state="finished", reason="2 trials are done"))

    status = opened.status()

    assert (status.run, status.state, status.reason) == ("lfw", "finished", "2 trials are done")
    assert (status.n_finished, status.n_failed, status.n_running) == (1, 1, 0)
    assert status.failures == {"collapsed": 1}
    assert status.best == {"error": 0.5, "rank_disparity": 5.0}
    assert status.started == datetime(2026, 1, 1, tzinfo=UTC)
    assert status.limits == {"trials": 20}
    with pytest.raises(FrozenInstanceError):
        status.run = "other"  # type: ignore[misc]


def test_a_status_without_results_has_no_best(begin: Begin) -> None:
    begin()
    assert frnas.open_run("lfw").status().best == {"error": None, "rank_disparity": None}


def test_a_trial_and_a_configuration_are_found_by_their_ids(begin: Begin) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    opened = frnas.open_run("lfw")

    outcome = opened.trial("t0001").outcome
    assert outcome is not None
    assert outcome.metrics == {"error": {"f": 0.2, "m": 0.1}}
    assert opened.configuration("c0001") == {"head": "CosFace", "lr_sgd": 0.1, "edge1": 3}
    with pytest.raises(frnas.errors.SelectionError, match="run lfw has no trial 't1'"):
        opened.trial("t1")
    with pytest.raises(frnas.errors.SelectionError, match="no configuration 'c1'"):
        opened.configuration("c1")


def test_a_run_is_found_by_name_or_path_and_stays_it_elsewhere(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin()
    opened = frnas.open_run("lfw")
    assert opened == frnas.open_run("runs/lfw") == frnas.open_run(tmp_path / "runs/lfw")
    assert opened == frnas.open_run("lfw", runs=tmp_path / "runs")
    assert (opened.name, opened.path) == ("lfw", tmp_path / "runs/lfw")
    assert eval(repr(opened)) == opened
    monkeypatch.chdir("/")
    assert opened.status().run == "lfw"


def test_a_run_that_is_not_there_is_told_with_those_that_are(begin: Begin) -> None:
    begin()
    with pytest.raises(frnas.errors.RunNotFoundError, match=r"no run 'lwf'; runs/ holds lfw"):
        frnas.open_run("lwf")


def test_a_name_of_two_runs_is_refused_and_paths_are_not(begin: Begin, tmp_path: Path) -> None:
    begin()
    begin("lfw")
    with pytest.raises(frnas.errors.AmbiguousRunError, match=r"'\./lfw' or 'runs/lfw'"):
        frnas.open_run("lfw")
    assert frnas.open_run("./lfw").path == tmp_path / "lfw"
    assert frnas.open_run("runs/lfw").path == tmp_path / "runs/lfw"


def test_a_folder_is_no_second_run_of_its_own_name(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin()
    monkeypatch.chdir(tmp_path / "runs")
    assert frnas.open_run("lfw", runs=".").path == tmp_path / "runs/lfw"


def test_a_notebook_shows_how_far_a_run_is_and_why_it_cannot(begin: Begin, tmp_path: Path) -> None:
    run = begin()
    run.trial(1, 0.5, 5.0)
    run.log(Ended(state="failed", reason="<too> many failures"))
    opened = frnas.open_run("lfw")

    html = opened._repr_html_()
    assert "failed (&lt;too&gt; many failures)" in html
    assert "1 finished, 0 running, 0 failed" in html
    assert "error 0.5, rank_disparity 5" in html
    (tmp_path / "runs/lfw/events.sqlite").rename(tmp_path / "moved")
    assert "there is no run; check its name or folder" in opened._repr_html_()
