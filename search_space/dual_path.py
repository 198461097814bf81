"""The dual-path network: the predecessor's macro-architecture around a searched three-edge cell.

Each block adds one part of its output to a residual path and appends another to a dense path
(Chen et al., "Dual Path Networks", NeurIPS 2017). At width 1 and one block per stage this is
exactly the network of the published fairness search, without its 1000-way classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from search_space.candidate import DualPathArchitecture
from search_space.operations import (
    BATCH_NORM_EPSILON,
    build_operation,
    normalise_and_activate,
)

# Residual and dense feature maps; the stem gives only one, which the first block projects.
Paths: TypeAlias = tuple[Tensor, ...]

_GROUPS = 50
_CHANNELS_PER_GROUP = 4  # in the first stage; doubles from stage to stage
_STEM_CHANNELS = 128
_RESIDUAL_CHANNELS = (256, 512, 1024, 2048)
_DENSE_GROWTH = (20, 64, 64, 128)
_BN_ACT_CONV_1X1 = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSize:
    """Channel counts of one stage.

    Attributes:
        inner: Between the edges of the cell; a multiple of `groups`.
        residual: Of the residual path.
        growth: Appended to the dense path by each block; the first block starts it with three.
        groups: Of the second edge.
        stride: Of the first block.
    """

    inner: int
    residual: int
    growth: int
    groups: int
    stride: int

    def out_channels(self, n_blocks: int) -> int:
        """Channels of both paths together after `n_blocks` blocks."""
        return self.residual + (2 + n_blocks) * self.growth


def stage_sizes(width: float) -> tuple[StageSize, ...]:
    """The four stages at this width; each group of the second edge keeps its channels.

    Args:
        width: Above 0; multiplies groups, residual channels and growth.
    """
    groups = max(1, round(_GROUPS * width))
    return tuple(
        StageSize(
            inner=_CHANNELS_PER_GROUP * groups * 2**index,
            residual=_multiple_of_eight(residual * width),
            growth=max(1, round(growth * width)),
            groups=groups,
            stride=1 if index == 0 else 2,
        )
        for index, (residual, growth) in enumerate(
            zip(_RESIDUAL_CHANNELS, _DENSE_GROWTH, strict=True)
        )
    )


class DualPathBlock(nn.Module):
    """One block: the cell's three edges, and in a stage's first block a projection of the input.

    Args:
        in_channels: Of both incoming paths together.
        is_first: The stage's first block takes the stride and projects both paths anew; later
            blocks keep the paths that come in.
    """

    def __init__(
        self, edges: tuple[int, int, int], in_channels: int, size: StageSize, *, is_first: bool
    ) -> None:
        super().__init__()
        stride = size.stride if is_first else 1
        self.residual_channels = size.residual
        self.edge1 = build_operation(edges[0], in_channels, size.inner)
        self.edge2 = build_operation(
            edges[1], size.inner, size.inner, stride=stride, groups=size.groups
        )
        self.edge3 = build_operation(edges[2], size.inner, size.residual + size.growth)
        self.projection: nn.Module | None = None
        if is_first:
            projected = size.residual + 2 * size.growth
            self.projection = build_operation(
                _BN_ACT_CONV_1X1, in_channels, projected, stride=stride
            )

    def forward(self, paths: Paths) -> Paths:
        """Residual path plus, and dense path beside, what the cell makes of both."""
        joined = torch.cat(paths, dim=1)
        if self.projection is not None:
            paths = self._split(self.projection(joined))
        residual, dense = self._split(self.edge3(self.edge2(self.edge1(joined))))
        return paths[0] + residual, torch.cat((paths[1], dense), dim=1)

    def _split(self, features: Tensor) -> Paths:
        return features[:, : self.residual_channels], features[:, self.residual_channels :]


class DualPathNetwork(nn.Module):
    """Pictures to feature vectors.

    A quarter of the side is left after the stem and a 32nd at the end, rounded up, so pictures of
    24 pixels and more keep some of their layout into the last stage.

    Attributes:
        feature_size: Length of a feature vector; 2432 at width 1 with one block per stage.
    """

    def __init__(self, architecture: DualPathArchitecture, in_channels: int) -> None:
        super().__init__()
        stem_channels = _multiple_of_eight(_STEM_CHANNELS * architecture.width)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem_channels, 7, stride=2, padding=3, bias=False),
            normalise_and_activate(stem_channels),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks = []
        channels = stem_channels
        for size in stage_sizes(architecture.width):
            for index in range(architecture.blocks_per_stage):
                is_first = index == 0
                blocks.append(DualPathBlock(architecture.edges, channels, size, is_first=is_first))
                channels = size.out_channels(index + 1)
        self.blocks = nn.ModuleList(blocks)
        self.final = nn.Sequential(
            nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON), nn.ELU(inplace=True)
        )
        self.feature_size = channels

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
        return self.final(torch.cat(paths, dim=1)).mean(dim=(2, 3))  # type: ignore[no-any-return]


def _multiple_of_eight(channels: float) -> int:
    return max(8, 8 * round(channels / 8))
