from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from search_space.candidate import Candidate, DualPathArchitecture, HeadName, OptimizerName
from workers.checkpoints import load_checkpoint, save_checkpoint
from workers.errors import DataError, TrainingDivergedError
from workers.pack import Pack
from workers.pictures import TrainingSet, training_set
from workers.settings import TrainingSettings
from workers.training import (
    Training,
    classification_loss,
    plan,
    restore,
    start_training,
    to_checkpoint,
    train_epoch,
)

MAX_EPOCHS = 8
SETTINGS = TrainingSettings(batch_size=12, device="cpu")


def candidate(
    optimizer: OptimizerName = "SGD", head: HeadName = "CosFace", rate: float = 0.05
) -> Candidate:
    return Candidate(
        architecture=DualPathArchitecture(edges=(3, 0, 1), width=0.02, blocks_per_stage=1),
        embedding_size=16,
        head=head,
        optimizer=optimizer,
        learning_rate=rate,
    )


@pytest.fixture
def data(pattern_pack: Pack) -> TrainingSet:
    return training_set(pattern_pack, torch.device("cpu"))


def train(
    training: Training, data: TrainingSet, settings: TrainingSettings, *, epochs: int, rate: float
) -> None:
    schedule = plan(settings, n_images=len(data.pictures), max_epochs=MAX_EPOCHS)
    while training.epochs < epochs:
        train_epoch(training, data, settings=settings, schedule=schedule, learning_rate=rate)


def states(training: Training) -> dict[str, torch.Tensor]:
    named = {f"network.{k}": v for k, v in training.network.state_dict().items()}
    named |= {f"head.{k}": v for k, v in training.head.state_dict().items()}
    if training.averaged is not None:
        named |= {f"averaged.{k}": v for k, v in training.averaged.state_dict().items()}
    for index, slots in training.optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, torch.Tensor):
                named[f"optimizer.{index}.{name}"] = value
    return named


@pytest.mark.parametrize(
    ("optimizer", "rate", "settings"),
    [
        ("SGD", 0.1, SETTINGS),
        ("Adam", 1e-3, SETTINGS),
        ("AdamW", 1e-3, replace(SETTINGS, ema_decay=0.9, focal_gamma=2.0)),
    ],
)
def test_training_in_rungs_through_checkpoints_equals_training_straight_bit_for_bit(
    tmp_path: Path,
    data: TrainingSet,
    optimizer: OptimizerName,
    rate: float,
    settings: TrainingSettings,
) -> None:
    made = candidate(optimizer, "MagFace", rate)
    straight = start_training(made, settings, data=data, seed=7)
    train(straight, data, settings, epochs=8, rate=rate)
    checkpoint = None
    for epochs in (2, 4, 8):
        torch.rand(epochs)  # another process is in another random state
        rung = start_training(made, settings, data=data, seed=7)
        if checkpoint is not None:
            restore(rung, load_checkpoint(checkpoint, expected_fingerprint="{}"))
        train(rung, data, settings, epochs=epochs, rate=rate)
        checkpoint = save_checkpoint(tmp_path, to_checkpoint(rung, fingerprint="{}"))
    assert rung.losses == straight.losses
    ours, theirs = states(rung), states(straight)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_random_layers_continue_bit_for_bit_too(data: TrainingSet) -> None:
    def with_dropout() -> Training:
        training = start_training(candidate(), SETTINGS, data=data, seed=0)
        training.network = torch.nn.Sequential(training.network, torch.nn.Dropout(0.5))
        return training

    straight = with_dropout()
    train(straight, data, SETTINGS, epochs=2, rate=0.05)
    stopped = with_dropout()
    train(stopped, data, SETTINGS, epochs=1, rate=0.05)
    torch.rand(100)
    train(stopped, data, SETTINGS, epochs=2, rate=0.05)
    assert stopped.losses == straight.losses


def test_another_seed_trains_another_network(data: TrainingSet) -> None:
    losses = []
    for seed in (0, 1):
        training = start_training(candidate(), SETTINGS, data=data, seed=seed)
        train(training, data, SETTINGS, epochs=1, rate=0.05)
        losses.append(training.losses)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("head", ["CosFace", "ArcFace", "MagFace"])
def test_training_lowers_the_loss(data: TrainingSet, head: HeadName) -> None:
    settings = replace(SETTINGS, augmentation=0.0)
    training = start_training(candidate("AdamW", head, 5e-3), settings, data=data, seed=0)
    train(training, data, settings, epochs=8, rate=5e-3)
    assert training.losses[-1] < 0.7 * training.losses[0]


def test_the_global_random_state_and_the_training_set_are_left_alone(data: TrainingSet) -> None:
    before, images = torch.get_rng_state(), data.pictures.gather(torch.arange(4)).clone()
    training = start_training(candidate(), SETTINGS, data=data, seed=0)
    train(training, data, SETTINGS, epochs=1, rate=0.05)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(data.pictures.gather(torch.arange(4)), images)


def test_a_loss_that_is_not_finite_ends_the_training(data: TrainingSet) -> None:
    settings = replace(SETTINGS, clip_grad_norm=None)
    training = start_training(candidate(rate=1e30), settings, data=data, seed=0)
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        train(training, data, settings, epochs=8, rate=1e30)
    assert training.epochs < 8


def test_weights_decay_but_biases_norms_and_class_weights_do_not(data: TrainingSet) -> None:
    training = start_training(candidate("AdamW"), SETTINGS, data=data, seed=0)
    decayed, kept = training.optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-4, 0.0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert any(parameter is training.head.weight for parameter in kept["params"])
    grouped = [id(parameter) for parameter in [*decayed["params"], *kept["params"]]]
    trained = [*training.network.parameters(), *training.head.parameters()]
    assert sorted(grouped) == sorted(id(p) for p in trained if p.requires_grad)


def test_the_average_follows_its_formula(data: TrainingSet) -> None:
    settings = replace(SETTINGS, ema_decay=0.5)
    training = start_training(candidate(), settings, data=data, seed=0)
    expected = [p.detach().clone() for p in training.network.parameters()]
    schedule = replace(
        plan(settings, n_images=len(data.pictures), max_epochs=MAX_EPOCHS), steps_per_epoch=1
    )
    for step in range(12):
        train_epoch(training, data, settings=settings, schedule=schedule, learning_rate=0.05)
        decay = min(0.5, (1 + step) / (10 + step))
        weights = [p.detach() for p in training.network.parameters()]
        expected = [
            decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)
        ]
    assert training.averaged is training.evaluated_network
    for average, value in zip(training.averaged.parameters(), expected, strict=True):
        torch.testing.assert_close(average, value, rtol=1e-4, atol=1e-6)


def test_running_statistics_begin_as_the_mean_over_the_batches_seen(data: TrainingSet) -> None:
    training = start_training(candidate(rate=0.0), SETTINGS, data=data, seed=0)
    norm, momentum = training.norms[0]
    means: list[torch.Tensor] = []
    norm.register_forward_hook(
        lambda module, inputs, output: means.append(inputs[0].mean(dim=(0, 2, 3)).detach())
    )
    train(training, data, SETTINGS, epochs=4, rate=0.0)
    assert len(means) == 8 < 1 / momentum
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))


def test_a_batch_shrinks_to_the_images_there_are() -> None:
    schedule = plan(TrainingSettings(batch_size=64), n_images=20, max_epochs=10)
    assert (schedule.batch_size, schedule.steps_per_epoch, schedule.total_steps) == (20, 1, 10)
    assert schedule.warmup_steps == 1


@pytest.mark.parametrize(("batch_size", "n_images"), [(1, 50), (64, 1), (64, 0)])
def test_a_batch_of_one_is_refused(batch_size: int, n_images: int) -> None:
    with pytest.raises(DataError, match="cannot be normalised"):
        plan(TrainingSettings(batch_size=batch_size), n_images=n_images, max_epochs=1)


def test_the_plain_loss_is_the_mean_cross_entropy_and_the_regulariser() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 2, 0, 1])
    loss = classification_loss(
        logits, classes, torch.full((5,), 0.25), settings=TrainingSettings()
    )
    torch.testing.assert_close(loss, F.cross_entropy(logits, classes) + 0.25)


def test_the_focal_loss_equals_its_closed_form() -> None:
    logits = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    classes = torch.tensor([0, 0])
    loss = classification_loss(
        logits, classes, torch.zeros(2), settings=TrainingSettings(focal_gamma=2.0)
    )
    p = torch.softmax(logits.double(), dim=1)[:, 0]
    assert loss.item() == pytest.approx(float((-((1 - p) ** 2) * p.log()).mean()), rel=1e-5)


def test_the_focal_loss_of_a_certain_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    settings = TrainingSettings(focal_gamma=0.5)
    classification_loss(logits, torch.tensor([0]), torch.zeros(1), settings=settings).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
