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
MAX_ERASED_AREA = 0.25
MIN_ERASED_AREA = 0.02
MAX_ERASED_ASPECT = 2.0
_HALF_RANGE = 127.5
_N_DRAWS = 7
_PICTURES_AT_A_TIME = 16
_N_ERASING_DRAWS = 5


def normalise(images: Tensor) -> Tensor:
    """Pixels 0..255 of any dtype as float32 in [-1, 1]."""
    # A copy even of float32, which is then changed in place.
    return images.to(torch.float32, copy=True).div_(_HALF_RANGE).sub_(1.0)


def draw_changes(n_images: int, *, generator: torch.Generator, erasing: bool = False) -> Tensor:
    """Numbers in [-1, 1), float32 (n_images, 7 or 12), that `augment` turns into changes.

    The first seven are the same with and without those for erasing.
    """
    changes = torch.rand(n_images, _N_DRAWS, generator=generator)
    if erasing:
        more = torch.rand(n_images, _N_ERASING_DRAWS, generator=generator)
        changes = torch.cat([changes, more], dim=1)
    return changes.mul_(2.0).sub_(1.0)


def augment(images: Tensor, changes: Tensor, *, strength: float, erasing: float = 0.0) -> Tensor:
    """Mirror, rotate, scale, shift, brighten, stretch and partly erase every picture.

    At strength 1 the limits are 20 degrees, 16 % in scale, 12 % of the side in shift, 40 % of
    half the pixel range in brightness and 40 % in contrast; they shrink with the strength. Half of
    the pictures are mirrored at any strength above 0. At 0 the pixels are only normalised.

    Args:
        images: uint8 (b, c, s, s).
        changes: (b, 7), or (b, 12) to erase, on the same device, from `draw_changes`.
        strength: 0..1.
        erasing: Probability, 0..1, that a rectangle of 2 to 25 % of the picture becomes grey
            (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020).

    Returns:
        float32 (b, c, s, s) in [-1, 1].
    """
    if strength > 0.0:
        # A part at a time stays in a CPU's cache; a GPU takes all at once.
        size = _PICTURES_AT_A_TIME if images.device.type == "cpu" else max(1, len(images))
        pictures = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            _move_and_light(images[part], changes[part], strength, out=pictures[part])
    else:
        pictures = normalise(images)
    return _erased(pictures, changes[:, _N_DRAWS:], erasing) if erasing > 0.0 else pictures


def _move_and_light(images: Tensor, changes: Tensor, strength: float, *, out: Tensor) -> None:
    side = images.shape[-1]
    # What affine_grid(align_corners=False) does, by adding instead of multiplying matrices.
    centres = (torch.arange(side, device=images.device) * 2.0 + 1.0) / side - 1.0
    affine = _affine(changes, strength)
    along_x = affine[:, :, 0, None] * centres
    along_y = affine[:, :, 1, None] * centres + affine[:, :, 2, None]
    grid = along_y.mT[:, :, None] + along_x.mT[:, None]
    # Interpolated pixels are means of pixels, so they can be normalised afterwards.
    moved = F.grid_sample(
        images.to(torch.float32), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    contrast = (1.0 + strength * MAX_CONTRAST * changes[:, 5])[:, None, None, None]
    brightness = (strength * MAX_BRIGHTNESS * changes[:, 6])[:, None, None, None]
    mean = moved.mean(dim=(1, 2, 3), keepdim=True) / _HALF_RANGE - 1.0
    # Contrast around the mean, then brightness.
    base = mean * (1.0 - contrast) + brightness - contrast
    torch.addcmul(base, moved, contrast / _HALF_RANGE, out=out)
    out.clamp_(-1.0, 1.0)


def _erased(pictures: Tensor, changes: Tensor, probability: float) -> Tensor:
    """A rectangle of its own in every chosen picture, wholly inside it, set to 0."""
    side = pictures.shape[-1]
    chosen, area, aspect, place_y, place_x = ((changes + 1.0) / 2.0).unbind(dim=1)
    area = MIN_ERASED_AREA + area * (MAX_ERASED_AREA - MIN_ERASED_AREA)
    aspect = MAX_ERASED_ASPECT ** (2.0 * aspect - 1.0)
    height, width = (area * aspect).sqrt() * side, (area / aspect).sqrt() * side
    top, left = place_y * (side - height), place_x * (side - width)
    pixels = torch.arange(side, device=pictures.device) + 0.5
    rows = (pixels >= top[:, None]) & (pixels < (top + height)[:, None])
    columns = (pixels >= left[:, None]) & (pixels < (left + width)[:, None])
    inside = rows[:, :, None] & columns[:, None, :] & (chosen < probability)[:, None, None]
    return pictures.masked_fill(inside[:, None], 0.0)


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
