"""What a worker needs to know besides the trial itself: plain values, JSON-able."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from results.trial import TrialRequest, request_from_json, request_to_json
from search_space.candidate import SpaceSettings, settings_from_json

Split: TypeAlias = Literal["train", "val", "test"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]

CONSTRAINTS = (
    "max_parameters",
    "max_macs",
    "max_activation_bytes",
    "max_milliseconds_per_image",
)


FACE_NETWORK = "face_network"
"""The trial function that trains a face network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Where the faces are and which group column is compared.

    Attributes:
        digest: The pack's content digest; a worker refuses a pack with another one.
    """

    pack: str
    digest: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The recipe that all configurations of a run share.

    Attributes:
        scale: The head's logit scale; None takes sqrt(2) * ln(C - 1), at least 8 (AdaCos).
        margin: None takes the head's published margin.
        focal_gamma: 0 is plain cross entropy; the predecessor used 2.
        warmup_fraction: Share of the maximal epochs over which the learning rate rises.
        augmentation: Strength 0..1 of shift, rotation, scaling, brightness and contrast; the
            horizontal flip is on whenever the strength is above 0.
        erasing: Probability of a grey rectangle in a training picture.
        ema_decay: 0 evaluates the weights themselves; else an exponential moving average.
        threads: On the CPU; None takes as many as the worker has. Sums, and so the last bits of a
            result, depend on it.
        timeout_seconds: A trial that takes longer is ended and recorded as timed out.
        memory_gb: Gigabytes (10^9 bytes) that a training step may take; None takes nine tenths of
            what is free when it starts. A batch that needs more is trained in parts.
        checkpoint_seconds: A training also saves itself this long after it last did, in the middle
            of an epoch too, so that a lost worker costs no more.
    """

    batch_size: int = 64
    weight_decay: float = 1e-4
    momentum: float = 0.9
    scale: float | None = None
    margin: float | None = None
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0
    warmup_fraction: float = 0.1
    clip_grad_norm: float | None = 5.0
    augmentation: float = 0.5
    erasing: float = 0.0
    ema_decay: float = 0.0
    precision: Precision = "auto"
    device: Device = "auto"
    threads: int | None = None
    memory_gb: float | None = None
    timeout_seconds: float | None = None
    checkpoint_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """How embeddings are made and compared.

    Attributes:
        max_images_per_identity: Identities with more keep a seeded choice of this many; rank and
            error depend on images per identity, so uneven counts would pass for disparity.
        flip: Embed each picture and its mirror image and add both.
        batch_size: Pictures at a time; halved where that does not fit into a GPU's memory.
        n_replicates: Resamplings of identities behind the 95 % intervals.
        n_permutations: Shuffles of the groups behind the p-values; 0 for none.
        verification: Compare all pairs at one threshold, too. Retraining always does all three.
        fmr: False match rate of all pairs together that sets the threshold.
        open_set: Search an enrolled gallery, too, also for people who are not in it.
        fpir: Share of searches for these that may find somebody.
        tables: Write tables by every group column, too.
        every_epochs: Measure the costs on the validation split after each so many epochs, too;
            None never. No result depends on it.
    """

    max_images_per_identity: int = 10
    flip: bool = True
    batch_size: int = 256
    n_replicates: int = 1000
    n_permutations: int = 1000
    verification: bool = False
    fmr: float = 1e-3
    open_set: bool = False
    fpir: float = 0.01
    tables: bool = False
    every_epochs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """A request with everything its worker needs; the one argument of the submitted task.

    Attributes:
        max_epochs: The schedule's length; depends on the run, never on the rung.
        artefacts: Location of the store of checkpoints and models, see
            `workers.artefacts.registry`; readable and writable on the worker.
        checkpoints: The configuration's own folder in the store.
        model: The folder in the store where a retrained model is kept; None during a search.
        constraints: Limit -> the largest value that is trained, from `CONSTRAINTS`.
        function: What the trial does, see `workers.trials.registry`.
        resume_from: Of the checkpoint to go on from, key in the store -> digest; a worker that
            sees neither it nor a later one of the same training does not begin anew. Empty where
            nothing was saved yet, or nobody knows.
        stall_seconds: A training that does not go on for so long is ended and tried elsewhere.
    """

    request: TrialRequest
    data: DataSettings
    space: SpaceSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    objectives: tuple[str, ...]
    max_epochs: int
    split: Split
    artefacts: str
    checkpoints: str
    model: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    function: str = FACE_NETWORK
    resume_from: Mapping[str, str] = field(default_factory=dict)
    stall_seconds: float = 300.0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.constraints) - set(CONSTRAINTS))
        if unknown:
            raise ValueError(
                f"unknown constraints {unknown}; choose from {', '.join(CONSTRAINTS)}"
            )


def job_to_json(job: TrialJob) -> dict[str, Any]:
    """The job as a JSON object; `job_from_json` is its inverse."""
    return {
        **asdict(job),
        "request": request_to_json(job.request),
        "resume_from": dict(job.resume_from),
    }


def job_from_json(value: Mapping[str, Any]) -> TrialJob:
    """The job that `job_to_json` wrote, also after a trip through JSON text."""
    fields = dict(value)
    fields["request"] = request_from_json(fields["request"])
    fields["data"] = DataSettings(**fields["data"])
    fields["space"] = settings_from_json(fields["space"])
    fields["training"] = TrainingSettings(**fields["training"])
    fields["evaluation"] = EvaluationSettings(**fields["evaluation"])
    fields["objectives"] = tuple(fields["objectives"])
    return TrialJob(**fields)
