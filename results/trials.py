"""The trials of a run: a small row of each, and its whole record when it is asked for.

A record holds a configuration, every metric and the lines of a log; ten thousand of them are slow
to load and large to keep. So a view that follows a log keeps rows, and makes records of the log's
events when they are wanted; a view without a log to go back to keeps the records themselves.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    ValuesView,
)
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from results.errors import LogError
from results.events import Asked, LoggedEvent, Told
from results.trial_record import TrialRecord, advanced, never_asked, trial_of

ReadEvents: TypeAlias = Callable[[Sequence[int]], list[LoggedEvent]]
"""Sequences, rising -> the events with these; raises LogError where the log lacks one."""

_BATCH = 250


class TrialRow(NamedTuple):
    """What every question about a run's trials needs of each.

    Attributes:
        sequences: Of all events about the trial, in the log's order.
        told_sequence: Of the event that ended it; None before.
        failure: Its kind; empty without one.
        costs: In the order of the run's objectives, None where the trial has no such cost; None
            of a trial that failed or has not ended.
    """

    trial_id: str
    config_id: str
    rung: int
    epochs: int
    sequences: tuple[int, ...]
    told_sequence: int | None = None
    failure: str = ""
    costs: tuple[float | None, ...] | None = None

    @property
    def asked_sequence(self) -> int:
        """Of the event that proposed it."""
        return self.sequences[0]


_COLUMNS = TrialRow._fields


@dataclass(slots=True)
class RungTally:
    """How many trials of one rung were asked and ended, and the best of each objective.

    Attributes:
        best: Objective -> its least cost, and that trial's place: when it was asked, and its id.
    """

    n_asked: int = 0
    n_finished: int = 0
    n_failed: int = 0
    best: dict[str, tuple[float, int, str]] = field(default_factory=dict)


class Trials(Mapping[str, TrialRecord]):
    """The trials of a run by id, in the order they were asked.

    Args:
        names: The objectives, in the order of the run file.
        read: Reads events of the log; without, records are kept in memory.

    Attributes:
        rows: By trial id, in the order they were asked.
        tallies: By rung.
        open: Ids of trials that have not ended.
    """

    def __init__(self, names: Sequence[str] = (), *, read: ReadEvents | None = None) -> None:
        self.names = tuple(names)
        self.rows: dict[str, TrialRow] = {}
        self.tallies: dict[int, RungTally] = {}
        self.open: dict[str, None] = {}
        self._records: dict[str, TrialRecord] = {}
        self._read = read

    def take(self, logged: LoggedEvent) -> TrialRow | None:
        """Take an event about a trial into account; gives the row of a trial that just ended.

        Raises:
            LogError: The trial was never asked; the log is damaged.
        """
        event = logged.event
        trial_id = trial_of(event)
        assert trial_id is not None, "an event of the run is not about a trial"
        before = self.rows.get(trial_id)
        if self._read is None:
            self._records[trial_id] = advanced(self._records.get(trial_id), logged)
        if before is None:
            if not isinstance(event, Asked):
                raise LogError(never_asked(trial_id))
            self._add(event, logged.sequence)
            return None
        if isinstance(event, Asked) or (isinstance(event, Told) and before.told_sequence):
            return None  # once more, which changes nothing
        row = before._replace(sequences=(*before.sequences, logged.sequence))
        if isinstance(event, Told):
            row = self._ended(row, event, logged.sequence)
        self.rows[trial_id] = row
        return row if isinstance(event, Told) else None

    def to_json(self) -> dict[str, Any]:
        """Rows and tallies as JSON values, by column, which is read faster than row by row."""
        columns = zip(*self.rows.values(), strict=True) if self.rows else ((),) * len(_COLUMNS)
        tallies = {
            rung: [tally.n_asked, tally.n_finished, tally.n_failed, tally.best]
            for rung, tally in self.tallies.items()
        }
        rows = dict(zip(_COLUMNS, map(list, columns), strict=True))
        return {"rows": rows, "tallies": tallies, "open": list(self.open)}

    def restore(self, value: Mapping[str, Any]) -> None:
        """Take what `to_json` gave into an empty table, also after a trip through JSON text."""
        columns = dict(value["rows"])
        columns["sequences"] = map(tuple, columns["sequences"])
        columns["costs"] = [None if costs is None else tuple(costs) for costs in columns["costs"]]
        rows = map(TrialRow, *(columns[name] for name in _COLUMNS))
        self.rows = dict(zip(value["rows"]["trial_id"], rows, strict=True))
        self.open = dict.fromkeys(value["open"])
        for rung, (n_asked, n_finished, n_failed, best) in value["tallies"].items():
            places = {name: (cost, asked, id_) for name, (cost, asked, id_) in best.items()}
            self.tallies[int(rung)] = RungTally(n_asked, n_finished, n_failed, places)

    def records(self, ids: Iterable[str]) -> Iterator[TrialRecord]:
        """The records of some trials, in the order given; a few at a time are in memory.

        Raises:
            KeyError: There is no such trial.
            LogError: The log cannot be read.
        """
        rows = (self.rows[trial_id] for trial_id in ids)
        return self.records_of(rows)

    def records_of(self, rows: Iterable[TrialRow]) -> Iterator[TrialRecord]:
        """The records of some rows, as of the event that the rows are of."""
        if self._read is None:
            yield from (self._records[row.trial_id] for row in rows)
            return
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            yield from _made(batch, self._read)

    def __getitem__(self, trial_id: str) -> TrialRecord:
        return next(self.records([trial_id]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self.rows

    def values(self) -> ValuesView[TrialRecord]:
        """The records in order."""
        return _Records(self)

    def items(self) -> ItemsView[str, TrialRecord]:
        """Ids and records in order."""
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Trials) and self.rows != other.rows:
            return False
        return isinstance(other, Mapping) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} trials>"

    def _add(self, event: Asked, sequence: int) -> None:
        request = event.request
        self.rows[request.trial_id] = TrialRow(
            request.trial_id, request.config_id, request.rung, request.epochs, (sequence,)
        )
        self.open[request.trial_id] = None
        self.tallies.setdefault(request.rung, RungTally()).n_asked += 1

    def _ended(self, row: TrialRow, event: Told, sequence: int) -> TrialRow:
        outcome = event.outcome
        costs = outcome.costs
        row = row._replace(
            told_sequence=sequence,
            failure=str(outcome.failure or ""),
            costs=None if costs is None else tuple(costs.get(name) for name in self.names),
        )
        del self.open[row.trial_id]
        _count(self.tallies[row.rung], row, self.names)
        return row


class _Records(ValuesView[TrialRecord]):
    _mapping: Trials

    def __iter__(self) -> Iterator[TrialRecord]:
        return self._mapping.records_of(list(self._mapping.rows.values()))


class _Items(ItemsView[str, TrialRecord]):
    _mapping: Trials

    def __iter__(self) -> Iterator[tuple[str, TrialRecord]]:
        for trial in self._mapping.values():
            yield trial.request.trial_id, trial


def _count(tally: RungTally, row: TrialRow, names: Sequence[str]) -> None:
    if row.costs is None:
        tally.n_failed += 1
        return
    tally.n_finished += 1
    for name, cost in zip(names, row.costs, strict=True):
        if cost is not None:
            best = tally.best.get(name)
            if best is None or cost <= best[0]:
                place = (cost, row.asked_sequence, row.trial_id)
                tally.best[name] = place if best is None else min(place, best)


def _made(rows: Sequence[TrialRow], read: ReadEvents) -> list[TrialRecord]:
    sequences = sorted(sequence for row in rows for sequence in row.sequences)
    records: dict[str, TrialRecord] = {}
    for logged in read(sequences):
        trial_id = trial_of(logged.event)
        if trial_id is not None:
            records[trial_id] = advanced(records.get(trial_id), logged)
    try:
        return [records[row.trial_id] for row in rows]
    except KeyError as error:
        raise LogError(
            f"trial {error} is not where the log had it; another log took its place, ask again"
        ) from error
