"""What a trial does with a configuration: a function from a job to costs, and what it needs.

Training a face network is the first of its kind (`workers.trials.registry`). Imports no heavy
library: the coordinator reads what a function measures and needs, the training process alone loads
what it does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from results.trial import Architecture
from workers.settings import DataSettings, Device, EvaluationSettings, TrialJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a trial found out.

    Attributes:
        costs: Each of the job's objectives, finite.
        interval95: For each cost, the 2.5 % and 97.5 % points over resampled identities.
        metrics: Every metric computed; JSON values only.
    """

    costs: Mapping[str, float]
    interval95: Mapping[str, tuple[float, float]]
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One epoch that an attempt has finished.

    Attributes:
        epoch: Counted from the very beginning, 1 for the first.
        loss: The mean of its steps.
        costs: On the validation split, where they were measured; else empty.
    """

    epoch: int
    loss: float
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is known of a trial so far, written while it runs; a failure reports it as well.

    Read by another thread, which tells the worker of it every few seconds.

    Attributes:
        epochs_trained: By this attempt.
        checkpoint: The key of the last one.
        artefacts: Key -> digest of the checkpoint and of what else the trial left.
        phase: `preparing`, `training` or `evaluating`.
        epoch: Epochs done since the very beginning of the training.
        step: Steps done of the next one.
        n_steps: Of an epoch; 0 while it is not known.
        loss: Mean of the steps of this epoch; None before there is one.
        pictures_per_second: Of this attempt; None before it is known.
        memory_bytes: Most that the device has held; on the CPU what the process holds.
        seconds_left: Of the training, at this pace; None while it is not known.
        advanced: When the trial last went on, by `time.monotonic`.
        saved: When the last checkpoint of this attempt was kept, likewise; None before.
        reports: Epochs finished and not told of yet.
        is_to_leave: Whether the trial is to save itself and end, as its worker must.
    """

    architecture: Architecture | None = None
    device: str = ""
    epochs_trained: int = 0
    checkpoint: str | None = None
    artefacts: dict[str, str] = field(default_factory=dict)
    phase: str = "preparing"
    epoch: int = 0
    step: int = 0
    n_steps: int = 0
    loss: float | None = None
    pictures_per_second: float | None = None
    memory_bytes: int = 0
    seconds_left: float | None = None
    advanced: float = field(default_factory=time.monotonic)
    saved: float | None = None
    reports: deque[EpochReport] = field(default_factory=deque)
    is_to_leave: Callable[[], bool] = lambda: False

    def advance(self, phase: str) -> None:
        """Say that the trial goes on, and with what."""
        self.phase, self.advanced = phase, time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a worker must prove to take a job.

    Attributes:
        libraries: Modules that it can import.
        device: What it trains on.
        data: The pack that it can read, with this digest.
        artefacts: Location of the store that it reads from and writes to.
    """

    libraries: tuple[str, ...]
    device: Device
    data: DataSettings
    artefacts: str


class Run(Protocol):
    """The doing of a trial function."""

    def __call__(
        self, job: TrialJob, progress: Progress, *, clock: Callable[[], float]
    ) -> Findings:
        """Do what the job says.

        Args:
            job: What to do.
            progress: Filled while it goes on.
            clock: Seconds that only rise.

        Raises:
            Exception: It failed; `workers.trials.run` tells which kind of failure that is.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFunction:
    """A kind of trial.

    Attributes:
        name: As in `TrialJob.function`.
        costs: Evaluation settings -> the objectives that it measures under them.
        requirements: Device, data and location of the artefacts -> what a worker must prove.
        module: Of the function `run`, a `Run`; loaded by the training process only.
    """

    name: str
    costs: Callable[[EvaluationSettings], tuple[str, ...]]
    requirements: Callable[[Device, DataSettings, str], Requirements]
    module: str
