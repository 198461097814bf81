"""Optimizers against torch's own, learning rates against their closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from search_space.candidate import Candidate, HeadChoice, OptimizerName, TimmArchitecture
from workers.settings import TrainingSettings
from workers.training.optimization import build_optimizer, build_scheduler
from workers.training.recipe import Schedule, plan

RATE = 0.03
CANDIDATE = Candidate(
    architecture=TimmArchitecture(family="resnet", variant="test_resnet"),
    embedding_size=16,
    head=HeadChoice(name="CosFace"),
    optimizer="SGD",
    learning_rate=RATE,
)


def closed_form(step: int, *, total_steps: int, warmup_steps: int) -> float:
    """The learning rate's factor, written down without timm."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    decay_steps = max(1, total_steps - warmup_steps)
    progress = min(1.0, (step - warmup_steps) / decay_steps)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def schedule_of(total_steps: int, warmup_steps: int) -> Schedule:
    return Schedule(
        batch_size=2, steps_per_epoch=1, total_steps=total_steps, warmup_steps=warmup_steps
    )


def some_optimizer(n_groups: int = 2) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.ones(1))]} for _ in range(n_groups)]
    return torch.optim.SGD(groups, lr=RATE)


def rates(
    schedule: Schedule, steps: Sequence[int], optimizer: torch.optim.Optimizer | None = None
) -> list[float]:
    optimizer = optimizer or some_optimizer()
    scheduler = build_scheduler(optimizer, schedule, learning_rate=RATE)
    taken: list[float] = []
    for step in steps:
        scheduler.step_update(step)
        [rate] = {group["lr"] for group in optimizer.param_groups}
        taken.append(rate)
    return taken


def expected(schedule: Schedule, steps: Sequence[int]) -> list[float]:
    total, warmup = schedule.total_steps, schedule.warmup_steps
    return [RATE * closed_form(s, total_steps=total, warmup_steps=warmup) for s in steps]


@pytest.mark.parametrize("total_steps", [*range(1, 41), 97, 1000, 12345])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.03, 0.1, 0.5, 1.0])
def test_timms_rate_is_the_closed_form(total_steps: int, warmup_fraction: float) -> None:
    schedule = schedule_of(total_steps, round(total_steps * warmup_fraction))
    steps = range(0, total_steps + 3, max(1, total_steps // 500))
    assert rates(schedule, steps) == pytest.approx(expected(schedule, steps), rel=1e-12, abs=0)


@given(st.integers(0, 5000), st.integers(1, 1000), st.integers(0, 1000))
def test_any_step_alone_has_a_rate_of_its_own(step: int, total: int, warmup: int) -> None:
    schedule = schedule_of(total, warmup)
    [rate] = rates(schedule, [step])
    assert 0.0 < rate <= RATE * (1 + 1e-12)
    assert [rate] == pytest.approx(expected(schedule, [step]), rel=1e-12, abs=0)


def test_it_rises_to_the_rate_and_falls_to_one_percent() -> None:
    taken = rates(schedule_of(100, 10), range(101))
    assert taken[:11] == sorted(taken[:11])
    assert taken[10] == pytest.approx(RATE, rel=1e-12)
    assert taken[10:] == sorted(taken[10:], reverse=True)
    assert taken[55] == pytest.approx(RATE * 0.505)
    assert taken[100] == pytest.approx(RATE * 0.01)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rates(schedule_of(10, 0), [0]) == pytest.approx([RATE], rel=1e-12)


def test_a_restored_optimizer_goes_on_bit_for_bit_whatever_it_brings() -> None:
    """The rate is one of the step and the run, not of the optimizer's past."""
    schedule = schedule_of(50, 5)
    straight = rates(schedule, range(50))
    stopped = some_optimizer()
    assert rates(schedule, range(20), stopped) == straight[:20]
    resumed = some_optimizer()
    resumed.load_state_dict(stopped.state_dict())
    assert rates(schedule, range(20, 50), resumed) == straight[20:]
    state = stopped.state_dict()
    for group in state["param_groups"]:  # as another version might have saved it
        del group["initial_lr"]
    resumed.load_state_dict(state)
    assert rates(schedule, range(20, 50), resumed) == straight[20:]


def test_every_rung_of_a_run_has_one_schedule() -> None:
    long = plan(TrainingSettings(batch_size=4), n_images=40, max_epochs=9)
    assert rates(long, range(30)) == rates(long, range(90))[:30]


def test_a_rate_of_zero_stays_zero() -> None:
    optimizer = some_optimizer()
    scheduler = build_scheduler(optimizer, schedule_of(10, 2), learning_rate=0.0)
    for step in range(10):
        scheduler.step_update(step)
        assert all(group["lr"] == 0.0 for group in optimizer.param_groups)


def torchs_own(
    name: OptimizerName, recipe: TrainingSettings
) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    if name == "SGD":
        momentum = recipe.momentum
        return lambda groups: torch.optim.SGD(
            groups, lr=RATE, momentum=momentum, nesterov=momentum > 0
        )
    made = torch.optim.Adam if name == "Adam" else torch.optim.AdamW
    return lambda groups: made(groups, lr=RATE)


def network_and_head() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))
    network[0].weight.requires_grad_(requires_grad=False)
    return network, nn.Linear(4, 3, bias=False)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_timms_optimizer_steps_as_torchs_own_bit_for_bit(
    name: OptimizerName, momentum: float
) -> None:
    recipe = TrainingSettings(weight_decay=0.05, momentum=momentum)
    made = replace(CANDIDATE, optimizer=name)
    (network, head), (same_network, same_head) = network_and_head(), network_and_head()
    ours = build_optimizer(made, recipe, network=network, head=head)
    decayed = [p for p in same_network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in same_network.parameters() if p.ndim == 1]
    theirs = torchs_own(name, recipe)(
        [
            {"params": decayed, "weight_decay": 0.05},
            {"params": [*vectors, *same_head.parameters()], "weight_decay": 0.0},
        ]
    )
    assert type(ours) is type(theirs)
    inputs = torch.randn(8, 6)
    for _ in range(4):
        for optimizer, model in (
            (ours, nn.Sequential(network, head)),
            (theirs, nn.Sequential(same_network, same_head)),
        ):
            optimizer.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
    assert [group["weight_decay"] for group in ours.param_groups] == [0.05, 0.0]
    pairs: list[tuple[Tensor, Tensor]] = [
        *zip(network.parameters(), same_network.parameters(), strict=True),
        *zip(head.parameters(), same_head.parameters(), strict=True),
    ]
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.0, False)])
def test_sgd_looks_ahead_where_it_has_momentum(momentum: float, nesterov: bool) -> None:
    network, head = network_and_head()
    recipe = TrainingSettings(momentum=momentum)
    optimizer = build_optimizer(CANDIDATE, recipe, network=network, head=head)
    assert all(
        (group["momentum"], group["nesterov"]) == (momentum, nesterov)
        for group in optimizer.param_groups
    )
