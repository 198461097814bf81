from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import workers.run
from results.trial import (
    FailureKind,
    TrialOutcome,
    TrialRequest,
    outcome_from_json,
    outcome_to_json,
)
from search_space.candidate import SpaceSettings
from search_space.errors import InvalidConfigurationError
from workers.errors import CheckpointError, CollapsedError, DataError, TrainingDivergedError
from workers.models import load_model
from workers.pack import Pack
from workers.run import failure_kind, run_trial
from workers.settings import DataSettings, EvaluationSettings, TrainingSettings, TrialJob

CONFIGURATION = {
    "edge1": "3",
    "edge2": "0",
    "edge3": "1",
    "head": "CosFace",
    "optimizer": "AdamW",
    "lr_adam": 0.005,
}


@pytest.fixture
def job(pattern_pack: Pack, tmp_path: Path) -> TrialJob:
    return TrialJob(
        request=TrialRequest(
            trial_id="t0001",
            config_id="c0001",
            configuration=CONFIGURATION,
            rung=0,
            epochs=2,
            seed=0,
        ),
        data=DataSettings(pack=str(pattern_pack.path), digest=pattern_pack.digest, group="gender"),
        space=SpaceSettings(preset="paper", width=0.02, embedding_size=16),
        training=TrainingSettings(batch_size=16, device="cpu", augmentation=0.0),
        evaluation=EvaluationSettings(n_replicates=50),
        objectives=("error", "rank_disparity"),
        max_epochs=4,
        split="val",
        run_directory=str(tmp_path),
        checkpoint_directory="checkpoints/c0001",
        provenance={"run": "test"},
    )


def at_epochs(job: TrialJob, epochs: int) -> TrialJob:
    return replace(job, request=replace(job.request, epochs=epochs))


def with_configuration(job: TrialJob, **changes: str | float) -> TrialJob:
    configuration = {**CONFIGURATION, **changes}
    return replace(job, request=replace(job.request, configuration=configuration))


def same_result(first: TrialOutcome, second: TrialOutcome) -> bool:
    return (first.costs, first.interval95, first.metrics) == (
        second.costs,
        second.interval95,
        second.metrics,
    )


def test_a_trial_is_trained_saved_and_measured(job: TrialJob) -> None:
    outcome = run_trial(job, clock=itertools.count(10.0, 0.5).__next__)
    assert outcome.failure is None, outcome.detail
    assert outcome.costs is not None
    assert set(outcome.costs) == set(outcome.interval95) == {"error", "rank_disparity"}
    assert outcome.costs["error"] == outcome.metrics["overall"]["error"]
    assert len(outcome.metrics["training"]["loss_by_epoch"]) == 2
    assert outcome.epochs_trained == 2
    assert outcome.seconds > 0.0
    assert outcome.device.startswith("cpu")
    assert outcome.checkpoint == "checkpoints/c0001/epochs-0002.pt"
    assert (Path(job.run_directory) / outcome.checkpoint).exists()
    assert outcome.architecture is not None
    assert outcome.architecture.family == "dual_path"
    assert outcome_from_json(outcome_to_json(outcome)) == outcome


def test_a_trial_that_is_issued_again_is_only_measured_with_the_same_result(
    job: TrialJob,
) -> None:
    first, again = run_trial(job), run_trial(job)
    assert again.epochs_trained == 0
    assert again.checkpoint == first.checkpoint
    assert same_result(first, again)


def test_a_higher_rung_goes_on_and_equals_training_straight(job: TrialJob) -> None:
    run_trial(job)
    promoted = run_trial(at_epochs(job, 4))
    straight = run_trial(replace(at_epochs(job, 4), checkpoint_directory="checkpoints/straight"))
    assert (promoted.epochs_trained, straight.epochs_trained) == (2, 4)
    assert same_result(promoted, straight)


def test_a_long_training_saves_itself_on_the_way(job: TrialJob) -> None:
    hasty = replace(job, training=replace(job.training, checkpoint_seconds=0.0))
    run_trial(at_epochs(hasty, 4))
    folder = Path(job.run_directory) / job.checkpoint_directory
    assert sorted(path.name for path in folder.iterdir()) == ["epochs-0003.pt", "epochs-0004.pt"]


def test_another_timeout_or_device_setting_does_not_refuse_the_checkpoint(job: TrialJob) -> None:
    first = run_trial(job)
    other = replace(job.training, timeout_seconds=9e9, checkpoint_seconds=1.0, device="auto")
    if torch.cuda.is_available():
        other = replace(other, device="cpu")
    again = run_trial(replace(job, training=other))
    assert again.epochs_trained == 0
    assert same_result(first, again)


@pytest.mark.parametrize("change", ["seed", "recipe", "max_epochs"])
def test_a_checkpoint_of_another_training_is_a_data_error(job: TrialJob, change: str) -> None:
    run_trial(job)
    other = {
        "seed": replace(job, request=replace(job.request, seed=1)),
        "recipe": replace(job, training=replace(job.training, weight_decay=0.5)),
        "max_epochs": replace(job, max_epochs=5),
    }[change]
    outcome = run_trial(other)
    assert outcome.failure is FailureKind.DATA_ERROR
    assert f"{change} differ" in outcome.detail


def test_a_retrained_model_is_written_with_its_metrics_and_provenance(job: TrialJob) -> None:
    outcome = run_trial(replace(job, split="test", model_directory="models/c0001/seed0"))
    assert outcome.failure is None, outcome.detail
    model = load_model(Path(job.run_directory) / "models/c0001/seed0")
    assert model.description.metrics["overall"] == outcome.metrics["overall"]
    assert model.description.metrics["split"] == "test"
    assert model.description.provenance["run"] == "test"
    assert model.description.provenance["data_digest"] == job.data.digest


def test_an_averaged_network_is_measured_and_continued(job: TrialJob) -> None:
    averaging = replace(job, training=replace(job.training, ema_decay=0.9))
    first, again = run_trial(averaging), run_trial(averaging)
    assert first.failure is None, first.detail
    assert same_result(first, again)


def test_a_configuration_that_names_no_network_is_invalid(job: TrialJob) -> None:
    outcome = run_trial(with_configuration(job, edge1="9"))
    assert outcome.failure is FailureKind.INVALID_CONFIGURATION
    assert "edge1" in outcome.detail
    assert outcome.costs is None


def test_a_pack_that_is_missing_is_a_data_error(job: TrialJob, tmp_path: Path) -> None:
    missing = replace(job.data, pack=str(tmp_path / "none.pack"))
    outcome = run_trial(replace(job, data=missing))
    assert outcome.failure is FailureKind.DATA_ERROR
    assert "none.pack" in outcome.detail


def test_a_pack_with_another_digest_is_a_data_error(job: TrialJob) -> None:
    outcome = run_trial(replace(job, data=replace(job.data, digest="0" * 64)))
    assert outcome.failure is FailureKind.DATA_ERROR
    assert "same pack" in outcome.detail


def test_a_training_that_explodes_has_diverged(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        workers.run,
        "decode",
        lambda configuration, space: replace(
            workers_decode(configuration, space), learning_rate=1e30
        ),
    )
    outcome = run_trial(job)
    assert outcome.failure is FailureKind.DIVERGED
    assert outcome.architecture is not None
    assert outcome.checkpoint is None


workers_decode = workers.run.decode


def test_an_unknown_objective_crashes_with_its_name_and_the_traceback(job: TrialJob) -> None:
    outcome = run_trial(replace(job, objectives=("error", "beauty")))
    assert outcome.failure is FailureKind.CRASHED
    first, *others = outcome.detail.splitlines()
    assert first.startswith("ValueError: objectives ['beauty'] are not measured")
    assert "in _costs" in "\n".join(others)
    assert outcome.checkpoint is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), FailureKind.OUT_OF_MEMORY),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
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
    assert workers.run._detail(MemoryError()) == "MemoryError"
