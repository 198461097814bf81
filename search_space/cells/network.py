"""A network of cells: one searched cell, repeated in four stages behind a stem.

With the chain cell and the dual-path tail, width 1 and one block per stage, this is exactly the
network of the published fairness search, without its 1000-way classifier. A dual-path block adds
one part of its output to a residual path and appends another to a dense path (Chen et al., "Dual
Path Networks", NeurIPS 2017).
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from search_space.candidate import DagArchitecture
from search_space.cell import Cell
from search_space.cells.operations import (
    BATCH_NORM_EPSILON,
    build_operation,
    normalise_and_activate,
)
from search_space.cells.stages import BlockSize, block_sizes, stem_channels

# Residual and dense feature maps of a dual-path network; one of any other, and from the stem.
Paths: TypeAlias = tuple[Tensor, ...]

_PROJECTION = "BnActConv1x1"


class CellBlock(nn.Module):
    """One block: the cell's edges, and where its tail wants one a projection of the input.

    Args:
        cell: Which edges there are, and how nodes and tail join them.
        size: Channels and stride.
        drop_path: Probability of leaving out what is added to a residual path, 0 to below 1.
    """

    def __init__(self, cell: Cell, size: BlockSize, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.cell = cell
        self.drop_path = drop_path
        self.residual_channels = size.residual
        self.edges = nn.ModuleDict(
            {
                f"{edge.source}-{edge.target}": build_operation(
                    edge.operation,
                    edge_size.in_channels,
                    edge_size.out_channels,
                    stride=edge_size.stride,
                    groups=edge_size.groups,
                )
                for edge, edge_size in zip(cell.edges, size.edges(cell), strict=True)
            }
        )
        self.projection: nn.Module | None = None
        if size.projected:
            self.projection = build_operation(
                _PROJECTION, size.in_channels, size.projected, stride=size.stride
            )

    def forward(self, paths: Paths) -> Paths:
        """The paths that go out, from the paths that come in."""
        joined = torch.cat(paths, dim=1) if len(paths) > 1 else paths[0]
        output = self._cell_output(joined)
        if self.cell.tail == "plain":
            return (output,)
        if self.projection is not None:
            paths = self._split(self.projection(joined))
        residual, *dense = self._split(output)
        added = paths[0] + drop_samples(residual, self.drop_path, is_training=self.training)
        return (added, torch.cat((paths[1], *dense), dim=1)) if dense else (added,)

    def _cell_output(self, joined: Tensor) -> Tensor:
        values = [joined]
        for node in range(1, self.cell.n_nodes):
            arriving = [
                self.edges[f"{edge.source}-{node}"](values[edge.source])
                for edge in self.cell.edges_into(node)
            ]
            if self.cell.joins[node - 1] == "concat":
                values.append(torch.cat(arriving, dim=1))
            else:
                total = arriving[0]
                for value in arriving[1:]:
                    total = total + value
                values.append(total)
        return values[-1]

    def _split(self, features: Tensor) -> Paths:
        if self.cell.tail != "dual_path":
            return (features,)
        return features[:, : self.residual_channels], features[:, self.residual_channels :]


class CellNetwork(nn.Module):
    """Pictures to feature vectors.

    A quarter of the side is left after the stem and a 32nd at the end, rounded up, so pictures of
    24 pixels and more keep some of their layout into the last stage.

    Attributes:
        feature_size: Length of a feature vector; 2432 for the published network.
    """

    def __init__(
        self, architecture: DagArchitecture, in_channels: int, *, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        channels = stem_channels(architecture.width)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False),
            normalise_and_activate(channels),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        sizes = block_sizes(architecture)
        self.blocks = nn.ModuleList(
            CellBlock(
                architecture.cell, size, drop_path=drop_path * index / max(1, len(sizes) - 1)
            )
            for index, size in enumerate(sizes)
        )
        self.feature_size = sizes[-1].out_channels
        self.final = nn.Sequential(
            nn.BatchNorm2d(self.feature_size, eps=BATCH_NORM_EPSILON), nn.ELU(inplace=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Feature vectors.

        Args:
            images: Shape (batch, channels, height, width), normalised.

        Returns:
            Shape (batch, feature_size).
        """
        paths: Paths = (self.stem(images),)
        for block in self.blocks:
            paths = block(paths)
        features = torch.cat(paths, dim=1) if len(paths) > 1 else paths[0]
        return self.final(features).mean(dim=(2, 3))  # type: ignore[no-any-return]


def drop_samples(features: Tensor, probability: float, *, is_training: bool) -> Tensor:
    """Zero for some samples, larger for the others, so that the mean stays.

    Args:
        features: Shape (batch, channels, height, width).
        probability: Of being dropped, 0 to below 1.
        is_training: Otherwise nothing is dropped.

    References:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """
    if probability <= 0.0 or not is_training:
        return features
    keep = 1.0 - probability
    mask = features.new_empty((features.shape[0], 1, 1, 1)).bernoulli_(keep)
    return features * (mask / keep)
