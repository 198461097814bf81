"""Which kinds of artefact stores there are, by the location that names one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from workers.artefacts.directory import DirectoryStore
from workers.artefacts.store import ArtefactStore
from workers.errors import DataError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


STORES: Mapping[str, Callable[[str], ArtefactStore]] = MappingProxyType(
    {"file": lambda path: DirectoryStore(Path(path))}
)
"""Scheme of a location -> what opens the rest of it; one without a scheme is a folder's path."""


def open_store(location: str) -> ArtefactStore:
    """The store at a location: a folder's path, or a URL of a kind in `STORES`.

    Nothing is looked up or made yet.

    Raises:
        DataError: There is no store of this kind.
    """
    found = _SCHEME.match(location)
    scheme = found[1].lower() if found else "file"
    if scheme not in STORES:
        kinds = ", ".join(f"{known}://" for known in STORES)
        raise DataError(
            f"{location}: there is no artefact store of the kind {scheme}://; give a folder's "
            f"path or one of {kinds}"
        )
    return STORES[scheme](location[found.end() :] if found else location)
