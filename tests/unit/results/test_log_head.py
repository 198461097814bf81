"""A log that lost its end, or is an older copy, is found out by the head beside it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from results.errors import LogError, ShorterLogError
from results.events import StopRequested
from results.log_head import LogHead, head_path, link, read_head, write_head
from results.sqlite_store import SqliteStore, read_only, why_shorter

TIME = "2026-01-01T00:00:00Z"
# Appends until it is killed, so the end of its log is in the write-ahead log only.
WRITER = """
import itertools, sys
from pathlib import Path
from results.events import StopRequested
from results.sqlite_store import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]))
for number in itertools.count():
    store.append(StopRequested(reason=f"{number} " * 40), time="2026-01-01T00:00:00Z")
    print(number, flush=True)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a log whose writer was killed after some dozens of events."""
    folder = tmp_path_factory.mktemp("killed")
    with SqliteStore.create(folder / "events.sqlite") as store:
        store.append(StopRequested(reason="first"), time=TIME)
    command = [sys.executable, "-c", WRITER, str(folder / "events.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(40):
            assert writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
    assert (folder / "events.sqlite-wal").stat().st_size > 10_000
    return folder


@pytest.fixture
def log(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(killed, tmp_path / "run")
    return tmp_path / "run/events.sqlite"


def n_events(path: Path) -> int:
    with read_only(path) as reader:
        return len(reader.read())


def extended(path: Path, *reasons: str) -> None:
    with SqliteStore.open(path) as store:
        for reason in reasons:
            store.append(StopRequested(reason=reason), time=TIME)


def test_a_kill_leaves_a_log_that_is_as_long_as_its_head_or_longer(log: Path) -> None:
    head = read_head(log)
    assert head is not None
    assert head.sequence <= n_events(log) <= head.sequence + 1
    assert why_shorter(log) is None
    before = n_events(log)
    extended(log, "more")
    assert read_head(log) == LogHead(sequence=before + 1, chain=(read_head(log) or head).chain)


def test_wherever_the_write_ahead_log_is_cut_its_events_are_missed(log: Path) -> None:
    wal, rng, kept = log.with_name("events.sqlite-wal"), random.Random(0), log.read_bytes()
    whole, head = wal.read_bytes(), read_head(log)
    assert head is not None
    told = 0
    for _ in range(25):
        log.write_bytes(kept)
        log.with_name("events.sqlite-shm").unlink(missing_ok=True)
        wal.write_bytes(whole[: rng.randrange(len(whole))])
        n_left = n_events(log)
        assert (n_left < head.sequence) == (why_shorter(log) is not None)
        if n_left < head.sequence:
            told += 1
            with pytest.raises(ShorterLogError, match=f"ends at event {n_left}, and event "):
                SqliteStore.open(log)
            assert read_head(log) == head
    assert told > 15


def test_a_write_ahead_log_that_was_removed_is_missed(log: Path) -> None:
    log.with_name("events.sqlite-wal").unlink()
    log.with_name("events.sqlite-shm").unlink(missing_ok=True)
    with pytest.raises(ShorterLogError, match="its end was lost"):
        SqliteStore.open(log)
    assert "its end was lost" in (why_shorter(log) or "")


def test_an_older_copy_is_missed_also_when_it_was_gone_on_with(tmp_path: Path) -> None:
    path, copy = tmp_path / "events.sqlite", tmp_path / "copy"
    SqliteStore.create(path).close()
    extended(path, "a", "b")
    shutil.copy(path, copy)
    extended(path, "c", "d")
    head = head_path(path).read_bytes()
    shutil.copy(copy, path)
    with pytest.raises(ShorterLogError, match=r"ends at event 2, and event 4 was written"):
        SqliteStore.open(path)
    head_path(path).unlink()
    extended(path, "other", "end", "and more")
    head_path(path).write_bytes(head)
    with pytest.raises(ShorterLogError, match=r"its event 4 is another than the one"):
        SqliteStore.open(path)
    assert "another log was put in its place" in (why_shorter(path) or "")


def test_a_shorter_log_is_taken_where_that_is_accepted(log: Path) -> None:
    log.with_name("events.sqlite-wal").unlink()
    log.with_name("events.sqlite-shm").unlink(missing_ok=True)
    with SqliteStore.open(log, accept_shorter=True) as store:
        n_left = len(store.read())
        assert store.append(StopRequested(reason="on"), time=TIME) == n_left + 1
    assert why_shorter(log) is None
    extended(log, "and on")


def test_a_log_without_a_head_is_as_before(log: Path) -> None:
    head_path(log).unlink()
    assert why_shorter(log) is None
    extended(log, "more")
    assert (read_head(log) or LogHead()).sequence == n_events(log)


def test_a_log_of_before_there_were_heads_gets_one_over_all_its_events(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    SqliteStore.create(path).close()
    extended(path, "a", "b")
    old = sqlite3.connect(path)
    old.execute("ALTER TABLE events DROP COLUMN chain")
    old.execute("ALTER TABLE events DROP COLUMN elapsed_seconds")
    old.execute("UPDATE meta SET schema_version = 2")
    old.commit()
    old.close()
    head_path(path).unlink()
    before = n_events(path)
    extended(path, "c")
    assert n_events(path) == before + 1
    assert (read_head(path) or LogHead()).sequence == before + 1
    edited = sqlite3.connect(path)
    edited.execute("UPDATE events SET checksum = NULL, kind = 'ended' WHERE sequence = 1")
    edited.commit()
    edited.close()
    with pytest.raises(LogError, match="is not the one that was written there"):
        SqliteStore.open(path)


def test_an_event_that_was_taken_out_is_missed(log: Path) -> None:
    edited = sqlite3.connect(log)
    edited.execute("DELETE FROM events WHERE sequence = 7")
    edited.commit()
    edited.close()
    with pytest.raises(LogError, match="event 8, or one before it, is not the one"):
        SqliteStore.open(log)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema": "frnas.head/1", "sequence": "3", "chain": 5}', "\xff"],
)
def test_a_damaged_head_is_told_and_may_be_accepted(log: Path, text: str) -> None:
    head_path(log).write_text(text, encoding="latin-1")
    with pytest.raises(ShorterLogError, match=r"events\.head: is damaged"):
        SqliteStore.open(log)
    assert "is damaged" in (why_shorter(log) or "")
    SqliteStore.open(log, accept_shorter=True).close()
    assert why_shorter(log) is None


def test_a_head_is_replaced_whole(tmp_path: Path) -> None:
    log = tmp_path / "events.sqlite"
    for number in range(3):
        write_head(log, LogHead(sequence=number, chain=link("", str(number))))
    assert json.loads(head_path(log).read_text())["sequence"] == 2
    assert list(tmp_path.iterdir()) == [head_path(log)]


def test_a_log_goes_on_where_its_head_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    with SqliteStore.create(path) as store:
        head_path(path).mkdir()
        (head_path(path) / "in the way").touch()
        for number in (1, 2):
            assert store.append(StopRequested(reason="x"), time=TIME) == number
    assert caplog.text.count("cannot be written") == 1


def test_the_running_checksum_depends_on_every_text_and_their_order() -> None:
    chains = {link("", "a", "b"), link("", "b", "a"), link("a", "b"), link("", "ab")}
    assert len(chains) == 4
