from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.evaluation.angles import identity_angles

DEGREE = math.pi / 180


def at(*degrees: float) -> np.ndarray:
    return np.array([[math.cos(each * DEGREE), math.sin(each * DEGREE)] for each in degrees])


def test_a_case_worked_by_hand() -> None:
    # f: images at 0 and 20 degrees, centre 10; m: at 90 and 100, centre 95; the single at 160.
    angles = identity_angles(
        at(0, 20, 90, 100, 160) * 7.0,
        identity=np.array([3, 3, 5, 5, 9]),
        codes=np.array([0, 0, 1, 1, 1]),
        labels=("f", "m"),
    )
    assert angles.groups["f"] == pytest.approx({"intra_degrees": 10.0, "inter_degrees": 85.0})
    assert angles.groups["m"] == pytest.approx({"intra_degrees": 5.0, "inter_degrees": 65.0})
    assert angles.overall == pytest.approx({"intra_degrees": 7.5, "inter_degrees": 75.0})


def test_a_group_without_pairs_is_left_out_and_people_of_no_group_count_overall() -> None:
    angles = identity_angles(
        at(0, 10, 90, 100, 50),
        identity=np.array([0, 0, 1, 1, 2]),
        codes=np.array([0, 0, -1, -1, 1]),
        labels=("f", "m"),
    )
    assert set(angles.groups) == {"f"}
    assert angles.overall["intra_degrees"] == pytest.approx(5.0)


@given(seed=st.integers(0, 1000), n_identities=st.integers(2, 12), n_images=st.integers(2, 4))
def test_it_equals_a_loop_over_identities(seed: int, n_identities: int, n_images: int) -> None:
    generator = np.random.default_rng(seed)
    embeddings = generator.normal(size=(n_identities * n_images, 5))
    identity = generator.permutation(np.repeat(np.arange(n_identities), n_images))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = [unit[identity == person].mean(axis=0) for person in range(n_identities)]
    centres = [centre / np.linalg.norm(centre) for centre in centres]

    def angle(a: np.ndarray, b: np.ndarray) -> float:
        return math.degrees(math.acos(np.clip(a @ b, -1, 1)))

    intra = [
        np.mean([angle(image, centres[person]) for image in unit[identity == person]])
        for person in range(n_identities)
    ]
    inter = [
        min(angle(centres[a], centres[b]) for b in range(n_identities) if b != a)
        for a in range(n_identities)
    ]
    found = identity_angles(
        embeddings, identity=identity, codes=np.zeros(len(identity), int), labels=("x",)
    )
    assert found.overall == pytest.approx(
        {"intra_degrees": np.mean(intra), "inter_degrees": np.mean(inter)}, abs=1e-5
    )
