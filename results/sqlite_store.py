"""The event log in one SQLite file. The only module that knows SQL.

The file is in WAL mode: readers in other processes neither wait for the writer nor hold it up, and
a writer that is killed at any moment leaves a log that holds exactly the events whose `append`
returned, or one more. WAL needs a local file system; on a network share use a local run directory.
SQLite notices a damaged page only where that breaks its own structure; so each event has a
checksum, and a running one over all events before it. Nor does it notice that a file has lost its
end, or is an older copy; so the writer keeps a head beside it (`results.log_head`).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from results.atomic import sync
from results.errors import LogError, RunExistsError, RunNotFoundError, ShorterLogError
from results.events import Event, LoggedEvent, event_from_json, event_to_json
from results.log_head import LogHead, head_path, link, read_head, why_not_whole, write_head

SCHEMA_VERSION = 3

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0
_PART = 2_000
"""Events that are in memory at once when a whole log is read."""
_SCHEMA = """
BEGIN;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL,
    checksum INTEGER, elapsed_seconds REAL, chain TEXT
) STRICT;
CREATE TABLE meta (schema_version INTEGER NOT NULL) STRICT;
INSERT INTO meta (schema_version) VALUES (3);
COMMIT;
"""
# Columns that came after version 1; events of before stay without.
_ADDED = {"checksum": "INTEGER", "elapsed_seconds": "REAL", "chain": "TEXT"}
_COLUMNS = ("sequence", "time", "kind", "payload", *_ADDED)
_INSERT = """
INSERT INTO events (time, kind, payload, checksum, elapsed_seconds, chain)
VALUES (?, ?, ?, ?, ?, ?)
"""
_UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_RESTORE = "restore it from a copy or start a new run"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space there and resume the run",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder is there and writable",
    sqlite3.SQLITE_PERM: "access is denied; check the permissions of the file and its folder",
    sqlite3.SQLITE_BUSY: "another process holds it locked; wait for that one or end it",
    sqlite3.SQLITE_NOTADB: "it is not an event log; restore it from a copy or start a new run",
    sqlite3.SQLITE_CORRUPT: f"it is damaged; {_RESTORE}",
    # All statements are right, so what they speak of is not there.
    sqlite3.SQLITE_ERROR: f"it is damaged; {_RESTORE}",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check it and resume the run",
}


class SqliteStore:
    """The writer of one log; keeps the rules of `results.store.EventStore`."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, end: LogHead | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        self._lock = Lock()
        self._end = end or LogHead()
        self._is_head_told = False

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, empty log.

        Raises:
            RunExistsError: There is a file already.
            LogError: The log cannot be made there.
        """
        # An empty file is what a kill while creating leaves behind.
        if path.exists() and path.stat().st_size > 0:
            raise RunExistsError(f"{path} exists; resume that run or give the new one a name")
        with _explained(path):
            connection = _connect(path, mode="rwc")
            with _closed_on_failure(connection):
                connection.executescript(_SCHEMA)
                _make_durable(connection)
        head_path(path).unlink(missing_ok=True)  # of a log that is not there any more
        sync(path.parent)
        return cls(connection, path)

    @classmethod
    def open(cls, path: Path, *, accept_shorter: bool = False) -> Self:
        """The log at `path`, to append to it.

        Args:
            path: Of the log.
            accept_shorter: Take it as it is where it is not the one that its head was written for.

        Raises:
            RunNotFoundError: There is no file.
            ShorterLogError: It lost its end, or is not the one that its head was written for.
            LogError: It is not a log, is damaged or not writable, or a newer frnas wrote it.
        """
        _require_file(path)
        with _explained(path):
            connection = _connect(path, mode="rw")
            with _closed_on_failure(connection):
                version = _checked_version(connection, path)
                _check_pages(connection, path)
                _make_durable(connection)
                # SQLite opens a file that may not be written all the same, and says so later.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE meta SET schema_version = schema_version")
                connection.execute("ROLLBACK")
                if version < SCHEMA_VERSION:
                    connection.executescript(_migration(connection))
                end = _checked_end(connection, path, accept_shorter=accept_shorter)
        store = cls(connection, path, end=end)
        if end.sequence:
            store._write_head()
        return store

    def append(self, event: Event, *, time: str, elapsed_seconds: float | None = None) -> int:
        """Add an event and return its sequence, once it is on disk.

        Raises:
            LogError: The log cannot be written; the event is not in it.
        """
        value = event_to_json(event)
        payload = json.dumps(value["payload"], ensure_ascii=False, allow_nan=False)
        texts = _texts(time, value["kind"], payload, elapsed_seconds)
        with self._lock:
            chain = link(self._end.chain, *texts)
            row = (time, value["kind"], payload, _checksum(*texts), elapsed_seconds, chain)
            with _explained(self._path):
                sequence = int(self._connection.execute(_INSERT, row).lastrowid or 0)
            self._end = LogHead(sequence=sequence, chain=chain)
            self._write_head()
        return sequence

    def read(self, *, after: int = 0, up_to: int | None = None) -> list[LoggedEvent]:
        """The events with after < sequence <= up_to, in order.

        Raises:
            LogError: The log is damaged.
        """
        with self._lock:
            return _read(self._connection, self._path, after=after, up_to=up_to)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        with _explained(self._path):
            self._connection.close()

    def _write_head(self) -> None:
        """Say how far the log is; the log itself is what counts, so it goes on without."""
        try:
            write_head(self._path, self._end)
        except OSError as error:
            if not self._is_head_told:
                logger.warning(
                    "%s: cannot be written (%s); until it can, nobody would see that the log "
                    "beside it lost its end",
                    head_path(self._path),
                    error.strerror,
                )
            self._is_head_told = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LogPart(NamedTuple):
    """Some events in order, and the checksum of the whole log up to the last of them."""

    events: list[LoggedEvent]
    checksum: int


class SqliteReader:
    """A reader of one log, also while a writer in another process appends to it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def read(self, *, after: int = 0, up_to: int | None = None) -> list[LoggedEvent]:
        """The events with after < sequence <= up_to, in order, as of now.

        Raises:
            LogError: The log is damaged.
        """
        return _read(self._connection, self._path, after=after, up_to=up_to)

    def parts(
        self, *, after: int = 0, up_to: int | None = None, checksum: int = 0
    ) -> Iterator[LogPart]:
        """The events with after < sequence <= up_to, some thousand at a time, as of now.

        Args:
            after: The last event that is known already.
            up_to: The last that is wanted; by default the log's.
            checksum: Of the log up to `after`.

        Raises:
            LogError: The log is damaged.
        """
        while rows := _rows(self._connection, self._path, after=after, up_to=up_to, limit=_PART):
            checksum = _prefix_checksum(rows, checksum)
            after = rows[-1][0]
            yield LogPart([_logged_event(row, self._path) for row in rows], checksum)

    def checksum(self, *, up_to: int, after: int = 0, checksum: int = 0) -> int | None:
        """Of all events up to one, every byte of them; None where the log has no such event.

        Args:
            up_to: The last event that counts.
            after: The last whose bytes are known already.
            checksum: Of the log up to `after`.

        Raises:
            LogError: The log is damaged.
        """
        while rows := _rows(self._connection, self._path, after=after, up_to=up_to, limit=_PART):
            checksum, after = _prefix_checksum(rows, checksum), rows[-1][0]
        return checksum if after == up_to else None

    def select(self, sequences: Sequence[int]) -> list[LoggedEvent]:
        """The events with these sequences, rising.

        Raises:
            LogError: The log lacks one, or is damaged.
        """
        found: list[LoggedEvent] = []
        for begin in range(0, len(sequences), _PART):
            part = sequences[begin : begin + _PART]
            marks = ", ".join("?" * len(part))
            with _explained(self._path):
                columns = _selected(self._connection)
                query = f"SELECT {columns} FROM events WHERE sequence IN ({marks}) "  # noqa: S608 - marks only
                rows = self._connection.execute(
                    query + "ORDER BY sequence", tuple(part)
                ).fetchall()
            found += [_logged_event(row, self._path) for row in rows]
        if len(found) != len(sequences):
            raise LogError(f"{self._path}: it lacks events that it had; {_RESTORE}")
        return found

    def change(self) -> int:
        """A number that is another one after each change by a writer, of this connection only."""
        with _explained(self._path):
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def last_sequence(self) -> int:
        """Of the last event; 0 without any."""
        with _explained(self._path):
            (last,) = self._connection.execute("SELECT max(sequence) FROM events").fetchone()
        return int(last or 0)

    def end_at(self, sequence: int) -> tuple[int, str | None]:
        """The last event's sequence, and the running checksum at an event, where that is stored.

        Raises:
            LogError: The log is damaged.
        """
        with _explained(self._path):
            (last,) = self._connection.execute("SELECT max(sequence) FROM events").fetchone()
        rows = _rows(self._connection, self._path, after=sequence - 1, up_to=sequence)
        return last or 0, rows[0][-1] if rows else None

    def close(self) -> None:
        """Let go of the log."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_only(path: Path) -> SqliteReader:
    """A reader of the log at `path`; nothing it does changes an event.

    Raises:
        RunNotFoundError: There is no file.
        LogError: It is not a log, is damaged, or a newer frnas wrote it.
    """
    _require_file(path)
    with _explained(path):
        try:
            return _reader(path, immutable=False)
        except sqlite3.OperationalError as error:
            # A folder that nobody may write to, as in an archive, cannot hold the shared memory
            # that WAL needs; without a write-ahead log there is no writer to share it with.
            unwritable = error.sqlite_errorcode & 0xFF in _UNWRITABLE
            if not unwritable or path.with_name(path.name + "-wal").exists():
                raise
            return _reader(path, immutable=True)


def _reader(path: Path, *, immutable: bool) -> SqliteReader:
    connection = _connect(path, mode="ro&immutable=1" if immutable else "ro")
    with _closed_on_failure(connection):
        _checked_version(connection, path)
    return SqliteReader(connection, path)


def _read(
    connection: sqlite3.Connection, path: Path, *, after: int, up_to: int | None
) -> list[LoggedEvent]:
    rows = _rows(connection, path, after=after, up_to=up_to)
    return [_logged_event(row, path) for row in rows]


def _rows(
    connection: sqlite3.Connection,
    path: Path,
    *,
    after: int = 0,
    up_to: int | None = None,
    limit: int = -1,
) -> list[tuple[Any, ...]]:
    """Events as `_COLUMNS`; None in a column that the log is too old for."""
    last = sys.maxsize if up_to is None else up_to
    with _explained(path):
        columns = _selected(connection)
        query = (
            f"SELECT {columns} FROM events WHERE sequence > ? AND sequence <= ? "  # noqa: S608 - our own names
            "ORDER BY sequence LIMIT ?"
        )
        return connection.execute(query, (after, last, limit)).fetchall()


def _selected(connection: sqlite3.Connection) -> str:
    present = _present_columns(connection)
    return ", ".join(name if name in present else "NULL" for name in _COLUMNS)


def _present_columns(connection: sqlite3.Connection) -> set[str]:
    return {name for _, name, *_ in connection.execute("PRAGMA table_info(events)")}


def _migration(connection: sqlite3.Connection) -> str:
    present = _present_columns(connection)
    added = [
        f"ALTER TABLE events ADD COLUMN {name} {kind};"
        for name, kind in _ADDED.items()
        if name not in present
    ]
    version = f"UPDATE meta SET schema_version = {SCHEMA_VERSION};"  # noqa: S608 - our own number
    return "\n".join(("BEGIN IMMEDIATE;", *added, version, "COMMIT;"))


def _prefix_checksum(rows: Sequence[tuple[Any, ...]], checksum: int) -> int:
    """Of a log that has the checksum given, and then these rows."""
    for _, time, kind, payload, _, elapsed_seconds, _ in rows:
        text = f"{time}\0{kind}\0{payload}\0{elapsed_seconds}\0"
        checksum = zlib.crc32(text.encode("utf-8", "surrogatepass"), checksum)
    return checksum


def _logged_event(row: tuple[Any, ...], path: Path) -> LoggedEvent:
    sequence, time, kind, payload, checksum, elapsed_seconds, _ = row
    if not all(isinstance(text, str) for text in (time, kind, payload)) or (
        checksum is not None
        and checksum != _checksum(*_texts(time, kind, payload, elapsed_seconds))
    ):
        raise LogError(f"{path}: event {sequence} is damaged; {_RESTORE}")
    try:
        event = event_from_json({"kind": kind, "payload": json.loads(payload)})
    except (LogError, ValueError) as error:
        raise LogError(f"{path}: event {sequence} cannot be read: {error}") from error
    return LoggedEvent(sequence=sequence, time=time, event=event, elapsed_seconds=elapsed_seconds)


def _texts(time: str, kind: str, payload: str, elapsed_seconds: float | None) -> tuple[str, ...]:
    """All that is stored of an event, for its checksums."""
    texts = (time, kind, payload)
    return texts if elapsed_seconds is None else (*texts, repr(float(elapsed_seconds)))


def _checksum(*texts: str) -> int:
    return zlib.crc32("\0".join(texts).encode())


def _checked_end(connection: sqlite3.Connection, path: Path, *, accept_shorter: bool) -> LogHead:
    """The end of the log, once it is found to be the one that its head was written for.

    Raises:
        ShorterLogError: It is not, and nobody accepts that.
        LogError: An event is not the one that was written.
    """
    end, chains = LogHead(), {}
    for sequence, time, kind, payload, _, elapsed, chain in _rows(connection, path):
        texts = _texts(str(time), str(kind), str(payload), elapsed)
        end = LogHead(sequence=sequence, chain=link(end.chain, *texts))
        chains[sequence] = end.chain
        if chain is not None and chain != end.chain:
            raise LogError(
                f"{path}: event {sequence}, or one before it, is not the one that was written "
                f"there; {_RESTORE}"
            )
    try:
        head = read_head(path)
        reason = head and why_not_whole(
            path, head, last=end.sequence, chain=chains.get(head.sequence)
        )
    except LogError as error:
        reason = str(error)
    if reason and not accept_shorter:
        raise ShorterLogError(f"{reason}; {_remedy_of_shorter(end.sequence)}")
    if reason:
        logger.warning("%s; it is taken as it is", reason)
    return end


def _remedy_of_shorter(last: int) -> str:
    if not last:
        return _RESTORE
    return (
        "restore it from a copy, or give --accept-shorter-log to go on from what is left and "
        "forget what came after it"
    )


def why_shorter(path: Path) -> str | None:
    """Why the log at `path` is not the one that its head was written for; None where it is.

    Takes a moment whatever the log's length: for readers, who read it all the same.

    Raises:
        LogError: The log cannot be read.
    """
    try:
        head = read_head(path)  # before the log, which a writer may be adding to
    except LogError as error:
        return str(error)
    if head is None:
        return None
    with read_only(path) as reader:
        last, chain = reader.end_at(head.sequence)
    return why_not_whole(path, head, last=last, chain=chain)


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # each statement is its own transaction, durable when it returns
        check_same_thread=False,
    )


def _make_durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a damaged log before anything is appended to it."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise LogError(f"{path}: it is damaged; {_RESTORE} ({' '.join(verdict.split())})")


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
        raise LogError(f"{path}: it is not an event log of frnas; name another run directory")
    row = connection.execute("SELECT schema_version FROM meta").fetchone()
    version = row[0] if row is not None else None
    if not isinstance(version, int):
        raise LogError(f"{path}: it is damaged, for it has no schema version; {_RESTORE}")
    if version > SCHEMA_VERSION:
        raise LogError(
            f"{path}: its schema is version {version} and this frnas knows up to "
            f"{SCHEMA_VERSION}; install the frnas that wrote it"
        )
    return version


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise RunNotFoundError(f"{path}: there is no event log; check the run's name or folder")
    if not os.access(path, os.R_OK):
        raise LogError(f"{path}: may not be read; ask whoever owns it, or check its permissions")


@contextmanager
def _closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which file SQLite means and what to do about it."""
    try:
        yield
    except UnicodeDecodeError as error:  # a name in its structure
        raise LogError(f"{path}: it is damaged; {_RESTORE} ({error})") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        # The low byte is the kind of error; extended codes add detail above it.
        remedy = _REMEDIES.get(code & 0xFF) if code is not None else None
        if code is None and isinstance(error, sqlite3.OperationalError):
            remedy = f"it is damaged; {_RESTORE}"  # the module's own: a text that is no UTF-8
        reason = remedy or "it cannot be used; check the file and its folder"
        raise LogError(f"{path}: {reason} ({error})") from error
