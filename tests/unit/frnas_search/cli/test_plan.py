from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from frnas_search.cli.app import app
from frnas_search.errors import SearchError
from frnas_search.plan.checkpoint_size import (
    CheckpointSizes,
    Training,
    checkpoint_bytes,
    checkpoint_sizes,
    n_files,
)
from frnas_search.plan.plan import plan_schema
from results.events import Asked, RunOpened, Told
from results.objectives import objective
from results.sqlite_store import SqliteStore
from results.trial import TrialOutcome, TrialRequest
from search_space.candidate import SpaceSettings
from search_space.definition.decode import complete, decode
from search_space.prediction import Cost
from workers.settings import TrainingSettings
from workers.training.optimization import build_optimizer

RUN = """
name: planned
data: {synthetic: {size: 24}}
space: {width: 0.05, embedding_size: 16}
fidelity: {min_epochs: 2, max_epochs: 4, eta: 2}
stop: {trials: 6}
workers: {checkpoint_gb: 2}
"""
SETTINGS = SpaceSettings(embedding_size=10)


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder of runs with one whose trials took 5 s and 10 s an epoch."""
    folder = tmp_path / "runs/earlier"
    folder.mkdir(parents=True)
    request = TrialRequest(
        trial_id="t1", config_id="c1", configuration={}, rung=0, epochs=4, seed=0
    )
    outcome = TrialOutcome(
        trial_id="t1", attempt=1, costs={"error": 0.5}, seconds=40.0, epochs_trained=4
    )
    opened = RunOpened(
        run="earlier",
        objectives=(objective("error", n_identities=9),),
        rungs=(4,),
        data={"digest": "d", "split": "val", "group": "g", "groups": {}},
        space={"preset": "paper", "fingerprint": "f"},
        seed=0,
        versions={},
        at="2026-01-01T00:00:00Z",
    )
    with SqliteStore.create(folder / "events.sqlite") as store:
        for event in (opened, Asked(request=request), Told(outcome=outcome)):
            store.append(event, time="2026-01-01T00:00:00Z")
    return tmp_path / "runs"


def test_a_plan_without_a_pace_tells_epochs_and_disk_and_that_hours_are_unknown(
    run_file: Path,
) -> None:
    done = CliRunner().invoke(app, ["plan", str(run_file), "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    Draft202012Validator(plan_schema()).validate(document)
    assert document["search"]["epochs"] == 16
    assert document["search"]["gpu_hours"] is None
    assert document["pace"] is None
    assert document["workers"] == 1
    checkpoints = document["checkpoints"]
    assert checkpoints["kept_files"] == 2 + 2 * 3
    assert checkpoints["bound_bytes"] == 2e9
    assert 0 < checkpoints["mean_bytes"] <= checkpoints["worst_bytes"]

    table = CliRunner().invoke(app, ["plan", str(run_file)], catch_exceptions=False).stdout
    assert "stop.trials 6" in table
    assert "unknown; give --from RUN or --seconds-per-epoch" in table
    assert "bounded to 2 GB" in table


def test_hours_follow_an_earlier_run_and_the_number_of_workers(
    run_file: Path, earlier: Path
) -> None:
    arguments = ["plan", str(run_file), "--from", "earlier", "--runs", str(earlier)]
    done = CliRunner().invoke(app, [*arguments, "--workers", "4", "--json"])
    document = json.loads(done.stdout)
    Draft202012Validator(plan_schema()).validate(document)
    assert document["pace"] == {"per_epoch": 10.0, "per_trial": 0.0, "source": "run earlier"}
    assert document["search"]["gpu_hours"] == pytest.approx(160 / 3600)
    assert document["search"]["wall_hours"] == pytest.approx(40 / 3600)
    assert "run earlier" in CliRunner().invoke(app, arguments).stdout


def test_limits_in_hours_are_foreseen_with_seconds_per_epoch(run_file: Path) -> None:
    more = ["--set", "stop={trials: null, gpu_hours: 1}", "--seconds-per-epoch", "3.6"]
    done = CliRunner().invoke(app, ["plan", str(run_file), "--json", *more])
    document = json.loads(done.stdout)
    Draft202012Validator(plan_schema()).validate(document)
    assert document["search"]["ends_by"] == "gpu_hours"
    assert document["search"]["epochs"] >= 1000


def test_what_is_rarer_than_a_sample_is_sought_for_the_size_of_checkpoints(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frnas_search.plan.plan.sample", lambda *_, **__: [])
    arguments = ["plan", str(run_file), "--set", "constraints.max_parameters=1000000000"]
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert document["checkpoints"]["samples"] > 10


def test_where_no_sample_keeps_within_the_constraints_disk_is_unknown(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frnas_search.plan.plan.violations", lambda *_: ["too large"])
    done = CliRunner().invoke(app, ["plan", str(run_file), "--json"])
    document = json.loads(done.stdout)
    Draft202012Validator(plan_schema()).validate(document)
    assert document["checkpoints"] is None
    table = CliRunner().invoke(app, ["plan", str(run_file)]).stdout
    assert "no sample of the space keeps within the constraints" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds-per-epoch", "0"], "give a number above 0"),
        (["--seconds-per-epoch", "nan"], "give a number above 0"),
        (["--seconds-per-epoch", "1", "--from", "x"], "not both"),
    ],
)
def test_a_pace_that_cannot_be_is_refused(
    run_file: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(SearchError, match=message):
        CliRunner().invoke(app, ["plan", str(run_file), *arguments], catch_exceptions=False)


def test_a_run_without_a_result_has_no_pace(run_file: Path, earlier: Path) -> None:
    empty = earlier / "empty"
    empty.mkdir()
    with (
        SqliteStore.open(earlier / "earlier/events.sqlite") as log,
        SqliteStore.create(empty / "events.sqlite") as store,
    ):
        store.append(log.read()[0].event, time="2026-01-01T00:00:00Z")
    with pytest.raises(SearchError, match="no trial of that run"):
        CliRunner().invoke(
            app,
            ["plan", str(run_file), "--from", "empty", "--runs", str(earlier)],
            catch_exceptions=False,
        )


def test_planning_loads_no_torch(run_file: Path) -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom frnas_search.cli.app import app\n"
        f"done = CliRunner().invoke(app, ['plan', {str(run_file)!r}], catch_exceptions=False)\n"
        "assert done.exit_code == 0, done.output\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_checkpoint_holds_what_the_optimizer_keeps(optimizer: str, momentum: float) -> None:
    configuration = complete(
        {"edge1": "3", "edge2": "0", "edge3": "1", "optimizer": optimizer}, SETTINGS
    )
    candidate = decode(configuration, SETTINGS)
    network, head = torch.nn.Linear(7, 10), torch.nn.Linear(10, 4, bias=False)
    recipe = TrainingSettings(momentum=momentum)
    made = build_optimizer(candidate, recipe, network=network, head=head)
    (network(torch.ones(2, 7)) @ head.weight.T).sum().backward()
    made.step()
    state = [
        value.numel()
        for each in made.state.values()
        for value in each.values()
        if torch.is_tensor(value) and value.ndim > 0
    ]
    numbers = sum(p.numel() for p in (*network.parameters(), *head.parameters())) + sum(state)
    training = Training(n_classes=4, has_momentum=momentum > 0.0, has_average=False)
    assert checkpoint_bytes(candidate, Cost(80, 0), training) == 4 * numbers
    averaged = Training(n_classes=4, has_momentum=momentum > 0.0, has_average=True)
    assert checkpoint_bytes(candidate, Cost(80, 0), averaged) == 4 * (numbers + 80)


def test_sizes_are_summed_up() -> None:
    assert checkpoint_sizes([]) is None
    assert checkpoint_sizes([1, 2, 6]) == CheckpointSizes(samples=3, mean_bytes=3.0, worst_bytes=6)
    assert n_files({0: 5, 1: 2, 2: 1}) == 5 + 2 * 3
