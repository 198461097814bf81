from __future__ import annotations

import pytest
import torch
from torch import nn

from search_space.decode import operation_name
from search_space.errors import InvalidConfigurationError
from search_space.operations import build_operation


@pytest.mark.parametrize("index", range(9))
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 4)])
def test_an_operation_changes_channels_and_size_as_asked(
    index: int, stride: int, groups: int
) -> None:
    operation = build_operation(index, 8, 12, stride=stride, groups=groups)
    images = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    features = operation(images)
    side = 7 if stride == 1 else 4
    assert features.shape == (2, 12, side, side)
    features.square().sum().backward()
    for tensor in (images, *operation.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("index", range(9))
def test_an_operation_is_what_its_name_says(index: int) -> None:
    operation = build_operation(index, 8, 12, groups=2)
    parts = [m for m in operation.modules() if not isinstance(m, nn.Sequential)]
    spelled = ""
    for part in parts:
        if isinstance(part, nn.Conv2d):
            spelled += "Conv"
            kernel = f"{part.kernel_size[0]}x{part.kernel_size[1]}"
            assert part.bias is None
            assert part.groups == 2
        elif isinstance(part, nn.BatchNorm2d):
            spelled += "Bn"
            assert part.eps == 1e-3
        else:
            assert isinstance(part, nn.ReLU)
            spelled += "Act"
    assert spelled + kernel == operation_name(index)


def test_the_order_of_norm_and_convolution_shows_in_the_output() -> None:
    images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert build_operation(1, 4, 4)(images).min() < 0  # activated, then convolved
    assert build_operation(7, 4, 4)(images).min() == 0  # convolved, then activated


def test_there_are_nine_operations() -> None:
    for index in (-1, 9):
        with pytest.raises(InvalidConfigurationError, match="choose from 0 to 8"):
            build_operation(index, 4, 4)
