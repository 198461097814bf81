from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.candidate import DualPathArchitecture
from search_space.dual_path import DualPathBlock, DualPathNetwork, stage_sizes

ALL_CELLS = list(itertools.product(range(9), repeat=3))
SOME_CELLS = [
    ALL_CELLS[index]
    for index in np.random.default_rng(7).choice(len(ALL_CELLS), 14, replace=False)
]


def architecture(
    edges: tuple[int, int, int] = (0, 0, 0), width: float = 1.0, blocks_per_stage: int = 1
) -> DualPathArchitecture:
    return DualPathArchitecture(edges=edges, width=width, blocks_per_stage=blocks_per_stage)


def small_network(edges: tuple[int, int, int], *, n_blocks: int = 1) -> DualPathNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return DualPathNetwork(architecture(edges, 0.1, n_blocks), in_channels=3)


@pytest.mark.parametrize(
    ("edges", "mega_parameters", "giga_macs"),
    [
        ((3, 0, 1), 35.5, 13.3),
        ((0, 0, 0), 72.6, 18.9),
        ((0, 1, 0), 72.1, 18.8),
        ((6, 8, 0), 73.7, 19.0),
        ((1, 0, 8), 125.6, 19.6),
        ((4, 4, 4), 13.7, 2.8),
        ((2, 2, 2), 190.5, 50.9),
    ],
)
def test_the_predecessors_networks_have_their_known_cost(
    edges: tuple[int, int, int], mega_parameters: float, giga_macs: float
) -> None:
    with torch.device("meta"), torch.no_grad():
        network = DualPathNetwork(architecture(edges), in_channels=3).eval()
        classifier = nn.Linear(network.feature_size, 1000)
        with FlopCounterMode(display=False) as counter:
            classifier(network(torch.zeros(1, 3, 224, 224)))
    both = nn.Sequential(network, classifier)
    assert sum(p.numel() for p in both.parameters()) / 1e6 == pytest.approx(
        mega_parameters, rel=0.005
    )
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=0.051)


def test_stages_at_width_1_are_the_predecessors() -> None:
    sizes = stage_sizes(1.0)
    assert [size.residual for size in sizes] == [256, 512, 1024, 2048]
    assert [size.inner for size in sizes] == [200, 400, 800, 1600]
    assert [size.growth for size in sizes] == [20, 64, 64, 128]
    assert [size.out_channels(1) for size in sizes] == [316, 704, 1216, 2432]
    assert {size.groups for size in sizes} == {50}
    assert [size.stride for size in sizes] == [1, 2, 2, 2]


@settings(deadline=None)
@given(st.floats(0.02, 4.0))
def test_stages_of_any_width_can_be_built(width: float) -> None:
    for index, size in enumerate(stage_sizes(width)):
        assert size.inner == 4 * size.groups * 2**index
        assert size.residual >= 8
        assert size.residual % 8 == 0
        assert size.growth >= 1


@pytest.mark.parametrize("edges", SOME_CELLS, ids=str)
def test_cells_train_on_small_pictures(edges: tuple[int, int, int]) -> None:
    network = small_network(edges)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    features = network(images)
    assert features.shape == (4, network.feature_size)
    features.square().mean().backward()
    assert features.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(("image_size", "last_side"), [(24, 1), (32, 1), (64, 2), (112, 4)])
def test_pictures_of_many_sizes_pass(image_size: int, last_side: int) -> None:
    sides = []
    with torch.device("meta"), torch.no_grad():
        network = DualPathNetwork(architecture(width=0.1), in_channels=1).eval()
        network.final.register_forward_pre_hook(lambda _, args: sides.append(args[0].shape[2]))
        assert network(torch.zeros(2, 1, image_size, image_size)).shape[0] == 2
    assert sides == [last_side]


def test_more_blocks_grow_the_dense_path_and_train() -> None:
    one, three = small_network((3, 6, 0)), small_network((3, 6, 0), n_blocks=3)
    last = stage_sizes(0.1)[-1]
    assert three.feature_size - one.feature_size == 2 * last.growth
    assert len(three.blocks) == 12
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    three(images).sum().backward()
    for parameter in three.parameters():
        assert parameter.grad is not None


def test_a_later_block_keeps_what_came_in() -> None:
    size = stage_sizes(0.1)[1]
    block = DualPathBlock((3, 3, 3), size.out_channels(1), size, is_first=False).eval()
    nn.init.zeros_(block.edge3[0].weight)  # type: ignore[arg-type] # the cell now yields 0
    residual = torch.randn(2, size.residual, 4, 4, generator=torch.Generator().manual_seed(0))
    dense = torch.randn(2, 3 * size.growth, 4, 4, generator=torch.Generator().manual_seed(1))
    new_residual, new_dense = block((residual, dense))
    torch.testing.assert_close(new_residual, residual)
    torch.testing.assert_close(new_dense[:, : 3 * size.growth], dense)
    assert new_dense.shape[1] == 4 * size.growth
    assert not new_dense[:, 3 * size.growth :].any()


def test_a_first_block_adds_its_cell_to_its_projection() -> None:
    size = stage_sizes(0.1)[1]
    block = DualPathBlock((0, 0, 1), 16, size, is_first=True).eval()
    images = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    assert block.projection is not None
    projected = block.projection(images)
    cell = block.edge3(block.edge2(block.edge1(images)))
    residual, dense = block((images,))
    cut = size.residual
    torch.testing.assert_close(residual, projected[:, :cut] + cell[:, :cut])
    torch.testing.assert_close(dense, torch.cat((projected[:, cut:], cell[:, cut:]), dim=1))
    assert residual.shape == (2, size.residual, 4, 4)
    assert dense.shape == (2, 3 * size.growth, 4, 4)
