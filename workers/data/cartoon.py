"""Cartoon faces drawn from numbers: soft shapes by distance functions. Draws no random numbers.

Faces are drawn many at once; every shape is a signed distance, turned into a coverage over the
width of one pixel, so edges are smooth and small features fade instead of jumping.
Notation: n faces, s = size in pixels. Face coordinates run from -1 to 1, v downwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]
Features: TypeAlias = Mapping[str, FloatArray]

_BATCH = 64


def draw_faces(face: Features, pose: Features, size: int) -> npt.NDArray[np.uint8]:
    """Draw grey faces of shape (n, size, size).

    Args:
        face: What belongs to the person, each of shape (n,): tones 0 black to 1 white, lengths
            in face coordinates, angles in radians; `mark_u`, `mark_v` and `mark_tone` have shape
            (n, n_marks). The names are those used in this module.
        pose: What belongs to the picture, likewise; `noise` has shape (n, size, size).
        size: Height and width in pixels.
    """
    n = len(face["skin"])
    drawn = np.empty((n, size, size), np.uint8)
    for begin in range(0, n, _BATCH):
        batch = slice(begin, begin + _BATCH)
        drawn[batch] = _draw(_columns(face, batch), _columns(pose, batch), size)
    return drawn


def _columns(features: Features, batch: slice) -> dict[str, FloatArray]:
    """One batch, every single number as shape (n, 1, 1)."""
    return {
        name: values[batch].astype(np.float32).reshape(-1, 1, 1)
        if values.ndim == 1
        else values[batch].astype(np.float32)
        for name, values in features.items()
    }


def _draw(face: Features, pose: Features, size: int) -> npt.NDArray[np.uint8]:
    x, y = _pixel_grid(size)
    u, v = _face_coordinates(x, y, pose)
    pixel = (np.float32(2 / size) / pose["scale"]).astype(np.float32)
    canvas = pose["background"] + 0.1 * y * pose["background_slope"]
    canvas = _draw_head(canvas, u, v, pixel, face)
    canvas = _draw_texture(canvas, u, v, face)
    canvas = _draw_eyes(canvas, u, v, pixel, {**face, **pose})
    canvas = _draw_nose_and_mouth(canvas, u, v, pixel, {**face, **pose})
    canvas = _draw_marks(canvas, u, v, pixel, face)
    canvas = _draw_occlusion(canvas, x, y, pose)
    light = x * np.cos(pose["light_angle"]) + y * np.sin(pose["light_angle"])
    canvas = canvas * (pose["gain"] + pose["light"] * light)
    canvas = _blur(canvas, pose["blur"]) + pose["noise"]
    drawn: npt.NDArray[np.uint8] = np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8)
    return drawn


def _pixel_grid(size: int) -> tuple[FloatArray, FloatArray]:
    """Pixel centres between -1 and 1, shapes (1, 1, s) and (1, s, 1)."""
    centres = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
    return centres.reshape(1, 1, size), centres.reshape(1, size, 1)


def _face_coordinates(
    x: FloatArray, y: FloatArray, pose: Features
) -> tuple[FloatArray, FloatArray]:
    """Undo shift, rotation and scale; shapes (n, s, s)."""
    cos = np.cos(pose["rotation"]) / pose["scale"]
    sin = np.sin(pose["rotation"]) / pose["scale"]
    right, down = x - pose["shift_x"], y - pose["shift_y"]
    return cos * right + sin * down, cos * down - sin * right


def _paint(
    canvas: FloatArray, distance: FloatArray, tone: FloatArray, pixel: FloatArray
) -> FloatArray:
    """Lay `tone` where `distance` is negative, fading over one pixel."""
    coverage = np.clip(0.5 - distance / pixel, 0, 1)
    painted: FloatArray = canvas + coverage * (tone - canvas)
    return painted


def _ellipse(u: FloatArray, v: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Distance to an ellipse with half axes a, b: exact on its edge, about right near it."""
    distance: FloatArray = (np.hypot(u / a, v / b) - 1) * np.minimum(a, b)
    return distance


def _stroke(
    u: FloatArray, v: FloatArray, half_length: FloatArray, radius: FloatArray
) -> FloatArray:
    """Distance to a horizontal stroke with round ends."""
    distance: FloatArray = np.hypot(np.maximum(np.abs(u) - half_length, 0), v) - radius
    return distance


def _draw_head(
    canvas: FloatArray, u: FloatArray, v: FloatArray, pixel: FloatArray, face: Features
) -> FloatArray:
    width, height, skin, hair = face["width"], face["height"], face["skin"], face["hair"]
    side = np.abs(u)
    back = _ellipse(u, v + 0.08, width + face["hair_volume"], height + face["hair_volume"])
    canvas = _paint(canvas, np.maximum(back, v - face["hair_length"]), hair, pixel)
    neck = np.maximum(side - width * 0.5, 0.3 - v)
    canvas = _paint(canvas, neck, skin * 0.8, pixel)
    ear = _ellipse(side - width, v, height * 0.12, height * 0.2)
    canvas = _paint(canvas, ear, skin * 0.9, pixel)
    chin = width * (1 - face["taper"] * np.clip(v, 0, 1))
    oval = _ellipse(u, v, chin, height)
    canvas = _paint(canvas, oval, skin, pixel)
    fringe = v - face["hairline"] - face["parting"] * u + 0.35 * side * side
    return _paint(canvas, np.maximum(oval, fringe), hair, pixel)


def _draw_texture(canvas: FloatArray, u: FloatArray, v: FloatArray, face: Features) -> FloatArray:
    """Fine lines on the cheeks whose direction and pitch belong to the person."""
    angle = face["line_angle"]
    along = u * np.cos(angle) + v * np.sin(angle)
    lines = np.sin(2 * np.pi * face["line_pitch"] * along)
    cheeks = np.exp(-(((np.abs(u) - 0.28) / 0.2) ** 2) - ((v - 0.16) / 0.22) ** 2)
    return canvas + face["line_contrast"] * lines * cheeks


def _draw_eyes(
    canvas: FloatArray, u: FloatArray, v: FloatArray, pixel: FloatArray, face: Features
) -> FloatArray:
    """Eyes and brows; the mirror image of one side is the other."""
    across, down = np.abs(u) - face["eye_spacing"], v - face["eye_height"]
    size, tilt = face["eye_size"], face["eye_tilt"]
    eye_across, eye_down = across + tilt * down, down - tilt * across
    eye = _ellipse(eye_across, eye_down, size * 1.5, size * face["eye_opening"])
    canvas = _paint(canvas, eye, face["skin"] * 0.3 + 0.65, pixel)
    glance = (u - np.sign(u) * face["eye_spacing"]) - face["glance"] * size
    iris = np.maximum(np.hypot(glance, down) - size * 0.75, eye)
    canvas = _paint(canvas, iris, face["iris"], pixel)
    brow_down = down + face["brow_distance"] - face["brow_tilt"] * across
    brow = _stroke(across, brow_down, size * 1.4, face["brow_thickness"])
    return _paint(canvas, brow, face["hair"] * 0.8, pixel)


def _draw_nose_and_mouth(
    canvas: FloatArray, u: FloatArray, v: FloatArray, pixel: FloatArray, face: Features
) -> FloatArray:
    skin = face["skin"]
    tip = v - face["eye_height"] - face["nose_length"]
    bridge = np.hypot(u - 0.03, np.maximum(np.abs(tip + 0.14) - 0.12, 0)) - 0.025
    canvas = _paint(canvas, bridge, skin * 0.88, pixel)
    canvas = _paint(
        canvas, _ellipse(u, tip, face["nose_width"], skin * 0 + 0.04), skin * 0.7, pixel
    )
    down = v - face["mouth_height"] + face["smile"] * u * u
    half, lips = face["mouth_width"], face["lip_thickness"]
    opening = face["mouth_opening"]
    mouth = _ellipse(u, down, half, lips + opening)
    canvas = _paint(canvas, mouth, skin * 0.55, pixel)
    return _paint(canvas, _ellipse(u, down, half * 0.8, opening + 0.012), skin * 0.2, pixel)


def _draw_marks(
    canvas: FloatArray, u: FloatArray, v: FloatArray, pixel: FloatArray, face: Features
) -> FloatArray:
    """Freckles and moles, each about a pixel wide at 32 pixels."""
    radius = np.float32(0.045)
    for mark in range(face["mark_u"].shape[1]):
        mark_u = face["mark_u"][:, mark, None, None]
        mark_v = face["mark_v"][:, mark, None, None]
        tone = face["mark_tone"][:, mark, None, None]
        squared = (u - mark_u) ** 2 + (v - mark_v) ** 2
        # A spot smaller than a pixel keeps its ink, so it pales instead of vanishing.
        width = np.hypot(radius, pixel / 3)
        canvas = canvas - tone * (radius / width) ** 2 * np.exp(-squared / (2 * width**2))
    return canvas


def _draw_occlusion(
    canvas: FloatArray, x: FloatArray, y: FloatArray, pose: Features
) -> FloatArray:
    """A block in front of the face; of no size in most pictures."""
    right = np.abs(x - pose["block_x"]) - pose["block_size"]
    down = np.abs(y - pose["block_y"]) - pose["block_size"]
    inside = np.maximum(right, down) < 0
    return np.where(inside, pose["block_tone"], canvas)


def _blur(canvas: FloatArray, weight: FloatArray) -> FloatArray:
    """Mix each pixel with its neighbours, `weight` 0..1/3 from each side, rows then columns."""
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        padded = np.pad(canvas, padding, mode="edge")
        before = np.take(padded, range(canvas.shape[axis]), axis)
        after = np.take(padded, range(2, canvas.shape[axis] + 2), axis)
        canvas = canvas * (1 - 2 * weight) + weight * (before + after)
    return canvas
