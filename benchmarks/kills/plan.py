"""Which process is struck how, and in which order: drawn from a seed. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["cluster", "local"]
Kind: TypeAlias = Literal["scheduler", "worker parent", "Dask worker", "training", "coordinator"]
Blow: TypeAlias = Literal["SIGKILL", "SIGTERM", "SIGSTOP, SIGCONT", "SIGTERM to the group"]

KILL: Blow = "SIGKILL"
TERM: Blow = "SIGTERM"
PAUSE: Blow = "SIGSTOP, SIGCONT"
GROUP: Blow = "SIGTERM to the group"

# The children of a worker share its group or have one of their own; only what a supervisor has
# started is told to end as a group.
_BLOWS: dict[Mode, dict[Kind, tuple[Blow, ...]]] = {
    "cluster": {
        "scheduler": (KILL, TERM, PAUSE),
        "worker parent": (KILL, TERM, PAUSE, GROUP),
        "Dask worker": (KILL, TERM, PAUSE),
        "training": (KILL, TERM, PAUSE),
        "coordinator": (KILL, TERM, PAUSE, GROUP),
    },
    "local": {
        "Dask worker": (KILL, TERM, PAUSE),
        "training": (KILL, TERM, PAUSE),
        "coordinator": (KILL, TERM, PAUSE, GROUP),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A signal to one kind of process.

    Attributes:
        mode: Workers of a scheduler, or those that the search starts itself.
        patience_seconds: How long to wait at most for a trial that runs; 0 does not wait.
        seconds: How long to wait then.
        stop_seconds: How long the process stays stopped, where it is.
    """

    mode: Mode
    kind: Kind
    blow: Blow
    seconds: float
    patience_seconds: float
    stop_seconds: float

    @property
    def is_stop(self) -> bool:
        """Whether the search is asked to end, and ends in good order."""
        return self.kind == "coordinator" and self.blow in (TERM, GROUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """One search and what it has to bear.

    Attributes:
        seed: Of the search; another one for each.
        is_virtual: Whether results are handed out in the order of the seed.
    """

    number: int
    seed: int
    mode: Mode
    is_virtual: bool
    strikes: tuple[Strike, ...]

    @property
    def name(self) -> str:
        """Of its run."""
        return f"chaos-{self.number}"


def strikes(n_kills: int, seed: int) -> list[Strike]:
    """So many strikes: each kind with each signal as often as any other, give or take one."""
    chance = random.Random(seed)
    found: list[Strike] = []
    while len(found) < n_kills:
        turn = [
            (mode, kind, blow)
            for mode, kinds in _BLOWS.items()
            for kind, blows in kinds.items()
            for blow in blows
        ]
        chance.shuffle(turn)
        found += [_timed(chance, *parts) for parts in turn[: n_kills - len(found)]]
    return found


def _timed(chance: random.Random, mode: Mode, kind: Kind, blow: Blow) -> Strike:
    return Strike(
        mode=mode,
        kind=kind,
        blow=blow,
        seconds=chance.uniform(0.5, 5.0),
        patience_seconds=30.0 if chance.random() < 0.85 else 0.0,
        stop_seconds=chance.uniform(2.0, 4.0),
    )


def searches(todo: Iterable[Strike], *, most: int, seed: int, first: int = 1) -> list[SearchPlan]:
    """Share strikes out among searches, cluster and local ones in turn.

    Every other search of a mode is one in virtual time, without what stops a search in good order:
    such a stop lets running trials end before others are asked for, which is another course.

    Args:
        todo: In their order.
        most: Strikes that one search has to bear.
        seed: Of the first search, and with its number of the others.
        first: Its number.
    """
    waiting: dict[Mode, list[Strike]] = {"cluster": [], "local": []}
    for strike in todo:
        waiting[strike.mode].append(strike)
    n_of_mode: Counter[Mode] = Counter()
    plans: list[SearchPlan] = []
    while any(waiting.values()):
        for mode, left in waiting.items():
            if not left:
                continue
            in_order = [strike for strike in left if not strike.is_stop]
            is_virtual = bool(in_order) and (n_of_mode[mode] + first) % 2 == 1
            part = (in_order if is_virtual else left)[:most]
            for strike in part:
                left.remove(strike)
            n_of_mode[mode] += 1
            number = first + len(plans)
            plans.append(
                SearchPlan(
                    number=number,
                    seed=seed + number,
                    mode=mode,
                    is_virtual=is_virtual,
                    strikes=tuple(part),
                )
            )
    return plans
