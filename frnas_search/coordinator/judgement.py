"""Whose fault a failure is, where a trial alone cannot tell: told by who else fails. Pure.

A crash or a lack of memory is the configuration's when two sound workers have it, or when the only
one has it twice and then does another trial well. It is the worker's when that fails one trial
after the other while others do them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from results.trial import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from results.trial import TrialOutcome

_MOST_FAILED_IN_A_ROW = 3
"""Trials that a worker fails, one after the other, before it gets none while others do well."""

_MOST_DISPROVED = 3
"""Trials that a worker fails and others do, before it gets none, whatever else it does."""

_MOST_CHARACTERS = 200


@dataclass(slots=True)
class _WorkerRecord:
    """What is known of one worker.

    Attributes:
        n_done: Trials that it did well.
        failed: Trials that it failed since it last did one well, and may be to blame for.
        n_disproved: Trials that it failed and another worker did well.
    """

    n_done: int = 0
    failed: set[str] = field(default_factory=set)
    n_disproved: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker that is to get no more trials, and why, in a sentence."""

    worker: str
    reason: str


@dataclass(slots=True)
class Judgement:
    """What failed where, and what follows from it; changed by what happens, in its order.

    Attributes:
        benched: Workers that get no more trials.
    """

    benched: set[str] = field(default_factory=set)
    _workers: defaultdict[str, _WorkerRecord] = field(
        default_factory=lambda: defaultdict(_WorkerRecord)
    )
    _suspicions: defaultdict[str, list[TrialOutcome]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _failed_on: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _confirmed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def done(self, trial_id: str, worker: str) -> list[Bench]:
        """A worker did a trial well; others that failed it are to blame for that."""
        record = self._workers[worker]
        record.n_done += 1
        # Whoever does another trial well was sound when it failed those before.
        for failed in record.failed - {trial_id}:
            self._confirmed[failed].add(worker)
        record.failed.clear()
        blamed = self._failed_on.get(trial_id, set()) - {worker}
        self._forget(trial_id)
        for other in blamed:
            self._workers[other].n_disproved += 1
        return self._bench(blamed)

    def convicted(self, trial_id: str) -> None:
        """A trial failed of its configuration's own doing: no worker is to blame.

        It does not speak for the worker either: a configuration that is refused before anything is
        trained says nothing of who refuses it.
        """
        for record in self._workers.values():
            record.failed.discard(trial_id)
        self._forget(trial_id)

    def failed(self, outcome: TrialOutcome) -> list[Bench]:
        """A worker failed a trial, and it is not certain that the configuration is to blame."""
        trial_id, worker = outcome.trial_id, outcome.worker
        if worker in self.benched or outcome.blamed in (Fault.CLUSTER, Fault.USER):
            return []  # that is nobody's who works here
        record = self._workers[worker]
        self._failed_on[trial_id].add(worker)
        if outcome.blamed is None:
            self._suspicions[trial_id].append(outcome)
            if record.n_done and not record.failed - {trial_id}:
                self._confirmed[trial_id].add(worker)
        record.failed.add(trial_id)
        return self._bench([worker])

    def is_guilty(self, trial_id: str) -> bool:
        """Whether it is certain by now that the configuration is to blame."""
        suspects = [outcome.worker for outcome in self._suspicions.get(trial_id, ())]
        confirmed = self._confirmed.get(trial_id, set()).intersection(suspects) - self.benched
        if len(confirmed) >= 2:
            return True
        # Of the only worker it takes a trial that it did after the second failure.
        only = set(suspects) - self.benched
        if len(only) != 1 or len(suspects) < 2:
            return False
        (worker,) = only
        return worker in confirmed and trial_id not in self._workers[worker].failed

    def n_suspicions(self, trial_id: str) -> int:
        """How often a trial failed with nobody knowing why, on workers that are not benched."""
        suspicions = self._suspicions.get(trial_id, ())
        return sum(outcome.worker not in self.benched for outcome in suspicions)

    def n_places(self, trial_id: str) -> int:
        """On how many workers, of those that are not benched, that was."""
        suspicions = self._suspicions.get(trial_id, ())
        return len({outcome.worker for outcome in suspicions} - self.benched)

    def _forget(self, trial_id: str) -> None:
        self._suspicions.pop(trial_id, None)
        self._confirmed.pop(trial_id, None)
        self._failed_on.pop(trial_id, None)

    def _bench(self, workers: Iterable[str]) -> list[Bench]:
        found = []
        for worker in sorted(workers):
            reason = self._why_unsound(worker)
            if reason and worker not in self.benched:
                self.benched.add(worker)
                found.append(Bench(worker, reason))
        return found

    def _why_unsound(self, worker: str) -> str:
        record = self._workers[worker]
        others_do_well = any(
            other.n_done and not other.failed
            for name, other in self._workers.items()
            if name != worker and name not in self.benched
        )
        if not others_do_well:
            return ""
        if len(record.failed) >= _MOST_FAILED_IN_A_ROW:
            return f"it failed {len(record.failed)} trials in a row, and other workers do well"
        if record.n_disproved >= _MOST_DISPROVED:
            return f"it failed {record.n_disproved} trials that other workers did"
        return ""


def shortened(text: str) -> str:
    """The first line of a failure's detail, as far as it fits into a sentence."""
    lines = text.splitlines()
    return lines[0][:_MOST_CHARACTERS] if lines else "no message"


def is_certain(outcome: TrialOutcome) -> bool:
    """Whether a trial ended of its configuration's own doing, well or not."""
    return outcome.failure is None or outcome.blamed is Fault.CONFIGURATION
