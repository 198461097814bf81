from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch

from search_space.candidate import Candidate, DualPathArchitecture, HeadChoice, Mitigation
from workers.data.packs.pack import Pack
from workers.data.pictures import TrainingSet, training_set
from workers.errors import CheckpointError
from workers.settings import TrainingSettings
from workers.training.checkpoints import Checkpoint
from workers.training.continuation import require_taken
from workers.training.loop import Training, start_training, to_checkpoint, train_epoch
from workers.training.recipe import plan

CANDIDATE = Candidate(
    architecture=DualPathArchitecture(edges=(3, 0, 1), width=0.02, blocks_per_stage=1),
    embedding_size=16,
    head=HeadChoice(name="CosFace"),
    optimizer="AdamW",
    learning_rate=1e-3,
    mitigation=Mitigation(name="group_dro", strength=0.1),
)
SETTINGS = TrainingSettings(batch_size=8, device="cpu", ema_decay=0.9)

States = dict[str, Any]
EDITS: dict[str, Callable[[States], object]] = {
    "no weight": lambda states: states["network"].popitem(),
    "a weight of another shape": lambda states: states["head"].update(
        {key: torch.zeros(7) for key in states["head"]}
    ),
    "no head": lambda states: states["head"].clear(),
    "no learning rate": lambda states: states["optimizer"]["param_groups"][0].pop("lr"),
    "no groups of weights": lambda states: states["optimizer"]["param_groups"].clear(),
    "no optimizer": lambda states: states["optimizer"].clear(),
    "moments of another shape": lambda states: states["optimizer"]["state"][0].update(
        exp_avg=torch.zeros(3, 1)
    ),
    "no average": lambda states: states.update(averaged=None),
    "weights of more groups": lambda states: states.update(group_log_weights=torch.zeros(5)),
    "no weights of groups": lambda states: states.update(group_log_weights=None),
    "losses of no step": lambda states: states.update(steps=0),
    "steps without losses": lambda states: states.update(loss_sum=None),
    "several losses": lambda states: states.update(loss_sum=torch.zeros(2)),
    "random states of another length": lambda states: states.update(
        random_states=[torch.zeros(3, dtype=torch.uint8)]
    ),
    "random states of another type": lambda states: states.update(random_states=[torch.zeros(9)]),
}


@pytest.fixture(scope="module")
def data(pattern_pack: Pack) -> TrainingSet:
    return training_set(pattern_pack, torch.device("cpu"), group="gender")


def fresh(data: TrainingSet) -> Training:
    return start_training(CANDIDATE, SETTINGS, data=data, seed=0)


@pytest.fixture(scope="module")
def paused(data: TrainingSet) -> Checkpoint:
    """In the middle of the first epoch."""
    training = fresh(data)
    schedule = plan(training.recipe, n_images=len(data.pictures), max_epochs=2)
    assert not train_epoch(training, data, schedule=schedule, should_pause=lambda: True)
    return to_checkpoint(training, fingerprint="{}")


def test_the_checkpoint_of_such_a_training_is_taken(data: TrainingSet, paused: Checkpoint) -> None:
    state = torch.get_rng_state()
    require_taken(fresh(data), paused)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_states_of_anything_else_are_refused(
    data: TrainingSet, paused: Checkpoint, edit: Callable[[States], object]
) -> None:
    states = copy.deepcopy({part.name: getattr(paused, part.name) for part in fields(paused)})
    edit(states)
    with pytest.raises(CheckpointError) as caught:
        require_taken(fresh(data), Checkpoint(**states))
    assert "\n" not in str(caught.value)


def test_a_lack_of_memory_is_no_fault_of_the_checkpoint(
    data: TrainingSet, paused: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = fresh(data)
    errors = (
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    )
    for error in errors:

        def failing(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(training.network, "load_state_dict", failing)
        with pytest.raises(type(error)):
            require_taken(training, paused)
