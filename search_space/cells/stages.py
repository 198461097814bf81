"""How wide a cell network is: channels, groups and strides of every block and edge. Plain numbers.

Building a network and predicting its cost both read them here, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from search_space.candidate import DagArchitecture, DualPathArchitecture
from search_space.cell import PAPER_OPERATIONS, Cell, chain_cell

_GROUPS = 50
_CHANNELS_PER_GROUP = 4  # in the first stage; doubles from stage to stage
_STEM_CHANNELS = 128
_RESIDUAL_CHANNELS = (256, 512, 1024, 2048)
_DENSE_GROWTH = (20, 64, 64, 128)


class EdgeSize(NamedTuple):
    """Channels, groups and stride of one edge's operation."""

    in_channels: int
    out_channels: int
    groups: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSize:
    """Channel counts of one block.

    Attributes:
        in_channels: Of all incoming paths together.
        inner: Of the nodes between a cell's input and output; a multiple of `groups`.
        residual: Of the path that is added to, or of the only one.
        growth: Appended to the dense path; 0 without a dense path.
        projected: What the input is projected to, both paths together; 0 without a projection.
        out_channels: Of all outgoing paths together.
        groups: Of the edges between inner nodes.
        stride: Of the edges from full to reduced resolution, and of the projection.
    """

    in_channels: int
    inner: int
    residual: int
    growth: int
    projected: int
    out_channels: int
    groups: int
    stride: int

    def edges(self, cell: Cell) -> tuple[EdgeSize, ...]:
        """Sizes of the cell's edges, in their order."""
        return tuple(map(self._edge, _places(cell)))

    def _edge(self, place: _Place) -> EdgeSize:
        return EdgeSize(
            in_channels=self.inner if place.from_inner else self.in_channels,
            out_channels=self._share(place),
            groups=self.groups if place.from_inner and place.to_inner else 1,
            stride=self.stride if place.halves else 1,
        )

    def _share(self, place: _Place) -> int:
        """Channels that the edge brings to its target: all of them, or its share of a concat."""
        unit = self.groups if place.to_inner else 1
        total = self.inner if place.to_inner else self.residual + self.growth
        if place.is_added:
            return total
        share, rest = divmod(total // unit, place.n_arriving)
        return unit * (share + (place.number < rest))


class _Place(NamedTuple):
    """Where in its cell an edge is.

    Attributes:
        from_inner: Whether it comes from a node that is neither input nor output.
        to_inner: Whether it goes to one.
        halves: Whether it goes from full to reduced resolution.
        is_added: Whether its target adds what arrives there.
        number: Among the edges that arrive there.
        n_arriving: How many these are.
    """

    from_inner: bool
    to_inner: bool
    halves: bool
    is_added: bool
    number: int
    n_arriving: int


@lru_cache(maxsize=1024)
def _places(cell: Cell) -> tuple[_Place, ...]:
    """The same for all blocks of a network, and asked for each of them."""
    arriving = {edge.target: cell.edges_into(edge.target) for edge in cell.edges}
    return tuple(
        _Place(
            from_inner=cell.is_inner(edge.source),
            to_inner=cell.is_inner(edge.target),
            halves=cell.halves(edge),
            is_added=cell.joins[edge.target - 1] == "add",
            number=arriving[edge.target].index(edge),
            n_arriving=len(arriving[edge.target]),
        )
        for edge in cell.edges
    )


def as_dag(architecture: DualPathArchitecture | DagArchitecture) -> DagArchitecture:
    """The published cell as what it is: a chain with a dual-path tail."""
    if isinstance(architecture, DagArchitecture):
        return architecture
    first, second, third = (PAPER_OPERATIONS[code] for code in architecture.edges)
    n_blocks = architecture.blocks_per_stage
    return DagArchitecture(
        cell=chain_cell((first, second, third)),
        width=architecture.width,
        blocks=(n_blocks, n_blocks, n_blocks, n_blocks),
    )


def stem_channels(width: float) -> int:
    """Channels behind the stem; 128 at width 1."""
    return _multiple_of_eight(_STEM_CHANNELS * width)


def block_sizes(architecture: DagArchitecture) -> tuple[BlockSize, ...]:
    """All blocks of the network in order, each group of a grouped edge as wide as published."""
    sizes = []
    channels = stem_channels(architecture.width)
    for stage, n_blocks in enumerate(architecture.blocks):
        for index in range(n_blocks):
            size = _block_size(architecture, stage, index, channels)
            sizes.append(size)
            channels = size.out_channels
    return tuple(sizes)


def _block_size(
    architecture: DagArchitecture, stage: int, index: int, in_channels: int
) -> BlockSize:
    tail, width = architecture.cell.tail, architecture.width
    groups = max(1, round(_GROUPS * width))
    residual = _multiple_of_eight(_RESIDUAL_CHANNELS[stage] * width)
    growth = max(1, round(_DENSE_GROWTH[stage] * width)) if tail == "dual_path" else 0
    is_projected = index == 0 and tail != "plain"
    return BlockSize(
        in_channels=in_channels,
        inner=_CHANNELS_PER_GROUP * groups * 2**stage,
        residual=residual,
        growth=growth,
        # The first block of a stage starts the dense path with two parts and appends the third.
        projected=residual + 2 * growth if is_projected else 0,
        out_channels=residual + (3 + index) * growth,
        groups=groups,
        stride=2 if index == 0 and stage > 0 else 1,
    )


def _multiple_of_eight(channels: float) -> int:
    return max(8, 8 * round(channels / 8))
