"""From a request to the job that a worker gets, with everything that a run's trials share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.settings import (
    DataSettings,
    EvaluationSettings,
    Split,
    TrainingSettings,
    TrialJob,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from results.run_directory import RunDirectory
    from results.trial import TrialRequest
    from search_space.candidate import SpaceSettings

SEARCH_SPLIT: Split = "val"
RETRAIN_SPLIT: Split = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    """What all jobs of one run have in common.

    Attributes:
        run: Made absolute in the jobs: workers have working directories of their own.
        provenance: Written into every retrained model.
    """

    run: RunDirectory
    data: DataSettings
    space: SpaceSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    objectives: tuple[str, ...]
    max_epochs: int
    constraints: Mapping[str, float]
    provenance: Mapping[str, Any]

    def search_job(self, request: TrialRequest) -> TrialJob:
        """Train towards the run's maximal epochs and measure on the validation split."""
        folder = self.run.checkpoints(request.config_id)
        return self._job(
            request,
            max_epochs=self.max_epochs,
            split=SEARCH_SPLIT,
            checkpoint_directory=folder.relative_to(self.run.path).as_posix(),
        )

    def retrain_job(self, request: TrialRequest) -> TrialJob:
        """Train to the request's epochs from the beginning and measure on the test split."""
        name = model_name(request.config_id, request.seed)
        folder = self.run.checkpoints(f"{name}-e{request.epochs}")
        models = self.run.models.relative_to(self.run.path)
        return self._job(
            request,
            max_epochs=request.epochs,
            split=RETRAIN_SPLIT,
            checkpoint_directory=folder.relative_to(self.run.path).as_posix(),
            model_directory=(models / name).as_posix(),
        )

    def _job(
        self,
        request: TrialRequest,
        *,
        max_epochs: int,
        split: Split,
        checkpoint_directory: str,
        model_directory: str | None = None,
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
            run_directory=str(self.run.path.absolute()),
            checkpoint_directory=checkpoint_directory,
            model_directory=model_directory,
            constraints=self.constraints if model_directory is None else {},
            provenance=self.provenance,
        )


def model_name(config_id: str, seed: int) -> str:
    """The folder of a retrained model, such as `c0007-s1`."""
    return f"{config_id}-s{seed}"
