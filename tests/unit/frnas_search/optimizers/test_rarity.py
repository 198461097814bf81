from __future__ import annotations

import numpy as np
import pytest

from frnas_search.optimizers.rarity import (
    Effort,
    nothing_in_words,
    percent,
    refusals_in_words,
    share_in_words,
    share_interval,
)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.5, "50.0%"),
        (0.001, "0.1%"),
        (0.0005, "0.05%"),
        (0.000012, "0.0012%"),
        (0.999, "99.9%"),
        (0.9996, "99.96%"),
        (0.99999, "99.999%"),
    ],
)
def test_what_is_rare_is_never_written_as_nothing_nor_what_is_common_as_all(
    share: float, text: str
) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        # As binom.test of R gives them.
        (0, 10, 0.0, 0.30850),
        (3, 10, 0.06674, 0.65245),
        (10, 10, 0.69150, 1.0),
        (1, 1000, 0.0000253, 0.0055589),
    ],
)
def test_the_interval_of_a_share_is_the_exact_one(
    count: int, n: int, low: float, high: float
) -> None:
    assert share_interval(count, n) == pytest.approx((low, high), rel=1e-3, abs=1e-6)


def test_the_interval_covers_the_true_share_at_least_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    counts = chance.binomial(2000, 0.001, size=1500)
    intervals = {count: share_interval(count, 2000) for count in set(counts.tolist())}
    covered = [intervals[count][0] <= 0.001 <= intervals[count][1] for count in counts.tolist()]
    assert np.mean(covered) >= 0.95


def test_without_a_draw_nothing_is_known() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)
    assert share_in_words(0, 0) == "an unknown share"


def test_a_share_is_told_with_its_uncertainty() -> None:
    assert share_in_words(2, 2000) == ("0.1% (2 of 2,000; 95 % interval 0.012% to 0.4%)")
    assert share_in_words(0, 4000) == "less than 0.092% (none of 4,000)"


def test_who_refused_most_is_named_first() -> None:
    words = refusals_in_words({"max_macs": 7, "max_parameters": 1200})
    assert words == "max_parameters refused 1,200, max_macs refused 7"


def test_a_space_that_is_used_up_needs_no_sentence() -> None:
    effort = Effort(drawn=100, accepted=3, is_everything=True)
    assert nothing_in_words(effort, n_proposed=3) == ""


def test_a_finite_space_without_any_that_fits_says_so() -> None:
    effort = Effort(drawn=100, refused_by={"max_macs": 100}, is_everything=True)
    assert nothing_in_words(effort, n_proposed=0) == (
        "none of the space's 100 configurations keeps within the constraints "
        "(max_macs refused 100); loosen them"
    )


def test_what_was_tried_in_vain_is_counted_whole() -> None:
    effort = Effort(drawn=2000, refused_by={"max_macs": 2000}) + Effort(
        sought=500, refused_by={"max_macs": 400, "max_parameters": 500}
    )
    none, no_other = (nothing_in_words(effort, n_proposed=n) for n in (0, 4))
    assert none.startswith(
        "no configuration within the constraints among 2,500 tried "
        "(max_macs refused 2,400, max_parameters refused 500); loosen"
    )
    assert no_other.startswith("no other configuration within the constraints among 2,500 tried")
