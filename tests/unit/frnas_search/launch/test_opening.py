"""A search is planned, begun, stopped and resumed: files, log and parts, without any cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frnas_search.config.reading import RunFile, parse_run_file
from frnas_search.config.run_file import read_yaml
from frnas_search.coordinator.coordinator import StopSignal
from frnas_search.coordinator.executor import Executor, InlineExecutor
from frnas_search.errors import RunChangedError, RunFileError
from frnas_search.executors import registry
from frnas_search.executors.registry import WorkerPool
from frnas_search.launch.blueprint import Blueprint
from frnas_search.launch.opening import new_search, planned_search, resumed_search, retraining
from results.errors import RunExistsError
from results.events import Asked, Ended, LimitsChanged, Resumed, RunOpened, Submitted, Told
from results.run_directory import RunDirectory
from results.sqlite_store import read_only
from results.trial import TrialOutcome
from workers.settings import TrialJob
from workers.trials.messages import ProofRequest

RAW: dict[str, Any] = {
    "name": "tiny",
    "data": {"synthetic": {"size": 16}},
    "space": {"width": 0.1, "embedding_size": 16},
    "fidelity": {"min_epochs": 1, "max_epochs": 3},
    "stop": {"trials": 3},
    "training": {"device": "cpu", "memory_gb": 2},
    "search": {"sampler": "random", "enqueue": ["SMAC_301"]},
    "workers": {"scheduler": "node0:8786", "checkpoint_gb": 1},
    "constraints": {"max_parameters": 1e7, "max_cost": {"error": 0.9}},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, cache: Path) -> list[TrialJob]:
    """Every job that is run; in place of a cluster they succeed here and now."""
    ran: list[TrialJob] = []

    def succeed(job: TrialJob) -> TrialOutcome:
        ran.append(job)
        request = job.request
        costs = dict.fromkeys(job.objectives, 1.0 / len(ran))
        return TrialOutcome(trial_id=request.trial_id, attempt=request.attempt, costs=costs)

    @contextlib.contextmanager
    def opened(pool: WorkerPool, proof: ProofRequest | None) -> Iterator[Executor]:
        assert proof is not None
        assert pool.scheduler == "node0:8786"
        yield InlineExecutor(succeed)

    monkeypatch.setattr(registry, "EXECUTORS", {"scheduler": opened})
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return ran


def run_file(**sections: Any) -> RunFile:
    return parse_run_file(RAW | sections, where="f")


def searched(blueprint: Blueprint) -> RunDirectory:
    with new_search(blueprint, watchers=(), stop=StopSignal()) as search:
        search.coordinator.run(search.first)
    return blueprint.run


def events(run: RunDirectory) -> list[Any]:
    with read_only(run.events) as log:
        return [logged.event for logged in log.read()]


def test_a_plan_writes_nothing_and_holds_the_records_of_every_part(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    plan = planned_search(run_file(), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert plan.pool == WorkerPool(executor="scheduler", scheduler="node0:8786", device="cpu")
    assert (plan.sampler, plan.limits.trials, plan.slots) == ("random", 3, None)
    assert (plan.opened.rungs, plan.opened.stop["trials"]) == ((1, 3), 3)
    assert (plan.checkpoint_bytes, plan.max_attempts) == (1e9, 3)
    assert plan.problem.accepts is not None
    assert [dict(c)["edge1"] for c in plan.problem.enqueued] == ["3"]
    assert plan.jobs.data.digest == plan.opened.data["digest"]
    assert jobs == []


def test_workers_are_started_here_without_a_scheduler(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    plan = planned_search(run_file(workers={"local": 4}), tmp_path)
    assert (plan.pool.executor, plan.pool.n_local) == ("local", 4)


def test_in_virtual_time_slots_and_threads_are_fixed(tmp_path: Path, jobs: list[TrialJob]) -> None:
    search = {"sampler": "random", "virtual_time": True}
    plan = planned_search(run_file(search=search, workers={"local": 2}), tmp_path)
    assert (plan.slots, plan.jobs.training.threads) == (2, 1)


def test_a_search_leaves_its_files_and_a_log_in_order(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    kinds = [type(event) for event in events(run)]
    assert kinds[0] is RunOpened
    assert kinds[-1] is Ended
    assert [kinds.count(kind) for kind in (Asked, Submitted, Told)] == [3, 3, 3]
    assert json.loads(run.pareto.read_text())["state"] == "finished"
    manifest = json.loads(run.manifest.read_text())
    assert manifest["data"]["digest"] == jobs[0].data.digest
    assert manifest["data"]["pack"] == jobs[0].data.pack
    # The resolved run file is a run file again, and names the same.
    assert parse_run_file(read_yaml(run.run_yaml), where="").config.search.enqueue == ("SMAC_301",)
    assert jobs[0].artefacts == str(run.path)
    assert jobs[0].checkpoints == "checkpoints/c0001"


def test_the_run_begins_when_its_workers_are_there(tmp_path: Path, jobs: list[TrialJob]) -> None:
    plan = planned_search(run_file(), tmp_path)
    early = replace(plan, opened=replace(plan.opened, at="2026-01-01T00:00:00Z"))
    opened = events(searched(early))[0]
    assert opened.at > "2026-01-02"
    assert replace(opened, at="") == replace(plan.opened, at="")


def test_another_run_in_the_directory_is_refused_before_anything_is_spent(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    searched(planned_search(run_file(), tmp_path))
    with pytest.raises(RunExistsError, match="holds another run"):
        planned_search(run_file(seed=1), tmp_path)


def test_a_run_file_with_a_fault_is_refused_with_all_of_them(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    with pytest.raises(RunFileError) as refused:
        planned_search(run_file(seed=-1, data={"pack": str(tmp_path / "no.pack")}), tmp_path)
    assert [line.split(": ")[1] for line in str(refused.value).splitlines()] == ["seed", "data"]


def test_a_finished_run_goes_on_under_a_higher_limit(tmp_path: Path, jobs: list[TrialJob]) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    asked = [event.request for event in events(run) if isinstance(event, Asked)]
    with resumed_search(
        run, overrides=("stop.trials=5",), watchers=(), stop=StopSignal()
    ) as search:
        assert search.first == ()
        search.coordinator.run(search.first)
    again = events(run)
    assert [event.request for event in again if isinstance(event, Asked)][:3] == asked
    assert [type(event) for event in again].count(Told) == 5
    assert any(isinstance(event, Resumed) for event in again)
    (changed,) = (event for event in again if isinstance(event, LimitsChanged))
    assert changed.stop["trials"] == 5


def test_other_data_are_told_before_any_worker_is_looked_for(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    text = run.run_yaml.read_text()
    assert "seed: 0" in text
    run.run_yaml.write_text(text.replace("size: 16", "size: 17"))
    n_events = len(events(run))
    with (
        pytest.raises(RunChangedError, match=r"its data digest was .* and is "),
        resumed_search(run, overrides=(), watchers=(), stop=StopSignal()),
    ):
        pass
    assert len(events(run)) == n_events


def refused(run: RunDirectory, *, by: str) -> str:
    entries: dict[str, Any] = {
        "resume": lambda: resumed_search(run, overrides=(), watchers=(), stop=StopSignal()),
        "retrain": lambda: retraining(run, overrides=(), stop=StopSignal()),
    }
    with pytest.raises(RunChangedError) as error, entries[by]():
        pass
    return str(error.value)


@pytest.mark.parametrize("by", ["resume", "retrain"])
def test_a_run_file_that_was_edited_by_hand_is_refused_with_every_key(
    tmp_path: Path, jobs: list[TrialJob], by: str
) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    text = run.run_yaml.read_text()
    assert "\n  batch_size: 64" in text
    assert "weight_decay: 0.0001" in text
    run.run_yaml.write_text(
        text.replace("\n  batch_size: 64", "\n  batch_size: 32").replace(
            "weight_decay: 0.0001", "weight_decay: 0.5"
        )
    )
    n_events = len(events(run))
    told = refused(run, by=by)
    assert "its training.batch_size was 64 and is 32; its training.weight_decay was 0.0001" in told
    assert len(events(run)) == n_events


def test_limits_and_workers_may_be_edited_by_hand(tmp_path: Path, jobs: list[TrialJob]) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    text = run.run_yaml.read_text()
    assert "max_attempts: 3" in text
    run.run_yaml.write_text(text.replace("max_attempts: 3", "max_attempts: 5"))
    with resumed_search(run, overrides=(), watchers=(), stop=StopSignal()) as search:
        assert search.coordinator.state.max_attempts == 5


@pytest.mark.parametrize("by", ["resume", "retrain"])
def test_a_manifest_that_was_edited_by_hand_is_refused(
    tmp_path: Path, jobs: list[TrialJob], by: str
) -> None:
    run = searched(planned_search(run_file(), tmp_path))
    manifest = json.loads(run.manifest.read_text())
    run.manifest.write_text(json.dumps(manifest | {"seed": 7}))
    assert "its manifest's seed was 0 and is 7" in refused(run, by=by)
    run.manifest.write_text("{")
    assert "cannot be read" in refused(run, by=by)
    run.manifest.write_text("[]")
    assert "holds no mapping" in refused(run, by=by)


def test_a_log_of_before_there_were_seals_is_gone_on_with(
    tmp_path: Path, jobs: list[TrialJob]
) -> None:
    plan = planned_search(run_file(), tmp_path)
    run = searched(replace(plan, opened=replace(plan.opened, seal={})))
    run.run_yaml.write_text(run.run_yaml.read_text().replace("0.0001", "0.5"))
    with resumed_search(run, overrides=(), watchers=(), stop=StopSignal()) as search:
        assert search.coordinator.make_job is not None
