"""What coordinator, worker and training process say to each other beside jobs and outcomes.

JSON on every way. Whoever reads a message of another protocol version does not guess: the worker
that sent it is unfit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from workers.settings import DataSettings
from workers.trials.function import EpochReport, Requirements

PROTOCOL = 1
"""Rises with every change of a job, an outcome or a message that the other side must know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How far an attempt is, every few seconds.

    Attributes:
        phase: `preparing`, `training` or `evaluating`.
        epoch: Epochs done since the very beginning of the training.
        n_epochs: Those that it is to reach.
        step: Steps done of the next epoch.
        n_steps: Of an epoch; 0 while it is not known.
        loss: Mean of the steps of this epoch; None before there is one.
        pictures_per_second: In this attempt, its evaluation left out; None before it is known.
        memory_bytes: Most that the device has held; on the CPU what the process holds.
        seconds_left: Of the training, at this pace; None while it is not known.
        still_seconds: Since the training last went on.
        saved_seconds: Since the last checkpoint; None before the first of this attempt.
        reports: Epochs finished since the heartbeat before.
        worker: Its address, as the executor knows it.
    """

    trial_id: str
    attempt: int
    phase: str = "preparing"
    epoch: int = 0
    n_epochs: int = 0
    step: int = 0
    n_steps: int = 0
    loss: float | None = None
    pictures_per_second: float | None = None
    memory_bytes: int = 0
    seconds_left: float | None = None
    still_seconds: float = 0.0
    saved_seconds: float | None = None
    reports: tuple[EpochReport, ...] = ()
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRequest:
    """What a worker must show before it gets a trial.

    Attributes:
        requirements: Of the trial function.
        marker: What the coordinator wrote into the run's artefacts at `MARKER` when it began;
            whoever reads something else there sees another folder.
        versions: Of the libraries that the results depend on, at the coordinator.
        protocol: Of the coordinator.
        disk_bytes: That must be free where artefacts are kept.
    """

    requirements: Requirements
    marker: str
    versions: Mapping[str, str]
    protocol: int = PROTOCOL
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a worker has shown, or why it cannot.

    Attributes:
        unfit: What is wrong, in one sentence with the remedy; empty when nothing is.
        versions: Of its libraries.
        device: What it trains on, by name.
        n_threads: CPU threads of a training.
        memory_bytes: Free on the device.
        disk_bytes: Free where artefacts are kept.
        data: Digest of the pack that it has read.
    """

    unfit: str = ""
    protocol: int = PROTOCOL
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    n_threads: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    data: str = ""


MARKER = "marker.json"
"""The key, in the run's artefacts, of what tells this run directory from a copy of it."""


def heartbeat_to_json(heartbeat: Heartbeat) -> dict[str, Any]:
    """The heartbeat as a JSON object; `heartbeat_from_json` is its inverse."""
    return {**asdict(heartbeat), "reports": [asdict(report) for report in heartbeat.reports]}


def heartbeat_from_json(value: Mapping[str, Any]) -> Heartbeat:
    """The heartbeat that `heartbeat_to_json` wrote; what a newer one says besides is left out.

    Raises:
        TypeError: It is none.
    """
    reports = tuple(EpochReport(**report) for report in value.get("reports", ()))
    return Heartbeat(**{**_known(Heartbeat, value), "reports": reports})


def proof_request_to_json(request: ProofRequest) -> dict[str, Any]:
    """The request as a JSON object; `proof_request_from_json` is its inverse."""
    return asdict(request)


def proof_request_from_json(value: Mapping[str, Any]) -> ProofRequest:
    """The request that `proof_request_to_json` wrote.

    Raises:
        TypeError, KeyError: It is none of this version.
    """
    named = dict(value["requirements"])
    requirements = Requirements(
        **{
            **named,
            "libraries": tuple(named["libraries"]),
            "data": DataSettings(**named["data"]),
        }
    )
    return ProofRequest(**{**_known(ProofRequest, value), "requirements": requirements})


def hello_to_json(hello: Hello) -> dict[str, Any]:
    """The answer as a JSON object; `hello_from_json` is its inverse."""
    return asdict(hello)


def hello_from_json(value: Mapping[str, Any]) -> Hello:
    """The answer that `hello_to_json` wrote; what a newer one says besides is left out.

    Raises:
        TypeError: It is none.
    """
    return Hello(**_known(Hello, value))


def _known(record: type, value: Mapping[str, Any]) -> dict[str, Any]:
    names = {part.name for part in fields(record)}
    return {name: item for name, item in value.items() if name in names}
