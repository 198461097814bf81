"""From a request to the job that a worker gets, with everything that a run's trials share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.settings import (
    FACE_NETWORK,
    DataSettings,
    EvaluationSettings,
    Split,
    TrainingSettings,
    TrialJob,
)
from workers.trials.registry import trial_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from results.trial import TrialRequest
    from search_space.candidate import SpaceSettings
    from workers.trials.function import Requirements

SEARCH_SPLIT: Split = "val"
RETRAIN_SPLIT: Split = "test"

CHECKPOINTS = "checkpoints"
_MODELS = "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    """What all jobs of one run have in common.

    Attributes:
        artefacts: Location of the store of checkpoints and models, for workers everywhere.
        provenance: Written into every retrained model.
        stall_seconds: A training that does not go on for so long is ended and tried elsewhere.
    """

    artefacts: str
    data: DataSettings
    space: SpaceSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    objectives: tuple[str, ...]
    max_epochs: int
    constraints: Mapping[str, float]
    provenance: Mapping[str, Any]
    stall_seconds: float = 300.0

    def requirements(self) -> Requirements:
        """What a worker must show to take any job of the run."""
        return trial_function(FACE_NETWORK).requirements(
            self.training.device, self.data, self.artefacts
        )

    def search_job(self, request: TrialRequest) -> TrialJob:
        """Train towards the run's maximal epochs and measure on the validation split."""
        return self._job(
            request,
            max_epochs=self.max_epochs,
            split=SEARCH_SPLIT,
            checkpoints=checkpoint_folder(request.config_id),
        )

    def retrain_job(self, request: TrialRequest) -> TrialJob:
        """Train to the request's epochs from the beginning and measure on the test split."""
        name = model_name(request.config_id, request.seed)
        return self._job(
            request,
            max_epochs=request.epochs,
            split=RETRAIN_SPLIT,
            checkpoints=checkpoint_folder(f"{name}-e{request.epochs}"),
            model=model_folder(name),
        )

    def _job(
        self,
        request: TrialRequest,
        *,
        max_epochs: int,
        split: Split,
        checkpoints: str,
        model: str | None = None,
    ) -> TrialJob:
        return TrialJob(
            request=request,
            data=self.data,
            space=self.space,
            training=self.training,
            evaluation=self.evaluation,
            objectives=self.objectives,
            max_epochs=max_epochs,
            split=split,
            artefacts=self.artefacts,
            checkpoints=checkpoints,
            model=model,
            constraints=self.constraints if model is None else {},
            provenance=self.provenance,
            stall_seconds=self.stall_seconds,
        )


def checkpoint_folder(name: str) -> str:
    """The folder, in the run's artefacts, of one training's checkpoints."""
    return f"{CHECKPOINTS}/{name}"


def model_folder(name: str) -> str:
    """The folder, in the run's artefacts, of a retrained model."""
    return f"{_MODELS}/{name}"


def model_name(config_id: str, seed: int) -> str:
    """What a retrained model is called, such as `c0007-s1`."""
    return f"{config_id}-s{seed}"
