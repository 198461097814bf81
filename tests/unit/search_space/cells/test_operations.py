from __future__ import annotations

import pytest
import torch
from torch import nn

from search_space.cell import OPERATIONS, PAPER_OPERATIONS
from search_space.cells.operations import build_operation
from search_space.errors import InvalidConfigurationError


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 4), (2, 4)])
@pytest.mark.parametrize("out_channels", [8, 12])
def test_an_operation_changes_channels_and_size_as_asked(
    name: str, stride: int, groups: int, out_channels: int
) -> None:
    operation = build_operation(name, 8, out_channels, stride=stride, groups=groups)
    images = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    images.requires_grad_()
    features = operation(images)
    side = 7 if stride == 1 else 4
    assert features.shape == (2, out_channels, side, side)
    features.square().sum().backward()
    for tensor in (images, *operation.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    assert torch.equal(images.detach(), before)  # other edges read it too


@pytest.mark.parametrize("side", [1, 2, 5, 8])
@pytest.mark.parametrize("name", OPERATIONS)
def test_all_operations_of_a_node_halve_alike(name: str, side: int) -> None:
    halved = build_operation(name, 4, 4, stride=2).eval()(torch.zeros(1, 4, side, side))
    assert halved.shape[2:] == ((side + 1) // 2, (side + 1) // 2)


@pytest.mark.parametrize("name", PAPER_OPERATIONS)
def test_an_operation_is_what_its_name_says(name: str) -> None:
    operation = build_operation(name, 8, 12, groups=2)
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
    assert spelled + kernel == name


def test_the_order_of_norm_and_convolution_shows_in_the_output() -> None:
    images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    # Activated, then convolved; convolved, then activated.
    assert build_operation("BnActConv1x1", 4, 4)(images).min() < 0
    assert build_operation("ConvBnAct1x1", 4, 4)(images).min() == 0


def test_a_skip_that_changes_nothing_is_the_identity() -> None:
    images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(build_operation("Skip", 4, 4)(images), images)
    halved = build_operation("Skip", 4, 4, stride=2)(images)
    torch.testing.assert_close(halved[0, 0, 0, 0], images[0, 0, :2, :2].mean())


def test_pools_take_the_mean_and_the_largest_of_the_pixels_that_are_there() -> None:
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    mean = build_operation("AvgPool3x3", 1, 1)(images)
    largest = build_operation("MaxPool3x3", 1, 1)(images)
    assert mean[0, 0, 0, 0] == images[0, 0, :2, :2].mean()
    assert mean[0, 0, 1, 1] == images[0, 0, :3, :3].mean()
    assert largest[0, 0, 1, 1] == 10


@pytest.mark.parametrize(
    ("name", "reach"), [("DilConv3x3", 2), ("DilConv5x5", 4), ("SepConv5x5", 2), ("Conv5x5", 2)]
)
def test_a_pixel_is_seen_as_far_as_the_kernel_reaches(name: str, reach: int) -> None:
    operation = build_operation(name, 1, 1).eval()
    for module in operation.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    images = torch.zeros(1, 1, 13, 13)
    images[0, 0, 6, 6] = 1.0
    rows = operation(images)[0, 0].nonzero()[:, 0] - 6
    assert (int(rows.min()), int(rows.max())) == (-reach, reach)


def test_a_separable_convolution_is_cheap() -> None:
    def size(name: str) -> int:
        return sum(p.numel() for p in build_operation(name, 32, 32).parameters())

    assert size("SepConv5x5") == 32 * 25 + 32 * 32 + 64
    assert size("ConvBnAct5x5") == 32 * 32 * 25 + 64


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match="no operation 'Conv7x7'; choose from"):
        build_operation("Conv7x7", 4, 4)
