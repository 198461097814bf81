from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
import torch

from workers.errors import DataError
from workers.evaluation import matching
from workers.evaluation.matching import count_pairs, match_all_pairs, pooled_threshold


def faces(
    seed: int, *, n_identities: int = 24, noise: float = 1.2, n_groups: int = 3
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    identity = np.repeat(np.arange(n_identities), generator.integers(1, 6, n_identities))
    codes = identity % n_groups
    # The last group's people are alike: their impostors score higher.
    centres = generator.normal(size=(n_identities, 16))
    centres[np.arange(n_identities) % n_groups == n_groups - 1] += 0.8
    vectors = centres[identity] + noise * generator.normal(size=(len(identity), 16))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = generator.permutation(len(identity))
    return torch.from_numpy(unit[order]).float(), identity[order], codes[order]


def brute(
    vectors: torch.Tensor, identity: np.ndarray, codes: np.ndarray, fmr: float
) -> tuple[float, dict[int, tuple[float, float]]]:
    """Threshold and (FMR, FNMR) by group, pair by pair."""
    cosine = (vectors.double() @ vectors.double().T).numpy()
    everyone = list(combinations(range(len(identity)), 2))
    impostors = sorted(
        (cosine[i, j] for i, j in everyone if identity[i] != identity[j]), reverse=True
    )
    threshold = impostors[int(fmr * len(impostors) + 1e-9)]
    rates = {}
    for code in np.unique(codes):
        within = [(i, j) for i, j in everyone if codes[i] == codes[j] == code]
        false = [cosine[i, j] > threshold + 1e-6 for i, j in within if identity[i] != identity[j]]
        missed = [cosine[i, j] <= threshold for i, j in within if identity[i] == identity[j]]
        rates[int(code)] = (float(np.mean(false)), float(np.mean(missed)))
    return threshold, rates


def found(vectors: torch.Tensor, identity: np.ndarray, codes: np.ndarray) -> matching.Matching:
    return match_all_pairs(
        vectors,
        identity=identity,
        codes=codes,
        labels=("a", "b", "c"),
        fmr=0.02,
        n_replicates=200,
    )


@pytest.mark.parametrize("block_rows", [7, 1024])
def test_rates_equal_counting_pair_by_pair(
    monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(matching, "_BLOCK_ROWS", block_rows)
    vectors, identity, codes = faces(0)
    threshold, rates = brute(vectors, identity, codes, 0.02)
    report = found(vectors, identity, codes).report
    assert report["threshold"] == pytest.approx(threshold, abs=1e-6)
    for code, label in enumerate("abc"):
        group = report["groups"][label]
        assert (group["fmr"], group["fnmr"]) == pytest.approx(rates[code])
    assert report["groups"]["c"]["fmr"] > report["groups"]["a"]["fmr"]


def test_the_threshold_lets_exactly_the_allowed_share_through() -> None:
    vectors, identity, codes = faces(1)
    order = np.argsort(identity)
    vectors, identity, codes = vectors[order], identity[order], np.zeros(len(order), int)
    threshold, n_impostor = pooled_threshold(vectors, identity, 0.05)
    counts, _ = count_pairs(vectors, identity, codes, threshold)
    assert counts[0].matches.sum() / 2 == int(0.05 * n_impostor)


def test_costs_have_intervals_that_hold_them_and_the_report_is_json() -> None:
    result = found(*faces(2))
    assert sorted(result.costs) == sorted(result.interval95)
    for name, cost in result.costs.items():
        low, high = result.interval95[name]
        assert np.isfinite([low, cost, high]).all()
        assert low <= cost <= high, name
    json.dumps(result.report, allow_nan=False)
    assert result.costs["fdr_gap"] == pytest.approx(1 - result.report["fdr"])


def test_resampling_both_identities_equals_a_loop_over_drawn_pairs() -> None:
    vectors, identity, _ = faces(3, n_groups=1)
    order = np.argsort(identity)
    vectors, identity = vectors[order], identity[order]
    counts, _ = count_pairs(vectors, identity, np.zeros(len(order), int), 0.3)
    n_identities = len(counts[0].n_images)
    generator = np.random.default_rng(0)
    cosine = (vectors @ vectors.T).numpy()
    for _ in range(5):
        drawn = generator.integers(0, n_identities, n_identities)
        weights = np.bincount(drawn, minlength=n_identities).astype(float)
        n_impostor = n_false = n_genuine = n_missed = 0
        for i, j in combinations(range(len(identity)), 2):
            w, accepted = weights[identity[i]] * weights[identity[j]], cosine[i, j] > 0.3
            if identity[i] != identity[j]:
                n_impostor += w
                n_false += w * accepted
            else:
                n_genuine += weights[identity[i]]
                n_missed += weights[identity[i]] * (not accepted)
        assert counts[0].weighted(weights[None])[0] == pytest.approx(
            [n_impostor, n_false, n_genuine, n_missed]
        )


def test_groups_of_one_size_are_resampled_independently() -> None:
    vectors, identity, codes = faces(4, n_identities=12, n_groups=1)
    twice = torch.cat([vectors, vectors])
    both = match_all_pairs(
        twice,
        identity=np.concatenate([identity, identity + 100]),
        codes=np.concatenate([codes, codes + 1]),
        labels=("a", "b"),
        fmr=0.1,
        n_replicates=200,
    )
    assert both.costs["fdr_gap"] == pytest.approx(0.0, abs=1e-12)
    assert both.interval95["fdr_gap"][1] > 0.01


def test_more_identities_than_are_compared_are_chosen_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching, "MAX_IDENTITIES", 12)
    vectors, identity, codes = faces(5)
    report = found(vectors, identity, codes).report
    n_images = np.unique(identity, return_counts=True)[1]
    assert report["n_genuine"] <= (n_images * (n_images - 1) // 2).sum()
    assert report == found(vectors, identity, codes).report


def test_one_group_with_pairs_cannot_be_compared() -> None:
    vectors, identity, codes = faces(6)
    with pytest.raises(DataError, match=r"\['a'\] have pairs"):
        found(vectors, identity, np.where(codes == 0, 0, -1))
