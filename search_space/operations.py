"""The nine operations of a cell's edge: a convolution, bare or with batch norm and ReLU.

Index = 3 * kind + kernel, with the kernels in the order 3, 1, 5 (see `hyperparameters`).
"""

from __future__ import annotations

from torch import nn

from search_space.errors import InvalidConfigurationError
from search_space.hyperparameters import OPERATION_NAMES

BATCH_NORM_EPSILON = 1e-3

_KERNEL_SIZES = (3, 1, 5)


def build_operation(
    index: int, in_channels: int, out_channels: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """The operation with this index; padded, so that only the stride shrinks the picture.

    0-2 normalise and activate, then convolve; 3-5 only convolve; 6-8 convolve, then normalise and
    activate. Convolutions have no bias.

    Raises:
        InvalidConfigurationError: The index is not one of the nine.
    """
    if not 0 <= index < len(OPERATION_NAMES):
        raise InvalidConfigurationError(
            f"there is no operation {index}; choose from 0 to {len(OPERATION_NAMES) - 1}"
        )
    kernel_size = _KERNEL_SIZES[index % 3]
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )
    if index < 3:
        return nn.Sequential(normalise_and_activate(in_channels), convolution)
    if index < 6:
        return nn.Sequential(convolution)
    return nn.Sequential(convolution, normalise_and_activate(out_channels))


def normalise_and_activate(channels: int) -> nn.Sequential:
    """Batch norm and ReLU, the activation of every operation."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON), nn.ReLU(inplace=True))
