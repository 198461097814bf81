"""Whatever became of the files of a run directory: a sentence, or all is well."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frnas_search.config.reading import parse_run_file
from frnas_search.coordinator.coordinator import StopSignal
from frnas_search.coordinator.executor import Executor, InlineExecutor
from frnas_search.errors import SearchError
from frnas_search.executors import registry
from frnas_search.executors.registry import WorkerPool
from frnas_search.launch.opening import new_search, planned_search, resumed_search, retraining
from results.errors import ResultsError
from results.query import load_view
from results.run_directory import RunDirectory, resolve_run
from results.trial import TrialOutcome
from workers.settings import TrialJob
from workers.trials.messages import ProofRequest

RAW = {
    "name": "tiny",
    "data": {"synthetic": {"size": 16}},
    "space": {"width": 0.1, "embedding_size": 16},
    "fidelity": {"min_epochs": 1, "max_epochs": 3},
    "stop": {"trials": 3},
    "training": {"device": "cpu"},
    "search": {"sampler": "random"},
}
FILES = ("run.yaml", "manifest.json", "events.sqlite", "events.head", "lock")
CONTENTS = (
    b"",
    b"\0" * 60,
    b"[]",
    b"null",
    b"7",
    b"[" * 4000,
    b'{"seed": {"a": []}, "versions": 3, "data": 5, "sequence": "x", "schema": 4}',
    b"name: 3\nstop: [1]\ndata: 5\nspace: x\nfidelity: null\n",
    random.Random(0).randbytes(200),
)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


PUT: tuple[Callable[[Path], object], ...] = (
    *map(written, CONTENTS),
    lambda path: None,
    folder,
    os.mkfifo,
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/nonexistent/file"),
    lambda path: path.symlink_to(path.name),
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that has ended, and an executor in place of a cluster for as long as it is needed."""

    def succeed(job: TrialJob) -> TrialOutcome:
        request = job.request
        costs = dict.fromkeys(job.objectives, 0.5)
        return TrialOutcome(trial_id=request.trial_id, attempt=request.attempt, costs=costs)

    @contextlib.contextmanager
    def opened(pool: WorkerPool, proof: ProofRequest | None) -> Iterator[Executor]:
        assert proof is not None
        yield InlineExecutor(succeed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "EXECUTORS", {"local": opened})
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        plan = planned_search(parse_run_file(RAW, where="f"), tmp_path_factory.mktemp("runs"))
        with new_search(plan, watchers=(), stop=StopSignal()) as search:
            search.coordinator.run(search.first)
        yield plan.run.path


def look(path: Path) -> None:
    load_view(resolve_run(str(path)))


def resume(path: Path) -> None:
    run = resolve_run(str(path))
    with resumed_search(run, overrides=(), watchers=(), stop=StopSignal()) as search:
        search.coordinator.run(search.first)


def retrain(path: Path) -> None:
    with retraining(resolve_run(str(path)), overrides=(), stop=StopSignal()) as job:
        assert job.view.trials


def refusal(use: Callable[[Path], None], path: Path) -> str:
    """What a use of the run is refused with; empty where it is not."""
    try:
        use(path)
    except (SearchError, ResultsError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_told_or_does_no_harm(ended: Path, tmp_path: Path, name: str) -> None:
    refusals = []
    run = RunDirectory(tmp_path / "run")
    for number, put in enumerate(PUT):
        for use in (look, (resume, retrain)[number % 2]):
            shutil.rmtree(run.path, ignore_errors=True)
            shutil.copytree(ended, run.path)
            (run.path / name).unlink(missing_ok=True)
            put(run.path / name)
            refusals.append(refusal(use, run.path))
    told = [text for text in refusals if text]
    assert len(told) >= 4
    assert all(20 < len(text) < 2500 for text in told)


def test_what_is_not_damaged_goes_on(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended, tmp_path / "run")
    for use in (look, resume, retrain):
        assert refusal(use, tmp_path / "run") == ""
