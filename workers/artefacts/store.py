"""What is asked of a place that keeps artefacts: packs, checkpoints and models.

Whoever reads or writes one of them does it through this protocol and knows no folders, so that
another kind of place is one more implementation.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol


class ArtefactStore(Protocol):
    """Artefacts by key: bytes that are there whole or not at all.

    A key is a relative path with `/` between its parts: `checkpoints/c0007/epochs-0009.pt`. Rules
    that every implementation keeps (`tests/contract/test_artefact_store.py`):

    * What was written under a key is what is read from it, from every process; a write that was
      interrupted leaves what was there before.
    * A reader that overlaps with a writer gets the old bytes or the new ones.
    * A key that is absolute or has a part `..` is a `ValueError`.
    """

    def read(self, key: str) -> bytes:
        """All bytes of an artefact.

        Raises:
            FileNotFoundError: There is none of this key.
            OSError: The place cannot be read.
        """

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Keep the bytes under the key, in place of what was there.

        Raises:
            OSError: The place cannot be written, such as on a full disk; nothing has changed.
        """

    def replacing(self, key: str) -> AbstractContextManager[Path]:
        """A temporary file of this machine that becomes the artefact when the block ends well.

        For what is too large to be held in memory, or is not written in one go.

        Raises:
            OSError: As `write`.
        """

    def fetch(self, key: str) -> Path:
        """A file on this machine with the artefact's bytes, to be read or mapped, never changed.

        Raises:
            FileNotFoundError: There is none of this key.
            OSError: The place cannot be read.
        """

    def digest(self, key: str) -> str | None:
        """The digest of an artefact's bytes as they are now, see `workers.artefacts.digest`.

        None where there is none of this key.

        Raises:
            OSError: The place cannot be read.
        """

    def sizes(self, folder: str) -> dict[str, int]:
        """Key -> bytes of every artefact in a folder and below it; empty where there is none.

        What vanishes meanwhile is left out.

        Raises:
            OSError: The place cannot be read.
        """

    def remove(self, key: str) -> None:
        """Forget an artefact, or a folder with all in it; none is fine, and so is none to delete.

        Whoever must not delete here leaves it to those who may.
        """

    def describe(self, key: str) -> str:
        """Where the artefact is or would be, for people."""


def checked_key(key: str) -> str:
    """The key, in its one spelling; empty for the whole store.

    Raises:
        ValueError: It leads out of the store.
    """
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{key!r} is no key of an artefact; give a relative path without `..`")
    return "" if key == "" else path.as_posix()
