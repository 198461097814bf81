"""An account that adds up: what a source announced, what was packed and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["missing", "broken", "chosen"]
"""`missing`: announced and not there, or there and not understood. `broken`: cannot be read.
`chosen`: left out by a setting, or told by a list that may hold more than the source."""

N_EXAMPLES = 5
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Pictures, people or pairs that are not packed, for one reason.

    Attributes:
        reason: What is said of them, such as `have no line in labels.csv`.
        names: All of them, as far as anybody knows what they are called.
        n_unnamed: So many more.
        remedy: What to do about it, if there is more to say than to complete the source.
    """

    reason: str
    names: Sequence[str]
    n_unnamed: int = 0
    kind: Kind = "missing"
    remedy: str = ""

    @property
    def count(self) -> int:
        """With and without a name."""
        return len(self.names) + self.n_unnamed

    def sentence(self, what: str = "pictures") -> str:
        """A warning about them; `what` they are."""
        return f"{self.count} {what} {self.reason} and were left out: {self.listed()}"

    def listed(self) -> str:
        """The first few names, and how many more there are."""
        return listed(self.names, self.n_unnamed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How many are left out for one reason, and a few of their names."""

    reason: str
    kind: Kind
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Pictures, people or pairs: announced = packed + left out.

    Raises:
        ValueError: It does not add up.
    """

    announced: int
    packed: int
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        n_left_out = sum(entry.count for entry in self.left_out)
        if self.announced != self.packed + n_left_out:
            raise ValueError(
                f"{self.announced} announced, but {self.packed} packed and {n_left_out} left out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Of one source.

    Attributes:
        pairs: None where the source lists none.
    """

    pictures: Ledger
    identities: Ledger
    pairs: Ledger | None = None


def listed(names: Iterable[str], n_unnamed: int = 0) -> str:
    """The first few names, and how many more there are, `n_unnamed` besides the names."""
    rest = iter(names)
    shown = list(islice(rest, N_EXAMPLES))
    n_more = sum(1 for _ in rest) + n_unnamed
    return ", ".join(shown) + (f" and {n_more} more" if n_more else "")


def ledger(n_packed: int, gaps: Iterable[Gap], *, announced: int) -> Ledger:
    """The ledger of what was packed and of the gaps; those of one reason together.

    Raises:
        ValueError: It does not add up.
    """
    by_reason: dict[tuple[str, Kind], list[Gap]] = {}
    for gap in gaps:
        if gap.count:
            by_reason.setdefault((gap.reason[:_MAX_TEXT], gap.kind), []).append(gap)
    entries = [
        LeftOut(
            reason=reason,
            kind=kind,
            count=sum(gap.count for gap in own),
            examples=tuple(name[:_MAX_TEXT] for gap in own for name in gap.names)[:N_EXAMPLES],
        )
        for (reason, kind), own in by_reason.items()
    ]
    return Ledger(announced=announced, packed=n_packed, left_out=tuple(entries))


def account_json(account: Account, max_bytes: int) -> str:
    """The account as JSON of at most so many bytes: with fewer examples where room is short."""
    for n_examples in range(N_EXAMPLES, -1, -1):
        text = _text(account, n_examples)
        if len(text.encode("utf-8", "replace")) <= max_bytes:
            return text
    pairs = None if account.pairs is None else _summed(account.pairs)
    short = Account(
        pictures=_summed(account.pictures), identities=_summed(account.identities), pairs=pairs
    )
    return _text(short, 0)


def _text(account: Account, n_examples: int) -> str:
    value = {
        name: None if own is None else asdict(_with_examples(own, n_examples))
        for name, own in (
            ("pictures", account.pictures),
            ("identities", account.identities),
            ("pairs", account.pairs),
        )
    }
    return json.dumps(value, ensure_ascii=False)


def _with_examples(own: Ledger, n_examples: int) -> Ledger:
    entries = (replace(entry, examples=entry.examples[:n_examples]) for entry in own.left_out)
    return replace(own, left_out=tuple(entries))


def _summed(own: Ledger) -> Ledger:
    """One line for each kind."""
    counts: dict[Kind, int] = {}
    for entry in own.left_out:
        counts[entry.kind] = counts.get(entry.kind, 0) + entry.count
    entries = (
        LeftOut(reason="are left out for several reasons", kind=kind, count=n, examples=())
        for kind, n in counts.items()
    )
    return replace(own, left_out=tuple(entries))


def parse_account(text: str) -> Mapping[str, Any]:
    """The account as a pack keeps it, checked.

    Raises:
        ValueError: It is no account, or one that does not add up.
        TypeError: Likewise.
        KeyError: Likewise.
        AttributeError: Likewise.
    """
    value: dict[str, Any] = json.loads(text)
    for name in ("pictures", "identities", "pairs"):
        own = value[name]
        if own is not None:
            entries = tuple(
                LeftOut(**{**entry, "examples": tuple(entry["examples"])})
                for entry in own["left_out"]
            )
            Ledger(announced=own["announced"], packed=own["packed"], left_out=entries)
    return value
