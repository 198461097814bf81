from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.data.packs.pack import Pack
from workers.data.pictures import Pictures
from workers.evaluation.embedding import embed
from workers.training.augmentation import normalise


@pytest.fixture
def network() -> nn.Module:
    torch.default_generator.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(6)
    )


@pytest.fixture
def pictures(pattern_pack: Pack) -> Pictures:
    return Pictures(
        images=pattern_pack.images, rows=pattern_pack.rows("test"), device=torch.device("cpu")
    )


def test_embeddings_are_normalised_sums_over_both_mirror_images(
    network: nn.Module, pictures: Pictures
) -> None:
    embeddings = embed(network, pictures, batch_size=7, flip=True)
    network.eval()
    with torch.no_grad():
        images = normalise(torch.from_numpy(pictures.images[pictures.rows]))
        expected = F.normalize(network(images) + network(images.flip(-1)))
    torch.testing.assert_close(embeddings, expected)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(len(pictures)))


def test_without_flip_each_picture_counts_once(network: nn.Module, pictures: Pictures) -> None:
    embeddings = embed(network, pictures, batch_size=100, flip=False)
    network.eval()
    with torch.no_grad():
        images = normalise(torch.from_numpy(pictures.images[pictures.rows]))
        torch.testing.assert_close(embeddings, F.normalize(network(images)))


def test_embeddings_do_not_depend_on_the_batch_size(
    network: nn.Module, pictures: Pictures
) -> None:
    first = embed(network, pictures, batch_size=1, flip=True)
    second = embed(network, pictures, batch_size=16, flip=True)
    np.testing.assert_allclose(first.numpy(), second.numpy(), atol=1e-6)


@pytest.mark.parametrize("mode", [True, False])
def test_the_networks_mode_and_its_running_statistics_are_left_alone(
    network: nn.Module, pictures: Pictures, mode: bool
) -> None:
    embed(network, pictures, batch_size=4, flip=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train(mode)
    embed(network, pictures, batch_size=4, flip=True)
    assert network.training is mode
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


class Hungry(nn.Module):
    """Runs out of memory with more than so many pictures at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(images))
        return images.flatten(1)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(pictures: Pictures) -> None:
    hungry, modest = Hungry(3), Hungry(100)
    embeddings = embed(hungry, pictures, batch_size=12, flip=False)
    assert hungry.batches == [3, 3, 3, 3, 3, 1]
    assert torch.equal(embeddings, embed(modest, pictures, batch_size=12, flip=False))
    assert modest.batches == [12, 4]


def test_one_picture_that_does_not_fit_is_out_of_memory(pictures: Pictures) -> None:
    hungry = Hungry(0)
    with pytest.raises(torch.OutOfMemoryError):
        embed(hungry, pictures, batch_size=12, flip=False)
    assert hungry.training
