"""How checkpoints are called: by what their training has seen. Needs no torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from workers.artefacts.store import ArtefactStore

_NAME = re.compile(r"epochs-(\d{4,})(?:\+(\d{6,}))?\.pt")

Moment: TypeAlias = tuple[int, int]
"""Epochs that a training has seen, and steps of the next one."""


def checkpoint_name(*, epochs: int, steps: int = 0) -> str:
    """The name of the checkpoint after so many epochs, and steps of the next one."""
    within = f"+{steps:06d}" if steps else ""
    return f"epochs-{epochs:04d}{within}.pt"


def moment_of(key: str) -> Moment:
    """When the checkpoint of this key was taken; the beginning, where it is none."""
    match = _NAME.fullmatch(key.rpartition("/")[2])
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def numbered_checkpoints(store: ArtefactStore, folder: str) -> list[tuple[Moment, str]]:
    """Each checkpoint of a folder: when it was taken, and its key.

    Raises:
        OSError: The place cannot be read.
    """
    keys = store.sizes(folder)
    return [(moment_of(key), key) for key in keys if _NAME.fullmatch(key.rpartition("/")[2])]


def newest_moment(store: ArtefactStore, folder: str) -> Moment:
    """When the newest checkpoint of a folder was taken; the beginning, where none is seen."""
    try:
        return max((moment for moment, _ in numbered_checkpoints(store, folder)), default=(0, 0))
    except OSError:
        return (0, 0)
