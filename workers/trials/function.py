"""What a trial does with a configuration: a function from a job to costs, and what it needs.

Training a face network is the first of its kind (`workers.trials.registry`). Imports no heavy
library: the coordinator reads what a function measures and needs, the training process alone loads
what it does.
"""

from __future__ import annotations

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


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is known of a trial so far, written while it runs; a failure reports it as well.

    Attributes:
        epochs_trained: By this attempt.
        checkpoint: The key of the last one.
        artefacts: Key -> digest of the checkpoint and of what else the trial left.
    """

    architecture: Architecture | None = None
    device: str = ""
    epochs_trained: int = 0
    checkpoint: str | None = None
    artefacts: dict[str, str] = field(default_factory=dict)


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
        requirements: Job -> what its worker must prove.
        module: Of the function `run`, a `Run`; loaded by the training process only.
    """

    name: str
    costs: Callable[[EvaluationSettings], tuple[str, ...]]
    requirements: Callable[[TrialJob], Requirements]
    module: str
