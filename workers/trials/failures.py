"""Which kind of failure an exception is, and what is kept of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

import torch

from results.trial import FailureKind, Fault
from search_space.errors import InvalidConfigurationError
from workers.errors import (
    CheckpointError,
    CollapsedError,
    DataError,
    LeavingError,
    NotEnoughMemoryError,
    TrainingDivergedError,
    UnfitWorkerError,
)

_DETAIL_LINES = 12
_FAILURES: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (torch.OutOfMemoryError, FailureKind.OUT_OF_MEMORY),
    (NotEnoughMemoryError, FailureKind.OUT_OF_MEMORY),
    (MemoryError, FailureKind.OUT_OF_MEMORY),
    (TrainingDivergedError, FailureKind.DIVERGED),
    (CollapsedError, FailureKind.COLLAPSED),
    (InvalidConfigurationError, FailureKind.INVALID_CONFIGURATION),
    (DataError, FailureKind.DATA_ERROR),
    (CheckpointError, FailureKind.DATA_ERROR),
    (UnfitWorkerError, FailureKind.DATA_ERROR),
    (LeavingError, FailureKind.WORKER_LOST),
)


def failure_kind(error: BaseException) -> FailureKind:
    """What kind of failure an exception is."""
    for kind_of_error, kind in _FAILURES:
        if isinstance(error, kind_of_error):
            return kind
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return FailureKind.OUT_OF_MEMORY  # what torch's CPU allocator raises
    return FailureKind.CRASHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is kept of an exception: nothing that holds on to the frames it came through."""

    kind: FailureKind
    detail: str
    fault: Fault | None = None


def failure_of(error: Exception) -> Failure:
    """What became of a trial that raised the error."""
    kind = failure_kind(error)
    fault = Fault.CLUSTER if isinstance(error, LeavingError) else None
    return Failure(kind=kind, detail=_detail(error, kind), fault=fault)


def _detail(error: Exception, kind: FailureKind) -> str:
    """The message of an error raised on purpose; of any other the end of the traceback too."""
    if kind is not FailureKind.CRASHED:
        return str(error) or type(error).__name__
    # The reason first: lists of trials show the first line only.
    reason = "".join(traceback.format_exception_only(error)).strip()
    lines = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return "\n".join([reason, *lines[-_DETAIL_LINES:]])
