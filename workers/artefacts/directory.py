"""Artefacts as the files of a folder that all who use it see."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from results.atomic import TEMPORARY_NAME, replacing
from workers.artefacts.digest import file_digest
from workers.artefacts.store import checked_key

_ABANDONED_AFTER_SECONDS = 3600.0
"""Since a temporary file was last written to; no write of an artefact pauses for so long."""


class DirectoryStore:
    """Keeps the rules of `workers.artefacts.store.ArtefactStore` below a folder.

    Names that begin with a dot are files that are being written, and no artefacts.

    Args:
        root: The folder; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes:
        """The file's bytes."""
        return self._path(key).read_bytes()

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write the file under a temporary name, sync it, rename it."""
        with self.replacing(key) as temporary:
            temporary.write_bytes(content)

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[Path]:
        """A temporary file in the same folder, synced and renamed at the end."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        with replacing(path) as temporary:
            yield temporary

    def fetch(self, key: str) -> Path:
        """The file itself."""
        path = self._path(key)
        path.stat()  # FileNotFoundError now, not in the middle of reading
        return path

    def digest(self, key: str) -> str | None:
        """Of the file's bytes; a folder has none."""
        try:
            return file_digest(self._path(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files below the folder."""
        sizes: dict[str, int] = {}
        for path in self._files(self._path(folder)):
            with contextlib.suppress(FileNotFoundError):  # replaced or removed meanwhile
                sizes[path.relative_to(self._root).as_posix()] = path.stat().st_size
        return sizes

    def remove(self, key: str) -> None:
        """Delete the file or the folder, as far as that is allowed."""
        path = self._path(key)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            return
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def describe(self, key: str) -> str:
        """The file's path."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _files(self, folder: Path) -> Iterator[Path]:
        # Folders vanish while they are looked into: other processes remove checkpoints.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in folder.iterdir():
                if path.name.startswith("."):
                    continue
                if path.is_dir():
                    yield from self._files(path)
                else:
                    yield path


def _remove_abandoned(folder: Path) -> None:
    """Delete what writers that were killed left behind; it may be as large as a network."""
    for path in folder.iterdir():
        if not TEMPORARY_NAME.fullmatch(path.name):
            continue
        # Another writer may do the same at the same time, or may own the file.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                path.unlink()
