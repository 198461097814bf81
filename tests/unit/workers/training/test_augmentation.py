from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from workers.training.augmentation import augment, draw_changes, normalise


def faces(n: int = 6, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), generator=generator, dtype=torch.uint8)


def unchanged(n: int) -> torch.Tensor:
    """Changes that leave a picture as it is: no mirror (above 0) and zeros."""
    changes = torch.zeros(n, 7)
    changes[:, 0] = 0.5
    return changes


def test_normalised_pixels_lie_between_minus_one_and_one() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert normalise(pixels).flatten().tolist() == [-1.0, 1.0]


def test_normalising_leaves_a_float_input_alone() -> None:
    pixels = torch.full((1, 1, 2, 2), 255.0)
    normalise(pixels)
    assert pixels.unique().tolist() == [255.0]


def test_at_strength_zero_the_pixels_are_exactly_the_normalised_ones() -> None:
    images = faces()
    changes = draw_changes(len(images), generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(images, changes, strength=0.0), normalise(images))


def test_half_of_the_pictures_are_mirrored_each_by_its_own_draw() -> None:
    images = faces(2)
    changes = unchanged(2)
    changes[0, 0] = -0.5
    out = augment(images, changes, strength=0.01)
    assert torch.allclose(out[0], normalise(images)[0].flip(2), atol=1e-5)
    assert torch.allclose(out[1], normalise(images)[1], atol=1e-5)
    draws = draw_changes(2000, generator=torch.Generator().manual_seed(0))
    assert (draws[:, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_a_shift_moves_by_its_share_of_the_side() -> None:
    images = faces(1, side=25)
    changes = unchanged(1)
    changes[0, 3] = 1.0  # full shift along x: 12 % of 25 pixels at strength 1 are 3 pixels
    out = augment(images, changes, strength=1.0)
    assert torch.allclose(out[..., :-3], normalise(images)[..., 3:], atol=1e-4)


def test_a_rotation_equals_scipys() -> None:
    rows, columns = np.mgrid[-1:1:33j, -1:1:33j]
    smooth = 127.5 + 60 * np.sin(3 * columns + rows) + 50 * np.cos(2 * rows)
    image = torch.from_numpy(smooth.astype(np.uint8)).expand(1, 3, -1, -1)
    changes = unchanged(1)
    changes[0, 1] = 1.0
    out = augment(image, changes, strength=0.5)[0, 0].numpy()
    angle = 0.5 * math.radians(20.0)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = np.array([16.0, 16.0])
    expected = ndimage.affine_transform(
        normalise(image)[0, 0].numpy(), matrix, centre - matrix @ centre, order=1, mode="nearest"
    )
    assert np.abs(out - expected)[4:-4, 4:-4].max() < 1e-3


def test_brightness_and_contrast_change_mean_and_spread_only() -> None:
    images = (faces(1) // 4) + 96
    changes = unchanged(1)
    changes[0, 5], changes[0, 6] = -0.5, 0.25
    before, after = normalise(images), augment(images, changes, strength=0.5)
    assert after.mean().item() == pytest.approx(before.mean().item() + 0.05, abs=1e-4)
    assert (after.std() / before.std()).item() == pytest.approx(0.9, abs=1e-3)


def test_pixels_stay_between_minus_one_and_one_at_full_strength() -> None:
    images = faces(64)
    changes = draw_changes(64, generator=torch.Generator().manual_seed(3))
    out = augment(images, changes, strength=1.0)
    assert out.dtype == torch.float32
    assert out.min() >= -1.0
    assert out.max() <= 1.0


def test_the_same_generator_state_gives_the_same_pictures() -> None:
    images = faces()
    first, again, other = (
        augment(
            images, draw_changes(6, generator=torch.Generator().manual_seed(seed)), strength=0.5
        )
        for seed in (4, 4, 5)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_numbers_for_erasing_leave_the_others_as_they_are() -> None:
    plain = draw_changes(5, generator=torch.Generator().manual_seed(3))
    more = draw_changes(5, generator=torch.Generator().manual_seed(3), erasing=True)
    assert torch.equal(more[:, :7], plain)
    assert more.shape == (5, 12)


def test_the_share_of_pictures_that_is_asked_for_loses_a_rectangle() -> None:
    images = torch.full((1500, 1, 32, 32), 255, dtype=torch.uint8)
    changes = draw_changes(1500, generator=torch.Generator().manual_seed(0), erasing=True)
    erased = augment(images, changes, strength=0.0, erasing=0.3)[:, 0] == 0.0
    touched = erased.any(dim=(1, 2))
    assert touched.float().mean().item() == pytest.approx(0.3, abs=0.04)
    for mask in erased[touched]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])  # one rectangle
        share = mask.float().mean().item()
        assert 0.01 < share < 0.29
        aspect = rows.sum().item() / columns.sum().item()
        assert 0.4 < aspect < 2.6
    assert torch.equal(augment(images, changes, strength=0.0), normalise(images))


def test_nothing_is_erased_twice_alike() -> None:
    images = torch.full((50, 1, 32, 32), 255, dtype=torch.uint8)
    changes = draw_changes(50, generator=torch.Generator().manual_seed(0), erasing=True)
    erased = augment(images, changes, strength=0.0, erasing=1.0) == 0.0
    assert len({mask.numpy().tobytes() for mask in erased}) == 50
