"""Checkpoints of one configuration's training: saved atomically, refused when they are another's.

A file is read with `weights_only=True`; it can hold tensors and plain values, never code.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from workers.artefacts.store import ArtefactStore
from workers.errors import CheckpointError

logger = logging.getLogger(__name__)

N_KEPT = 2
_NAME = re.compile(r"epochs-(\d{4,})(?:\+(\d{6,}))?\.pt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training with everything needed to go on.

    Attributes:
        fingerprint: What the training was of, see `fingerprint`.
        epochs: Epochs trained since the very beginning.
        losses: Mean training loss of each of these epochs.
        averaged: State of the averaged network; None when no average is kept.
        group_log_weights: Of group DRO, see `workers.training.loop.Training`; None without it.
        n_splits: Parts in which each batch was trained.
        steps: Steps trained of the epoch after these; 0 between two epochs.
        loss_sum: Of these steps; None between two epochs.
        random_states: See `workers.training.loop.Training`.
    """

    fingerprint: str
    epochs: int
    losses: list[float]
    network: dict[str, Any]
    head: dict[str, Any]
    optimizer: dict[str, Any]
    averaged: dict[str, Any] | None = None
    group_log_weights: Tensor | None = None
    n_splits: int = 1
    steps: int = 0
    loss_sum: Tensor | None = None
    random_states: list[Tensor] = field(default_factory=list)


def fingerprint(parts: Mapping[str, Any]) -> str:
    """What a training depends on as canonical JSON; two trainings with the same are the same."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def checkpoint_name(*, epochs: int, steps: int = 0) -> str:
    """The name of the checkpoint after so many epochs, and steps of the next one."""
    within = f"+{steps:06d}" if steps else ""
    return f"epochs-{epochs:04d}{within}.pt"


def save_checkpoint(store: ArtefactStore, folder: str, checkpoint: Checkpoint) -> str:
    """Keep the checkpoint, then remove all but the newest two; the one just written stays.

    Args:
        store: Where the run's artefacts are.
        folder: The configuration's own.
        checkpoint: What to keep.

    Returns:
        Its key.

    Raises:
        CheckpointError: It cannot be written, such as on a full disk; none is changed.
    """
    key = f"{folder}/{checkpoint_name(epochs=checkpoint.epochs, steps=checkpoint.steps)}"
    # Into memory first: torch reports a full disk as a failure of its archive.
    content = io.BytesIO()
    torch.save({part.name: getattr(checkpoint, part.name) for part in _FIELDS}, content)
    try:
        store.write(key, content.getbuffer())
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {store.describe(key)} cannot be written ({error.strerror}); free some "
            "space or mend the permissions there, then resume the run"
        ) from error
    newest_first = sorted(_numbered(store, folder), reverse=True)
    for _, older in newest_first[N_KEPT:]:
        if older != key:
            store.remove(older)
    return key


def latest_checkpoint(store: ArtefactStore, folder: str, *, up_to_epochs: int) -> str | None:
    """The key of the intact checkpoint with the most training, at most `up_to_epochs`, if any.

    A file that was cut off or has changed on disk is passed over with a warning.
    """
    for done, key in sorted(_numbered(store, folder), reverse=True):
        if done > (up_to_epochs, 0):
            continue
        if _is_intact(store, key):
            return key
        logger.warning(
            "checkpoint %s is damaged; going back to the one before", store.describe(key)
        )
    return None


def load_checkpoint(store: ArtefactStore, key: str, *, expected_fingerprint: str) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: It cannot be read, or is of another configuration, seed, recipe or data.
    """
    place = store.describe(key)
    try:
        content = torch.load(store.fetch(key), map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**content)
    except (OSError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"checkpoint {place} cannot be read ({error}); remove it to train from the beginning"
        ) from error
    if checkpoint.fingerprint != expected_fingerprint:
        changed = _changed_parts(checkpoint.fingerprint, expected_fingerprint)
        raise CheckpointError(
            f"checkpoint {place} belongs to another training: {changed} differ; "
            f"remove it or use another checkpoint directory"
        )
    return checkpoint


_FIELDS = fields(Checkpoint)


def _numbered(store: ArtefactStore, folder: str) -> list[tuple[tuple[int, int], str]]:
    """Each checkpoint's epochs and steps, and its key."""
    found = ((_NAME.fullmatch(key.rpartition("/")[2]), key) for key in store.sizes(folder))
    return [((int(match[1]), int(match[2] or 0)), key) for match, key in found if match]


def _is_intact(store: ArtefactStore, key: str) -> bool:
    """Whether every entry of the file, which is a zip archive, has its recorded checksum."""
    try:
        with zipfile.ZipFile(store.fetch(key)) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return False


def _changed_parts(found: str, expected: str) -> str:
    theirs, ours = json.loads(found), json.loads(expected)
    return ", ".join(key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key))
