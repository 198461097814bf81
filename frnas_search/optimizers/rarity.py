"""How rare what may be proposed is, as counts, with their uncertainty, and in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scipy.special import betaincinv

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What was tried to find configurations that may be proposed.

    Attributes:
        drawn: At random, from the space and its priors; legal ones.
        accepted: Of these.
        sought: Besides, near others, which says nothing about shares.
        refused_by: Constraint -> of all that were tried, those that it refused.
        is_everything: Whether all configurations of a finite space are among the drawn.
    """

    drawn: int = 0
    accepted: int = 0
    sought: int = 0
    refused_by: Mapping[str, int] = field(default_factory=dict)
    is_everything: bool = False

    @property
    def tried(self) -> int:
        """In all."""
        return self.drawn + self.sought

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            drawn=self.drawn + other.drawn,
            accepted=self.accepted + other.accepted,
            sought=self.sought + other.sought,
            refused_by=Counter(self.refused_by) + Counter(other.refused_by),
            is_everything=self.is_everything or other.is_everything,
        )


def share_interval(count: int, n: int) -> tuple[float, float]:
    """The two-sided 95 % interval of a share of which `count` of `n` draws are an example.

    Args:
        count: 0 to n.
        n: Independent draws; of none nothing is known.

    Returns:
        Low and high, 0 to 1.

    References:
        Clopper & Pearson, Biometrika 1934: exact, never too narrow.
    """
    if n == 0:
        return 0.0, 1.0
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1.0 - tail))
    return low, high


def percent(share: float) -> str:
    """A share in percent; what is not 0 is never written as 0, nor what is not 1 as 100.

    Args:
        share: 0 to 1.
    """
    if 0.0 < share < 0.001:
        return f"{100.0 * share:.2g}%"
    if 0.999 < share < 1.0:
        # As many nines as there are, and one digit more.
        text = f"{100.0 * (1.0 - share):.1g}"
        n_digits = len(text.partition(".")[2]) if "e" not in text else int(text.split("-")[1])
        return f"{100.0 * share:.{max(1, n_digits)}f}%"
    return f"{share:.1%}"


def share_in_words(count: int, n: int) -> str:
    """A share with its uncertainty, such as `0.12% (95 % interval 0.062% to 0.21%)`."""
    if n == 0:
        return "an unknown share"
    low, high = share_interval(count, n)
    if count == 0:
        return f"less than {percent(high)} (none of {n:,})"
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    return f"{percent(count / n)} ({count:,} of {n:,}; {interval})"


def refusals_in_words(refused_by: Mapping[str, int]) -> str:
    """Which constraint refused how many, those first that refused most."""
    most_first = sorted(refused_by.items(), key=lambda refusal: (-refusal[1], refusal[0]))
    return ", ".join(f"{name} refused {count:,}" for name, count in most_first)


def nothing_in_words(effort: Effort, *, n_proposed: int) -> str:
    """Why a search ends that might go on if more kept within the constraints; empty if not.

    Args:
        effort: All of the search.
        n_proposed: Configurations so far.
    """
    if effort.is_everything and (n_proposed or effort.accepted):
        return ""
    refused = refusals_in_words(effort.refused_by)
    reason = f" ({refused})" if refused else ""
    if effort.is_everything:
        found = f"none of the space's {effort.drawn:,} configurations keeps within the constraints"
        return f"{found}{reason}; loosen them"
    other = "other " if n_proposed else ""
    return (
        f"no {other}configuration within the constraints among {effort.tried:,} tried{reason}; "
        "loosen the constraints, narrow the space to where they hold, or give some with "
        "search.enqueue"
    )
