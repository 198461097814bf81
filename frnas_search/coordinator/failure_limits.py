"""When so many trials fail that going on is a waste, and why they do, in words. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from results.trial import TrialOutcome

_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimits:
    """None is no limit.

    Attributes:
        first: Trials that may fail before any succeeds.
        rate: Share of the last `window` trials that may fail.
    """

    first: int | None = 10
    rate: float | None = 0.9
    window: int = 50


def too_many_failures(
    limits: FailureLimits, outcomes: Sequence[TrialOutcome], *, n_finished: int
) -> str | None:
    """Why the search should stop, with the reasons grouped; None when it may go on.

    Args:
        limits: The run's.
        outcomes: Of this session in their order: a resumed run has as many tries again.
        n_finished: Trials of all sessions that ended with costs.
    """
    if limits.first is not None and n_finished == 0 and len(outcomes) >= limits.first:
        return f"the first {len(outcomes)} trials all failed: {grouped_reasons(outcomes)}"
    if limits.rate is None or len(outcomes) < limits.window:
        return None
    last = outcomes[-limits.window :]
    failed = [outcome for outcome in last if outcome.failure is not None]
    if len(failed) <= limits.rate * limits.window:
        return None
    return (
        f"{len(failed)} of the last {limits.window} trials failed, more than failures.rate "
        f"{limits.rate:g} allows: {grouped_reasons(failed)}"
    )


def grouped_reasons(outcomes: Iterable[TrialOutcome]) -> str:
    """Each kind of failure with how often it was and one message, the most frequent first."""
    groups: defaultdict[str, list[TrialOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.failure is not None:
            groups[str(outcome.failure)].append(outcome)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return "; ".join(
        f"{kind} {len(failures)} ({_example(failures[0])})" for kind, failures in ordered
    )


def _example(outcome: TrialOutcome) -> str:
    lines = outcome.detail.splitlines()
    message = lines[0][:_MOST_CHARACTERS] if lines else "no message"
    return f"{outcome.trial_id}: {message}"
