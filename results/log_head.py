"""How far a log was written, kept in a file beside it: so that one that lost its end is found out.

Of a log in WAL mode the end is in a file of its own, and a database can be put back from an older
copy; either opens as a log that is whole, only shorter. The head says which event was the last,
and has a running checksum over all. It is replaced after every event that is on disk, so a log may
be longer than its head says, by what was written when the writer was killed, never shorter.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results.errors import LogError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "frnas.head/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The end of a log as its writer knew it.

    Attributes:
        sequence: Of the last event; 0 where there is none.
        chain: Running checksum over all events up to it, see `link`; empty where there is none.
    """

    sequence: int = 0
    chain: str = ""


def link(chain: str, *texts: str) -> str:
    """The running checksum after one more event, SHA-256 in hex.

    Args:
        chain: After the event before.
        texts: All that is stored of the event.
    """
    return hashlib.sha256("\0".join((chain, *texts)).encode()).hexdigest()


def head_path(log: Path) -> Path:
    """The file beside the log that holds its head."""
    return log.with_suffix(".head")


def read_head(log: Path) -> LogHead | None:
    """The head of a log; None where none was written, as beside logs from before there was one.

    Raises:
        LogError: There is one, and it cannot be read.
    """
    path = head_path(log)
    if path.exists() and not path.is_file():
        raise LogError(f"{path}: is no file, so nobody knows whether the log beside it is whole")
    try:
        value = json.loads(path.read_bytes())
        head = LogHead(sequence=value["sequence"], chain=value["chain"])
        if (value["schema"], type(head.sequence), type(head.chain)) == (SCHEMA, int, str):
            return head
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror}); check it") from error
    except (ValueError, LookupError, TypeError, RecursionError):
        pass  # told below
    raise LogError(f"{path}: is damaged, so nobody knows whether the log beside it is whole")


def write_head(log: Path, head: LogHead) -> None:
    """Replace the head of a log, and wait until it is on disk.

    A name for the temporary file that is always the same: a log has one writer.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    path = head_path(log)
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    value = {"schema": SCHEMA, "sequence": head.sequence, "chain": head.chain}
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(value).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def why_not_whole(log: Path, head: LogHead, *, last: int, chain: str | None) -> str | None:
    """Why a log is not the one that its head was written for, in words; None where it is.

    Args:
        log: Its file, to be named.
        head: What was written beside it.
        last: Sequence of the last event in the log.
        chain: The log's running checksum at the head's event; None where it is not known.
    """
    if last < head.sequence:
        return (
            f"{log}: it ends at event {last}, and event {head.sequence} was written, as "
            f"{head_path(log).name} says: its end was lost ({log.name}-wal cut or removed), or an "
            "older copy was put in its place"
        )
    if chain is not None and chain != head.chain:
        return (
            f"{log}: its event {head.sequence} is another than the one that was written, as "
            f"{head_path(log).name} says: another log was put in its place"
        )
    return None
