"""What the log of a struck search tells: what was lost, told twice or told falsely. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from benchmarks.kills.plan import PAUSE, Blow, Kind, Mode
from results.events import Asked, AttemptLost, GivenUp, LoggedEvent, Resumed, Told
from results.trial import ConfigurationKey, TrialOutcome, TrialRequest, configuration_key

Place: TypeAlias = tuple[ConfigurationKey, int]
"""A configuration at a rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A strike that has met somebody.

    Attributes:
        search: Its run's name.
        sequence: Of the last event before.
        n_running: Trials that ran then.
        seconds: Since the search began.
    """

    search: str
    mode: Mode
    kind: Kind
    blow: Blow
    pid: int
    sequence: int
    n_running: int
    seconds: float


@dataclass(slots=True, kw_only=True)
class Account:
    """Of one search.

    Attributes:
        n_trials: Asked for.
        lost: Trials without an end.
        told_twice: Trials with more than one.
        false: Trials of which something was told that the same training, undisturbed, did not
            give; with both, in words.
        given_up: Trials that were given up on the way and handed out again.
        hit: Number of a kill -> trials whose attempt it has cut short: as lost, or by ending the
            search that they ran for.
        n_attempts_lost: Number of a kill -> such attempts that the log names.
    """

    n_trials: int = 0
    lost: set[str] = field(default_factory=set)
    told_twice: set[str] = field(default_factory=set)
    false: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    hit: dict[int, set[str]] = field(default_factory=dict)
    n_attempts_lost: Counter[int] = field(default_factory=Counter)


def place_of(request: TrialRequest) -> Place:
    """What is trained, and how far."""
    return configuration_key(request.configuration), request.rung


def requests_of(log: Iterable[LoggedEvent]) -> dict[str, TrialRequest]:
    """By trial, in the order they were asked."""
    events = [logged.event for logged in log]
    return {event.request.trial_id: event.request for event in events if isinstance(event, Asked)}


def account(
    log: Sequence[LoggedEvent], kills: Sequence[Kill], truth: Mapping[Place, TrialOutcome]
) -> Account:
    """Go through a log.

    Args:
        log: All of it.
        kills: Of this search, in their order.
        truth: What the same trainings gave undisturbed.
    """
    requests = requests_of(log)
    told: defaultdict[str, list[TrialOutcome]] = defaultdict(list)
    found = Account(n_trials=len(requests), hit={n: set() for n in range(len(kills))})
    for logged in log:
        event = logged.event
        if isinstance(event, Told):
            told[event.outcome.trial_id].append(event.outcome)
        elif isinstance(event, GivenUp):
            found.given_up.add(event.trial_id)
        else:
            _note_hit(found, logged, kills)
    found.lost = requests.keys() - told.keys()
    found.told_twice = {trial_id for trial_id, outcomes in told.items() if len(outcomes) > 1}
    for trial_id, outcomes in told.items():
        wrong = [words for outcome in outcomes if (words := _wrong(outcome, requests, truth))]
        if wrong:
            found.false[trial_id] = "; ".join(wrong)
    return found


def _note_hit(found: Account, logged: LoggedEvent, kills: Sequence[Kill]) -> None:
    """Put down what was cut short to the last kill that may have done it."""
    event = logged.event
    if not isinstance(event, AttemptLost | Resumed):
        return
    before = [n for n, kill in enumerate(kills) if kill.sequence < logged.sequence]
    is_resumed = isinstance(event, Resumed)
    able = [
        n
        for n in before
        if kills[n].blow != PAUSE and (kills[n].kind == "coordinator" or not is_resumed)
    ]
    if not before:
        return
    culprit = able[-1] if able else before[-1]
    if isinstance(event, AttemptLost):
        found.hit[culprit].add(event.outcome.trial_id)
        found.n_attempts_lost[culprit] += 1
    else:
        found.hit[culprit] |= set(event.reissued)


def _wrong(
    outcome: TrialOutcome,
    requests: Mapping[str, TrialRequest],
    truth: Mapping[Place, TrialOutcome],
) -> str:
    """How an outcome differs from the truth; empty where it does not."""
    request = requests.get(outcome.trial_id)
    if request is None:
        return "told, and never asked for"
    wanted = truth.get(place_of(request))
    if wanted is None:
        return "nobody knows what it should be"
    same = (outcome.costs, outcome.failure) == (wanted.costs, wanted.failure)
    return "" if same else f"told {_in_words(outcome)}, undisturbed {_in_words(wanted)}"


def _in_words(outcome: TrialOutcome) -> str:
    if outcome.failure is not None:
        return f"{outcome.failure} ({outcome.detail})"
    return str(dict(outcome.costs or {}))


def table(kills: Sequence[Kill], accounts: Mapping[str, Account]) -> list[dict[str, Any]]:
    """A row for each kind of process and signal, and one of all.

    A trial that is lost, told twice or told falsely counts for every kill that has hit it.
    """
    groups: defaultdict[tuple[str, str], list[tuple[Account, int]]] = defaultdict(list)
    n_of_search: Counter[str] = Counter()
    n_running: Counter[tuple[str, str]] = Counter()
    for kill in kills:
        found = (accounts[kill.search], n_of_search[kill.search])
        n_of_search[kill.search] += 1
        kind = kill.kind + (", local workers" if kill.mode == "local" else "")
        groups[kind, kill.blow].append(found)
        n_running[kind, kill.blow] += kill.n_running
    rows = [
        _row(kind, blow, group) | {"running": n_running[kind, blow]}
        for (kind, blow), group in sorted(groups.items())
    ]
    total: dict[str, Any] = {"kind": "all", "signal": ""}
    for key in ("kills", "running", "trials_hit", "attempts_lost"):
        total[key] = sum(row[key] for row in rows)
    total["lost"] = sum(len(found.lost) for found in accounts.values())
    total["told_twice"] = sum(len(found.told_twice) for found in accounts.values())
    total["false"] = sum(len(found.false) for found in accounts.values())
    return [*rows, total]


def _row(kind: str, blow: str, group: Sequence[tuple[Account, int]]) -> dict[str, Any]:
    return {
        "kind": kind,
        "signal": blow,
        "kills": len(group),
        "trials_hit": sum(len(found.hit[n]) for found, n in group),
        "attempts_lost": sum(found.n_attempts_lost[n] for found, n in group),
        "lost": sum(len(found.hit[n] & found.lost) for found, n in group),
        "told_twice": sum(len(found.hit[n] & found.told_twice) for found, n in group),
        "false": sum(len(found.hit[n] & found.false.keys()) for found, n in group),
    }
