from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from results.errors import RunDirectoryError, RunNotFoundError
from results.run_directory import RunDirectory, resolve_run, run_directories
from results.sqlite_store import SqliteStore


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


def as_nobody(code: str, *arguments: object) -> str:
    """What a script prints that runs as a user without any rights."""
    loaded, done = code.split("runs = ")
    script = f"import os{loaded}if os.geteuid() == 0:\n    os.setuid(65534)\nruns = {done}"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


LOOK = """
import sys
from pathlib import Path
from results.errors import ResultsError
from results.lock import run_lock
from results.query import list_runs, load_view
from results.run_directory import resolve_run
runs = Path(sys.argv[1])
try:
    view, state = load_view(resolve_run("mine", runs_directory=runs))
    print(view.opened.run, state)
    with run_lock(runs / "mine"):
        print("locked")
except ResultsError as error:
    print(error)
print([row["name"] for row in list_runs(runs)])
"""


@pytest.fixture
def runs(new_run) -> Iterator[Path]:
    """A folder with a run `mine`, where also others may go; tmp_path is of one user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    mine = RunDirectory(folder / "mine")
    mine.path.mkdir()
    with SqliteStore.create(mine.events) as store:
        new_run(store).open()
    (mine.path / "lock").touch()
    yield folder
    for path in (folder, mine.path):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_run_of_another_user_is_not_called_missing(runs: Path) -> None:
    (runs / "mine").chmod(0o700 if os.geteuid() == 0 else 0o000)
    told, listed = as_nobody(LOOK, runs).splitlines()
    assert told.startswith(f"{runs}/mine: may not be read; ask whoever owns it")
    assert listed == "[]"


def test_a_folder_of_runs_that_may_not_be_read_is_told(runs: Path) -> None:
    runs.chmod(0o711 if os.geteuid() == 0 else 0o111)
    code = LOOK.replace('"mine"', '"yours"')
    assert f"{runs}/ may not be read" in as_nobody(code, runs)


def test_a_log_that_may_not_be_read_is_told(runs: Path) -> None:
    (runs / "mine/events.sqlite").chmod(0o600 if os.geteuid() == 0 else 0o000)
    assert f"{runs}/mine/events.sqlite: may not be read" in as_nobody(LOOK, runs)


def test_a_run_that_may_only_be_read_is_read_and_not_locked(runs: Path) -> None:
    (runs / "mine").chmod(0o555)
    (runs / "mine/lock").chmod(0o444)
    read, locked, _ = as_nobody(LOOK, runs).splitlines()
    assert read.endswith(" stopped")
    assert "lock: cannot be opened (Permission denied); check who may write to it" in locked


@pytest.mark.parametrize(("kind", "words"), [("folder", "is a folder"), ("pipe", "is no file")])
def test_a_log_that_is_no_file_is_told(runs: Path, kind: str, words: str) -> None:
    events = runs / "mine/events.sqlite"
    events.unlink()
    events.mkdir() if kind == "folder" else os.mkfifo(events)
    with pytest.raises(RunDirectoryError, match=rf"events\.sqlite: {words}, not an event log"):
        resolve_run("mine", runs_directory=runs)


def test_a_log_that_was_removed_is_told(runs: Path) -> None:
    (runs / "mine/events.sqlite").unlink()
    with pytest.raises(RunDirectoryError, match="is not there any more; restore"):
        resolve_run("mine", runs_directory=runs)
    (runs / "mine/events.head").unlink()
    with pytest.raises(RunNotFoundError):
        resolve_run("mine", runs_directory=runs)
