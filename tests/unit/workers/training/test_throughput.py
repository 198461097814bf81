from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.training.throughput import milliseconds_per_image

CPU = torch.device("cpu")


class Watched(nn.Module):
    """Notes what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.seen: list[tuple[tuple[int, ...], bool, bool]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((tuple(images.shape), self.training, torch.is_grad_enabled()))
        assert images.dtype == torch.float32
        assert -1.0 <= images.min() < images.max() <= 1.0
        return self.norm(images)


def measured(
    network: nn.Module, clock: Callable[[], float] = time.perf_counter, batch_size: int = 8
) -> float:
    return milliseconds_per_image(
        network, in_channels=3, image_size=16, device=CPU, batch_size=batch_size, clock=clock
    )


def clock_of(*durations: float) -> Callable[[], float]:
    """A clock by which successive repetitions take these seconds."""
    ticks: list[float] = []
    now = 0.0
    for duration in durations:
        ticks += [now, now + duration]
        now += duration
    return iter(ticks).__next__


def test_it_is_the_median_of_the_repetitions_over_the_batch() -> None:
    assert measured(nn.Identity(), clock_of(0.08, 0.9, 0.16)) == pytest.approx(1000 * 0.16 / 8)


def test_repetitions_end_when_the_time_is_up_but_not_before_three() -> None:
    network = Watched()
    measured(network, clock_of(*[0.06] * 4))
    assert len(network.seen) == 1 + 4  # one warms up
    network = Watched()
    measured(network, clock_of(5.0, 5.0, 5.0))
    assert len(network.seen) == 1 + 3


def test_a_very_fast_network_is_measured_a_bounded_number_of_times() -> None:
    network = Watched()
    measured(network, clock_of(*[1e-6] * 50))
    assert len(network.seen) == 1 + 50


@pytest.mark.parametrize("mode", [True, False])
def test_it_runs_in_evaluation_mode_and_leaves_everything_as_it_was(mode: bool) -> None:
    network = Watched().train(mode)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    assert measured(network) > 0.0
    assert network.training is network.norm.training is mode
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert set(network.seen) == {((8, 3, 16, 16), False, False)}


def test_a_small_network_is_measured_in_a_fraction_of_a_second() -> None:
    started = time.perf_counter()
    measured(nn.Conv2d(3, 8, 3), batch_size=64)
    assert time.perf_counter() - started < 2.0
