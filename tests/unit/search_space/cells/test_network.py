from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.candidate import (
    DagArchitecture,
    DagSettings,
    DualPathArchitecture,
    SpaceSettings,
)
from search_space.cell import PAPER_OPERATIONS, Edge, canonical_cell, chain_cell
from search_space.cells.network import CellBlock, CellNetwork, drop_samples
from search_space.cells.stages import BlockSize, as_dag, block_sizes
from search_space.definition.decode import decode
from search_space.definition.space import sample
from search_space.prediction import cell_network_cost

ALL_CELLS = list(itertools.product(range(9), repeat=3))
SOME_CELLS = [
    ALL_CELLS[index]
    for index in np.random.default_rng(7).choice(len(ALL_CELLS), 14, replace=False)
]
SMALL_DAGS = [
    SpaceSettings(preset="dag", width=0.1, dag=DagSettings(nodes=nodes, blocks=(1, 2)))
    for nodes in (3, 4, 5)
]


def architecture(
    edges: tuple[int, int, int] = (0, 0, 0), width: float = 1.0, blocks_per_stage: int = 1
) -> DagArchitecture:
    return as_dag(
        DualPathArchitecture(edges=edges, width=width, blocks_per_stage=blocks_per_stage)
    )


def small_network(edges: tuple[int, int, int], *, n_blocks: int = 1) -> CellNetwork:
    return seeded(architecture(edges, 0.1, n_blocks))


def seeded(dag: DagArchitecture, *, drop_path: float = 0.0) -> CellNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return CellNetwork(dag, in_channels=3, drop_path=drop_path)


def pictures(n: int = 4, channels: int = 3, side: int = 32, seed: int = 1) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def sampled_dags() -> list[DagArchitecture]:
    found = []
    for space in SMALL_DAGS:
        for configuration in sample(space, 8, seed=11):
            dag = decode(configuration, space).architecture
            assert isinstance(dag, DagArchitecture)
            found.append(dag)
    return found


def assert_trains(network: CellNetwork) -> None:
    features = network(pictures())
    assert features.shape == (4, network.feature_size)
    features.square().mean().backward()
    assert features.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


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
        network = CellNetwork(architecture(edges), in_channels=3).eval()
        classifier = nn.Linear(network.feature_size, 1000)
        with FlopCounterMode(display=False) as counter:
            classifier(network(torch.zeros(1, 3, 224, 224)))
    both = nn.Sequential(network, classifier)
    # The published figures have one decimal; 0.5 % of the smallest is less than that.
    assert sum(p.numel() for p in both.parameters()) / 1e6 == pytest.approx(
        mega_parameters, rel=0.005
    )
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=0.051)


@pytest.mark.parametrize("edges", [(3, 0, 1), (0, 0, 0), (2, 2, 2)])
@pytest.mark.parametrize("image_size", [112, 128, 224])
def test_the_published_network_passes_its_known_channels_at_every_size(
    edges: tuple[int, int, int], image_size: int
) -> None:
    shapes = []

    def note(_: nn.Module, __: object, paths: tuple[Tensor, ...]) -> None:
        shapes.append((sum(path.shape[1] for path in paths), paths[0].shape[2]))

    with torch.device("meta"), torch.no_grad():
        network = CellNetwork(architecture(edges), in_channels=3).eval()
        for block in network.blocks:
            block.register_forward_hook(note)
        network(torch.zeros(1, 3, image_size, image_size))
    side = image_size // 4
    sides = [side, -(-side // 2), -(-side // 4), -(-side // 8)]
    assert shapes == list(zip((316, 704, 1216, 2432), sides, strict=True))


def test_the_same_cell_as_a_graph_is_the_same_network() -> None:
    """With the same weights, parameter by parameter and number by number."""
    names = tuple(PAPER_OPERATIONS[code] for code in (3, 6, 1))
    edges = [Edge(0, 2, names[0]), Edge(2, 3, names[1]), Edge(3, 4, names[2])]
    # Halving in the first edge is another network; the chain through node 1 is this one.
    chain = [Edge(0, 1, names[0]), Edge(1, 3, names[1]), Edge(3, 4, names[2])]
    graph = DagArchitecture(
        cell=canonical_cell(5, chain, {4: "concat"}, "dual_path"), width=0.1, blocks=(1, 1, 1, 1)
    )
    published, drawn = small_network((3, 6, 1)), seeded(graph)
    assert graph == architecture((3, 6, 1), 0.1)
    for (name, one), (other_name, other) in zip(
        published.state_dict().items(), drawn.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other)
    assert torch.equal(published.eval()(pictures()), drawn.eval()(pictures()))
    assert canonical_cell(5, edges, {}, "dual_path") != graph.cell


def test_stages_at_width_1_are_the_predecessors() -> None:
    sizes = block_sizes(architecture())
    assert [size.residual for size in sizes] == [256, 512, 1024, 2048]
    assert [size.inner for size in sizes] == [200, 400, 800, 1600]
    assert [size.growth for size in sizes] == [20, 64, 64, 128]
    assert [size.out_channels for size in sizes] == [316, 704, 1216, 2432]
    assert {size.groups for size in sizes} == {50}
    assert [size.stride for size in sizes] == [1, 2, 2, 2]


@given(st.floats(0.02, 4.0), st.sampled_from(sampled_dags()))
def test_blocks_of_any_width_can_be_built(width: float, dag: DagArchitecture) -> None:
    wide = DagArchitecture(cell=dag.cell, width=width, blocks=dag.blocks)
    for size in block_sizes(wide):
        assert size.inner % size.groups == 0
        assert size.residual >= 8
        assert size.residual % 8 == 0
        arriving: dict[int, int] = {}
        for edge, edge_size in zip(wide.cell.edges, size.edges(wide.cell), strict=True):
            assert edge_size.in_channels % edge_size.groups == 0
            assert edge_size.out_channels % edge_size.groups == 0
            assert edge_size.out_channels > 0
            if wide.cell.joins[edge.target - 1] == "concat":
                arriving[edge.target] = arriving.get(edge.target, 0) + edge_size.out_channels
        for node, channels in arriving.items():
            inner = wide.cell.is_inner(node)
            assert channels == (size.inner if inner else size.residual + size.growth)


@pytest.mark.parametrize("edges", SOME_CELLS, ids=str)
def test_published_cells_train_on_small_pictures(edges: tuple[int, int, int]) -> None:
    assert_trains(small_network(edges))


@pytest.mark.parametrize("dag", sampled_dags(), ids=lambda dag: dag.cell.hash()[:6])
def test_random_graphs_train_on_small_pictures(dag: DagArchitecture) -> None:
    assert_trains(seeded(dag, drop_path=0.2))


@pytest.mark.parametrize("dag", sampled_dags(), ids=lambda dag: dag.cell.hash()[:6])
def test_the_predicted_cost_is_that_of_the_network(dag: DagArchitecture) -> None:
    for image_size in (32, 50, 112):
        with torch.device("meta"), torch.no_grad():
            network = CellNetwork(dag, in_channels=3).eval()
            with FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, 3, image_size, image_size))
        predicted = cell_network_cost(dag, in_channels=3, image_size=image_size)
        assert predicted.parameters == sum(p.numel() for p in network.parameters())
        assert predicted.macs == counter.get_total_flops() // 2


@pytest.mark.parametrize(("image_size", "last_side"), [(24, 1), (32, 1), (64, 2), (112, 4)])
def test_pictures_of_many_sizes_pass(image_size: int, last_side: int) -> None:
    sides = []
    with torch.device("meta"), torch.no_grad():
        network = CellNetwork(architecture(width=0.1), in_channels=1).eval()
        network.final.register_forward_pre_hook(lambda _, args: sides.append(args[0].shape[2]))
        assert network(torch.zeros(2, 1, image_size, image_size)).shape[0] == 2
    assert sides == [last_side]


def test_more_blocks_grow_the_dense_path_and_train() -> None:
    one, three = small_network((3, 6, 0)), small_network((3, 6, 0), n_blocks=3)
    last = block_sizes(architecture(width=0.1))[-1]
    assert three.feature_size - one.feature_size == 2 * last.growth
    assert len(three.blocks) == 12
    assert_trains(three)


def second_stage(*, n_blocks: int = 1, tail: str = "dual_path") -> tuple[BlockSize, ...]:
    cell = canonical_cell(
        4,
        [Edge(0, 1, "BnActConv3x3"), Edge(1, 2, "BnActConv3x3"), Edge(2, 3, "BnActConv1x1")],
        {},
        tail,  # type: ignore[arg-type]
    )
    dag = DagArchitecture(cell=cell, width=0.1, blocks=(1, n_blocks, 1, 1))
    return block_sizes(dag)[1 : 1 + n_blocks]


def test_a_later_block_keeps_what_came_in() -> None:
    first, size = second_stage(n_blocks=2)
    block = CellBlock(chain_cell(("Conv3x3", "Conv3x3", "Conv3x3")), size).eval()
    nn.init.zeros_(block.edges["2-3"][0].weight)  # type: ignore[index] # the cell now yields 0
    residual = torch.randn(2, size.residual, 4, 4, generator=torch.Generator().manual_seed(0))
    dense = torch.randn(2, 3 * size.growth, 4, 4, generator=torch.Generator().manual_seed(1))
    new_residual, new_dense = block((residual, dense))
    torch.testing.assert_close(new_residual, residual)
    torch.testing.assert_close(new_dense[:, : 3 * size.growth], dense)
    assert new_dense.shape[1] == 4 * size.growth
    assert not new_dense[:, 3 * size.growth :].any()
    assert (first.stride, size.stride, size.projected) == (2, 1, 0)


def test_a_first_block_adds_its_cell_to_its_projection() -> None:
    (size,) = second_stage()
    cell = chain_cell(("BnActConv3x3", "BnActConv3x3", "BnActConv1x1"))
    block = CellBlock(cell, size).eval()
    images = pictures(2, size.in_channels, 8, seed=0)
    assert block.projection is not None
    projected = block.projection(images)
    output = block.edges["2-3"](block.edges["1-2"](block.edges["0-1"](images)))
    residual, dense = block((images,))
    cut = size.residual
    torch.testing.assert_close(residual, projected[:, :cut] + output[:, :cut])
    torch.testing.assert_close(dense, torch.cat((projected[:, cut:], output[:, cut:]), dim=1))
    assert residual.shape == (2, size.residual, 4, 4)
    assert dense.shape == (2, 3 * size.growth, 4, 4)


def test_a_residual_tail_adds_and_a_plain_one_does_not() -> None:
    for tail in ("residual", "plain"):
        (size,) = second_stage(tail=tail)
        cell = canonical_cell(3, [Edge(0, 2, "Conv3x3")], {}, tail)  # type: ignore[arg-type]
        block = CellBlock(cell, size).eval()
        images = pictures(2, size.in_channels, 8, seed=0)
        (output,) = block((images,))
        expected = block.edges["0-1"](images)
        if tail == "residual":
            assert block.projection is not None
            expected = expected + block.projection(images)
        torch.testing.assert_close(output, expected)


def test_nodes_join_what_arrives_by_adding_or_concatenating() -> None:
    (size,) = second_stage(tail="plain")
    edges = [Edge(0, 1, "Conv1x1"), Edge(0, 2, "Conv3x3"), Edge(1, 2, "Conv3x3")]
    images = pictures(2, size.in_channels, 8, seed=0)
    for join in ("add", "concat"):
        cell = canonical_cell(3, edges, {2: join}, "plain")  # type: ignore[dict-item]
        block = CellBlock(cell, size).eval()
        direct = block.edges["0-2"](images)
        indirect = block.edges["1-2"](block.edges["0-1"](images))
        (output,) = block((images,))
        if join == "add":
            torch.testing.assert_close(output, direct + indirect)
        else:
            torch.testing.assert_close(output, torch.cat((direct, indirect), dim=1))
            assert abs(direct.shape[1] - indirect.shape[1]) <= 1


def test_dropped_paths_keep_the_mean_and_are_whole_samples() -> None:
    features = torch.ones(4000, 2, 3, 3)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        dropped = drop_samples(features, 0.25, is_training=True)
    per_sample = dropped.flatten(1)
    assert torch.equal(per_sample.min(dim=1).values, per_sample.max(dim=1).values)
    assert per_sample[:, 0].unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    assert drop_samples(features, 0.25, is_training=False) is features
    assert drop_samples(features, 0.0, is_training=True) is features


def test_the_probability_of_dropping_grows_to_the_last_block() -> None:
    rates = [block.drop_path for block in seeded(architecture(width=0.1), drop_path=0.3).blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
