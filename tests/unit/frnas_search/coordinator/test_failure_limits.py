from __future__ import annotations

import pytest

from frnas_search.coordinator.failure_limits import (
    FailureLimits,
    grouped_reasons,
    too_many_failures,
)
from results.trial import FailureKind, TrialOutcome

LIMITS = FailureLimits(first=3, rate=0.5, window=4)


def ended(number: int, kind: FailureKind | None = None, detail: str = "") -> TrialOutcome:
    return TrialOutcome(
        trial_id=f"t{number}",
        attempt=1,
        costs=None if kind else {"error": 0.5},
        failure=kind,
        detail=detail,
    )


def course(text: str) -> list[TrialOutcome]:
    """`.` for a trial with costs, `x` for one that collapsed."""
    kinds = {".": None, "x": FailureKind.COLLAPSED}
    return [ended(i, kinds[letter], "flat") for i, letter in enumerate(text)]


def verdict(text: str, limits: FailureLimits = LIMITS) -> str | None:
    outcomes = course(text)
    n_finished = sum(each.costs is not None for each in outcomes)
    return too_many_failures(limits, outcomes, n_finished=n_finished)


def test_the_first_trials_may_not_all_fail() -> None:
    assert verdict("xx") is None
    assert verdict("xxx") == "the first 3 trials all failed: collapsed 3 (t0: flat)"
    assert verdict("xx.x", FailureLimits(first=3, rate=None)) is None


def test_a_resumed_run_has_as_many_tries_again() -> None:
    assert too_many_failures(LIMITS, [], n_finished=0) is None
    assert too_many_failures(LIMITS, course("xxx"), n_finished=1) is None, "one succeeded before"


@pytest.mark.parametrize("text", ["", "x", ".xx", ".x.x", "x..xx.", "....xx"])
def test_as_many_as_the_rate_allows_may_fail(text: str) -> None:
    assert verdict(text) is None


@pytest.mark.parametrize("text", [".xxx", "......xxx", "x.xx", "..x.xx"])
def test_more_of_the_last_trials_than_the_rate_may_not(text: str) -> None:
    assert verdict(text) == (
        "3 of the last 4 trials failed, more than failures.rate 0.5 allows: collapsed 3 "
        f"(t{text.index('x', len(text) - 4)}: flat)"
    )


def test_null_is_no_limit() -> None:
    assert verdict("x" * 99, FailureLimits(first=None, rate=None)) is None


def test_reasons_are_grouped_with_the_first_line_of_one_message_each() -> None:
    outcomes = [
        ended(1, FailureKind.CRASHED, "a" * 300 + "\nmore"),
        ended(2),
        ended(3, FailureKind.DATA_ERROR, "no pack"),
        ended(4, FailureKind.DATA_ERROR, "no pack either"),
        ended(5, FailureKind.COLLAPSED),
    ]
    assert grouped_reasons(outcomes) == (
        f"data_error 2 (t3: no pack); collapsed 1 (t5: no message); crashed 1 (t1: {'a' * 200})"
    )
