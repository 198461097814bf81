"""Following a log gives what folding it gives, whatever happens to the files."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

import results.follow
from results.errors import LogError, RunNotFoundError, SelectionError
from results.events import Ended, SlotsChanged
from results.follow import Followers, RunFollower, SnapshotKeeper
from results.lock import run_lock
from results.query import load_view
from results.run_directory import RunDirectory
from results.snapshot import kept_view
from results.sqlite_store import SqliteStore, read_only
from results.view import RunView, fold


@pytest.fixture
def stored(new_run, tmp_path: Path):
    """A run on disk with one point, its writer still open."""
    (tmp_path / "lfw").mkdir()
    with SqliteStore.create(tmp_path / "lfw" / "events.sqlite") as store:
        run = new_run(store=store).open()
        run.trial(1, 0.5, 5.0)
        yield run


@pytest.fixture
def folder(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "lfw")


@pytest.fixture
def follower(folder: RunDirectory):
    follower = RunFollower(folder)
    yield follower
    follower.close()


@pytest.fixture
def keen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever folds one event keeps the view."""
    monkeypatch.setattr(results.follow, "_WORTH_A_SNAPSHOT", 1)


def whole(folder: RunDirectory):
    with read_only(folder.events) as log:
        return fold(log.read())


def other_run(new_run, folder: RunDirectory, *, error: float, n_trials: int = 1) -> None:
    with SqliteStore.create(folder.events) as store:
        run = new_run(store=store).open()
        for number in range(1, n_trials + 1):
            run.trial(number, error, 5.0)


def test_a_follower_has_what_was_written_by_the_time_it_is_asked(
    stored, folder: RunDirectory, follower: RunFollower
) -> None:
    for number in range(2, 6):
        with follower.reading() as (view, state):
            assert view == whole(folder)
            assert state == "stopped"
        stored.trial(number, 0.5 / number, 5.0 - number)
        with follower.reading() as (view, _):
            assert view.trials[f"t{number:04d}"].costs is not None
            assert view == whole(folder)


def test_only_new_events_are_read(stored, follower: RunFollower, monkeypatch) -> None:
    stored.store.append(SlotsChanged(n_slots=1), time="2026-01-01T00:00:03Z", elapsed_seconds=3.5)
    with follower.reading():
        pass
    stored.trial(2, 0.1, 1.0)
    read: list[int] = []
    monkeypatch.setattr(
        results.follow.RunView,
        "apply",
        lambda view, logged, apply=results.follow.RunView.apply: (
            read.append(logged.sequence),
            apply(view, logged),
        ),
    )

    for _ in range(3):
        with follower.reading() as (view, _):
            assert view.n_finished == 2
    assert read == [6, 7, 8]


def test_a_run_that_is_held_runs(stored, folder: RunDirectory, follower: RunFollower) -> None:
    with run_lock(folder.path), follower.reading() as (_, state):
        assert state == "running"
    stored.log(Ended(state="finished", reason="done"))
    with follower.reading() as (_, state):
        assert state == "finished"


def test_another_log_in_the_same_place_is_read_from_its_beginning(
    new_run, folder: RunDirectory, follower: RunFollower
) -> None:
    folder.path.mkdir()
    other_run(new_run, folder, error=0.5, n_trials=3)
    with follower.reading() as (view, _):
        assert view.n_finished == 3
    folder.events.unlink()
    other_run(new_run, folder, error=0.25)

    with follower.reading() as (view, _):
        assert view.trials["t0001"].costs == {"error": 0.25, "rank_disparity": 5.0}
        assert view == whole(folder)


def test_a_log_that_was_written_over_in_place_is_read_from_its_beginning(
    new_run, folder: RunDirectory, follower: RunFollower, tmp_path: Path
) -> None:
    folder.path.mkdir()
    other_run(new_run, folder, error=0.5)
    copy = RunDirectory(tmp_path / "copy")
    copy.path.mkdir()
    other_run(new_run, copy, error=0.25, n_trials=2)
    with follower.reading() as (view, _):
        assert view.n_finished == 1
    folder.events.write_bytes(copy.events.read_bytes())

    with follower.reading() as (view, _):
        assert view == whole(folder)
        assert view.n_finished == 2


def test_after_a_fault_a_follower_begins_anew(
    stored, folder: RunDirectory, follower: RunFollower
) -> None:
    with follower.reading():
        pass
    stored.tell(9, 0.5, 5.0)
    for _ in range(2):
        with pytest.raises(LogError, match="never asked"), follower.reading():
            pass

    connection = sqlite3.connect(folder.events)
    connection.execute("DELETE FROM events WHERE sequence = 5")
    connection.commit()
    connection.close()
    with follower.reading() as (view, _):
        assert view == whole(folder)


def test_a_run_that_is_gone_is_not_found(stored, folder: RunDirectory, follower) -> None:
    with follower.reading():
        pass
    stored.store.close()
    shutil.rmtree(folder.path)

    with pytest.raises(RunNotFoundError, match="there is no run"), follower.reading():
        pass


def test_many_threads_see_views_that_are_whole(stored, follower: RunFollower) -> None:
    seen: list[tuple[int, int]] = []
    wrong: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                with follower.reading() as (view, _):
                    seen.append((len(view.history), view.n_finished + view.n_failed))
        except LogError as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 30):
        stored.trial(number, 0.5, 5.0)
    done.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert all(n_points == n_ended for n_points, n_ended in seen)
    with follower.reading() as (view, _):
        assert view.n_finished == 29


@pytest.mark.usefixtures("keen")
class TestSnapshots:
    def test_the_next_reader_goes_on_from_what_one_kept(
        self, stored, folder: RunDirectory
    ) -> None:
        first, _ = load_view(folder)
        assert folder.snapshot.is_file()
        stored.trial(2, 0.25, 2.0)
        stored.trial(3, 0.6, 1.0)

        again, _ = load_view(folder)

        assert again == whole(folder)
        assert (first.n_finished, again.n_finished) == (1, 3)

    def test_a_snapshot_is_what_is_read(self, stored, folder: RunDirectory, monkeypatch) -> None:
        load_view(folder)
        monkeypatch.setattr(results.follow.RunView, "apply", None)

        view, _ = load_view(folder)

        assert view.trials["t0001"].costs == {"error": 0.5, "rank_disparity": 5.0}

    def test_a_snapshot_of_a_log_that_is_no_more_is_thrown_away(
        self, new_run, folder: RunDirectory
    ) -> None:
        folder.path.mkdir()
        other_run(new_run, folder, error=0.5, n_trials=2)
        load_view(folder)
        for n_trials in (1, 2, 3):
            folder.events.unlink()
            other_run(new_run, folder, error=0.25, n_trials=n_trials)
            assert load_view(folder)[0] == whole(folder)

    @pytest.mark.parametrize("column", ["payload", "time", "kind"])
    def test_an_event_that_was_changed_or_damaged_is_not_hidden(
        self, stored, folder: RunDirectory, column: str
    ) -> None:
        load_view(folder)
        stored.store.close()
        connection = sqlite3.connect(folder.events)
        connection.execute(f"UPDATE events SET {column} = {column} || ' ' WHERE sequence = 2")
        connection.commit()
        connection.close()

        with pytest.raises(LogError, match="event 2 is damaged"):
            load_view(folder)

    def test_a_damaged_event_is_seen_in_a_file_that_was_looked_through_before(
        self, new_run, folder: RunDirectory
    ) -> None:
        folder.path.mkdir()
        other_run(new_run, folder, error=0.5)
        load_view(folder)
        load_view(folder)
        content = folder.events.read_bytes()
        assert content.count(b'"head"') == 1
        folder.events.write_bytes(content.replace(b'"head"', b'"heap"'))

        with pytest.raises(LogError, match="event 2 is damaged"):
            load_view(folder)

    def test_earlier_events_are_folded_as_they_were(self, stored, folder: RunDirectory) -> None:
        load_view(folder)
        stored.trial(2, 0.25, 2.0)
        with read_only(folder.events) as log:
            events = log.read()

        for at in range(1, len(events) + 1):
            assert load_view(folder, at=at)[0] == fold(events[:at])
        with pytest.raises(SelectionError, match="no event 8"):
            load_view(folder, at=8)

    def test_where_nobody_may_write_nothing_is_kept_and_all_is_read(
        self, stored, folder: RunDirectory, monkeypatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(results.follow, "write_snapshot", refuse)

        assert load_view(folder)[0] == whole(folder)
        assert not folder.snapshot.exists()


def test_so_many_runs_are_held_as_were_wanted(new_run, tmp_path: Path) -> None:
    runs = [RunDirectory(tmp_path / name) for name in ("a", "b", "c")]
    for run in runs:
        run.path.mkdir()
        other_run(new_run, run, error=0.5)
    followers = Followers(most=2)

    first = followers.of(runs[0])
    assert followers.of(runs[0]) is first
    for run in runs:
        with followers.of(run).reading() as (view, _):
            assert view.n_finished == 1
    assert len(followers) == 2
    assert followers.of(runs[0]) is not first
    with first.reading() as (view, _):  # whoever still has it can go on
        assert view.n_finished == 1
    first.close()
    followers.close()
    assert len(followers) == 0


def test_the_writer_keeps_its_view_every_so_many_events_and_at_the_end(
    stored, folder: RunDirectory
) -> None:
    keeper = SnapshotKeeper(folder, every=3)
    written = []
    view = RunView()
    for logged in stored.store.read():
        view.apply(logged)
        keeper.changed(view, is_end=False)
        kept = kept_view(folder.snapshot)
        written.append(0 if kept is None else kept.mark.sequence)
    assert written == [0, 0, 3, 3]

    keeper.changed(view, is_end=True)
    kept = kept_view(folder.snapshot)
    assert kept is not None
    with read_only(folder.events) as log:
        assert kept.mark[:2] == (4, log.checksum(up_to=4))
    assert load_view(folder)[0] == whole(folder) == view


def test_a_writer_that_cannot_keep_its_view_goes_on(new_run, tmp_path: Path) -> None:
    run = new_run().open()

    SnapshotKeeper(RunDirectory(tmp_path / "nowhere")).changed(run.view, is_end=True)

    assert list(tmp_path.iterdir()) == []


def test_a_part_of_the_log_has_the_checksum_of_all_before_it(stored, folder) -> None:
    with read_only(folder.events) as log:
        everything = log.checksum(up_to=4)
        for after in range(4):
            known = log.checksum(up_to=after) or 0
            assert log.checksum(up_to=4, after=after, checksum=known) == everything
            (part,) = log.parts(after=after, checksum=known)
            assert part.checksum == everything
            assert part.events == stored.store.read(after=after)
        assert log.checksum(up_to=5) is None
        assert len({log.checksum(up_to=n) for n in range(1, 5)}) == 4


def test_chosen_events_are_read_and_missing_ones_are_told(stored, folder) -> None:
    with read_only(folder.events) as log:
        assert [logged.sequence for logged in log.select([2, 4])] == [2, 4]
        assert log.select([]) == []
        assert log.last_sequence() == 4
        with pytest.raises(LogError, match="lacks events"):
            log.select([2, 9])
