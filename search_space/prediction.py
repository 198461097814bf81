"""What a network will cost, by arithmetic alone: nothing is built, so a coordinator can ask.

Counts what `build.network_cost` counts on the built network; a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from search_space.candidate import Architecture, Candidate, DagArchitecture, TimmArchitecture
from search_space.cell import SKIP, Cell, Edge
from search_space.cells.stages import BlockSize, EdgeSize, as_dag, block_sizes, stem_channels
from search_space.definition.variants import VariantRecord

_STEM_KERNEL = 7


class Cost(NamedTuple):
    """Trainable numbers, and multiply-accumulates for one picture."""

    parameters: int
    macs: int


def predicted_cost(
    candidate: Candidate,
    *,
    in_channels: int,
    image_size: int,
    backbones: Mapping[str, VariantRecord],
) -> Cost:
    """Parameters and multiply-accumulates of backbone and neck.

    Args:
        candidate: What `decode` returned.
        in_channels: 1 or 3.
        image_size: Side of the pictures in pixels.
        backbones: timm variant -> its record at this size, for every variant of the space.

    Raises:
        KeyError: The candidate's timm variant is not among `backbones`.
    """
    return network_cost(
        candidate.architecture,
        candidate.embedding_size,
        in_channels=in_channels,
        image_size=image_size,
        backbones=backbones,
    )


def network_cost(
    architecture: Architecture,
    embedding_size: int,
    *,
    in_channels: int,
    image_size: int,
    backbones: Mapping[str, VariantRecord],
) -> Cost:
    """The same of an architecture and the size of its embeddings, which is all that it depends on.

    Args:
        architecture: Of the backbone.
        embedding_size: Numbers of an embedding.
        in_channels: As for `predicted_cost`.
        image_size: As for `predicted_cost`.
        backbones: As for `predicted_cost`.

    Raises:
        KeyError: As for `predicted_cost`.
    """
    if isinstance(architecture, TimmArchitecture):
        known = backbones[architecture.variant]
        body, feature_size = Cost(known.parameters, known.macs), known.feature_size
    else:
        dag = as_dag(architecture)
        sizes = block_sizes(dag)
        body = _cells_cost(dag, sizes, in_channels=in_channels, image_size=image_size)
        feature_size = sizes[-1].out_channels
    projection = feature_size * embedding_size
    # Of the neck's batch norm only the shift is trained.
    return Cost(body.parameters + projection + embedding_size, body.macs + projection)


def cell_network_cost(architecture: DagArchitecture, *, in_channels: int, image_size: int) -> Cost:
    """The cost of a network of cells up to its feature vectors."""
    sizes = block_sizes(architecture)
    return _cells_cost(architecture, sizes, in_channels=in_channels, image_size=image_size)


def _cells_cost(
    architecture: DagArchitecture,
    sizes: Sequence[BlockSize],
    *,
    in_channels: int,
    image_size: int,
) -> Cost:
    channels = stem_channels(architecture.width)
    side = _half(image_size)
    stem = in_channels * channels * _STEM_KERNEL**2
    parameters, macs = stem + 2 * channels, stem * side**2
    side = _half(side)
    for size in sizes:
        block = _block_cost(architecture.cell, size, side)
        side = _half(side) if size.stride == 2 else side
        parameters, macs = parameters + block.parameters, macs + block.macs
    return Cost(parameters + 2 * sizes[-1].out_channels, macs)


def _block_cost(cell: Cell, size: BlockSize, side: int) -> Cost:
    """Each layer's multiply-accumulates are its weights times the pixels that come out."""
    reduced = _half(side) if size.stride == 2 else side
    parameters, macs = 0, 0
    for edge, edge_size in zip(cell.edges, size.edges(cell), strict=True):
        weights, norms = _edge_parameters(edge, edge_size)
        parameters += weights + norms
        macs += weights * (reduced if cell.reduced[edge.target] else side) ** 2
    if size.projected:
        weights = size.in_channels * size.projected
        parameters += weights + 2 * size.in_channels
        macs += weights * reduced**2
    return Cost(parameters, macs)


def _edge_parameters(edge: Edge, size: EdgeSize) -> tuple[int, int]:
    """Weights of the convolutions, and numbers of the batch norms."""
    kind, area = _kind_and_area(edge.operation)
    mixing = size.in_channels * size.out_channels // size.groups
    if kind in (SKIP, "AvgPool", "MaxPool"):
        return (0 if size.in_channels == size.out_channels else mixing), 0
    if kind == "SepConv":
        return size.in_channels * area + mixing, 2 * size.out_channels
    norms = {"Conv": 0, "BnActConv": 2 * size.in_channels}.get(kind, 2 * size.out_channels)
    return mixing * area, norms


@lru_cache(maxsize=64)
def _kind_and_area(operation: str) -> tuple[str, int]:
    """Its name without the kernel's size, and the pixels of the kernel; 0 without a kernel."""
    kind = operation.rstrip("0123456789x")
    return kind, 0 if kind == operation else int(operation[-1]) ** 2


def _half(side: int) -> int:
    return (side + 1) // 2
