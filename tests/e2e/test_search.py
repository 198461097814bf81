"""Searches from the run file to the retrained model, and through everything that may go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from results.events import Asked, RunOpened, Told
from results.objectives import objective
from results.run_directory import RunDirectory
from results.schema import SchemaName, schema
from results.sqlite_store import SqliteStore
from results.trial import TrialOutcome, TrialRequest
from search_space.candidate import SpaceSettings
from search_space.definition.space import sample
from tests.e2e.conftest import CompletedCommand, Shell
from workers.models import load_model

pytestmark = pytest.mark.timeout(240)


def validated(command: CompletedCommand, name: SchemaName) -> dict[str, Any]:
    assert command.code == 0, command.errors
    document: dict[str, Any] = command.json
    Draft202012Validator(schema(name)).validate(document)
    return document


def assert_every_trial_counts_once(trials: Sequence[dict[str, Any]], n_trials: int) -> None:
    assert [trial["trial_id"] for trial in trials] == [
        f"t{number:04d}" for number in range(1, n_trials + 1)
    ]
    assert all((trial["costs"] is None) != (trial["failure"] is None) for trial in trials)


def worker_processes(parent: int) -> list[int]:
    """Dask's worker processes below a `frnas worker`."""
    answer = subprocess.run(
        ["pgrep", "-P", str(parent), "-f", "spawn_main"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in answer.stdout.split()]


def session_is_empty(leader: int) -> bool:
    """Whether no process is left of those that a started command began."""
    found = subprocess.run(
        ["pgrep", "-s", str(leader)], capture_output=True, text=True, check=False
    )
    return found.stdout == ""


def test_a_search_is_run_queried_retrained_and_its_model_loaded(shell: Shell) -> None:
    done = shell.frnas("search", "tiny.yaml")
    assert done.code == 0, done.errors
    assert "8 trials are done" in done.errors
    run = shell.folder / "runs/tiny"
    front = validated(shell.frnas("pareto", "tiny", "--format", "json"), "pareto")
    Draft202012Validator(schema("pareto")).validate(json.loads((run / "pareto.json").read_text()))
    assert front["state"] == "finished"
    assert front["front"]
    assert (run / "report/front.png").stat().st_size > 1000
    status = validated(shell.frnas("status", "tiny", "--json"), "status")
    assert status["trials"]["finished"] + status["trials"]["failed"] == 8
    trials = validated(shell.frnas("trials", "tiny", "--json"), "trials")["trials"]
    assert_every_trial_counts_once(trials, 8)

    earlier = validated(shell.frnas("pareto", "tiny", "--format", "json", "--at", "3"), "pareto")
    assert (earlier["event"], earlier["front"]) == (3, [])
    table = shell.frnas("pareto", "tiny", "--max", "error=0.0001")
    assert "front of 0" in table.output

    chosen = front["front"][0]["config_id"]
    retrain = shell.frnas(
        "retrain", "tiny", "--select", chosen, "--seeds", "2", "--epochs", "6", "--json"
    )
    document = validated(retrain, "retrained")
    (entry,) = document["models"]
    assert entry["costs"]["error"]["n_seeds"] == 2
    model = load_model(run / entry["seeds"][0]["model"])
    embeddings = model(torch.zeros(3, 1, 24, 24))
    assert embeddings.shape == (3, 16)
    assert model.description.metrics["split"] == "test"


def test_a_killed_coordinator_is_resumed_with_nothing_lost_or_counted_twice(shell: Shell) -> None:
    search = shell.start("search", "tiny.yaml")
    shell.wait_for_told(3, search)
    search.kill()
    search.wait()
    before = [trial for trial in shell.trials() if trial["told"] is not None]
    assert shell.frnas("status", "tiny", "--json").json["state"] == "stopped"

    resumed = shell.frnas("search", "--resume", "tiny")
    assert resumed.code == 0, resumed.errors
    trials = shell.trials()
    assert_every_trial_counts_once(trials, 8)
    assert before
    assert all(trial in trials for trial in before), "what was told stays as it was"

    more = shell.frnas("search", "--resume", "runs/tiny", "--set", "stop.trials=10")
    assert more.code == 0, more.errors
    assert_every_trial_counts_once(shell.trials(), 10)


def write_run(run: RunDirectory, *, n_trials: int) -> None:
    """The log of a search in the space of `tiny.yaml`, as if it had been run."""
    objectives = tuple(objective(name, n_identities=9) for name in ("error", "rank_disparity"))
    opened = RunOpened(
        run=run.name,
        objectives=objectives,
        rungs=(2, 4),
        data={"digest": "d", "split": "val", "group": "group", "groups": {"group": ["a", "b"]}},
        space={"preset": "paper", "fingerprint": "f"},
        seed=0,
        versions={},
        at="2026-01-01T00:00:00Z",
    )
    run.path.mkdir(parents=True)
    with SqliteStore.create(run.events) as store:
        store.append(opened, time=opened.at)
        for number, configuration in enumerate(sample(SpaceSettings(), n_trials, seed=0)):
            request = TrialRequest(
                trial_id=f"t{number}",
                config_id=f"c{number}",
                configuration=configuration,
                rung=1,
                epochs=4,
                seed=0,
            )
            costs = {"error": 0.1 + number / 20, "rank_disparity": 2.0 - number / 10}
            outcome = TrialOutcome(trial_id=request.trial_id, attempt=1, costs=costs)
            store.append(Asked(request=request), time=opened.at)
            store.append(Told(outcome=outcome), time=opened.at)


def test_a_search_learns_from_another_run_and_goes_on_without_it(shell: Shell) -> None:
    earlier = RunDirectory(shell.folder / "runs/earlier")
    write_run(earlier, n_trials=6)
    options = ("tiny.yaml", "--set", "search.warm_start=earlier", "--set", "stop.trials=2")

    check = shell.frnas("search", *options, "--check")
    assert check.code == 0, check.errors
    assert "search.warm_start: 6 earlier results of earlier" in check.output
    done = shell.frnas("search", *options)
    assert done.code == 0, done.errors
    assert done.errors.count("warm start: 6 earlier results of earlier") == 1
    trials = shell.trials()

    shutil.rmtree(earlier.path)
    more = shell.frnas("search", "--resume", "tiny", "--set", "stop.trials=3")
    assert more.code == 0, more.errors
    assert_every_trial_counts_once(shell.trials(), 3)
    assert shell.trials()[:2] == trials
    gone = shell.frnas("search", *options, "--set", "name=other")
    assert gone.code == 2
    assert "search.warm_start.0: there is no run 'earlier'" in gone.errors


def test_workers_attach_late_are_killed_and_return(shell: Shell) -> None:
    scheduler = shell.start("scheduler", "--port", "0", "--scheduler-file", "scheduler.json")
    shell.wait_until((shell.folder / "scheduler.json").exists, scheduler)
    search = shell.start("search", "tiny.yaml", "--scheduler", "scheduler.json")
    shell.wait_until(lambda: "no workers yet" in shell.log_of(search), search)

    first = shell.start("worker", "--scheduler", "scheduler.json", "--threads", "1")
    shell.wait_for_told(1, search)
    second = shell.start("worker", "--scheduler", "scheduler.json", "--threads", "1")
    shell.wait_until(lambda: bool(worker_processes(second.pid)), second)
    os.kill(worker_processes(first.pid)[0], signal.SIGKILL)
    shell.wait_until(lambda: "is gone" in shell.log_of(search), search)
    os.killpg(second.pid, signal.SIGKILL)

    assert shell.wait(search) == 0, shell.log_of(search)
    assert_every_trial_counts_once(shell.trials(), 8)
    assert "Traceback" not in shell.log_of(search)
    for process in (first, scheduler):
        process.send_signal(signal.SIGTERM)
        assert shell.wait(process) == 0, shell.log_of(process)


def test_ctrl_c_stops_cleanly_and_a_second_one_at_once(shell: Shell) -> None:
    search = shell.start("search", "tiny.yaml", "--set", "stop.trials=100")
    shell.wait_for_told(1, search)
    # As a terminal does it: the whole process group is told.
    os.killpg(search.pid, signal.SIGINT)
    assert shell.wait(search) == 130, shell.log_of(search)
    trials = shell.trials()
    assert {trial["state"] for trial in trials} <= {"finished", "failed"}
    assert not any(trial["failure"] in ("crashed", "worker_lost") for trial in trials)

    again = shell.start("search", "--resume", "tiny")
    shell.wait_for_told(len(trials) + 1, again)
    os.killpg(again.pid, signal.SIGINT)
    os.killpg(again.pid, signal.SIGINT)
    assert shell.wait(again) == 130, shell.log_of(again)
    assert "Traceback" not in shell.log_of(again)
    status = shell.frnas("status", "tiny", "--json").json
    assert status["state"] == "stopped"


def test_sigterm_to_all_of_a_search_costs_no_trial_an_attempt(shell: Shell) -> None:
    search = shell.start(
        *("search", "tiny.yaml", "--set", "fidelity.min_epochs=400"),
        *("--set", "fidelity.max_epochs=400", "--set", "stop.trials=2"),
    )
    run = RunDirectory(shell.folder / "runs/tiny")

    def has_begun() -> bool:
        status = shell.frnas("status", "tiny", "--json")
        running = status.json["running"] if status.code == 0 else []
        return len(running) == 2 and all((trial["epoch"] or 0) >= 1 for trial in running)

    shell.wait_until(has_begun, search)
    status = validated(shell.frnas("status", "tiny", "--json"), "status")
    for trial in status["running"]:
        assert (trial["phase"], trial["epochs"]) == ("training", 400)
        assert trial["loss"] is not None
        assert trial["heard_seconds"] < 30.0
    assert status["workers"]["fit"] == 2
    os.killpg(search.pid, signal.SIGTERM)
    assert shell.wait(search) == 130, shell.log_of(search)
    losses = [loss for trial in shell.trials() for loss in trial["losses"]]
    assert {loss["detail"].partition(";")[0] for loss in losses} == {"told to end"}
    saved = {path.parent.name for path in run.path.glob("checkpoints/*/*.pt")}
    assert saved == {trial["config_id"] for trial in shell.trials()}
    # What Python keeps beside its processes ends a moment after them.
    shell.wait_until(lambda: session_is_empty(search.pid))


def test_a_search_whose_only_worker_is_sick_fails_and_tells_nobody_a_cost(shell: Shell) -> None:
    # Enough for the worker, and not for torch.
    command = " ".join(("ulimit", "-v", "700000;", "exec", sys.executable, "-m"))
    scheduler = shell.start("scheduler", "--port", "0", "--scheduler-file", "s.json")
    shell.wait_until((shell.folder / "s.json").exists, scheduler)
    sick = subprocess.Popen(
        ["bash", "-c", f"{command} frnas_search.cli.main worker --scheduler s.json --threads 1"],
        cwd=shell.folder,
        env=shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    shell.started.append(sick)
    search = shell.start("search", "tiny.yaml", "--scheduler", "s.json")

    def is_told() -> bool:
        status = shell.frnas("status", "tiny", "--json")
        return status.code == 0 and bool((status.json["workers"] or {}).get("idle"))

    shell.wait_until(is_told, search)
    status = shell.frnas("status", "tiny", "--json").json
    (reason,) = status["workers"]["idle"].values()
    assert reason.startswith("unfit: its training process ended with")
    assert status["trials"] == {"finished": 0, "failed": 0, "running": 0, "lost": 0}
    assert "gets no trials: its training process ended with" in shell.log_of(search)


def test_other_limits_than_trials_end_a_search_and_are_raised_on_a_finished_one(
    shell: Shell,
) -> None:
    by_epochs = ("--set", "stop.trials=null", "--set", "stop.epochs=4")
    first = shell.frnas("search", "tiny.yaml", *by_epochs)
    assert "finished: 4 epochs are trained" in first.errors
    n_first = len(shell.trials())
    more = shell.frnas("search", "--resume", "tiny", "--set", "stop.epochs=12")
    assert "finished: 12 epochs are trained" in more.errors
    n_more = len(shell.trials())
    assert n_more > n_first
    late = ("--set", "stop.deadline=2020-01-01T00:00Z")
    ended = shell.frnas("search", "--resume", "tiny", "--set", "stop.epochs=null", *late)
    assert "finished: the deadline 2020-01-01T00:00:00Z has passed" in ended.errors
    status = validated(shell.frnas("status", "tiny", "--json"), "status")
    assert status["limits"]["deadline"] == "2020-01-01T00:00:00Z"
    assert "deadline 2020-01-01T00:00:00Z" in shell.frnas("status", "tiny").output
    assert len(shell.trials()) == n_more


def test_json_logs_are_json_lines(shell: Shell) -> None:
    done = shell.frnas("search", "tiny.yaml", "--json-logs", "--set", "stop.trials=1")
    assert done.code == 0, done.errors
    lines = [json.loads(line) for line in done.errors.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert any(line.get("trial_id") == "t0001" for line in lines)
    kept = (shell.folder / "runs/tiny/logs/coordinator.jsonl").read_text().splitlines()
    assert any("t0001" in line for line in kept)


def test_the_path_of_a_run_works_like_its_name(shell: Shell, tmp_path: Path) -> None:
    assert shell.frnas("search", "tiny.yaml", "--set", "stop.trials=1").code == 0
    by_name = shell.frnas("status", "tiny", "--json").json
    by_path = shell.frnas("status", str(tmp_path / "runs/tiny"), "--json").json
    assert by_path | {"now": by_name["now"]} == by_name


def test_virtual_time_gives_the_same_trials_with_other_workers_and_after_a_kill(
    shell: Shell,
) -> None:
    virtual = ("search", "tiny.yaml", "--virtual-time", "--slots", "3")
    done = shell.frnas(*virtual, "--set", "workers.local=1", "--set", "name=alone")
    assert done.code == 0, done.errors

    search = shell.start(*virtual)  # with two workers
    shell.wait_for_told(3, search)
    os.killpg(search.pid, signal.SIGKILL)
    search.wait()
    done = shell.frnas("search", "--resume", "tiny")
    assert done.code == 0, done.errors

    def results(run: str) -> list[tuple[Any, ...]]:
        names = ("trial_id", "config_id", "rung", "configuration", "costs", "failure")
        return [tuple(trial[name] for name in names) for trial in shell.trials(run)]

    assert len(results("alone")) == 8
    assert results("tiny") == results("alone")
