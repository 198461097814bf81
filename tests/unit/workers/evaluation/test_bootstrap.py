from __future__ import annotations

import numpy as np
import pytest

from workers.evaluation.bootstrap import bootstrap_intervals
from workers.evaluation.identification_metrics import Ranks, costs_of, evaluate_ranks


def world(
    generator: np.random.Generator,
    *,
    n_groups: int = 2,
    n_identities: int = 60,
    shift: float = 0.0,
) -> tuple[Ranks, np.ndarray, np.ndarray]:
    """Identities of differing difficulty; the last group is harder by `shift`."""
    n_images = generator.integers(2, 7, size=n_identities)
    identity = np.repeat(np.arange(n_identities), n_images)
    codes = identity % n_groups
    difficulty = generator.beta(1.0, 3.0, size=n_identities)
    chance = np.clip(difficulty[identity] + shift * (codes == n_groups - 1), 0.0, 1.0)
    values = np.where(
        generator.random(len(identity)) < chance, generator.geometric(0.3, len(identity)), 0
    )
    values[generator.random(len(identity)) < 0.03] = -1
    return Ranks(rank_by_identity=values, rank_by_image=values), identity, codes


def resampled_by_loop(
    ranks: Ranks, identity: np.ndarray, codes: np.ndarray, n_replicates: int
) -> list[dict[str, float]]:
    """The oracle: draw identities one by one and evaluate their images as a new data set."""
    generator = np.random.default_rng(99)
    is_probe = ranks.rank_by_identity >= 0
    values, identity, codes = ranks.rank_by_identity[is_probe], identity[is_probe], codes[is_probe]
    replicates = []
    for _ in range(n_replicates):
        chosen_values, chosen_codes = [], []
        for code in np.unique(codes):
            names = np.unique(identity[codes == code])
            for name in generator.choice(names, len(names)):
                rows = (identity == name) & (codes == code)
                chosen_values.append(values[rows])
                chosen_codes.append(codes[rows])
        stacked, groups = np.concatenate(chosen_values), np.concatenate(chosen_codes)
        errors = [float(np.mean(stacked[groups == g] != 0)) for g in np.unique(groups)]
        means = [float(np.mean(stacked[groups == g])) for g in np.unique(groups)]
        replicates.append(
            {
                "error": float(np.mean(stacked != 0)),
                "disparity": errors[1] - errors[0],
                "rank_disparity": means[1] - means[0],
            }
        )
    return replicates


def test_intervals_equal_a_naive_loop_over_resampled_identities() -> None:
    ranks, identity, codes = world(np.random.default_rng(3), shift=0.5)
    intervals = bootstrap_intervals(
        ranks, identity=identity, codes=codes, n_replicates=4000, seed=1
    )
    replicates = resampled_by_loop(ranks, identity, codes, 800)
    for name in ("error", "disparity", "rank_disparity"):
        values = [each[name] for each in replicates]
        low, high = np.quantile(values, (0.025, 0.975))
        tolerance = 0.15 * (high - low)  # of two Monte Carlo quantiles
        assert intervals[name] == (
            pytest.approx(low, abs=tolerance),
            pytest.approx(high, abs=tolerance),
        ), name


def test_the_interval_of_the_error_has_the_width_of_the_closed_form() -> None:
    # Two images per identity, all alike: the identities' errors are independent coin tosses.
    generator = np.random.default_rng(0)
    wrong = generator.random(400) < 0.3
    values = np.repeat(wrong, 2).astype(np.int64)
    identity = np.repeat(np.arange(400), 2)
    low, high = bootstrap_intervals(
        Ranks(rank_by_identity=values, rank_by_image=values),
        identity=identity,
        codes=identity % 2,
        n_replicates=4000,
        seed=0,
    )["error"]
    share = wrong.mean()
    within = sum(np.var(wrong[half::2]) for half in (0, 1)) / 2
    expected = 2 * 1.96 * np.sqrt(within / 400)
    assert high - low == pytest.approx(expected, rel=0.08)
    assert low < share < high


@pytest.mark.parametrize("n_groups", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_every_interval_holds_its_estimate(n_groups: int, seed: int) -> None:
    ranks, identity, codes = world(np.random.default_rng(seed), n_groups=n_groups)
    metrics = evaluate_ranks(
        ranks, identity=identity, codes=codes, labels=[str(g) for g in range(n_groups)]
    )
    intervals = bootstrap_intervals(
        ranks, identity=identity, codes=codes, n_replicates=500, seed=0
    )
    for name, cost in costs_of(metrics).items():
        low, high = intervals[name]
        assert 0.0 <= low <= cost <= high, name


def test_a_gap_that_may_be_zero_has_an_interval_from_zero() -> None:
    ranks, identity, codes = world(np.random.default_rng(5))
    intervals = bootstrap_intervals(
        ranks, identity=identity, codes=codes, n_replicates=500, seed=0
    )
    assert intervals["disparity"][0] == 0.0


def test_the_same_seed_gives_the_same_intervals_and_another_one_others() -> None:
    ranks, identity, codes = world(np.random.default_rng(5))
    first, again, other = (
        bootstrap_intervals(ranks, identity=identity, codes=codes, n_replicates=250, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_fewer_than_two_groups_have_no_interval() -> None:
    values = np.array([0, 1])
    with pytest.raises(ValueError, match="two groups"):
        bootstrap_intervals(
            Ranks(rank_by_identity=values, rank_by_image=values),
            identity=np.array([0, 0]),
            codes=np.array([0, 0]),
            n_replicates=10,
            seed=0,
        )
