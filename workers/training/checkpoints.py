"""Checkpoints of one configuration's training: saved atomically, refused when they are another's.

A file is read with `weights_only=True`; it can hold tensors and plain values, never code.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from workers.artefacts.checkpoint_names import (
    Moment,
    checkpoint_name,
    moment_of,
    numbered_checkpoints,
)
from workers.artefacts.digest import digest_of
from workers.artefacts.store import ArtefactStore
from workers.errors import CheckpointError, UnfitWorkerError

logger = logging.getLogger(__name__)

N_KEPT = 2
_SHOWN_DIGITS = len("sha256:") + 12

# What an archive that is no checkpoint, or was edited, leads to in zipfile, in torch and here.
_DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """The file of a checkpoint: its key in the store, and the digest of its bytes."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCheckpoint:
    """A checkpoint that was read, and the file that it was read from."""

    file: SavedCheckpoint
    checkpoint: Checkpoint


def fingerprint(parts: Mapping[str, Any]) -> str:
    """What a training depends on as canonical JSON; two trainings with the same are the same."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def save_checkpoint(
    store: ArtefactStore, folder: str, checkpoint: Checkpoint, *, previous: str | None = None
) -> SavedCheckpoint:
    """Keep the checkpoint, and once it is seen to lie there whole, remove what it outdates.

    The newest two up to this one stay, and `previous`; so do later ones, which are not ours.

    Args:
        store: Where the run's artefacts are.
        folder: The configuration's own.
        checkpoint: What to keep.
        previous: Key of the last one that this training is known to be able to go on from.

    Raises:
        CheckpointError: It cannot be written, such as on a full disk, and none is changed; or the
            place gives back other bytes than it was given, and none is removed.
    """
    moment = (checkpoint.epochs, checkpoint.steps)
    key = f"{folder}/{checkpoint_name(epochs=checkpoint.epochs, steps=checkpoint.steps)}"
    # Into memory first: torch reports a full disk as a failure of its archive.
    content = io.BytesIO()
    torch.save({part.name: getattr(checkpoint, part.name) for part in _FIELDS}, content)
    digest = digest_of(content.getbuffer())
    try:
        store.write(key, content.getbuffer())
        found = store.digest(key)
        up_to_it = sorted(
            kept for kept in numbered_checkpoints(store, folder) if kept[0] <= moment
        )
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {store.describe(key)} cannot be written ({error.strerror}); free some "
            "space or mend the permissions there, then resume the run"
        ) from error
    if found != digest:
        raise CheckpointError(
            f"checkpoint {store.describe(key)} was written and is not there as it was written; "
            "check the disk, or whether another process writes the same run"
        )
    for _, older in up_to_it[:-N_KEPT]:
        if older not in (key, previous):
            store.remove(older)
    return SavedCheckpoint(key=key, digest=digest)


def newest_checkpoint(
    store: ArtefactStore,
    folder: str,
    *,
    expected_fingerprint: str,
    up_to_epochs: int,
    resume_from: Mapping[str, str],
    prove: Callable[[FoundCheckpoint], None],
) -> FoundCheckpoint | None:
    """The checkpoint of a training with the most epochs that can be gone on from.

    One that is damaged, cannot be read or is of another training is passed over with a warning.

    Args:
        store: Where the run's artefacts are.
        folder: The configuration's own.
        expected_fingerprint: Of the training.
        up_to_epochs: The most that it may have seen.
        resume_from: Key -> digest of the checkpoint that there is known to be, if any.
        prove: Raises CheckpointError where the training does not take the checkpoint.

    Returns:
        None where there is none, and none is named.

    Raises:
        CheckpointError: The folder cannot be read.
        UnfitWorkerError: Neither the named checkpoint nor a later one is seen here.
    """
    named = max((moment_of(key) for key in resume_from), default=(0, 0))
    faults: list[str] = []
    for done, key in sorted(_listed(store, folder, resume_from), reverse=True):
        if not named <= done <= (up_to_epochs, 0):
            continue
        try:
            found = read_checkpoint(store, key, expected_fingerprint=expected_fingerprint)
            _require_digest(found.file, resume_from.get(key), store.describe(key))
            prove(found)
        except CheckpointError as error:
            faults.append(str(error))
            logger.warning("%s; it is passed over", error)
        else:
            return found
    if resume_from:
        raise _unfit(store, resume_from, faults)
    if faults:
        logger.warning("%s: the training begins anew", store.describe(folder))
    return None


def load_checkpoint(store: ArtefactStore, key: str, *, expected_fingerprint: str) -> Checkpoint:
    """As `read_checkpoint`, without its file."""
    return read_checkpoint(store, key, expected_fingerprint=expected_fingerprint).checkpoint


def read_checkpoint(
    store: ArtefactStore, key: str, *, expected_fingerprint: str
) -> FoundCheckpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: It cannot be read, is damaged, or is of another configuration, seed,
            recipe or data.
    """
    place = store.describe(key)
    try:
        content = store.read(key)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {place} cannot be read ({error.strerror}); mend the permissions there"
        ) from error
    try:
        checkpoint = _parsed(content)
        if (checkpoint.epochs, checkpoint.steps) != moment_of(key):
            raise ValueError(f"it is of epoch {checkpoint.epochs}, step {checkpoint.steps}")
    except _DAMAGE as error:
        raise CheckpointError(
            f"checkpoint {place} is damaged and cannot be read ({_first_line(error)}); remove it"
        ) from error
    if checkpoint.fingerprint != expected_fingerprint:
        changed = _changed_parts(checkpoint.fingerprint, expected_fingerprint)
        raise CheckpointError(
            f"checkpoint {place} belongs to another training: {changed} differ; "
            "remove it or use another checkpoint directory"
        )
    return FoundCheckpoint(
        file=SavedCheckpoint(key=key, digest=digest_of(content)), checkpoint=checkpoint
    )


_FIELDS = fields(Checkpoint)


def _parsed(content: bytes) -> Checkpoint:
    """The checkpoint of a file's bytes.

    Raises:
        Exception: One of `_DAMAGE`.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} does not have its checksum")
    value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    checkpoint = Checkpoint(**value)
    for name, wanted in _WANTED.items():
        if not isinstance(getattr(checkpoint, name), wanted):
            raise TypeError(f"{name} is {type(getattr(checkpoint, name)).__name__}")
    if len(checkpoint.losses) != checkpoint.epochs or checkpoint.n_splits < 1:
        raise ValueError("its numbers contradict each other")
    _require_all("losses", checkpoint.losses, float)
    _require_all("random_states", checkpoint.random_states, Tensor)
    return checkpoint


_WANTED: Mapping[str, type | tuple[type, ...]] = {
    "fingerprint": str,
    "epochs": int,
    "losses": list,
    "network": dict,
    "head": dict,
    "optimizer": dict,
    "averaged": (dict, type(None)),
    "group_log_weights": (Tensor, type(None)),
    "n_splits": int,
    "steps": int,
    "loss_sum": (Tensor, type(None)),
    "random_states": list,
}


def _require_all(name: str, values: Iterable[object], wanted: type) -> None:
    for value in values:
        if not isinstance(value, wanted):
            raise TypeError(f"{name} holds {type(value).__name__}")


def _require_digest(file: SavedCheckpoint, digest: str | None, place: str) -> None:
    if digest is not None and file.digest != digest:
        raise CheckpointError(
            f"checkpoint {place} has digest {file.digest[:_SHOWN_DIGITS]}…, not "
            f"{digest[:_SHOWN_DIGITS]}… as when it was saved"
        )


def _unfit(
    store: ArtefactStore, resume_from: Mapping[str, str], faults: list[str]
) -> UnfitWorkerError:
    key, digest = max(resume_from.items(), key=lambda item: moment_of(item[0]))
    why = "; ".join(faults) or "there is no such file"
    return UnfitWorkerError(
        f"this worker does not see {key} of the run's artefacts, digest "
        f"{digest[:_SHOWN_DIGITS]}…, from which the trial is to go on, at {store.describe(key)}: "
        f"{why}; its run directory is probably not the coordinator's: let both be the same folder"
    )


def _listed(
    store: ArtefactStore, folder: str, resume_from: Mapping[str, str]
) -> list[tuple[Moment, str]]:
    try:
        return numbered_checkpoints(store, folder)
    except OSError as error:
        place, reason = store.describe(folder), error.strerror
        fault = f"checkpoint folder {place} cannot be read ({reason}); mend the permissions there"
        if resume_from:
            raise _unfit(store, resume_from, [fault]) from error
        raise CheckpointError(fault) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _changed_parts(found: str, expected: str) -> str:
    try:
        theirs, ours = dict(json.loads(found)), dict(json.loads(expected))
    except (ValueError, TypeError, RecursionError):
        return "all parts"
    return ", ".join(key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key))
