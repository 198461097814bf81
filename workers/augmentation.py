"""Random changes of training pictures: one draw per picture, applied on the pictures' device.

All random numbers come from a CPU generator, so that a picture is changed alike on every device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ROTATION_DEGREES = 20.0
MAX_SCALE = 0.16
MAX_SHIFT = 0.12
MAX_BRIGHTNESS = 0.4
MAX_CONTRAST = 0.4
_N_DRAWS = 7


def normalise(images: Tensor) -> Tensor:
    """Pixels 0..255 of any dtype as float32 in [-1, 1]."""
    return images.to(torch.float32) / 127.5 - 1.0


def draw_changes(n_images: int, *, generator: torch.Generator) -> Tensor:
    """Numbers in [-1, 1), float32 (n_images, 7), that `augment` turns into changes."""
    return torch.rand(n_images, _N_DRAWS, generator=generator).mul_(2.0).sub_(1.0)


def augment(images: Tensor, changes: Tensor, *, strength: float) -> Tensor:
    """Mirror, rotate, scale, shift, brighten and stretch every picture by its own numbers.

    At strength 1 the limits are 20 degrees, 16 % in scale, 12 % of the side in shift, 40 % of
    half the pixel range in brightness and 40 % in contrast; they shrink with the strength. Half of
    the pictures are mirrored at any strength above 0. At 0 the pixels are only normalised.

    Args:
        images: uint8 (b, c, s, s).
        changes: (b, 7) on the same device, from `draw_changes`.
        strength: 0..1.

    Returns:
        float32 (b, c, s, s) in [-1, 1].
    """
    pictures = normalise(images)
    if strength <= 0.0:
        return pictures
    grid = F.affine_grid(_affine(changes, strength), list(pictures.shape), align_corners=False)
    moved = F.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    contrast = (1.0 + strength * MAX_CONTRAST * changes[:, 5])[:, None, None, None]
    brightness = (strength * MAX_BRIGHTNESS * changes[:, 6])[:, None, None, None]
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    return ((moved - mean) * contrast + mean + brightness).clamp_(-1.0, 1.0)


def _affine(changes: Tensor, strength: float) -> Tensor:
    """(b, 2, 3) from output to input coordinates, which run over [-1, 1]."""
    mirror = torch.where(changes[:, 0] < 0.0, -1.0, 1.0)
    angle = changes[:, 1] * (strength * math.radians(MAX_ROTATION_DEGREES))
    scale = 1.0 + strength * MAX_SCALE * changes[:, 2]
    # A side is 2 long in these coordinates.
    shift = changes[:, 3:5] * (2.0 * strength * MAX_SHIFT)
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    row_x = torch.stack([mirror * cosine, -mirror * sine, mirror * shift[:, 0]], dim=1)
    row_y = torch.stack([sine, cosine, shift[:, 1]], dim=1)
    return torch.stack([row_x, row_y], dim=1)
