from __future__ import annotations

import math

import torch
from torch import nn

from search_space.network import FaceNetwork


def network() -> FaceNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 20))
        return FaceNetwork(backbone, feature_size=20, embedding_size=64)


def images(n: int = 32) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_embeddings_have_the_asked_size_and_a_typical_length_of_its_root() -> None:
    for factor in (1.0, 1000.0):  # whatever the length of the backbone's features
        embeddings = network()(images() * factor)
        assert embeddings.shape == (32, 64)
        assert abs(embeddings.norm(dim=1).mean().item() - math.sqrt(64)) < 0.5


def test_the_scale_of_the_norm_is_fixed_at_one_and_the_rest_learns() -> None:
    model = network()
    model(images()).square().sum().backward()
    assert not model.normalisation.weight.requires_grad
    assert torch.equal(model.normalisation.weight, torch.ones(64))
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name != "normalisation.weight"), name
    assert model.projection.bias is None


def test_embeddings_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network()(images()).dtype == torch.float32


def test_a_single_picture_can_be_embedded_in_evaluation_mode() -> None:
    model = network().eval()
    both = model(images(2))
    torch.testing.assert_close(model(images(2)[:1]), both[:1])
