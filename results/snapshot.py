"""A view kept beside its log, so that nobody folds ten thousand trials to see how far a run is.

It is never the truth: it is thrown away unless this very code wrote it, whole, from the very
events that the log holds now. Then it equals the fold, whatever wrote it and whenever that died.
Two lines of JSON: what it is of, and the view; the records of trials stay in the log.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pkgutil import get_data
from typing import Any, NamedTuple

from results.atomic import write_bytes_atomically
from results.events import (
    LoggedEvent,
    Retrained,
    RunOpened,
    WarmStarted,
    WorkerJudged,
    event_from_json,
    event_to_json,
)
from results.front import Front, FrontChange, front_from_json
from results.ledger import ledger_from_json
from results.trial import FailureKind
from results.trial_record import HypervolumePoint
from results.trials import ReadEvents, Trials
from results.view import RunView

SCHEMA = "frnas.snapshot/1"

# Whatever these say decides what a fold gives, so another text is another fold.
_FOLD = (
    "events",
    "front",
    "hypervolume",
    "ledger",
    "objectives",
    "pareto",
    "snapshot",
    "trial",
    "trial_record",
    "trials",
    "view",
)
_PLAIN = ("state", "reason", "wall_seconds", "n_finished", "n_failed", "last_sequence", "updated")


class LogMark(NamedTuple):
    """Which log a view was made of.

    Attributes:
        sequence: The last event that the view holds.
        checksum: Of all events up to it.
        file_checksum: Of the whole file at a time when the log lay in it alone, and that was the
            log's beginning; None when it was not looked at. Faster to see than `checksum`.
    """

    sequence: int
    checksum: int
    file_checksum: int | None = None


class _Head(NamedTuple):
    schema: str
    fold: str
    checksum: int
    log: LogMark


def write_snapshot(path: Path, view: RunView, mark: LogMark) -> None:
    """Keep a view, in place of the one that was kept before.

    Args:
        path: The snapshot's file.
        view: Of one event at least.
        mark: Of the log up to the view's last event, as `SqliteReader.parts` gives its checksum.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    _write(path, _text(view_to_json(view)), mark)


def _write(path: Path, body: bytes, mark: LogMark) -> None:
    if fold_version():
        head = _Head(SCHEMA, fold_version(), zlib.crc32(body), mark)
        value = head._asdict() | {"log": mark._asdict()}
        write_bytes_atomically(path, b"\n".join([_text(value), body, b""]))


class KeptView:
    """A snapshot's file, of which the head is read; the view is made when the log agrees.

    Attributes:
        mark: Of the log that it is of.
    """

    def __init__(self, mark: LogMark, body: bytes) -> None:
        self.mark = mark
        self._body = body

    def view(self, read: ReadEvents) -> RunView:
        """The view, which reads the records of trials by `read`."""
        return view_from_json(json.loads(self._body), read=read)

    def write(self, path: Path, mark: LogMark) -> None:
        """Keep the same view with more known of its log.

        Raises:
            OSError: It cannot be written; the one before is still there.
        """
        _write(path, self._body, mark)


def kept_view(path: Path) -> KeptView | None:
    """What `write_snapshot` left, if this code did and it is whole; None otherwise.

    Whether the log still is the one that it was made of is for the caller to see.
    """
    try:
        first, body, rest = path.read_bytes().split(b"\n")
        head = _Head(**json.loads(first))
        mark = LogMark(**head.log)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    is_ours = bool(fold_version()) and (head.schema, head.fold) == (SCHEMA, fold_version())
    is_whole = rest == b"" and head.checksum == zlib.crc32(body)
    return KeptView(mark, body) if is_ours and is_whole else None


@cache
def fold_version() -> str:
    """Of the code that folds: a checksum of its text, and what it computes with.

    Taken from the files themselves, so that nobody has to think of it. Empty where there is no
    text to be read; then there are no snapshots.
    """
    checksum, n_bytes = 0, 0
    for name in _FOLD:
        try:
            text = get_data("results", f"{name}.py")
        except OSError:
            return ""
        if text is None:
            return ""
        checksum, n_bytes = zlib.crc32(text, checksum), n_bytes + len(text)
    return " ".join([f"{checksum:08x}-{n_bytes}", *map(_version, ("numpy", "moocore"))])


def _version(library: str) -> str:
    """Of a library, without loading it or what reads versions: by the folder that names it."""
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        return f"no {library}"
    installed = Path(spec.origin).parent.parent.glob(f"{library}-*.dist-info")
    return ",".join(sorted(path.name.removesuffix(".dist-info") for path in installed))


def view_to_json(view: RunView) -> dict[str, Any]:
    """A view as JSON values; `view_from_json` is its inverse."""
    return {
        **{name: getattr(view, name) for name in _PLAIN},
        "header": event_to_json(view.opened),
        "warm_started": view.warm_started and event_to_json(view.warm_started),
        "limits": dict(view.limits),
        "failures": {str(kind): n for kind, n in view.failures.items()},
        "given_up": sorted(view.given_up),
        "judged": [event_to_json(event) for event in view.judged.values()],
        "config_seconds": view.config_seconds,
        "without_gain": view.without_gain,
        "retrained": [event_to_json(event) for event in view.retrained],
        "last_event": _logged_to_json(view.last_event),
        "trials": view.trials.to_json(),
        "ledger": view.ledger.to_json(),
        "front": view.growing_front.to_json(),
        "history": _history_to_json(view),
    }


def view_from_json(value: dict[str, Any], *, read: ReadEvents | None) -> RunView:
    """The view that `view_to_json` wrote, also after a trip through JSON text."""
    header = event_from_json(value["header"])
    assert isinstance(header, RunOpened)
    trials = Trials([objective.name for objective in header.objectives], read=read)
    trials.restore(value["trials"])
    front = front_from_json(value["front"])
    return RunView(
        **{name: value[name] for name in _PLAIN},
        header=header,
        warm_started=_warm_started(value["warm_started"]),
        limits=value["limits"],
        trials=trials,
        failures=Counter({FailureKind(kind): n for kind, n in value["failures"].items()}),
        given_up=set(value["given_up"]),
        judged={event.worker: event for event in map(_judged, value["judged"])},
        ledger=ledger_from_json(value["ledger"], trials.rows.values()),
        retrained=[_retrained(event) for event in value["retrained"]],
        last_event=_logged_from_json(value["last_event"]),
        growing_front=front,
        config_seconds=defaultdict(float, value["config_seconds"]),
        without_gain=value["without_gain"],
        history=_history_from_json(value["history"], front.changes),
    )


def _history_to_json(view: RunView) -> list[list[Any]]:
    """By column; of the fronts, after how many changes each was."""
    columns = [list(column) for column in zip(*view.history, strict=True)]
    if columns:
        columns[-1] = [front.n_changes for front in columns[-1]]
    return columns


def _history_from_json(
    columns: list[list[Any]], changes: list[FrontChange]
) -> list[HypervolumePoint]:
    if not columns:
        return []
    fronts = [Front(changes, n_changes) for n_changes in range(len(changes) + 1)]
    *others, n_changes = columns
    return list(map(HypervolumePoint, *others, map(fronts.__getitem__, n_changes)))


def _warm_started(value: dict[str, Any] | None) -> WarmStarted | None:
    event = None if value is None else event_from_json(value)
    assert event is None or isinstance(event, WarmStarted)
    return event


def _judged(value: dict[str, Any]) -> WorkerJudged:
    event = event_from_json(value)
    assert isinstance(event, WorkerJudged)
    return event


def _retrained(value: dict[str, Any]) -> Retrained:
    event = event_from_json(value)
    assert isinstance(event, Retrained)
    return event


def _logged_to_json(logged: LoggedEvent | None) -> dict[str, Any] | None:
    if logged is None:
        return None
    return {
        "sequence": logged.sequence,
        "time": logged.time,
        "elapsed_seconds": logged.elapsed_seconds,
        "event": event_to_json(logged.event),
    }


def _logged_from_json(value: dict[str, Any] | None) -> LoggedEvent | None:
    if value is None:
        return None
    return LoggedEvent(**{**value, "event": event_from_json(value["event"])})


def _text(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")
