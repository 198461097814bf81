"""Errors that the package `workers` raises on purpose."""

from __future__ import annotations


class WorkerError(Exception):
    """Base of all errors about data, training and evaluation."""


class DataError(WorkerError, ValueError):
    """A pack or its source is missing, damaged or contradicts itself."""


class TrainingDivergedError(WorkerError, ArithmeticError):
    """The loss or the embeddings stopped being finite."""


class CollapsedError(WorkerError, ArithmeticError):
    """The network maps different faces to the same embedding, or ranks at chance."""


class NotEnoughMemoryError(WorkerError, MemoryError):
    """A training step does not fit into the memory there is, not even in parts."""


class CheckpointError(WorkerError, ValueError):
    """A checkpoint is damaged or belongs to another configuration."""


class UnfitWorkerError(WorkerError):
    """This worker cannot do what another may: it lacks a file that others see, a library, disk."""


class LeavingError(WorkerError):
    """The trial was told to end before it was done, and has saved itself."""
