"""The digest by which an artefact is known: what was written is what is found, on any machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

_ALGORITHM = "sha256"


def digest_of(content: bytes | memoryview) -> str:
    """`sha256:` and 64 hexadecimal digits, of the bytes."""
    return f"{_ALGORITHM}:{hashlib.sha256(content).hexdigest()}"


def file_digest(path: Path) -> str:
    """As `digest_of`, of a file's bytes, without holding them all.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return f"{_ALGORITHM}:{hashlib.file_digest(stream, _ALGORITHM).hexdigest()}"
