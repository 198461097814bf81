"""Which packs this machine has read whole and found intact, kept in the user's cache folder.

Saves time and nothing else: what is not remembered, or not as it is now, is read again. Several
processes may use one folder; each writes a record whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from results.atomic import write_json_atomically

if TYPE_CHECKING:
    from workers.data.packs.pack import Pack

logger = logging.getLogger(__name__)

_FORMAT = 1
_SETTLED_NS = 100_000_000
"""Clocks of file systems tick slowly: what was changed again within this time may look as old."""
_FORGOTTEN_AFTER_SECONDS = 180 * 86_400.0


def folder() -> Path:
    """The user's cache folder for these records; follows XDG_CACHE_HOME as it is at the call."""
    return user_cache_path("frnas") / "packs"


def is_remembered(pack: Pack) -> bool:
    """Whether this very file was read whole on this machine and has not been touched since."""
    try:
        found = json.loads(_path(pack).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False  # none, or none that can be read: the pack can be
    return bool(found == _record(pack))


def remember(pack: Pack) -> None:
    """Keep that the pack, as it was when it was opened, is intact; warns where it cannot."""
    if abs(time.time_ns() - pack.state.ctime_ns) < _SETTLED_NS:
        return
    path = _path(pack)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget_old(path.parent)
        write_json_atomically(path, _record(pack))
    except OSError as error:
        logger.warning(
            "%s: cannot be written (%s), so every process reads the pack whole; set "
            "XDG_CACHE_HOME to a writable folder",
            path,
            error.strerror,
        )


def _path(pack: Pack) -> Path:
    """One record for each machine, as homes are shared, and each file, however it is named."""
    place = f"{platform.node()}\0{os.path.realpath(pack.path)}"
    name = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
    return folder() / f"{name[:32]}.json"


def _record(pack: Pack) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "machine": platform.node(),
        "pack": os.fsencode(os.path.realpath(pack.path)).decode("utf-8", "backslashreplace"),
        "digest": pack.digest,
        **asdict(pack.state),
    }


def _forget_old(records: Path) -> None:
    for path in records.iterdir():
        # Another process may do the same at the same time.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_AFTER_SECONDS:
                path.unlink()
