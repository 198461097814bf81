from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from workers.evaluation.verification import (
    equal_error_rate,
    fold_accuracy,
    grid_fold_accuracy,
    pair_scores,
    tar_at_far,
    verify,
    verify_by_group,
)


def pairs(
    seed: int, *, n: int = 600, gap: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    same = np.arange(n) % 2 == 0
    scores = np.clip(generator.normal(0.2, 0.15, n) + gap * same, -1, 1)
    return scores, same, np.arange(n) * 10 // n


def test_ten_folds_equal_trying_every_threshold() -> None:
    scores, same, fold = pairs(0)
    found = fold_accuracy(scores, same, fold)
    assert len(found.accuracies) == 10
    for name in range(10):
        others, own = fold != name, fold == name
        cuts = np.concatenate([[-2.0], np.sort(scores[others])])
        correct = [np.sum((scores[others] > cut) == same[others]) for cut in cuts]
        chosen = np.sum((scores[others] > found.thresholds[name]) == same[others])
        assert chosen == max(correct)
        accuracy = np.mean((scores[own] > found.thresholds[name]) == same[own])
        assert found.accuracies[name] == accuracy
    assert found.mean == pytest.approx(np.mean(found.accuracies))
    assert found.std == pytest.approx(np.std(found.accuracies))
    assert found.standard_error == pytest.approx(np.std(found.accuracies, ddof=1) / np.sqrt(10))
    assert 0.75 < found.mean < 0.95


def test_perfect_scores_are_perfect_in_every_fold() -> None:
    same = np.tile([True, False], 50)
    found = fold_accuracy(np.where(same, 0.9, 0.1), same, np.arange(100) // 10)
    assert (found.mean, found.std) == (1.0, 0.0)
    assert set(found.thresholds) == {0.5}


def test_the_grid_is_that_of_the_published_tables() -> None:
    scores, same, fold = pairs(1)
    distances = 2 - 2 * scores
    expected = []
    for name in range(10):
        others = fold != name
        correct = [
            np.mean((distances[others] < cut) == same[others]) for cut in np.arange(0, 4, 0.01)
        ]
        cut = np.arange(0, 4, 0.01)[int(np.argmax(correct))]
        expected.append(np.mean((distances[~others] < cut) == same[~others]))
    found = grid_fold_accuracy(scores, same, fold)
    assert found.accuracies == pytest.approx(expected)
    assert all(0 <= cut < 4 for cut in found.thresholds)


@pytest.mark.parametrize("far", [0.001, 0.01, 0.1, 0.5])
def test_tar_equals_the_roc_curve(far: float) -> None:
    scores, same, _ = pairs(2)
    rates, tars, _ = roc_curve(same, scores, drop_intermediate=False)
    assert tar_at_far(scores, same, far) == pytest.approx(tars[rates <= far + 1e-12].max())


def test_the_equal_error_rate_is_where_the_curve_crosses() -> None:
    scores, same, _ = pairs(3)
    rates, tars, _ = roc_curve(same, scores, drop_intermediate=False)
    nearest = np.argmin(np.abs(rates - (1 - tars)))
    assert equal_error_rate(scores, same) == pytest.approx(
        (rates[nearest] + 1 - tars[nearest]) / 2, abs=1e-9
    )


def test_scores_are_cosines_of_the_rows_that_are_named() -> None:
    vectors = np.eye(3, dtype=np.float32)
    vectors[2] = (0.6, 0.8, 0.0)
    assert pair_scores(vectors, np.array([0, 0, 2]), np.array([1, 2, 1])) == pytest.approx(
        [0.0, 0.6, 0.8]
    )


def test_groups_with_other_score_levels_lose_at_a_common_threshold() -> None:
    scores, same, fold = pairs(4, gap=0.6)
    codes = np.arange(600) // 2 % 2
    codes[:2] = -1
    shifted = scores + 0.5 * (codes == 1)
    groups = verify_by_group(shifted, same, fold, codes=(codes, codes), labels=("a", "b", "none"))
    assert list(groups) == ["a", "b"]
    assert groups["a"]["n_pairs"] == 298
    for each in groups.values():
        assert each["own_threshold"] > 0.95
        assert each["common_threshold"] < 0.85


def test_a_pair_of_two_groups_belongs_to_neither() -> None:
    scores, same, fold = pairs(5)
    groups = verify_by_group(
        scores, same, fold, codes=(np.zeros(600, int), np.ones(600, int)), labels=("a", "b")
    )
    assert groups == {}


def test_the_report_is_json_with_an_interval_around_each_tar() -> None:
    report = verify(*pairs(6))
    json.dumps(report, allow_nan=False)
    for far, tar in report["tar"].items():
        low, high = report["tar_interval95"][far]
        assert low <= tar <= high
    assert report["n_genuine"] == report["n_impostor"] == 300


def test_one_fold_or_one_kind_of_pair_is_refused() -> None:
    scores, same, fold = pairs(7)
    with pytest.raises(ValueError, match="other folds"):
        fold_accuracy(scores, same, np.zeros_like(fold))
    with pytest.raises(ValueError, match="pairs of two people"):
        verify(scores, np.ones_like(same), fold)
