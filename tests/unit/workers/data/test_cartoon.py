from __future__ import annotations

import numpy as np
import pytest

from workers.data.cartoon import draw_faces

SIZE = 32
FACE = {
    "skin": 0.66,
    "hair": 0.22,
    "width": 0.54,
    "height": 0.72,
    "taper": 0.25,
    "hair_volume": 0.11,
    "hair_length": 0.15,
    "hairline": -0.42,
    "parting": 0.0,
    "eye_spacing": 0.24,
    "eye_height": -0.08,
    "eye_size": 0.085,
    "eye_tilt": 0.0,
    "iris": 0.18,
    "brow_distance": 0.16,
    "brow_thickness": 0.032,
    "brow_tilt": 0.0,
    "nose_length": 0.28,
    "nose_width": 0.09,
    "mouth_height": 0.42,
    "mouth_width": 0.21,
    "lip_thickness": 0.045,
    "line_angle": 0.5,
    "line_pitch": 4.0,
    "line_contrast": 0.0,
}
POSE = {
    "shift_x": 0.0,
    "shift_y": 0.0,
    "rotation": 0.0,
    "scale": 1.0,
    "eye_opening": 0.8,
    "glance": 0.0,
    "mouth_opening": 0.02,
    "smile": 0.1,
    "light_angle": 0.0,
    "light": 0.0,
    "gain": 1.0,
    "blur": 0.0,
    "background": 0.5,
    "background_slope": 0.0,
    "block_x": 0.0,
    "block_y": 0.0,
    "block_size": -1.0,
    "block_tone": 0.0,
}
MARKS = {name: np.zeros((1, 2), np.float32) for name in ("mark_u", "mark_v", "mark_tone")}


def single(values):
    return {name: np.array([value], np.float32) for name, value in values.items()}


def draw(size=SIZE, **changes):
    """One face, shape (size, size), as integers."""
    face = single(FACE | {k: v for k, v in changes.items() if k in FACE})
    marks = {k: np.array([v], np.float32) for k, v in changes.items() if k in MARKS}
    pose = single(POSE | {k: v for k, v in changes.items() if k in POSE})
    noise = changes.get("noise", np.zeros((size, size), np.float32))
    drawn = draw_faces({**face, **MARKS, **marks}, {**pose, "noise": noise[None]}, size)
    return drawn[0].astype(int)


def column(v, size=SIZE):
    """The row of pixels at face coordinate v, and likewise for columns."""
    return int((v + 1) / 2 * size)


def test_parts_of_the_face_are_where_they_belong():
    drawn = draw(64)
    forehead = drawn[column(-0.3, 64), 32]
    assert drawn[2, 2] == round(0.5 * 255)
    assert forehead == round(0.66 * 255)
    assert drawn[column(-0.82, 64), 32] == round(0.22 * 255)
    assert drawn[column(0.42, 64), 32] < 0.6 * forehead
    assert drawn[column(-0.08, 64), column(0.24, 64)] < 0.6 * forehead


def test_a_face_without_a_tilted_parting_is_symmetric_but_for_its_nose():
    drawn = draw(64)
    differs = (np.abs(drawn - drawn[:, ::-1]) > 3).sum(axis=0) > 0
    assert not differs[: column(-0.15, 64)].any()


@pytest.mark.parametrize("name", sorted(set(FACE) - {"line_angle", "line_pitch"}))
def test_every_feature_shows(name):
    by = 0.2 if name.endswith("tilt") else 0.05
    assert np.abs(draw(**{name: FACE[name] + by}) - draw()).max() >= 5


@pytest.mark.parametrize("name", ["line_angle", "line_pitch"])
def test_lines_show_where_they_have_contrast(name):
    changed = {name: FACE[name] + 0.5}
    assert np.abs(draw(line_contrast=0.1, **changed) - draw(line_contrast=0.1)).max() >= 5


@pytest.mark.parametrize(
    "name", sorted(set(POSE) - {"light_angle", "block_x", "block_y", "block_tone"})
)
def test_every_change_of_the_picture_shows(name):
    by = 1.5 if name == "block_size" else 0.1
    assert np.abs(draw(**{name: POSE[name] + by}) - draw()).max() >= 3


def test_a_shift_moves_the_face_by_its_pixels():
    by_four = draw(shift_x=4 * 2 / SIZE)
    np.testing.assert_allclose(by_four[:, 8:], draw()[:, 4:-4], atol=1)


def test_light_comes_from_its_side():
    drawn = draw(light=0.3, light_angle=0.0)
    assert drawn[:, -8:].mean() > drawn[:, :8].mean() + 20


def test_a_block_hides_what_is_behind():
    drawn = draw(block_size=0.25, block_tone=0.8)
    assert (drawn[13:19, 13:19] == round(0.8 * 255)).all()
    np.testing.assert_array_equal(drawn[:8], draw()[:8])


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    sharp, soft = draw(), draw(blur=0.25)
    assert abs(sharp.mean() - soft.mean()) < 1
    assert np.abs(np.diff(soft)).sum() < np.abs(np.diff(sharp)).sum()


def test_noise_is_added_to_the_pixels():
    noise = np.zeros((SIZE, SIZE), np.float32)
    noise[0, 0] = 0.1
    assert (draw(noise=noise) - draw())[0, 0] == pytest.approx(25, abs=1)


def test_a_mark_darkens_its_place_alike_at_every_resolution():
    darkened = []
    for size in (16, 64):
        marked = draw(size, mark_u=[0.3, 0], mark_v=[0.2, 0], mark_tone=[0.3, 0])
        change = draw(size) - marked
        row, right = np.unravel_index(change.argmax(), change.shape)
        assert abs(row - column(0.2, size)) <= 1
        assert abs(right - column(0.3, size)) <= 1
        darkened.append(change.sum() / size**2)
    assert darkened[0] == pytest.approx(darkened[1], rel=0.25)


def test_small_pictures_are_large_ones_made_small():
    large = draw(128).reshape(32, 4, 32, 4).mean(axis=(1, 3))
    assert np.abs(large - draw(32)).mean() < 4


def test_faces_are_drawn_alike_alone_and_in_a_crowd():
    n = 70
    gains = np.linspace(0.8, 1.1, n, dtype=np.float32)
    face = {name: np.repeat(values, n) for name, values in single(FACE).items()}
    marks = {name: np.repeat(values, n, axis=0) for name, values in MARKS.items()}
    pose = {name: np.repeat(values, n) for name, values in single(POSE).items()}
    pose |= {"gain": gains, "noise": np.zeros((n, SIZE, SIZE), np.float32)}
    crowd = draw_faces({**face, **marks}, pose, SIZE)
    assert crowd.shape == (n, SIZE, SIZE)
    assert crowd.dtype == np.uint8
    for i in (0, 63, 64, 69):
        np.testing.assert_array_equal(crowd[i], draw(gain=gains[i]))
