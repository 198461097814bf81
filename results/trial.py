"""The record of one trial: what was asked and how it ended. Knows no library but the standard one.

A trial is one configuration trained to one rung with one seed. Records cross process and machine
boundaries as JSON, so every field is JSON-able and each record has one function per direction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

ConfigurationValue: TypeAlias = bool | int | float | str
Configuration: TypeAlias = Mapping[str, ConfigurationValue]


class FailureKind(StrEnum):
    """Why a trial has no costs; whose fault that is, is a `Fault`."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    TIMED_OUT = "timed_out"
    WORKER_LOST = "worker_lost"
    STALLED = "stalled"
    INVALID_CONFIGURATION = "invalid_configuration"
    DATA_ERROR = "data_error"
    CRASHED = "crashed"


class Fault(StrEnum):
    """Whose fault a failure is; only what a configuration did is ever told to an optimizer."""

    CONFIGURATION = "configuration"
    WORKER = "worker"
    CLUSTER = "cluster"
    USER = "user"


_USUAL_FAULTS: Mapping[FailureKind, Fault] = {
    FailureKind.DIVERGED: Fault.CONFIGURATION,
    FailureKind.COLLAPSED: Fault.CONFIGURATION,
    FailureKind.TIMED_OUT: Fault.CONFIGURATION,
    FailureKind.INVALID_CONFIGURATION: Fault.CONFIGURATION,
    FailureKind.DATA_ERROR: Fault.WORKER,
    FailureKind.WORKER_LOST: Fault.WORKER,
    FailureKind.STALLED: Fault.WORKER,
}


ConfigurationKey: TypeAlias = tuple[tuple[str, ConfigurationValue], ...]


def configuration_key(configuration: Configuration) -> ConfigurationKey:
    """Equal for equal configurations, whatever order their hyperparameters are in."""
    return tuple(sorted(configuration.items()))


Origin: TypeAlias = Literal["", "enqueued", "initial", "random", "model", "promoted"]
"""Why a trial was proposed; empty where it is not known, as in logs from before it was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """One configuration to be trained to `epochs` epochs, counted from its very beginning.

    Attributes:
        rung: Index into the run's rungs, 0 the cheapest.
        epochs: Epochs the configuration has seen when the trial ends, not those it adds.
        attempt: 1 for the first try; grows with each that came to nothing.
        origin: The user's list, the initial design, a draw at random, a surrogate's maximum, or
            the promotion of a configuration that was trained before.
    """

    trial_id: str
    config_id: str
    configuration: Configuration
    rung: int
    epochs: int
    seed: int
    attempt: int = 1
    origin: Origin = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What was built: the family, a hash of its structure, and its size.

    Attributes:
        parameters: Trainable numbers of backbone and neck; the head's class weights do not count.
        macs: Multiply-accumulates for one picture at the run's size, backbone and neck.
        activation_bytes: What a training step keeps for its backward pass, for each picture, in
            float32; 0 where it was not recorded.
    """

    family: str
    hash: str
    parameters: int
    macs: int
    activation_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What came back: `costs` on success, else `failure`. Never both, never neither.

    Attributes:
        costs: Every metric the run minimises, finite.
        interval95: For each cost, the 2.5 % and 97.5 % points over resampled identities.
        metrics: Every metric computed, nested by group; JSON values only.
        seconds: Wall seconds on the device, this attempt only.
        epochs_trained: Epochs this attempt really ran (continuation makes it less than `epochs`).
        checkpoint: Path relative to the run directory.
        log: Of a failure, the last lines that the training process logged on this trial.
        artefacts: Of the files that the trial left or went on from, key in the run's store ->
            digest, as `sha256:` and 64 hexadecimal digits; empty in logs from before it was kept.
        fault: Of a failure, whose it is, where that is known better than from its kind.
    """

    trial_id: str
    attempt: int
    costs: Mapping[str, float] | None = None
    failure: FailureKind | None = None
    detail: str = ""
    interval95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    architecture: Architecture | None = None
    seconds: float = 0.0
    epochs_trained: int = 0
    checkpoint: str | None = None
    worker: str = ""
    device: str = ""
    log: tuple[str, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None

    @property
    def blamed(self) -> Fault | None:
        """Whose fault the failure is; None of a success, and of what a trial alone cannot tell.

        A crash and a lack of memory may be the configuration's or the machine's: it takes other
        workers, or another trial on the same one, to tell (`coordinator.judgement`).
        """
        if self.failure is None:
            return None
        return self.fault or _USUAL_FAULTS.get(self.failure)

    def __post_init__(self) -> None:
        if (self.costs is None) == (self.failure is None):
            raise ValueError(f"trial {self.trial_id}: give either costs or a failure")
        for name, cost in (self.costs or {}).items():
            if not math.isfinite(cost):
                raise ValueError(f"trial {self.trial_id}: cost {name} is {cost}, not a number")


def failed_attempt(
    request: TrialRequest,
    failure: FailureKind,
    detail: str,
    *,
    seconds: float = 0.0,
    fault: Fault | None = None,
) -> TrialOutcome:
    """The outcome of an attempt of which nothing is known but how it failed."""
    return TrialOutcome(
        trial_id=request.trial_id,
        attempt=request.attempt,
        failure=failure,
        detail=detail,
        seconds=seconds,
        fault=fault,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierResult:
    """A finished trial of another run, as far as a run can learn from it.

    Attributes:
        run: The other run's name.
        configuration: Of the learning run's space.
        epochs: That the configuration had seen.
        costs: Of each of the learning run's objectives, in their own units.
    """

    run: str
    trial_id: str
    configuration: Configuration
    epochs: int
    costs: Mapping[str, float]


def request_to_json(request: TrialRequest) -> dict[str, Any]:
    """The request as a JSON object; `request_from_json` is its inverse."""
    return {**asdict(request), "configuration": dict(request.configuration)}


def request_from_json(value: Mapping[str, Any]) -> TrialRequest:
    """The request that `request_to_json` wrote."""
    return TrialRequest(**value)


def outcome_to_json(outcome: TrialOutcome) -> dict[str, Any]:
    """The outcome as a JSON object; `outcome_from_json` is its inverse."""
    value = {**asdict(outcome), "artefacts": dict(outcome.artefacts)}
    value["interval95"] = {name: list(pair) for name, pair in outcome.interval95.items()}
    value["log"] = list(outcome.log)
    return value


def outcome_from_json(value: Mapping[str, Any]) -> TrialOutcome:
    """The outcome that `outcome_to_json` wrote."""
    fields = dict(value)
    fields["interval95"] = {k: (v[0], v[1]) for k, v in fields.get("interval95", {}).items()}
    fields["log"] = tuple(fields.get("log", ()))
    if fields.get("failure") is not None:
        fields["failure"] = FailureKind(fields["failure"])
    if fields.get("fault") is not None:
        fields["fault"] = Fault(fields["fault"])
    if fields.get("architecture") is not None:
        fields["architecture"] = Architecture(**fields["architecture"])
    return TrialOutcome(**fields)
