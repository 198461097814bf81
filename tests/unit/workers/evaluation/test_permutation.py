from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from workers.evaluation.identification_metrics import Ranks
from workers.evaluation.permutation import permutation_p_values


def ranks_of(values: np.ndarray) -> Ranks:
    return Ranks(rank_by_identity=values, rank_by_image=values)


def p_values(
    values: np.ndarray, identity: np.ndarray, codes: np.ndarray, *, n: int = 999, seed: int = 0
) -> dict[str, float]:
    return permutation_p_values(
        ranks_of(values), identity=identity, codes=codes, n_permutations=n, seed=seed
    )


def test_p_approaches_the_share_of_all_assignments() -> None:
    generator = np.random.default_rng(1)
    identity = np.repeat(np.arange(10), 3)
    codes = (identity >= 5).astype(int)
    values = generator.poisson(0.5 + 0.5 * codes)
    by_person = values.reshape(10, 3)
    seen = abs(by_person[5:].mean() - by_person[:5].mean())
    gaps = []
    for chosen in combinations(range(10), 5):
        rest = [i for i in range(10) if i not in chosen]
        gaps.append(abs(by_person[list(chosen)].mean() - by_person[rest].mean()))
    exact = np.mean(np.array(gaps) >= seen - 1e-12)
    assert 0.01 < exact < 0.99
    found = p_values(values, identity, codes, n=4000)["rank_disparity"]
    assert found == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 4000) + 3e-4)


def test_a_large_difference_has_the_smallest_p_there_is() -> None:
    identity = np.repeat(np.arange(60), 2)
    codes = identity % 2
    found = p_values(5 * codes, identity, codes)
    assert found["rank_disparity"] == found["disparity"] == found["ser"] == 1 / 1000


def test_groups_that_are_exactly_alike_have_p_one() -> None:
    identity = np.repeat(np.arange(20), 2)
    found = p_values(np.zeros(40, dtype=int), identity, identity % 2)
    assert set(found.values()) == {1.0}


def test_without_a_difference_p_is_uniform_though_images_of_a_person_are_alike() -> None:
    rejected = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        identity = np.repeat(np.arange(40), 8)
        values = np.repeat(generator.geometric(0.4, 40) - 1, 8)
        found = p_values(values, identity, identity % 3, n=99, seed=seed)
        rejected += found["rank_disparity"] <= 0.05
    assert 2 <= rejected <= 20  # 10 expected; shuffling images instead rejects nearly always


def test_who_has_no_group_or_no_mate_does_not_matter() -> None:
    identity = np.repeat(np.arange(30), 2)
    codes, values = identity % 2, np.arange(60) % 7
    more = p_values(
        np.concatenate([values, [50, -1]]),
        np.concatenate([identity, [90, 91]]),
        np.concatenate([codes, [-1, 1]]),
    )
    assert more == p_values(values, identity, codes)
