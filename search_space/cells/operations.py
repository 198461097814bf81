"""The operations of a cell's edges as layers. Each keeps the picture's size but for its stride."""

from __future__ import annotations

import re

from torch import nn

from search_space.cell import OPERATIONS, SKIP
from search_space.errors import InvalidConfigurationError

BATCH_NORM_EPSILON = 1e-3


def build_operation(
    name: str, in_channels: int, out_channels: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """The operation called `name`; its input it leaves as it is.

    `BnActConv` normalises and activates, then convolves; `Conv` only convolves; `ConvBnAct`
    convolves, then normalises and activates. `SepConv` convolves each channel by itself and mixes
    them by a 1x1 convolution, `DilConv` leaves out every second pixel; both then normalise and
    activate. Pools and `Skip` hand on what they get, through a 1x1 convolution where the number
    of channels changes. No convolution has a bias.

    Args:
        name: One of `cell.OPERATIONS`.
        in_channels: A multiple of `groups`.
        out_channels: A multiple of `groups`.
        stride: 1 or 2; a side of n pixels becomes n / 2, rounded up.
        groups: Of the convolutions that mix channels.

    Raises:
        InvalidConfigurationError: There is no such operation.
    """
    if name not in OPERATIONS:
        raise InvalidConfigurationError(
            f"there is no operation {name!r}; choose from {', '.join(OPERATIONS)}"
        )
    if name == SKIP:
        shrink = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
        return nn.Sequential(*shrink, *_mix(in_channels, out_channels, groups))
    kind, kernel = _parts(name)
    if kind == "AvgPool":
        pool = nn.AvgPool2d(kernel, stride, padding=kernel // 2, count_include_pad=False)
        return nn.Sequential(pool, *_mix(in_channels, out_channels, groups))
    if kind == "MaxPool":
        return nn.Sequential(
            nn.MaxPool2d(kernel, stride, padding=kernel // 2),
            *_mix(in_channels, out_channels, groups),
        )
    return nn.Sequential(*_convolutions(kind, kernel, (in_channels, out_channels), stride, groups))


def normalise_and_activate(channels: int) -> nn.Sequential:
    """Batch norm and ReLU, the activation of every operation."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON), nn.ReLU(inplace=True))


def _convolutions(
    kind: str, kernel: int, channels: tuple[int, int], stride: int, groups: int
) -> list[nn.Module]:
    in_channels, out_channels = channels
    if kind == "BnActConv":
        convolution = _convolution(channels, kernel, stride=stride, groups=groups)
        return [normalise_and_activate(in_channels), convolution]
    if kind == "Conv":
        return [_convolution(channels, kernel, stride=stride, groups=groups)]
    if kind == "ConvBnAct":
        convolution = _convolution(channels, kernel, stride=stride, groups=groups)
        return [convolution, normalise_and_activate(out_channels)]
    if kind == "SepConv":
        depthwise = _convolution(
            (in_channels, in_channels), kernel, stride=stride, groups=in_channels
        )
        pointwise = _convolution(channels, 1, groups=groups)
        return [depthwise, pointwise, normalise_and_activate(out_channels)]
    dilated = _convolution(channels, kernel, stride=stride, groups=groups, dilation=2)
    return [dilated, normalise_and_activate(out_channels)]


def _convolution(
    channels: tuple[int, int], kernel: int, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        *channels,
        kernel,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def _mix(in_channels: int, out_channels: int, groups: int) -> list[nn.Module]:
    if in_channels == out_channels:
        return []
    return [_convolution((in_channels, out_channels), 1, groups=groups)]


def _parts(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"([A-Za-z]+)(\d)x\d", name)
    assert match is not None, "every operation but Skip is named after its kernel"
    return match[1], int(match[2])
