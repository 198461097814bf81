from __future__ import annotations

from pathlib import Path

import pytest

from results.errors import RunNotFoundError
from results.run_directory import RunDirectory, resolve_run, run_directories


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "events.sqlite").touch()
    return path


def test_the_places_of_a_run_are_those_of_the_design(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "lfw")
    places = {
        "run.yaml": run.run_yaml,
        "manifest.json": run.manifest,
        "events.sqlite": run.events,
        "pareto.json": run.pareto,
        "models": run.models,
        "report": run.report,
        "logs": run.logs,
    }

    assert run.name == "lfw"
    assert places == {name: tmp_path / "lfw" / name for name in places}


def test_a_run_is_found_by_its_path_and_by_its_name(tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs" / "lfw")

    by_path = resolve_run(str(path), runs_directory=tmp_path / "elsewhere")
    by_name = resolve_run("lfw", runs_directory=tmp_path / "runs")

    assert by_path == by_name == RunDirectory(path)


def test_the_current_folder_has_a_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_run(tmp_path / "lfw"))

    assert resolve_run(".").name == "lfw"


def test_a_run_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    for name in ("vgg", "lfw"):
        make_run(tmp_path / name)
    (tmp_path / "no-run").mkdir()

    with pytest.raises(RunNotFoundError, match=r"no run 'celeba'.* holds lfw, vgg$"):
        resolve_run("celeba", runs_directory=tmp_path)


def test_where_no_run_is_the_answer_asks_for_a_path(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="give the path of a run directory"):
        resolve_run("lfw", runs_directory=tmp_path / "runs")


def test_runs_are_listed_by_name_without_other_folders(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("b", "a")]
    (tmp_path / "c").mkdir()
    (tmp_path / "file").touch()

    assert run_directories(tmp_path) == [RunDirectory(path) for path in reversed(runs)]
    assert run_directories(tmp_path / "missing") == []
