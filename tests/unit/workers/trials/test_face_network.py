from __future__ import annotations

import gc
import itertools
import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from results.trial import (
    FailureKind,
    TrialOutcome,
    TrialRequest,
    outcome_from_json,
    outcome_to_json,
)
from search_space.candidate import Mitigation, SpaceSettings
from search_space.definition.decode import decode
from tests.damage import flipped_bit
from workers.artefacts.directory import DirectoryStore
from workers.artefacts.store import ArtefactStore
from workers.data.packs import stored
from workers.data.packs.pack import Pack
from workers.data.pictures import TrainingSet
from workers.models import load_model
from workers.settings import (
    DataSettings,
    EvaluationSettings,
    TrainingSettings,
    TrialJob,
    job_from_json,
    job_to_json,
)
from workers.training.checkpoints import Checkpoint, SavedCheckpoint, save_checkpoint
from workers.training.loop import Training, train_epoch
from workers.training.memory import measure_step
from workers.trials import face_network
from workers.trials.run import run_trial

SIZE, N_TRAIN = 32, 8  # of the pack
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
        artefacts=str(tmp_path),
        checkpoints="checkpoints/c0001",
        provenance={"run": "test"},
    )


def at_epochs(job: TrialJob, epochs: int) -> TrialJob:
    return replace(job, request=replace(job.request, epochs=epochs))


def with_configuration(job: TrialJob, **changes: str | float) -> TrialJob:
    configuration = {**CONFIGURATION, **changes}
    return replace(job, request=replace(job.request, configuration=configuration))


def decode_with(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let every configuration mean a candidate with these fields as well."""
    monkeypatch.setattr(
        face_network,
        "decode",
        lambda configuration, space: replace(decode(configuration, space), **changes),
    )


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
    assert (Path(job.artefacts) / outcome.checkpoint).exists()
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
    straight = run_trial(replace(at_epochs(job, 4), checkpoints="checkpoints/straight"))
    assert (promoted.epochs_trained, straight.epochs_trained) == (2, 4)
    assert same_result(promoted, straight)


def test_a_long_training_saves_itself_on_the_way(job: TrialJob) -> None:
    hasty = replace(job, training=replace(job.training, checkpoint_seconds=0.0))
    run_trial(at_epochs(hasty, 4))
    folder = Path(job.artefacts) / job.checkpoints
    first, last = sorted(path.name for path in folder.iterdir())
    assert (first[:12], last) == ("epochs-0003+", "epochs-0004.pt")


def test_a_trial_goes_on_in_the_middle_of_an_epoch(
    job: TrialJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies when it has saved itself after the first step of the second epoch."""

    def dying(
        store: ArtefactStore, folder: str, checkpoint: Checkpoint, **options: Any
    ) -> SavedCheckpoint:
        saved = save_checkpoint(store, folder, checkpoint, **options)
        if (checkpoint.epochs, checkpoint.steps) == (1, 1):
            raise KeyboardInterrupt
        return saved

    straight = run_trial(replace(at_epochs(job, 2), artefacts=str(tmp_path / "other")))
    hasty = replace(at_epochs(job, 2), training=replace(job.training, checkpoint_seconds=0.0))
    with monkeypatch.context() as patched:
        patched.setattr(face_network, "save_checkpoint", dying)
        with pytest.raises(KeyboardInterrupt):
            run_trial(hasty)
    again = run_trial(at_epochs(job, 2))
    assert again.epochs_trained == 1
    assert same_result(straight, again)


@pytest.mark.parametrize("n_failures", [1, 2])
def test_a_training_that_runs_out_of_memory_goes_on_in_smaller_parts(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch, n_failures: int
) -> None:
    splits: list[int] = []

    def short_of_memory(training: Training, data: TrainingSet, **options: Any) -> bool:
        splits.append(options["schedule"].n_splits)
        if len(splits) <= n_failures:
            training.network = torch.nn.Linear(1, 1)  # whatever it left behind is not used
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_epoch(training, data, **options)

    monkeypatch.setattr(face_network, "train_epoch", short_of_memory)
    outcome = run_trial(job)
    assert outcome.failure is None, outcome.detail
    assert splits[: n_failures + 1] == [1, 2, 4][: n_failures + 1]
    assert outcome.metrics["memory"]["n_splits"] == 2**n_failures


def test_a_training_that_never_fits_is_out_of_memory(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[int] = []

    def always(training: Training, data: TrainingSet, **options: Any) -> bool:
        splits.append(options["schedule"].n_splits)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(face_network, "train_epoch", always)
    assert run_trial(job).failure is FailureKind.OUT_OF_MEMORY
    batch_size = min(job.training.batch_size, 32)
    assert splits == [2**n for n in range(len(splits))]
    assert 2 <= batch_size // splits[-1] < 4


def test_another_timeout_or_device_setting_does_not_refuse_the_checkpoint(job: TrialJob) -> None:
    first = run_trial(job)
    other = replace(
        job.training,
        timeout_seconds=9e9,
        checkpoint_seconds=1.0,
        memory_gb=1.0,
        device="auto",
    )
    if torch.cuda.is_available():
        other = replace(other, device="cpu")
    again = run_trial(replace(job, training=other))
    assert again.epochs_trained == 0
    assert same_result(first, again)


@pytest.mark.parametrize("change", ["seed", "recipe", "max_epochs"])
def test_a_checkpoint_of_another_training_is_passed_over_and_the_training_begins_anew(
    job: TrialJob, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_trial(job)
    other = {
        "seed": replace(job, request=replace(job.request, seed=1)),
        "recipe": replace(job, training=replace(job.training, weight_decay=0.5)),
        "max_epochs": replace(job, max_epochs=5),
    }[change]
    outcome = run_trial(other)
    assert outcome.failure is None, outcome.detail
    assert outcome.epochs_trained == 2
    assert f"belongs to another training: {change} differ" in caplog.text
    assert "the training begins anew" in caplog.text


def test_a_checkpoint_whose_states_do_not_fit_is_passed_over_for_the_one_before(
    job: TrialJob, caplog: pytest.LogCaptureFixture
) -> None:
    run_trial(at_epochs(job, 1))
    first = run_trial(job)
    assert first.checkpoint is not None
    path = Path(job.artefacts) / first.checkpoint
    states = torch.load(path, weights_only=True)
    states["head"].clear()
    torch.save(states, path)
    again = run_trial(job)
    assert again.failure is None, again.detail
    assert again.epochs_trained == 1
    assert same_result(first, again)
    assert f"checkpoint {path} does not fit its training" in caplog.text


def test_an_outcome_names_its_files_with_their_digests(job: TrialJob) -> None:
    store = DirectoryStore(Path(job.artefacts))
    outcome = run_trial(replace(job, split="test", model="models/c0001-s0"))
    assert outcome.checkpoint is not None
    names = ("models/c0001-s0/model.safetensors", "models/c0001-s0/model.json")
    assert set(outcome.artefacts) == {outcome.checkpoint, *names}
    for key, digest in outcome.artefacts.items():
        assert digest == store.digest(key)
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome
    again = run_trial(job)
    assert again.epochs_trained == 0
    assert again.artefacts == {outcome.checkpoint: outcome.artefacts[outcome.checkpoint]}


def promised(job: TrialJob, outcome: TrialOutcome) -> TrialJob:
    """The job of the next rung, which names the checkpoint that the outcome left."""
    assert outcome.checkpoint is not None
    named = {outcome.checkpoint: outcome.artefacts[outcome.checkpoint]}
    return replace(at_epochs(job, 4), resume_from=named)


def test_a_worker_that_sees_the_named_checkpoint_or_a_later_one_goes_on(job: TrialJob) -> None:
    promotion = promised(job, run_trial(job))
    assert job_from_json(json.loads(json.dumps(job_to_json(promotion)))) == promotion
    run_trial(replace(at_epochs(job, 3)))  # an attempt at it that was lost later on
    (Path(job.artefacts) / job.checkpoints / "epochs-0002.pt").unlink()
    outcome = run_trial(promotion)
    assert outcome.failure is None, outcome.detail
    assert outcome.epochs_trained == 1


@pytest.mark.parametrize("sight", ["nothing", "an older one", "other bytes", "another training"])
def test_a_worker_that_does_not_see_the_named_checkpoint_does_not_begin_anew(
    job: TrialJob, sight: str
) -> None:
    promotion = promised(job, run_trial(job))
    key = f"{job.checkpoints}/epochs-0002.pt"
    path = Path(job.artefacts) / key
    path.unlink()
    if sight == "an older one":
        run_trial(at_epochs(job, 1))
    elif sight == "other bytes":
        run_trial(job)
        promotion = replace(promotion, resume_from={key: "sha256:" + "0" * 64})
    elif sight == "another training":
        run_trial(replace(job, request=replace(job.request, seed=1)))
    outcome = run_trial(promotion)
    assert outcome.failure is FailureKind.DATA_ERROR
    assert outcome.epochs_trained == 0
    assert f"does not see {key}" in outcome.detail
    assert "let both be the same folder" in outcome.detail


def test_outcomes_and_jobs_from_before_digests_were_kept_are_read(job: TrialJob) -> None:
    older, outcome = job_to_json(job), outcome_to_json(run_trial(job))
    del older["resume_from"], outcome["artefacts"]
    assert job_from_json(older) == job
    assert outcome_from_json(outcome).artefacts == {}


def test_a_retrained_model_is_written_with_its_metrics_and_provenance(job: TrialJob) -> None:
    outcome = run_trial(replace(job, split="test", model="models/c0001/seed0"))
    assert outcome.failure is None, outcome.detail
    model = load_model(Path(job.artefacts) / "models/c0001/seed0")
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


@pytest.mark.parametrize("ends", ["well", "diverged", "crashed"])
def test_no_result_is_returned_of_a_damaged_pack_that_is_read_in_the_background(
    job: TrialJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    path = tmp_path / "faces.pack"
    path.write_bytes(Path(job.data.pack).read_bytes())
    flipped_bit(path)
    monkeypatch.setattr(stored, "LARGE_BYTES", 0)
    if ends == "diverged":
        decode_with(monkeypatch, learning_rate=1e30)
    elif ends == "crashed":
        monkeypatch.setattr(face_network, "train_epoch", lambda *_, **__: 1 / 0)
    outcome = run_trial(replace(job, data=replace(job.data, pack=str(path)), model="models/m"))
    assert outcome.failure is FailureKind.DATA_ERROR
    assert f"{path}: the content does not match its digest" in outcome.detail
    assert outcome.checkpoint is None
    assert outcome.artefacts == {}
    assert list(tmp_path.glob("*/**/*")) == [], "and nothing to go on from is left"


def test_a_training_that_explodes_has_diverged(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_with(monkeypatch, learning_rate=1e30)
    outcome = run_trial(job)
    assert outcome.failure is FailureKind.DIVERGED
    assert outcome.architecture is not None
    assert outcome.checkpoint is None


def test_an_unknown_objective_crashes_with_its_name_and_the_traceback(job: TrialJob) -> None:
    outcome = run_trial(replace(job, objectives=("error", "beauty")))
    assert outcome.failure is FailureKind.CRASHED
    first, *others = outcome.detail.splitlines()
    assert first.startswith("ValueError: objectives ['beauty'] are not measured")
    assert "in _findings" in "\n".join(others)
    assert outcome.checkpoint is not None


def limited(job: TrialJob, n_bytes: int) -> TrialJob:
    return replace(job, training=replace(job.training, memory_gb=n_bytes / 1e9))


def needed_bytes(job: TrialJob, n_images: int) -> int:
    """What a step with so many pictures at a time needs."""
    candidate = decode(CONFIGURATION, job.space)
    step = measure_step(
        candidate, job.training, image_shape=(1, SIZE), n_classes=N_TRAIN, bfloat16=False
    )
    return step.of(n_images)


def test_memory_and_parts_are_reported(job: TrialJob) -> None:
    memory = run_trial(job).metrics["memory"]
    assert memory["n_splits"] == 1
    assert memory["bytes_needed"] > 1e5


def test_a_batch_that_does_not_fit_is_trained_in_parts_and_goes_on_in_as_many(
    job: TrialJob,
) -> None:
    needed = needed_bytes(job, 8)
    tight = limited(job, needed + 1000)
    first = run_trial(tight)
    assert first.failure is None, first.detail
    assert first.metrics["memory"] == {"bytes_needed": needed, "n_splits": 2}
    promoted = run_trial(at_epochs(job, 4))  # here the whole batch would fit
    straight = run_trial(replace(at_epochs(tight, 4), checkpoints="checkpoints/straight"))
    assert promoted.epochs_trained == 2
    assert same_result(promoted, straight)


def test_a_trial_begun_at_once_does_not_go_on_in_parts(job: TrialJob) -> None:
    needed = needed_bytes(job, 8)
    first = run_trial(job)
    tight = limited(job, needed + 1000)
    assert same_result(run_trial(tight), first)  # nothing left to train
    outcome = run_trial(at_epochs(tight, 4))
    assert outcome.failure is FailureKind.OUT_OF_MEMORY
    assert "as many parts as when it was begun (1) needs" in outcome.detail


def test_a_network_that_cannot_fit_is_out_of_memory_with_a_sentence(job: TrialJob) -> None:
    outcome = run_trial(limited(job, 10_000))
    assert outcome.failure is FailureKind.OUT_OF_MEMORY
    assert "two or three at a time needs 0.0" in outcome.detail
    assert "0.00 GB are free" in outcome.detail
    assert "smaller networks" in outcome.detail
    assert outcome.epochs_trained == 0
    assert outcome.architecture is not None


def test_the_network_itself_can_be_an_objective(job: TrialJob) -> None:
    names = ("error", "parameters", "macs", "activation_bytes", "milliseconds_per_image")
    outcome = run_trial(replace(job, objectives=names))
    assert outcome.failure is None, outcome.detail
    assert outcome.costs is not None
    assert outcome.architecture is not None
    assert tuple(outcome.costs) == tuple(outcome.interval95) == names
    for name in ("parameters", "macs", "activation_bytes"):
        assert outcome.costs[name] == getattr(outcome.architecture, name) > 0
    assert outcome.costs["milliseconds_per_image"] > 0.0
    for name in names[1:]:
        assert outcome.interval95[name] == (outcome.costs[name], outcome.costs[name])


def test_the_speed_is_measured_only_where_it_is_asked_for(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_network, "milliseconds_per_image", lambda *args, **kwargs: 1.0 / 0.0)
    outcome = run_trial(job)
    assert outcome.failure is None, outcome.detail


@pytest.mark.parametrize(
    ("constraint", "limit"),
    [
        ("max_parameters", 100.0),
        ("max_macs", 1000.0),
        ("max_activation_bytes", 1000.0),
        ("max_milliseconds_per_image", 1e-9),
    ],
)
def test_a_network_beyond_a_constraint_is_refused_before_training(
    job: TrialJob, constraint: str, limit: float
) -> None:
    outcome = run_trial(replace(job, constraints={constraint: limit}))
    assert outcome.failure is FailureKind.INVALID_CONFIGURATION
    assert f"more than {constraint} allows: {limit:,.12g}" in outcome.detail
    assert outcome.epochs_trained == 0
    assert outcome.architecture is not None
    if constraint != "max_milliseconds_per_image":
        value = getattr(outcome.architecture, constraint.removeprefix("max_"))
        assert f"{value:,}" in outcome.detail


def test_a_network_within_its_constraints_is_trained(job: TrialJob) -> None:
    first = run_trial(job)
    assert first.architecture is not None
    limits = {"max_parameters": first.architecture.parameters, "max_milliseconds_per_image": 1e6}
    outcome = run_trial(replace(job, constraints=limits))
    assert same_result(first, outcome)


def test_constraints_survive_the_way_to_the_worker_and_unknown_ones_are_refused(
    job: TrialJob,
) -> None:
    constrained = replace(job, constraints={"max_macs": 1e6})
    assert job_from_json(json.loads(json.dumps(job_to_json(constrained)))) == constrained
    older = job_to_json(job)
    del older["constraints"]
    assert job_from_json(older) == job
    with pytest.raises(ValueError, match=r"\['max_weight'\]; choose from max_parameters"):
        replace(job, constraints={"max_weight": 1.0})


def test_what_a_candidate_says_changes_its_training(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run_trial(job)
    decode_with(monkeypatch, label_smoothing=0.2)
    smoothed = run_trial(replace(job, checkpoints="checkpoints/smoothed"))
    assert smoothed.failure is None, smoothed.detail
    assert plain.metrics["training"] != smoothed.metrics["training"]


def test_group_dro_reports_the_groups_weights(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_with(monkeypatch, mitigation=Mitigation(name="group_dro", strength=0.1))
    outcome = run_trial(job)
    assert outcome.failure is None, outcome.detail
    weights = outcome.metrics["training"]["group_weights"]
    assert set(weights) == {"f", "m"}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert same_result(outcome, run_trial(job))


def test_a_mitigation_that_does_not_fit_the_data_is_a_data_error(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_with(monkeypatch, mitigation=Mitigation(name="group_margin", margins=(("child", 0.1),)))
    outcome = run_trial(job)
    assert outcome.failure is FailureKind.DATA_ERROR
    assert "'child'" in outcome.detail
    assert outcome.epochs_trained == 0


def test_a_job_says_how_many_threads_train_it_and_the_next_has_the_workers_own(
    job: TrialJob,
) -> None:
    own = torch.get_num_threads()
    other = own + 1
    run_trial(replace(job, training=replace(job.training, threads=other)))
    assert torch.get_num_threads() == other
    outcome = run_trial(at_epochs(job, 3))
    assert torch.get_num_threads() == own
    assert outcome.epochs_trained == 1  # threads do not make it another training


def test_a_failed_training_is_freed_at_once(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when the collector of cycles comes by: on a GPU the next trial needs the memory."""
    networks: list[weakref.ref[torch.nn.Module]] = []

    def crash(training: Training, data: TrainingSet, **options: Any) -> bool:
        networks.append(weakref.ref(training.network))
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(face_network, "train_epoch", crash)
    gc.collect()
    gc.disable()
    try:
        outcome = run_trial(job)
        assert outcome.failure is FailureKind.CRASHED
        assert [network() for network in networks] == [None]
    finally:
        gc.enable()
