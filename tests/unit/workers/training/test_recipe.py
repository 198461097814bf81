from __future__ import annotations

import pytest
import torch

from search_space.candidate import Candidate, HeadChoice, TimmArchitecture
from workers.errors import DataError
from workers.settings import TrainingSettings
from workers.training.recipe import head_of, plan, recipe_of, uses_bfloat16

SILENT = Candidate(
    architecture=TimmArchitecture(family="resnet", variant="test_resnet"),
    embedding_size=16,
    head=HeadChoice(name="SubCenterArcFace", numbers=(("sub_centers", 5),)),
    optimizer="SGD",
    learning_rate=0.1,
)
TALKATIVE = Candidate(
    architecture=SILENT.architecture,
    embedding_size=16,
    head=HeadChoice(name="ArcFace", margin=0.3, scale=20.0),
    optimizer="SGD",
    learning_rate=0.1,
    weight_decay=0.0,
    momentum=0.0,
    label_smoothing=0.1,
    augmentation=1.0,
)


def test_a_candidate_that_says_nothing_leaves_the_run_its_settings() -> None:
    settings = TrainingSettings(weight_decay=0.5, margin=0.2)
    assert recipe_of(SILENT, settings) is not settings
    assert recipe_of(SILENT, settings) == settings


def test_what_a_candidate_says_counts_zero_too() -> None:
    settings = TrainingSettings(weight_decay=0.5, momentum=0.8, batch_size=7)
    recipe = recipe_of(TALKATIVE, settings)
    assert recipe == TrainingSettings(
        batch_size=7,
        weight_decay=0.0,
        momentum=0.0,
        label_smoothing=0.1,
        augmentation=1.0,
        margin=0.3,
        scale=20.0,
    )
    assert recipe_of(TALKATIVE, recipe) == recipe


def test_the_head_keeps_what_only_it_knows() -> None:
    recipe = recipe_of(SILENT, TrainingSettings(margin=0.2))
    assert head_of(SILENT, recipe) == HeadChoice(
        name="SubCenterArcFace", margin=0.2, numbers=(("sub_centers", 5),)
    )


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("float32", "cuda", False),
        ("bfloat16", "cpu", True),
    ],
)
def test_bfloat16_is_for_gpus_unless_told(precision: str, device: str, expected: bool) -> None:
    settings = TrainingSettings(precision=precision)  # type: ignore[arg-type]
    assert uses_bfloat16(settings, torch.device(device)) is expected


def test_a_batch_shrinks_to_the_images_there_are() -> None:
    schedule = plan(TrainingSettings(batch_size=64), n_images=20, max_epochs=10)
    assert (schedule.batch_size, schedule.steps_per_epoch, schedule.total_steps) == (20, 1, 10)
    assert schedule.warmup_steps == 1


@pytest.mark.parametrize(("batch_size", "n_images"), [(1, 50), (64, 1), (64, 0)])
def test_a_batch_of_one_is_refused(batch_size: int, n_images: int) -> None:
    with pytest.raises(DataError, match="cannot be normalised"):
        plan(TrainingSettings(batch_size=batch_size), n_images=n_images, max_epochs=1)
