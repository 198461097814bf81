from __future__ import annotations

from pathlib import Path

import pytest

from results.errors import LogError, RunNotFoundError, SelectionError
from results.events import Ended, Resumed
from results.lock import run_lock
from results.query import list_runs, load_view
from results.run_directory import RunDirectory
from results.sqlite_store import SqliteStore


@pytest.fixture
def stored(new_run, tmp_path: Path):
    """A run on disk with one point, its writer still open."""
    (tmp_path / "lfw").mkdir()
    store = SqliteStore.create(tmp_path / "lfw" / "events.sqlite")
    run = new_run(store=store).open()
    run.trial(1, 0.5, 5.0)
    yield run
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "lfw")


def test_a_run_is_running_while_it_is_locked_and_stopped_when_its_writer_is_gone(
    stored, folder: RunDirectory
) -> None:
    with run_lock(folder.path):
        assert load_view(folder)[1] == "running"
    assert load_view(folder)[1] == "stopped"


def test_a_run_that_ended_says_so_even_while_it_is_locked(stored, folder: RunDirectory) -> None:
    stored.log(Ended(state="finished", reason="done"))

    with run_lock(folder.path):
        assert load_view(folder)[1] == "finished"
    assert load_view(folder)[1] == "finished"


def test_an_earlier_event_shows_the_run_as_it_was(stored, folder: RunDirectory) -> None:
    stored.log(Ended(state="finished", reason="done"))
    stored.log(Resumed(reissued=(), versions={}))

    then, state_then = load_view(folder, at=3)
    ended, state_ended = load_view(folder, at=5)
    now, state_now = load_view(folder, at=6)

    assert (then.n_running, then.n_finished, state_then) == (1, 0, "running")
    assert (ended.n_finished, state_ended) == (1, "finished")
    assert (now.last_sequence, state_now) == (6, "stopped")


@pytest.mark.parametrize("at", [0, 5, -1])
def test_an_event_that_is_not_in_the_log_is_refused(stored, folder: RunDirectory, at: int) -> None:
    with pytest.raises(SelectionError, match=f"no event {at}; its events are 1 to 4"):
        load_view(folder, at=at)


def test_reading_leaves_the_log_as_it_is(stored, folder: RunDirectory) -> None:
    before = stored.store.read()
    load_view(folder)

    assert stored.store.read() == before


def test_a_log_that_contradicts_itself_is_refused_with_its_place(
    stored, folder: RunDirectory
) -> None:
    stored.tell(9, 0.5, 5.0)

    with pytest.raises(LogError, match=r"t0009 .* never asked") as caught:
        load_view(folder)
    assert str(caught.value).startswith(f"{folder.events}: ")


def test_a_missing_run_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="there is no run"):
        load_view(RunDirectory(tmp_path / "nothing"))


def test_a_run_that_was_never_started_is_an_error_and_not_an_empty_front(
    tmp_path: Path, folder: RunDirectory
) -> None:
    folder.path.mkdir()
    SqliteStore.create(folder.events).close()

    with pytest.raises(LogError, match="never started"):
        load_view(folder)


def test_runs_are_listed_with_the_broken_ones_and_their_reason(stored, tmp_path: Path) -> None:
    for name, content in (("broken", b"text" * 99), ("empty", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.sqlite").write_bytes(content)
    (tmp_path / "notes").mkdir()

    broken, empty, good = list_runs(tmp_path)

    assert (broken["name"], broken["state"]) == ("broken", None)
    assert "not an event log" in broken["error"]
    assert "not an event log" in empty["error"]
    assert good == {
        "name": "lfw",
        "state": "stopped",
        "updated": "2026-01-01T00:00:03Z",
        "front_size": 1,
        "hypervolume": 2.5,
        "error": None,
    }


def test_a_folder_without_runs_lists_none(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "missing") == []
