from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn
from torch.profiler import profile

from search_space.activation_memory import saved_activation_bytes

MODELS = ("test_resnet", "test_efficientnet", "mobilenetv3_small_050")


def pictures(batch: int, device: str = "cpu", *, size: int = 32) -> torch.Tensor:
    return torch.zeros(batch, 3, size, size, device=device)


def on_meta(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("meta")


@pytest.mark.parametrize("name", MODELS)
def test_the_meta_device_gives_exactly_what_real_tensors_keep(name: str) -> None:
    network = timm.create_model(name, num_classes=0)
    real = saved_activation_bytes(network, pictures(4))
    assert saved_activation_bytes(on_meta(network), pictures(4, "meta")) == real > 0


def test_attention_is_overestimated_by_little(recwarn: pytest.WarningsRecorder) -> None:
    network = timm.create_model("test_vit", num_classes=0, img_size=32)
    real = saved_activation_bytes(network, pictures(4))
    assert real <= saved_activation_bytes(on_meta(network), pictures(4, "meta")) < 1.1 * real


@pytest.mark.parametrize("name", MODELS)
def test_it_grows_linearly_with_the_batch(name: str) -> None:
    network = on_meta(timm.create_model(name, num_classes=0))
    two, four, eight = (saved_activation_bytes(network, pictures(b, "meta")) for b in (2, 4, 8))
    assert eight - four == 2 * (four - two)
    constant = 2 * two - four
    assert 0 <= constant < 0.1 * two


def test_shared_storages_and_weights_count_once_or_not_at_all() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 7, bias=False), nn.Linear(5, 7, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)
            return self.first(flat) * self.second(flat)

    images = torch.zeros(2, 1, 1, 5)
    # Both layers keep the one input, 10 numbers; the product keeps both outputs, 14 each.
    assert saved_activation_bytes(Twice(), images) == 4 * (10 + 14 + 14)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_takes_the_place_of_a_replaced_buffer_counts(device: str) -> None:
    class Replaces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places: torch.Tensor
            self.register_buffer("places", torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)
            self.places = torch.ones_like(flat)
            for _ in range(20):  # some of these get the address of the former buffer
                flat = flat.exp()
            return flat

    images = torch.zeros(2, 1, 1, 5, device=device, requires_grad=True)
    network = Replaces().to(device)
    assert saved_activation_bytes(network, images) == 20 * 4 * 10


def test_mode_random_state_and_gradients_are_left_alone() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        assert saved_activation_bytes(network, torch.zeros(2, 3, 1, 1)) == 2 * 3 * 4
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def peak_bytes(network: nn.Module, images: torch.Tensor) -> int:
    """The most that a step has allocated at a time, weights and gradients left aside."""
    network.train()
    with profile(profile_memory=True) as profiled:
        network(images).square().sum().backward()
    present = peak = 0
    assert profiled.profiler is not None
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            present += event.nbytes()
            peak = max(peak, present)
    return peak


@pytest.mark.parametrize("name", MODELS)
def test_a_profiled_step_peaks_between_it_and_twice_it(name: str) -> None:
    network = timm.create_model(name, num_classes=0)
    images = pictures(8, size=64)
    gradients = sum(4 * parameter.numel() for parameter in network.parameters())
    kept = saved_activation_bytes(network, images)
    assert 0.9 * kept < peak_bytes(network, images) < 2 * kept + gradients
