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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from results.atomic import replacing
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


def checkpoint_path(directory: Path, *, epochs: int, steps: int = 0) -> Path:
    """Where the checkpoint after so many epochs, and steps of the next one, lies."""
    within = f"+{steps:06d}" if steps else ""
    return directory / f"epochs-{epochs:04d}{within}.pt"


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint, then remove all but the newest two; the one just written stays.

    Raises:
        CheckpointError: It cannot be written, such as on a full disk; none is changed.
    """
    path = checkpoint_path(directory, epochs=checkpoint.epochs, steps=checkpoint.steps)
    # Into memory first: torch reports a full disk as a failure of its archive.
    content = io.BytesIO()
    torch.save({each.name: getattr(checkpoint, each.name) for each in _FIELDS}, content)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be written ({error.strerror}); free some space or mend "
            "the permissions there, then resume the run"
        ) from error
    newest_first = sorted(_numbered(directory), reverse=True)
    for _, older in newest_first[N_KEPT:]:
        if older != path:
            older.unlink(missing_ok=True)
    return path


def latest_checkpoint(directory: Path, *, up_to_epochs: int) -> Path | None:
    """The intact checkpoint with the most training, at most `up_to_epochs`; None without one.

    A file that was cut off or has changed on disk is passed over with a warning.
    """
    for done, path in sorted(_numbered(directory), reverse=True):
        if done > (up_to_epochs, 0):
            continue
        if _is_intact(path):
            return path
        logger.warning("checkpoint %s is damaged; going back to the one before", path)
    return None


def load_checkpoint(path: Path, *, expected_fingerprint: str) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: It cannot be read, or is of another configuration, seed, recipe or data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**content)
    except (OSError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error}); remove it to train from the beginning"
        ) from error
    if checkpoint.fingerprint != expected_fingerprint:
        changed = _changed_parts(checkpoint.fingerprint, expected_fingerprint)
        raise CheckpointError(
            f"checkpoint {path} belongs to another training: {changed} differ; "
            f"remove it or use another checkpoint directory"
        )
    return checkpoint


_FIELDS = fields(Checkpoint)


def _numbered(directory: Path) -> list[tuple[tuple[int, int], Path]]:
    """Each checkpoint's epochs and steps, and its path."""
    if not directory.is_dir():
        return []
    found = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return [((int(match[1]), int(match[2] or 0)), path) for match, path in found if match]


def _is_intact(path: Path) -> bool:
    """Whether every entry of the file, which is a zip archive, has its recorded checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return False


def _changed_parts(found: str, expected: str) -> str:
    theirs, ours = json.loads(found), json.loads(expected)
    return ", ".join(key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key))
