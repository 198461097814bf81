"""From gaps to an account that adds up, and the refusal of sources that lack too much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from workers.data.packs.account import Account, Gap, ledger
from workers.data.sources.source import FaceSource
from workers.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many there are.

    Attributes:
        pairs: None where the source lists none.
    """

    pictures: int
    identities: int
    pairs: int | None


@dataclass(slots=True, kw_only=True)
class Losses:
    """What is left out on the way from a source to a pack.

    Attributes:
        announced: What the source holds or names, told before anything is left out.
        pictures: Of the source's rows and of what it announces besides.
        people: Those of whom nothing is packed.
        pairs: Likewise.
    """

    announced: Counts
    pictures: list[Gap] = field(default_factory=list)
    people: list[Gap] = field(default_factory=list)
    pairs: list[Gap] = field(default_factory=list)

    def account(self, packed: Counts) -> Account:
        """What was announced, what of it was packed, and the rest.

        Raises:
            ValueError: It does not add up, for something is told twice or nowhere.
        """
        announced = self.announced
        pairs = None
        if packed.pairs is not None and announced.pairs is not None:
            pairs = ledger(packed.pairs, self.pairs, announced=announced.pairs)
        return Account(
            pictures=ledger(packed.pictures, self.pictures, announced=announced.pictures),
            identities=ledger(packed.identities, self.people, announced=announced.identities),
            pairs=pairs,
        )


def losses_of(faces: FaceSource) -> Losses:
    """What the source itself lacks; each person once, under the first reason."""
    told = {row.identity for row in faces.rows}
    n_people = len(told)
    people: list[Gap] = []
    for gap in faces.people_gaps:
        own = [name for name in dict.fromkeys(gap.names) if name not in told]
        told.update(own)
        people.append(replace(gap, names=own))
    n_pairs = None
    if faces.pairs is not None:
        n_pairs = len(faces.pairs) + _n_left_out(faces.pair_gaps)
    announced = Counts(
        pictures=len(faces.rows) + _n_left_out(faces.gaps),
        identities=n_people + _n_left_out(people),
        pairs=n_pairs,
    )
    return Losses(
        announced=announced,
        pictures=list(faces.gaps),
        people=people,
        pairs=list(faces.pair_gaps),
    )


def _n_left_out(gaps: Iterable[Gap]) -> int:
    return sum(gap.count for gap in gaps)


def check_gaps(losses: Losses, *, limit: float) -> None:
    """Refuse a source of which too much is missing.

    Args:
        losses: What is left out.
        limit: Share, 0..1, of what is announced.

    Raises:
        DataError: More is missing of the pictures, the people or the pairs.
    """
    announced = losses.announced
    for what, gaps, n_announced in (
        ("pictures", losses.pictures, announced.pictures),
        ("identities", losses.people, announced.identities),
        ("pairs", losses.pairs, announced.pairs or 0),
    ):
        missing = [gap for gap in gaps if gap.kind == "missing" and gap.count]
        n_missing = _n_left_out(missing)
        if n_missing > limit * n_announced:
            why = "; ".join(f"{gap.count} {gap.reason}: {gap.listed()}" for gap in missing)
            raise DataError(
                f"{n_missing} of {n_announced} {what} are missing, more than the share of "
                f"{limit:.3g} that --max-left-out allows ({why}); {_remedies(missing)}"
                "complete the source or raise --max-left-out"
            )


def _remedies(gaps: Iterable[Gap]) -> str:
    told = dict.fromkeys(gap.remedy for gap in gaps)
    return "".join(f"{remedy}, or " for remedy in told if remedy)
