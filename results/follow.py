"""Views that follow their logs: what is known stays known, and only new events are applied.

The coordinator stays the only writer of a log. What is written here is a snapshot beside it,
which nobody needs and everybody can make again.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from results.errors import LogError, ResultsError, RunNotFoundError, SelectionError
from results.lock import is_locked
from results.snapshot import LogMark, kept_view, write_snapshot
from results.sqlite_store import read_only
from results.trials import ReadEvents, Trials
from results.view import RunView

if TYPE_CHECKING:
    from results.events import LoggedEvent
    from results.run_directory import RunDirectory
    from results.sqlite_store import SqliteReader
    from results.view import RunState

_SHARE = 40
"""A snapshot is written after this part of a long log."""
_WORTH_A_SNAPSHOT = 2_000
"""Events that whoever folded them spares the next one; fewer are folded in a moment."""


class RunFollower:
    """The view of one run, brought up to date when it is asked for; of any number of threads.

    Args:
        run: The run's folder; it need not exist yet.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self._lock = RLock()
        self._log: SqliteReader | None = None
        self._place: tuple[int, ...] = ()
        self._change = -1
        self._fold: Fold | None = None
        self._n_folds = 0

    @property
    def n_folds(self) -> int:
        """How often the log was read from its beginning: another number, maybe another log."""
        return self._n_folds

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[RunView, RunState]]:
        """The view as of now and what the run is doing; nobody changes it while the block runs.

        Raises:
            RunNotFoundError: There is no run.
            LogError: The log cannot be read, or the run was never started.
        """
        with self._lock:
            # Asked before reading: a coordinator that lets go in between has logged its end by
            # then.
            is_held = is_locked(self.run.path)
            view = self._refreshed()
            yield view, state_of(view, is_held=is_held)

    def close(self) -> None:
        """Let go of the log and of the view; a later question opens it again."""
        with self._lock:
            self._forget()

    def _refreshed(self) -> RunView:
        try:
            return self._caught_up()
        except BaseException:
            self._forget()  # a view that took half of its events is no view
            raise

    def _caught_up(self) -> RunView:
        place = _place_of(self.run.events)
        if self._log is None or place != self._place:
            self._reopen(place)
        assert self._log is not None, "it was opened just now"
        change = self._log.change()
        if self._fold is None or (change != self._change and not self._fold.follows(self._log)):
            self._fold = opened_fold(self.run, self._log)
            self._n_folds += 1
        self._change = change
        return self._fold.view

    def _reopen(self, place: tuple[int, ...]) -> None:
        """Open the file that is there now; another one in its place may hold another log."""
        is_other = place[:2] != self._place[:2]
        if self._log is not None:
            self._log.close()
        self._log, self._place, self._change = read_only(self.run.events), place, -1
        if is_other:
            self._fold = None

    def _forget(self) -> None:
        if self._log is not None:
            self._log.close()
        self._log, self._fold, self._place, self._change = None, None, (), -1


class Followers:
    """Followers of the runs that were asked for last, the same one for everybody who asks.

    Args:
        most: Runs that are held; of more, the one that nobody has asked for the longest goes.
    """

    def __init__(self, *, most: int = 16) -> None:
        self._most = most
        self._lock = RLock()
        self._followers: OrderedDict[Path, RunFollower] = OrderedDict()

    def of(self, run: RunDirectory) -> RunFollower:
        """The follower of a run."""
        path = run.path.absolute()
        with self._lock:
            follower = self._followers.setdefault(path, RunFollower(run))
            self._followers.move_to_end(path)
            gone = [
                self._followers.popitem(last=False)[1]
                for _ in range(len(self._followers) - self._most)
            ]
        for other in gone:
            other.close()
        return follower

    def __len__(self) -> int:
        return len(self._followers)

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            gone = list(self._followers.values())
            self._followers.clear()
        for follower in gone:
            follower.close()


class SnapshotKeeper:
    """Keeps the view of the one who writes the log, every so many events; costs no event anything.

    Args:
        run: The run's folder.
        every: Events between two snapshots, at least; a long log has more, so that all snapshots
            together take no longer than the log is long.
    """

    def __init__(self, run: RunDirectory, *, every: int = 500) -> None:
        self._run = run
        self._every = every
        self._sequence = 0
        self._checksum = 0

    def changed(self, view: RunView, *, is_end: bool) -> None:
        """Take note of an event that is in the log and in the view.

        Args:
            view: As of the event.
            is_end: Whether no other is to be expected soon.
        """
        n_new = view.last_sequence - self._sequence
        if is_end or n_new >= max(self._every, view.last_sequence // _SHARE):
            # Whoever cannot write here will hear of it by what matters more.
            with contextlib.suppress(OSError, ResultsError):
                self._keep(view)

    def _keep(self, view: RunView) -> None:
        with read_only(self._run.events) as log:
            checksum = log.checksum(
                up_to=view.last_sequence, after=self._sequence, checksum=self._checksum
            )
        self._sequence = view.last_sequence
        if checksum is None:
            raise LogError(f"{self._run.events}: it lacks events that were written to it")
        self._checksum = checksum
        keep(self._run, Fold(view, checksum))


@dataclass(slots=True)
class Fold:
    """A view and the checksum of the log up to its last event."""

    view: RunView
    checksum: int

    def take(self, log: SqliteReader, *, up_to: int | None = None) -> int:
        """Apply the events that are new; gives how many."""
        before = self.view.last_sequence
        for part in log.parts(after=before, up_to=up_to, checksum=self.checksum):
            for logged in part.events:
                self.view.apply(logged)
            self.checksum = part.checksum
        return self.view.last_sequence - before

    def follows(self, log: SqliteReader) -> bool:
        """Apply what is new; False where the log does not hold the view's last event any more."""
        last = self.view.last_event
        if last is None or log.read(after=last.sequence - 1, up_to=last.sequence) != [last]:
            return False
        self.take(log)
        return True


def shared_followers() -> Followers:
    """Those of this process, for all its parts."""
    return _followers_of(os.getpid())


@cache
def _followers_of(_process: int) -> Followers:
    # A forked child must not use what its parent has open.
    return Followers()


def opened_fold(run: RunDirectory, log: SqliteReader, *, at: int | None = None) -> Fold:
    """The view of a whole log or of a prefix of it, from a snapshot where there is a good one.

    Args:
        run: The run's folder.
        log: Of the run.
        at: The last event to take into account; all of them by default.

    Raises:
        SelectionError: The log has no event `at`.
        LogError: The log cannot be read, or the run was never started.
    """
    n_events = log.last_sequence()
    if n_events == 0:
        raise LogError(f"{run.path}: the run was never started; start it, or remove the folder")
    if at is not None and not 1 <= at <= n_events:
        raise SelectionError(f"the run has no event {at}; its events are 1 to {n_events}")
    fold = _from_snapshot(run, log, at=at) or Fold(_empty_view(run), 0)
    try:
        n_new = fold.take(log, up_to=at)
    except LogError as error:
        message = str(error)
        prefix = "" if message.startswith(str(run.events)) else f"{run.events}: "
        raise LogError(f"{prefix}{message}") from error
    if n_new >= _WORTH_A_SNAPSHOT and at is None:
        # Where nobody may write, everybody folds.
        with contextlib.suppress(OSError):
            keep(run, fold)
    return fold


def state_of(view: RunView, *, is_held: bool) -> RunState:
    """What a run is doing, by its log up to now and by whether a coordinator holds it.

    A log that does not tell its end is `running` while a coordinator holds the run, else
    `stopped`.
    """
    return "stopped" if view.state == "running" and not is_held else view.state


def keep(run: RunDirectory, fold: Fold) -> None:
    """Write a snapshot of a view.

    Raises:
        OSError: It cannot be written.
    """
    mark = LogMark(fold.view.last_sequence, fold.checksum, _file_checksum(run.events))
    write_snapshot(run.snapshot, fold.view, mark)


def _from_snapshot(run: RunDirectory, log: SqliteReader, *, at: int | None) -> Fold | None:
    kept = kept_view(run.snapshot)
    if kept is None or (at is not None and at < kept.mark.sequence):
        return None
    file_checksum = _file_checksum(run.events)
    if file_checksum is None or file_checksum != kept.mark.file_checksum:
        if log.checksum(up_to=kept.mark.sequence) != kept.mark.checksum:
            return None
        if file_checksum is not None:  # so that the next one sees it faster
            with contextlib.suppress(OSError):
                kept.write(run.snapshot, kept.mark._replace(file_checksum=file_checksum))
    return Fold(kept.view(_reader_of(run.events)), kept.mark.checksum)


def _file_checksum(events: Path) -> int | None:
    """Of a log's file; None while a part of the log may lie beside it."""
    tail = events.with_name(events.name + "-wal")
    checksum = 0
    try:
        if tail.exists() and tail.stat().st_size:
            return None
        with events.open("rb") as file:
            while block := file.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return None
    return checksum


def _empty_view(run: RunDirectory) -> RunView:
    return RunView(trials=Trials(read=_reader_of(run.events)))


def _reader_of(events: Path) -> ReadEvents:
    """Reads events of a log by their sequences; opens it each time, so that nothing stays open."""

    def read(sequences: Sequence[int]) -> list[LoggedEvent]:
        with read_only(events) as log:
            return log.select(sequences)

    return read


def _place_of(events: Path) -> tuple[int, ...]:
    """Which file it is, and when and how much was written to it; a log's tail lies elsewhere."""
    try:
        stat = events.stat()
    except FileNotFoundError:
        raise RunNotFoundError(
            f"{events.parent}: there is no run; check its name or folder"
        ) from None
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
