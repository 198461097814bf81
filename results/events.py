"""What can happen to a run: frozen records, and their JSON. No clock and no files.

The event log is the only truth about a run; everything else is folded from it (`results.view`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from results.errors import LogError
from results.objectives import Objective
from results.trial import (
    EarlierResult,
    TrialOutcome,
    TrialRequest,
    outcome_from_json,
    outcome_to_json,
    request_from_json,
    request_to_json,
)

EndState: TypeAlias = Literal["finished", "stopped", "failed"]
Seal: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpened:
    """The first event of every log: what is searched, on what, for what.

    Attributes:
        rungs: Epochs of each rung, rising; the last is the highest fidelity.
        data: `digest`, `split`, `group` (the column that is compared) and `groups`, a mapping
            from column to its labels.
        space: `preset` and `fingerprint`.
        versions: Library name -> version.
        at: UTC, ISO 8601 with a Z.
        stop: Limits in force, name -> number or None.
        max_costs: Objective -> the largest cost that is wanted of it; a trial above does not
            enter the front. Logs from before it was there have none.
        seal: All that decides results, so that files which are edited later are found out:
            `run_file` and `manifest`, each a mapping from key path to value. Logs from before it
            was there have none.
    """

    run: str
    objectives: tuple[Objective, ...]
    rungs: tuple[int, ...]
    data: Mapping[str, Any]
    space: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    at: str
    stop: Mapping[str, Any] = field(default_factory=dict)
    max_costs: Mapping[str, float] = field(default_factory=dict)
    seal: Seal = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStarted:
    """Results of other runs that the optimizer knows from the start; before the first `Asked`.

    Attributes:
        results: Whole, so that nothing depends on the other runs from now on.
        left_out: Reason -> results that say nothing about this run.
    """

    results: tuple[EarlierResult, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The optimizer proposed a trial: a new configuration, or a known one at a higher rung."""

    request: TrialRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """An attempt at a trial was handed to the cluster.

    Attributes:
        worker: The worker it was meant for, where that is known.
    """

    trial_id: str
    attempt: int
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLost:
    """An attempt came to nothing that says anything of the configuration yet; the trial goes on.

    Attributes:
        outcome: Of this attempt, with a failure; `seconds` is how long it held its slot.
        progressed: Whether it left a later checkpoint than the one that it began with.
    """

    outcome: TrialOutcome
    progressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A trial is not tried any more in this session, and nobody knows of what it failed.

    The optimizer is told nothing; a resumed run hands the trial out again.

    Attributes:
        reason: In words.
    """

    trial_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJudged:
    """A worker gets no trials for now, or gets them again.

    Attributes:
        worker: Its address.
        verdict: `unfit` cannot show what trials need, `benched` fails what others can do, `fit`
            has shown it again.
        reason: In one sentence, with the remedy.
    """

    worker: str
    verdict: Literal["fit", "unfit", "benched"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochsTrained:
    """Epochs that an attempt has finished since the last such event.

    Attributes:
        epochs: Counted from the very beginning of the training, rising.
        losses: The mean loss of each.
        costs: Epoch -> costs on the validation split, of those that were measured.
    """

    trial_id: str
    attempt: int
    epochs: tuple[int, ...]
    losses: tuple[float | None, ...]
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Trials that still waited for a worker were taken back; a resumed run hands them out."""

    trial_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsChanged:
    """So many trials can run at once from now on."""

    n_slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A trial ended, with costs or with a failure. The first of several counts."""

    outcome: TrialOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Another coordinator took over.

    Attributes:
        reissued: Ids of the trials that were in flight and are handed out again.
    """

    reissued: tuple[str, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChanged:
    """The limits in force from now on, name -> number or None."""

    stop: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """No more trials are asked for; those that are running may end."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The coordinator is done. A later `Resumed` opens the run again."""

    state: EndState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """A chosen configuration was trained anew with one more seed.

    Attributes:
        model: The model's folder relative to the run directory; None when training failed.
    """

    config_id: str
    seed: int
    epochs: int
    outcome: TrialOutcome
    model: str | None


Event: TypeAlias = (
    RunOpened
    | WarmStarted
    | Asked
    | Submitted
    | AttemptLost
    | GivenUp
    | WorkerJudged
    | EpochsTrained
    | Recalled
    | SlotsChanged
    | Told
    | Resumed
    | LimitsChanged
    | StopRequested
    | Ended
    | Retrained
)


class Moment(NamedTuple):
    """When something was, by the wall clock and by the clock of the log's writer.

    Attributes:
        time: UTC, ISO 8601 with a Z; empty where it is not known.
        elapsed_seconds: As of `LoggedEvent`.
    """

    time: str = ""
    elapsed_seconds: float | None = None

    def seconds_until(self, later: Moment) -> float:
        """Seconds from here to a later moment of the same writer, never below 0.

        Without both readings of the writer's clock it is the wall clock's, which people and
        machines set forward and back.
        """
        if self.elapsed_seconds is not None and later.elapsed_seconds is not None:
            return max(0.0, later.elapsed_seconds - self.elapsed_seconds)
        if not self.time or not later.time:
            return 0.0
        before, after = (datetime.fromisoformat(moment.time) for moment in (self, later))
        return max(0.0, (after - before).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event with its place in the log.

    Attributes:
        sequence: 1 for the first event, rising by 1.
        time: UTC, ISO 8601 with a Z.
        elapsed_seconds: Since its writer opened the log, by a clock that only rises; so a time
            that was spent is told by the difference of two of one writer, whatever was done to the
            wall clock between. Of another writer it begins anew; None in logs from before.
    """

    sequence: int
    time: str
    event: Event
    elapsed_seconds: float | None = None

    @property
    def moment(self) -> Moment:
        """When it was logged."""
        return Moment(self.time, self.elapsed_seconds)


def event_to_json(event: Event) -> dict[str, Any]:
    """The event as `{"kind": ..., "payload": {...}}`; `event_from_json` is its inverse.

    Numbers among the metrics that are not finite become null, see `storable`.
    """
    if isinstance(event, Asked):
        payload: dict[str, Any] = {"request": request_to_json(event.request)}
    elif isinstance(event, Told):
        payload = {"outcome": outcome_to_json(storable(event.outcome))}
    elif isinstance(event, AttemptLost):
        outcome = outcome_to_json(storable(event.outcome))
        payload = {"outcome": outcome, "progressed": event.progressed}
    elif isinstance(event, Retrained):
        payload = asdict(event) | {"outcome": outcome_to_json(storable(event.outcome))}
    else:
        payload = asdict(event)
    return {"kind": _KIND_OF[type(event)], "payload": payload}


def event_from_json(value: Mapping[str, Any]) -> Event:
    """The event that `event_to_json` wrote, also after a trip through JSON text.

    Raises:
        LogError: The kind is not known, or the payload is not that kind's.
    """
    kind = value.get("kind")
    if kind not in _DECODERS:
        raise LogError(
            f"unknown event kind {kind!r}; the log was written by a newer frnas, use that one"
        )
    try:
        return _DECODERS[kind](value["payload"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise LogError(f"an event {kind!r} has a wrong payload ({error})") from error


def storable(outcome: TrialOutcome) -> TrialOutcome:
    """The outcome without numbers that JSON does not know.

    A metric that is NaN or infinite becomes None, an interval with such an end is left out. Costs
    are finite by construction.
    """
    intervals = {
        name: pair for name, pair in outcome.interval95.items() if all(map(math.isfinite, pair))
    }
    return replace(outcome, metrics=_finite(outcome.metrics), interval95=intervals)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _run_opened(payload: Mapping[str, Any]) -> RunOpened:
    objectives = tuple(Objective(**objective) for objective in payload["objectives"])
    return RunOpened(**{**payload, "objectives": objectives, "rungs": tuple(payload["rungs"])})


def _warm_started(payload: Mapping[str, Any]) -> WarmStarted:
    results = tuple(EarlierResult(**result) for result in payload["results"])
    return WarmStarted(**{**payload, "results": results})


def _asked(payload: Mapping[str, Any]) -> Asked:
    return Asked(request=request_from_json(payload["request"]))


def _told(payload: Mapping[str, Any]) -> Told:
    return Told(outcome=outcome_from_json(payload["outcome"]))


def _attempt_lost(payload: Mapping[str, Any]) -> AttemptLost:
    return AttemptLost(**{**payload, "outcome": outcome_from_json(payload["outcome"])})


def _epochs_trained(payload: Mapping[str, Any]) -> EpochsTrained:
    lists = {name: tuple(payload[name]) for name in ("epochs", "losses")}
    return EpochsTrained(**{**payload, **lists})


def _recalled(payload: Mapping[str, Any]) -> Recalled:
    return Recalled(trial_ids=tuple(payload["trial_ids"]))


def _resumed(payload: Mapping[str, Any]) -> Resumed:
    return Resumed(**{**payload, "reissued": tuple(payload["reissued"])})


def _retrained(payload: Mapping[str, Any]) -> Retrained:
    return Retrained(**{**payload, "outcome": outcome_from_json(payload["outcome"])})


# The kinds are on disk: a name here never changes and is never given to another event.
_KIND_OF: dict[type[Event], str] = {
    RunOpened: "run_opened",
    WarmStarted: "warm_started",
    Asked: "asked",
    Submitted: "submitted",
    AttemptLost: "attempt_lost",
    GivenUp: "given_up",
    WorkerJudged: "worker_judged",
    EpochsTrained: "epochs_trained",
    Recalled: "recalled",
    SlotsChanged: "slots_changed",
    Told: "told",
    Resumed: "resumed",
    LimitsChanged: "limits_changed",
    StopRequested: "stop_requested",
    Ended: "ended",
    Retrained: "retrained",
}

_DECODERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "run_opened": _run_opened,
    "warm_started": _warm_started,
    "asked": _asked,
    "submitted": lambda payload: Submitted(**payload),
    "attempt_lost": _attempt_lost,
    "given_up": lambda payload: GivenUp(**payload),
    "worker_judged": lambda payload: WorkerJudged(**payload),
    "epochs_trained": _epochs_trained,
    "recalled": _recalled,
    "slots_changed": lambda payload: SlotsChanged(**payload),
    "told": _told,
    "resumed": _resumed,
    "limits_changed": lambda payload: LimitsChanged(**payload),
    "stop_requested": lambda payload: StopRequested(**payload),
    "ended": lambda payload: Ended(**payload),
    "retrained": _retrained,
}
