"""Which kind of failure an exception is."""

from __future__ import annotations

import pytest
import torch

from results.trial import FailureKind
from search_space.errors import InvalidConfigurationError
from workers.errors import (
    CheckpointError,
    CollapsedError,
    DataError,
    NotEnoughMemoryError,
    TrainingDivergedError,
)
from workers.trials.failures import failure_kind, failure_of


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), FailureKind.OUT_OF_MEMORY),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (NotEnoughMemoryError(), FailureKind.OUT_OF_MEMORY),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
            FailureKind.OUT_OF_MEMORY,
        ),
        (TrainingDivergedError(), FailureKind.DIVERGED),
        (CollapsedError(), FailureKind.COLLAPSED),
        (InvalidConfigurationError(), FailureKind.INVALID_CONFIGURATION),
        (DataError(), FailureKind.DATA_ERROR),
        (CheckpointError(), FailureKind.DATA_ERROR),
        (RuntimeError("CUDA error"), FailureKind.CRASHED),
        (ValueError(), FailureKind.CRASHED),
    ],
)
def test_every_error_is_one_kind_of_failure(error: Exception, kind: FailureKind) -> None:
    assert failure_kind(error) is kind


def test_a_message_without_words_still_says_what_happened() -> None:
    assert failure_of(MemoryError()).detail == "MemoryError"
