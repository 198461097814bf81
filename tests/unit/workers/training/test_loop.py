from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from search_space.candidate import (
    Candidate,
    DualPathArchitecture,
    HeadChoice,
    Mitigation,
    OptimizerName,
)
from search_space.heads.specs import HEADS
from workers.artefacts.directory import DirectoryStore
from workers.data.packs.pack import Pack
from workers.data.pictures import TrainingSet, training_set
from workers.errors import TrainingDivergedError
from workers.settings import TrainingSettings
from workers.training.augmentation import augment, draw_changes
from workers.training.checkpoints import load_checkpoint, save_checkpoint
from workers.training.loop import (
    _AUGMENTATION,
    _ORDER,
    _TORCH,
    Training,
    _derived_seed,
    _generator,
    restore,
    start_training,
    to_checkpoint,
    train_epoch,
)
from workers.training.optimization import build_optimizer, build_scheduler
from workers.training.recipe import plan

MAX_EPOCHS = 8
SETTINGS = TrainingSettings(batch_size=12, device="cpu")


def candidate(
    optimizer: OptimizerName = "SGD",
    head: str = "CosFace",
    rate: float = 0.05,
    mitigation: Mitigation = Mitigation(),  # noqa: B008 - frozen
) -> Candidate:
    return Candidate(
        architecture=DualPathArchitecture(edges=(3, 0, 1), width=0.02, blocks_per_stage=1),
        embedding_size=16,
        head=HeadChoice(name=head),
        optimizer=optimizer,
        learning_rate=rate,
        mitigation=mitigation,
    )


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def data(pattern_pack: Pack) -> TrainingSet:
    data = training_set(pattern_pack, torch.device("cpu"), group="gender")
    # Of the 32 images 5 are of f, 24 of m and 3 of unknown group.
    codes = torch.tensor([0] * 5 + [1] * 24 + [-1] * 3)
    return replace(data, group_codes=codes)


def train(training: Training, data: TrainingSet, *, epochs: int, n_splits: int = 1) -> None:
    schedule = plan(training.recipe, n_images=len(data.pictures), max_epochs=MAX_EPOCHS)
    while training.epochs < epochs:
        train_epoch(training, data, schedule=replace(schedule, n_splits=n_splits))


def states(training: Training) -> dict[str, torch.Tensor]:
    named = {f"network.{k}": v for k, v in training.network.state_dict().items()}
    named |= {f"head.{k}": v for k, v in training.head.state_dict().items()}
    if training.averaged is not None:
        named |= {f"averaged.{k}": v for k, v in training.averaged.state_dict().items()}
    for index, slots in training.optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, torch.Tensor):
                named[f"optimizer.{index}.{name}"] = value
    if training.group_log_weights is not None:
        named["groups"] = training.group_log_weights
    return named


def differing(one: Training, other: Training) -> list[str]:
    ours, theirs = states(one), states(other)
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


@pytest.mark.parametrize(
    ("optimizer", "head", "rate", "settings"),
    [
        ("SGD", "AdaFace", 0.1, SETTINGS),
        ("Adam", "CurricularFace", 1e-3, SETTINGS),
        ("AdamW", "MagFace", 1e-3, replace(SETTINGS, ema_decay=0.9, focal_gamma=2.0)),
    ],
)
def test_training_in_rungs_through_checkpoints_equals_training_straight_bit_for_bit(
    store: DirectoryStore,
    data: TrainingSet,
    optimizer: OptimizerName,
    head: str,
    rate: float,
    settings: TrainingSettings,
) -> None:
    made = candidate(optimizer, head, rate)
    straight = start_training(made, settings, data=data, seed=7)
    train(straight, data, epochs=8)
    checkpoint = None
    for epochs in (2, 4, 8):
        torch.rand(epochs)  # another process is in another random state
        rung = start_training(made, settings, data=data, seed=7)
        if checkpoint is not None:
            restore(rung, load_checkpoint(store, checkpoint, expected_fingerprint="{}"))
        train(rung, data, epochs=epochs)
        checkpoint = save_checkpoint(store, "c1", to_checkpoint(rung, fingerprint="{}")).key
    assert rung.losses == straight.losses
    assert differing(rung, straight) == []


@pytest.mark.parametrize("mitigation", [Mitigation(), Mitigation(name="group_dro", strength=0.5)])
def test_an_epoch_that_pauses_after_every_step_is_the_same_epoch(
    store: DirectoryStore, data: TrainingSet, mitigation: Mitigation
) -> None:
    """Every step in another process: through a checkpoint, into a fresh training."""

    def fresh() -> Training:
        made = candidate("AdamW", "AdaFace", 1e-3, mitigation)
        settings = replace(SETTINGS, batch_size=6, ema_decay=0.9, erasing=0.5)
        training = start_training(made, settings, data=data, seed=7)
        training.network = nn.Sequential(training.network, nn.Dropout(0.5))
        training.averaged = None
        return training

    straight = fresh()
    train(straight, data, epochs=3)
    schedule = plan(straight.recipe, n_images=len(data.pictures), max_epochs=MAX_EPOCHS)
    paused, n_pauses = fresh(), 0
    while paused.epochs < 3:
        torch.rand(n_pauses)  # another process is in another random state
        if not train_epoch(paused, data, schedule=schedule, should_pause=lambda: True):
            n_pauses += 1
            assert len(paused.losses) == paused.epochs
        path = save_checkpoint(store, "c1", to_checkpoint(paused, fingerprint="{}")).key
        paused = fresh()
        restore(paused, load_checkpoint(store, path, expected_fingerprint="{}"))
    assert n_pauses == 3 * (schedule.steps_per_epoch - 1) > 3
    assert paused.losses == straight.losses
    assert differing(paused, straight) == []


def test_a_pause_leaves_the_global_random_state_alone(data: TrainingSet) -> None:
    training = start_training(candidate(), SETTINGS, data=data, seed=0)
    schedule = plan(training.recipe, n_images=len(data.pictures), max_epochs=MAX_EPOCHS)
    state = torch.get_rng_state()
    assert not train_epoch(training, data, schedule=schedule, should_pause=lambda: True)
    assert (training.epochs, training.steps) == (0, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_random_layers_continue_bit_for_bit_too(data: TrainingSet) -> None:
    def with_dropout() -> Training:
        training = start_training(candidate(), SETTINGS, data=data, seed=0)
        training.network = torch.nn.Sequential(training.network, torch.nn.Dropout(0.5))
        return training

    straight = with_dropout()
    train(straight, data, epochs=2)
    stopped = with_dropout()
    train(stopped, data, epochs=1)
    torch.rand(100)
    train(stopped, data, epochs=2)
    assert stopped.losses == straight.losses


def test_another_seed_trains_another_network(data: TrainingSet) -> None:
    losses = []
    for seed in (0, 1):
        training = start_training(candidate(), SETTINGS, data=data, seed=seed)
        train(training, data, epochs=1)
        losses.append(training.losses)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("head", HEADS)
def test_training_lowers_the_loss(data: TrainingSet, head: str) -> None:
    settings = replace(SETTINGS, augmentation=0.0)
    training = start_training(candidate("AdamW", head, 5e-3), settings, data=data, seed=0)
    train(training, data, epochs=8)
    assert training.losses[-1] < 0.7 * training.losses[0]


def test_the_global_random_state_and_the_training_set_are_left_alone(data: TrainingSet) -> None:
    before, images = torch.get_rng_state(), data.pictures.gather(torch.arange(4)).clone()
    training = start_training(candidate(), SETTINGS, data=data, seed=0)
    train(training, data, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(data.pictures.gather(torch.arange(4)), images)


def test_a_loss_that_is_not_finite_ends_the_training(data: TrainingSet) -> None:
    settings = replace(SETTINGS, clip_grad_norm=None)
    training = start_training(candidate(rate=1e30), settings, data=data, seed=0)
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        train(training, data, epochs=8)
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
        train_epoch(training, data, schedule=schedule)
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
    train(training, data, epochs=4)
    assert len(means) == 8 < 1 / momentum
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))


def plain_epoch(training: Training, data: TrainingSet, *, max_epochs: int) -> None:
    """The loop as short as it can be written: no mitigation, no parts, no average, no checks."""
    recipe, epoch, seed = training.recipe, training.epochs, training.seed
    size = recipe.batch_size
    n_steps = len(data.classes) // size
    order = torch.randperm(len(data.classes), generator=_generator(seed, epoch, _ORDER))
    changes = draw_changes(len(order), generator=_generator(seed, epoch, _AUGMENTATION))
    schedule = plan(recipe, n_images=len(data.classes), max_epochs=max_epochs)
    scheduler = build_scheduler(training.optimizer, schedule, learning_rate=training.learning_rate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_derived_seed(seed, epoch, _TORCH))
        for index in range(n_steps):
            step = epoch * n_steps + index
            scheduler.step_update(step)
            for norm, momentum in training.norms:
                norm.momentum = max(momentum, 1.0 / (step + 1))
            batch = slice(index * size, (index + 1) * size)
            pictures = augment(
                data.pictures.gather(order[batch]), changes[batch], strength=recipe.augmentation
            )
            pictures = pictures.contiguous(memory_format=torch.channels_last)
            classes = data.classes[order[batch]]
            logits, regulariser = training.head(training.network(pictures).float(), classes)
            losses = training.head.losses(
                logits, classes, label_smoothing=0.0, focal_gamma=recipe.focal_gamma
            )
            training.optimizer.zero_grad()
            (losses + regulariser).mean().backward()
            assert recipe.clip_grad_norm is not None
            nn.utils.clip_grad_norm_(
                [*training.network.parameters(), *training.head.parameters()],
                recipe.clip_grad_norm,
            )
            training.optimizer.step()
    training.epochs += 1


@pytest.mark.parametrize("head", ["CosFace", "MagFace", "CurricularFace"])
@pytest.mark.parametrize("with_groups", [True, False])
def test_without_mitigation_and_in_one_part_it_is_the_plain_loop_bit_for_bit(
    data: TrainingSet, head: str, with_groups: bool
) -> None:
    seen = data if with_groups else replace(data, group_codes=None, group_labels=())
    settings = replace(SETTINGS, focal_gamma=1.0)
    made = candidate(head=head)
    ours = start_training(made, settings, data=seen, seed=3)
    plain = start_training(made, settings, data=seen, seed=3)
    for _ in range(3):
        train(ours, seen, epochs=ours.epochs + 1)
        plain_epoch(plain, seen, max_epochs=MAX_EPOCHS)
    assert differing(ours, plain) == []


@pytest.mark.parametrize(
    "mitigation",
    [
        Mitigation(name="balanced_sampling"),
        Mitigation(name="reweighting"),
        Mitigation(name="group_margin", margins=(("f", 0.0),)),
    ],
)
def test_a_mitigation_of_strength_0_changes_nothing(
    data: TrainingSet, mitigation: Mitigation
) -> None:
    plain = start_training(candidate(), SETTINGS, data=data, seed=0)
    mitigated = start_training(candidate(mitigation=mitigation), SETTINGS, data=data, seed=0)
    for each in (plain, mitigated):
        train(each, data, epochs=1)
    assert differing(plain, mitigated) == []


MITIGATIONS = [
    Mitigation(name="balanced_sampling", strength=1.0),
    Mitigation(name="reweighting", strength=1.0),
    Mitigation(name="group_dro", strength=0.1),
    Mitigation(name="group_margin", margins=(("f", 0.1),)),
]


@pytest.mark.parametrize("mitigation", MITIGATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("n_splits", [1, 2])
def test_a_mitigated_training_continues_bit_for_bit(
    store: DirectoryStore, data: TrainingSet, mitigation: Mitigation, n_splits: int
) -> None:
    made = candidate(mitigation=mitigation)
    straight = start_training(made, SETTINGS, data=data, seed=7)
    train(straight, data, epochs=4, n_splits=n_splits)
    plain = start_training(candidate(), SETTINGS, data=data, seed=7)
    train(plain, data, epochs=4, n_splits=n_splits)
    assert straight.losses != plain.losses
    path = None
    for epochs in (1, 2, 4):
        torch.rand(epochs)
        rung = start_training(made, SETTINGS, data=data, seed=7)
        if path is not None:
            checkpoint = load_checkpoint(store, path, expected_fingerprint="{}")
            assert checkpoint.n_splits == n_splits
            restore(rung, checkpoint)
        train(rung, data, epochs=epochs, n_splits=n_splits)
        saved = to_checkpoint(rung, fingerprint="{}", n_splits=n_splits)
        path = save_checkpoint(store, "c1", saved).key
    assert rung.losses == straight.losses
    assert differing(rung, straight) == []


def test_group_dro_moves_weight_to_the_group_that_fares_worse(data: TrainingSet) -> None:
    made = candidate("AdamW", rate=1e-3, mitigation=Mitigation(name="group_dro", strength=0.5))
    training = start_training(made, SETTINGS, data=data, seed=0)
    assert training.group_log_weights is not None
    torch.testing.assert_close(training.group_log_weights.exp(), torch.tensor([0.5, 0.5]).double())
    train(training, data, epochs=2)
    weights = training.group_log_weights.exp()
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights[0] != weights[1]


def test_margins_of_groups_reach_the_head_and_no_other_image(data: TrainingSet) -> None:
    mitigation = Mitigation(name="group_margin", margins=(("f", 0.15), ("m", -0.05)))
    training = start_training(candidate(mitigation=mitigation), SETTINGS, data=data, seed=0)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    training.head.register_forward_pre_hook(lambda _, args: seen.append((args[1], args[2])))
    order = torch.randperm(32, generator=_generator(0, 0, _ORDER))[:24]
    train(training, data, epochs=1)
    assert data.group_codes is not None
    by_code = torch.tensor([0.15, -0.05, 0.0])  # -1 is the last
    assert torch.equal(torch.cat([o for _, o in seen]), by_code[data.group_codes[order]])
    assert torch.equal(torch.cat([labels for labels, _ in seen]), data.classes[order])


def without_norms(data: TrainingSet, mitigation: Mitigation, settings: TrainingSettings) -> Any:
    """A training whose network treats every picture by itself."""
    made = candidate(mitigation=mitigation)
    training = start_training(made, settings, data=data, seed=0)
    torch.manual_seed(0)
    training.network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 16))
    training.norms = ()
    training.optimizer = build_optimizer(
        made, training.recipe, network=training.network, head=training.head
    )
    return training


@pytest.mark.parametrize("mitigation", [Mitigation(), *MITIGATIONS], ids=lambda each: each.name)
@pytest.mark.parametrize(("batch_size", "n_splits"), [(12, 4), (11, 2), (13, 4)])
def test_the_parts_of_a_batch_have_the_gradient_and_the_loss_of_the_whole(
    data: TrainingSet, mitigation: Mitigation, batch_size: int, n_splits: int
) -> None:
    settings = replace(SETTINGS, batch_size=batch_size, clip_grad_norm=None)
    whole, parts = (without_norms(data, mitigation, settings) for _ in range(2))
    train(whole, data, epochs=2)
    train(parts, data, epochs=2, n_splits=n_splits)
    assert whole.losses == pytest.approx(parts.losses, rel=1e-5)
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_looking_ahead_for_group_dro_leaves_norms_and_random_masks_as_they_are(
    data: TrainingSet,
) -> None:
    def one_epoch(mitigation: Mitigation) -> tuple[Training, list[torch.Tensor]]:
        made = candidate(rate=0.0, mitigation=mitigation)
        training = start_training(made, SETTINGS, data=data, seed=0)
        masks: list[torch.Tensor] = []
        dropout = nn.Dropout(0.5)
        dropout.register_forward_hook(
            lambda module, args, output: (
                masks.append(output == 0) if torch.is_grad_enabled() else None
            )
        )
        training.network = nn.Sequential(training.network, dropout)
        train(training, data, epochs=1, n_splits=2)
        return training, masks

    plain, masks = one_epoch(Mitigation())
    robust, same_masks = one_epoch(Mitigation(name="group_dro", strength=0.1))
    for one, other in zip(plain.network.buffers(), robust.network.buffers(), strict=True):
        assert torch.equal(one, other)
    assert len(masks) == 4
    assert all(torch.equal(*pair) for pair in zip(masks, same_masks, strict=True))


def test_running_statistics_of_parts_begin_as_the_mean_over_the_parts(data: TrainingSet) -> None:
    training = start_training(candidate(rate=0.0), SETTINGS, data=data, seed=0)
    norm, _ = training.norms[0]
    means: list[torch.Tensor] = []
    norm.register_forward_hook(
        lambda module, inputs, output: means.append(inputs[0].mean(dim=(0, 2, 3)).detach())
    )
    train(training, data, epochs=2, n_splits=4)
    assert len(means) == 16
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "Adam"])
def test_what_the_candidate_says_reaches_the_optimizer(
    data: TrainingSet, optimizer: OptimizerName
) -> None:
    made = replace(candidate(optimizer), weight_decay=0.03, momentum=0.5)
    decayed, kept = start_training(made, SETTINGS, data=data, seed=0).optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.03, 0.0)
    if optimizer == "SGD":
        assert (decayed["momentum"], kept["momentum"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": 0.0},
        {"label_smoothing": 0.2},
        {"head": HeadChoice(name="CosFace", margin=0.1)},
        {"head": HeadChoice(name="CosFace", scale=20.0)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_the_candidate_says_reaches_the_training(
    data: TrainingSet, changes: dict[str, Any]
) -> None:
    losses = []
    for made in (candidate(), replace(candidate(), **changes)):
        training = start_training(made, SETTINGS, data=data, seed=0)
        train(training, data, epochs=1)
        losses.append(training.losses)
    assert losses[0] != losses[1]


def test_the_head_takes_the_candidates_numbers_then_the_runs(data: TrainingSet) -> None:
    settings = replace(SETTINGS, margin=0.2, scale=11.0)
    head = start_training(candidate(), settings, data=data, seed=0).head
    assert (head.margin, head.scale) == (0.2, 11.0)
    own = replace(candidate(), head=HeadChoice(name="CosFace", margin=0.3))
    head = start_training(own, settings, data=data, seed=0).head
    assert (head.margin, head.scale) == (0.3, 11.0)
