from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from results.errors import LogError, RunExistsError, RunNotFoundError
from results.events import StopRequested
from results.sqlite_store import SCHEMA_VERSION, SqliteStore, read_only

TIME = "2026-01-01T00:00:00Z"

WRITER = """
import sys
from pathlib import Path
from results.events import StopRequested
from results.sqlite_store import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]))
while True:
    sequence = store.append(StopRequested(reason="x" * 500), time="2026-01-01T00:00:00Z")
    print(sequence, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def written(path: Path) -> Path:
    with SqliteStore.create(path) as store:
        for i in range(3):
            store.append(StopRequested(reason=str(i)), time=TIME)
    return path


@pytest.fixture
def writer(written: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that appends without end and prints each sequence that is durable."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(written)], stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


def lines(process: subprocess.Popen[str], n: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(n)]


def test_a_log_is_continued_after_it_was_closed(written: Path) -> None:
    with SqliteStore.open(written) as store:
        assert store.append(StopRequested(reason="more"), time=TIME) == 4
        assert [logged.sequence for logged in store.read()] == [1, 2, 3, 4]


def test_a_reader_follows_a_writer_in_another_process(
    written: Path, writer: subprocess.Popen[str]
) -> None:
    with read_only(written) as reader:
        durable = lines(writer, 5)[-1]
        first = reader.read()
        durable_later = durable
        while durable_later <= len(first):  # the writer may be ahead of what it has told
            durable_later = lines(writer, 5)[-1]
        more = reader.read(after=len(first))

    assert [logged.sequence for logged in first] == list(range(1, len(first) + 1))
    assert len(first) >= durable == 8
    assert more[0].sequence == len(first) + 1
    assert more[-1].sequence >= durable_later


def test_a_killed_writer_loses_no_event_that_was_appended(
    written: Path, writer: subprocess.Popen[str]
) -> None:
    lines(writer, 20)
    writer.send_signal(signal.SIGKILL)
    assert writer.stdout is not None
    rest = writer.stdout.read().splitlines()
    durable = int(rest[-1]) if rest else 23
    assert writer.wait() == -signal.SIGKILL

    with read_only(written) as reader:
        sequences = [logged.sequence for logged in reader.read()]
    with SqliteStore.open(written) as store:
        following = store.append(StopRequested(reason="resumed"), time=TIME)

    assert sequences == list(range(1, len(sequences) + 1))
    # The writer may be killed after an event is on disk and before it says so.
    assert durable <= len(sequences) <= durable + 1
    assert following == len(sequences) + 1


def test_a_log_cut_off_at_any_byte_of_its_last_writes_is_a_prefix(
    written: Path, tmp_path: Path
) -> None:
    store = SqliteStore.open(written)
    for i in range(10):
        store.append(StopRequested(reason=str(i)), time=TIME)
    ahead = written.with_name("events.sqlite-wal").read_bytes()
    cut = tmp_path / "cut" / "events.sqlite"
    cut.parent.mkdir()

    lengths = []
    for size in range(0, len(ahead) + 1, 1021):
        cut.write_bytes(written.read_bytes())
        cut.with_name("events.sqlite-wal").write_bytes(ahead[:size])
        with SqliteStore.open(cut) as rest:
            sequences = [logged.sequence for logged in rest.read()]
            assert sequences == list(range(1, len(sequences) + 1))
            lengths.append(len(sequences))

    assert lengths == sorted(lengths)
    assert set(lengths) >= {3, 4, 11, 12}
    store.close()


def test_a_new_log_does_not_replace_another(written: Path) -> None:
    with pytest.raises(RunExistsError, match="resume that run or give the new one a name"):
        SqliteStore.create(written)
    with read_only(written) as reader:
        assert len(reader.read()) == 3


def test_an_empty_file_left_by_a_kill_while_creating_is_taken_over(path: Path) -> None:
    path.touch()

    with SqliteStore.create(path) as store:
        assert store.append(StopRequested(reason="first"), time=TIME) == 1


@pytest.mark.parametrize("opening", [SqliteStore.open, read_only])
def test_a_missing_log_is_not_found_and_not_made(path: Path, opening: type) -> None:
    with pytest.raises(RunNotFoundError, match="no event log"):
        opening(path)
    assert not path.exists()


@pytest.mark.parametrize("opening", [SqliteStore.open, read_only])
@pytest.mark.parametrize("content", [b"not a database, only text " * 99, b"", b"SQLite"])
def test_a_file_that_is_no_log_is_refused_in_one_sentence(
    path: Path, opening: type, content: bytes
) -> None:
    path.write_bytes(content)

    with pytest.raises(LogError, match="not an event log") as caught:
        opening(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opening", [SqliteStore.open, read_only])
def test_another_programs_database_is_refused(path: Path, opening: type) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()

    with pytest.raises(LogError, match="not an event log of frnas"):
        opening(path)


@pytest.mark.parametrize("opening", [SqliteStore.open, read_only])
def test_a_log_of_a_newer_frnas_is_refused(written: Path, opening: type) -> None:
    newer = sqlite3.connect(written)
    assert newer.execute("SELECT schema_version FROM meta").fetchall() == [(SCHEMA_VERSION,)]
    newer.execute("UPDATE meta SET schema_version = ?", (SCHEMA_VERSION + 1,))
    newer.commit()
    newer.close()

    with pytest.raises(LogError, match=f"version {SCHEMA_VERSION + 1} .* install the frnas"):
        opening(written)


def test_a_damaged_file_is_refused_with_place_and_remedy(written: Path) -> None:
    with SqliteStore.open(written) as store:
        for _ in range(60):
            store.append(StopRequested(reason="x" * 500), time=TIME)
    size = written.stat().st_size
    with written.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * (size - 3 * 4096))

    with (
        read_only(written) as reader,
        pytest.raises(LogError, match="damaged; restore it from a copy") as caught,
    ):
        reader.read()
    assert str(written) in str(caught.value)


def test_an_event_that_cannot_be_decoded_is_named(written: Path) -> None:
    edited = sqlite3.connect(written)
    edited.execute("UPDATE events SET payload = '{\"reas', checksum = NULL WHERE sequence = 2")
    edited.commit()
    edited.close()

    with read_only(written) as reader, pytest.raises(LogError, match="event 2 cannot be read"):
        reader.read()


def test_a_full_disk_is_reported_and_the_log_stays_whole(written: Path) -> None:
    store = SqliteStore.open(written)
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(LogError, match="disk is full; free some space there and resume"):
        store.append(StopRequested(reason="x" * 50_000), time=TIME)

    assert [logged.sequence for logged in store.read()] == [1, 2, 3]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert store.append(StopRequested(reason="after"), time=TIME) == 4
    store.close()


def test_a_log_in_a_folder_that_nobody_may_write_can_be_read_and_not_opened() -> None:
    folder = Path(tempfile.mkdtemp())  # tmp_path lies where another user cannot go
    path = folder / "events.sqlite"
    with SqliteStore.create(path) as store:
        store.append(StopRequested(reason="archived"), time=TIME)
    path.chmod(0o444)
    folder.chmod(0o555)
    script = """
import os, sys
from pathlib import Path
from results.errors import LogError
from results.sqlite_store import SqliteStore, read_only

if os.geteuid() == 0:
    os.setuid(65534)
path = Path(sys.argv[1])
print(len(read_only(path).read()))
try:
    SqliteStore.open(path)
except LogError as error:
    print(error)
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)

    events, refusal = done.stdout.splitlines()
    assert events == "1"
    assert refusal.startswith(f"{path}: it is read-only; make the file and its folder writable")


def test_the_log_survives_a_loss_of_power_as_far_as_sqlite_promises(written: Path) -> None:
    store = SqliteStore.open(written)

    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%41"
    folder.mkdir()
    SqliteStore.create(folder / "events.sqlite").close()

    assert list(folder.iterdir()) == [folder / "events.sqlite"]
    with read_only(folder / "events.sqlite") as reader:
        assert reader.read() == []


@pytest.mark.parametrize("column", ["time", "kind", "payload"])
def test_an_event_that_was_changed_is_refused(written: Path, column: str) -> None:
    edited = sqlite3.connect(written)
    edited.execute(f"UPDATE events SET {column} = replace({column}, '1', '2')")
    edited.execute("UPDATE events SET kind = 'resumed' WHERE ? = 'kind'", (column,))
    edited.commit()
    edited.close()
    with (
        read_only(written) as reader,
        pytest.raises(LogError, match=r"event \d is damaged; restore it from a copy"),
    ):
        reader.read()


def as_version_1(path: Path) -> None:
    old = sqlite3.connect(path)
    old.execute("ALTER TABLE events DROP COLUMN checksum")
    old.execute("UPDATE meta SET schema_version = 1")
    old.commit()
    old.close()


def test_a_log_of_an_older_frnas_is_read_as_it_is_and_continued_with_checksums(
    written: Path,
) -> None:
    as_version_1(written)
    before = written.read_bytes()
    with read_only(written) as reader:
        assert len(reader.read()) == 3
    assert written.read_bytes() == before, "a reader changes nothing"
    for number in (4, 5):
        with SqliteStore.open(written) as store:
            assert store.append(StopRequested(reason=str(number)), time=TIME) == number
    with read_only(written) as reader:
        assert len(reader.read()) == 5
    edited = sqlite3.connect(written)
    assert edited.execute("SELECT schema_version FROM meta").fetchall() == [(SCHEMA_VERSION,)]
    (checksums,) = edited.execute("SELECT count(checksum) FROM events").fetchone()
    assert checksums == 2
    edited.close()


def test_a_log_of_a_newer_frnas_is_left_as_it_is(written: Path) -> None:
    newer = sqlite3.connect(written)
    newer.execute("UPDATE meta SET schema_version = 99")
    newer.commit()
    newer.close()
    before = written.read_bytes()
    with pytest.raises(LogError, match="version 99"):
        SqliteStore.open(written)
    assert written.read_bytes() == before


def torn(raw: bytes, rng: random.Random) -> bytes:
    """The file with something overwritten, a page of it empty, or its end missing."""
    content, start = bytearray(raw), rng.randrange(len(raw))
    match rng.randrange(3):
        case 0:
            size = min(rng.choice([1, 4, 64, 512, 4096]), len(raw) - start)
            content[start : start + size] = rng.randbytes(size)
        case 1:
            page = start // 4096 * 4096
            content[page : page + 4096] = bytes(4096)
        case _:
            del content[start:]
    return bytes(content)


@pytest.mark.parametrize("opening", [SqliteStore.open, read_only])
def test_whatever_is_torn_the_log_is_read_as_it_was_or_refused_with_its_name(
    written: Path, tmp_path: Path, opening: Callable[[Path], SqliteStore]
) -> None:
    with SqliteStore.open(written) as store:
        for i in range(40):
            store.append(StopRequested(reason=f"{i} " * 100), time=TIME)
        events = store.read()
    raw, rng = written.read_bytes(), random.Random(0)
    copy = tmp_path / "torn" / "events.sqlite"
    copy.parent.mkdir()
    refusals = []
    for _ in range(150):
        for each in copy.parent.iterdir():
            each.unlink()
        copy.write_bytes(torn(raw, rng))
        try:
            with opening(copy) as log:
                assert log.read() == events
        except LogError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    remedy = re.compile(f"{re.escape(str(copy))}: .*(restore it from a copy|not an event log)")
    assert [each for each in refusals if not remedy.match(each)] == []


def test_whatever_is_torn_of_the_write_ahead_log_a_prefix_is_left(
    written: Path, tmp_path: Path
) -> None:
    store = SqliteStore.open(written)
    for i in range(20):
        store.append(StopRequested(reason=f"{i} " * 50), time=TIME)
    events = store.read()
    main, ahead = written.read_bytes(), written.with_name("events.sqlite-wal").read_bytes()
    copy, rng = tmp_path / "torn" / "events.sqlite", random.Random(1)
    copy.parent.mkdir()
    for _ in range(60):
        for each in copy.parent.iterdir():
            each.unlink()
        copy.write_bytes(main)
        copy.with_name("events.sqlite-wal").write_bytes(torn(ahead, rng))
        copy.with_name("events.sqlite-shm").write_bytes(rng.randbytes(32768))
        with SqliteStore.open(copy) as rest:
            found = rest.read()
            assert found == events[: len(found)]
            assert len(found) >= 3
            assert rest.append(StopRequested(reason="more"), time=TIME) == len(found) + 1
    store.close()


def test_a_log_that_another_process_holds_is_waited_for_and_then_named(written: Path) -> None:
    store = SqliteStore.open(written)
    other = sqlite3.connect(written, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._connection.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(LogError, match="another process holds it locked; wait for that one"):
        store.append(StopRequested(reason="more"), time=TIME)
    assert len(store.read()) == 3, "reading goes on"
    other.execute("ROLLBACK")
    assert store.append(StopRequested(reason="more"), time=TIME) == 4
    other.close()
    store.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from results.errors import LogError
from results.events import StopRequested
from results.sqlite_store import SqliteStore

path = Path(sys.argv[1])
store = SqliteStore.open(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    while True:
        durable = store.append(StopRequested(reason="x" * 3000), time="2026-01-01T00:00:00Z")
except LogError as error:
    print(durable)
    print(error)
print(len(store.read()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.append(StopRequested(reason="after"), time="2026-01-01T00:00:00Z"))
store.close()
"""


def test_a_file_that_may_not_grow_loses_nothing_and_goes_on_when_it_may(written: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(written)], capture_output=True, text=True, check=True
    )
    durable, refusal, readable, following = done.stdout.splitlines()
    assert refusal.startswith(f"{written}: the disk ")
    assert "resume the run" in refusal
    assert int(durable) > 10
    assert int(readable) == int(durable)
    assert int(following) == int(durable) + 1
    with read_only(written) as reader:
        assert len(reader.read()) == int(following)


READ_ONLY_FILE = """
import os, sys
from pathlib import Path
from results.errors import LogError
from results.sqlite_store import SqliteStore, read_only

if os.geteuid() == 0:
    os.setuid(65534)
path = Path(sys.argv[1])
print(len(read_only(path).read()))
try:
    SqliteStore.open(path)
except LogError as error:
    print(error)
"""


def test_a_file_that_nobody_may_write_in_a_folder_of_ones_own_is_read_and_not_opened() -> None:
    folder = Path(tempfile.mkdtemp())
    path = folder / "events.sqlite"
    with SqliteStore.create(path) as store:
        store.append(StopRequested(reason="archived"), time=TIME)
    path.chmod(0o444)
    folder.chmod(0o777)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY_FILE, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        shutil.rmtree(folder)
    events, refusal = done.stdout.splitlines()
    assert events == "1"
    assert refusal.startswith(f"{path}: it is read-only; make the file and its folder writable")
