"""The embedded data set: cartoon faces of two groups, made at first use and kept in a cache.

A search needs faces in which accuracy and fairness pull apart, also where no data set may be
downloaded. These are drawn (see `workers.data.cartoon`), and the unfairness is planted, in three
parts.
Against group a, in group b

* people look more alike: the spread of every feature between people is `spread_b` times as large,
* fewer people train: `train_share_b` times as many,
* part of what tells people apart is fine detail, freckles and lines about a pixel wide, with
  `fine_detail_b` times the contrast of group a's; only a network that keeps it can use it.

Val and test hold equally many people of both groups and equally many pictures of each, so a
disparity measured there is neither one of gallery size nor of pictures per person.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workers.data.cartoon import FloatArray, draw_faces
from workers.data.packs.pack import SPLITS, GroupColumn, PackTable, write_pack
from workers.data.packs.stored import fetched_pack
from workers.errors import DataError

# Changed whenever other pictures come out of the same settings, so that no old cache is taken.
_VERSION = 1
_GROUPS = ("a", "b")

# Name: (mean, spread between people of group a). Tones 0..1, lengths in half pictures, radians.
_FEATURES = {
    "skin": (0.66, 0.07),
    "hair": (0.22, 0.10),
    "width": (0.54, 0.045),
    "height": (0.72, 0.045),
    "taper": (0.25, 0.12),
    "hair_volume": (0.11, 0.05),
    "hair_length": (0.15, 0.30),
    "hairline": (-0.42, 0.08),
    "parting": (0.0, 0.20),
    "eye_spacing": (0.24, 0.030),
    "eye_height": (-0.08, 0.035),
    "eye_size": (0.085, 0.014),
    "eye_tilt": (0.0, 0.15),
    "iris": (0.18, 0.08),
    "brow_distance": (0.16, 0.028),
    "brow_thickness": (0.032, 0.010),
    "brow_tilt": (0.0, 0.15),
    "nose_length": (0.28, 0.045),
    "nose_width": (0.09, 0.020),
    "mouth_height": (0.42, 0.035),
    "mouth_width": (0.21, 0.040),
    "lip_thickness": (0.045, 0.012),
}
# Added to group b's means: the groups also look different, as groups do.
_SHIFT_B = {"skin": -0.14, "hair": -0.08, "lip_thickness": 0.01}
# Name: (lowest, highest) of what changes from picture to picture.
_POSE = {
    "shift_x": (-0.06, 0.06),
    "shift_y": (-0.06, 0.06),
    "rotation": (-0.12, 0.12),
    "scale": (0.94, 1.08),
    "eye_opening": (0.45, 1.0),
    "glance": (-0.4, 0.4),
    "mouth_opening": (0.0, 0.07),
    "smile": (-0.3, 0.6),
    "light_angle": (0.0, 2 * np.pi),
    "light": (0.0, 0.2),
    "gain": (0.85, 1.12),
    "blur": (0.0, 0.16),
    "background": (0.42, 0.72),
    "background_slope": (-1.0, 1.0),
    "block_x": (-0.6, 0.6),
    "block_y": (-0.6, 0.6),
    "block_size": (0.15, 0.25),
    "block_tone": (0.0, 0.8),
}
_OCCLUDED_FRACTION = 0.15
_LARGEST_SIZE = 512
_NOISE = 0.025
_N_MARKS = 8
_MARK_CONTRAST = 0.10
_LINE_CONTRAST = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """What the data set is made of; equal settings give equal pictures.

    Attributes:
        size: Height and width in pixels, at least 16.
        train_identities: People of group a that train.
        train_share_b: Group b's people that train, as a share of group a's; at least one trains.
        val_identities: People of each group in val.
        test_identities: People of each group in test.
        spread_b: How different group b's people are from each other; group a's are at 1.
        fine_detail_b: Contrast of group b's freckles and lines; group a's are at 1.
    """

    seed: int = 0
    size: int = 32
    train_identities: int = 40
    train_share_b: float = 0.5
    val_identities: int = 16
    test_identities: int = 16
    images_per_identity: int = 8
    spread_b: float = 0.6
    fine_detail_b: float = 2.0

    def __post_init__(self) -> None:
        least = {
            "seed": 0,
            "size": 16,
            "train_identities": 2,
            "train_share_b": 0,
            "val_identities": 2,
            "test_identities": 2,
            "images_per_identity": 2,
            "spread_b": 0,
            "fine_detail_b": 0,
        }
        for name, smallest in least.items():
            value = getattr(self, name)
            # Not `<`, for NaN must not pass.
            if not smallest <= value < math.inf:
                raise DataError(f"synthetic {name} {value} is too small; give {smallest} or more")
        if self.size > _LARGEST_SIZE:
            raise DataError(
                f"synthetic size {self.size} is too large; give {_LARGEST_SIZE} or less"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    group: int
    split: int
    number: int

    @property
    def name(self) -> str:
        return f"{_GROUPS[self.group]}-{SPLITS[self.split]}-{self.number:03d}"


def synthetic_pack(settings: SyntheticSettings, cache_directory: Path) -> Path:
    """The pack of these settings in `cache_directory`, made now if it is not there.

    Two processes may ask at once: both make the same file and put it in place whole.

    Raises:
        DataError: The pack cannot be written.
    """
    text = json.dumps([_VERSION, asdict(settings)], sort_keys=True)
    name = f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:12]}.pack"
    path = cache_directory / name
    if not _is_readable(path):
        write_synthetic(settings, path)
    return path


def _is_readable(path: Path) -> bool:
    try:
        fetched_pack(str(path), verify=True)
    except DataError:
        return False
    return True


def write_synthetic(settings: SyntheticSettings, path: Path) -> str:
    """Write the pack of these settings to `path`, replacing what was there; return its digest.

    Raises:
        DataError: The pack cannot be written.
    """
    people = list(_people(settings))
    n = settings.images_per_identity
    rows = np.repeat(np.arange(len(people), dtype=np.int32), n)
    groups = np.array([person.group for person in people], np.int16)[rows]
    table = PackTable(
        identity=rows,
        identities=tuple(person.name for person in people),
        split=np.array([person.split for person in people], np.uint8)[rows],
        groups={"group": GroupColumn(labels=_GROUPS, codes=groups)},
        sources=[f"synthetic/{person.name}/{i}" for person in people for i in range(n)],
        settings={"synthetic": asdict(settings), "version": _VERSION},
    )
    faces = [_face(settings, person) for person in people for _ in range(n)]
    poses = [_pose(settings, person, i) for person in people for i in range(n)]
    images = draw_faces(_stack(faces), _stack(poses), settings.size)
    return write_pack(path, images=images[:, None], table=table, channels=1, size=settings.size)


def _people(settings: SyntheticSettings) -> Iterator[_Person]:
    train_b = max(1, round(settings.train_identities * settings.train_share_b))
    for split, counts in enumerate(
        (
            (settings.train_identities, train_b),
            (settings.val_identities,) * 2,
            (settings.test_identities,) * 2,
        )
    ):
        for group, count in enumerate(counts):
            for number in range(count):
                yield _Person(group=group, split=split, number=number)


def _face(settings: SyntheticSettings, person: _Person) -> dict[str, FloatArray]:
    """The person's features; independent of how many others there are."""
    key = [settings.seed, 0, person.split, person.group, person.number]
    random = np.random.default_rng(key)
    is_b = person.group == 1
    spread = settings.spread_b if is_b else 1.0
    # Beyond two standard deviations faces stop looking like faces.
    draws = np.clip(random.standard_normal(len(_FEATURES)), -2, 2) * spread
    face = {
        name: _single(mean + (_SHIFT_B.get(name, 0.0) if is_b else 0.0) + scale * draw)
        for (name, (mean, scale)), draw in zip(_FEATURES.items(), draws, strict=True)
    }
    detail = settings.fine_detail_b if is_b else 1.0
    angles = random.uniform(0, 2 * np.pi, _N_MARKS)
    radii = np.sqrt(random.uniform(0, 1, _N_MARKS))
    return face | {
        "mark_u": _single(0.42 * radii * np.cos(angles)),
        "mark_v": _single(0.1 + 0.45 * radii * np.sin(angles)),
        "mark_tone": _single(_MARK_CONTRAST * detail * random.uniform(0.3, 1, _N_MARKS)),
        "line_angle": _single(random.uniform(0, np.pi)),
        "line_pitch": _single(random.uniform(3.0, 6.0)),
        "line_contrast": _single(_LINE_CONTRAST * detail),
    }


def _pose(settings: SyntheticSettings, person: _Person, image: int) -> dict[str, FloatArray]:
    """What is peculiar to one picture; both groups alike."""
    key = [settings.seed, 1, person.split, person.group, person.number, image]
    random = np.random.default_rng(key)
    pose = {name: _single(random.uniform(low, high)) for name, (low, high) in _POSE.items()}
    if random.uniform() >= _OCCLUDED_FRACTION:
        pose["block_size"] = _single(-1.0)
    noise = random.normal(0, _NOISE, (settings.size, settings.size))
    return pose | {"noise": _single(noise)}


def _single(values: npt.ArrayLike) -> FloatArray:
    return np.asarray(values, np.float32)


def _stack(features: list[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    return {name: np.stack([one[name] for one in features]) for name in features[0]}
