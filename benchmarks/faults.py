"""Searches under every fault: random spaces and failures, and a kill at every event of a log.

python benchmarks/faults.py [--quick] [--json FILE] [--searches N]

Each search runs through the coordinator with an executor that ends trials in random order. Costs
may be NaN or infinite, whole rungs may fail, and many spaces hold fewer configurations than the
search wants. It is a fault when a search raises, does not end, or has a failed trial in its front.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import tempfile
import time
import traceback
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    Integer,
)

from frnas_search.coordinator.coordinator import Coordinator, StopSignal
from frnas_search.coordinator.executor import Attendance, ExecutorEvent
from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.optimizer import proposal_of
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.replay import replay
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.state import Finished, SearchState, SlotsChanged
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.atomic import write_json_atomically
from results.events import Asked, LoggedEvent, RunOpened, Told
from results.objectives import objective
from results.store import InMemoryStore
from results.trial import FailureKind, TrialOutcome, TrialRequest
from results.view import fold
from search_space.candidate import SpaceSettings
from workers.artefacts.directory import DirectoryStore
from workers.settings import DataSettings, EvaluationSettings, TrainingSettings, TrialJob

N_TRIALS = 60
FAILURE_SHARE = 0.1
NAMES = ("error", "rank_disparity", "worst_group_error")
START = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One random search."""

    seed: int

    @property
    def chance(self) -> random.Random:
        """The same for equal seeds."""
        return random.Random(self.seed)

    def names(self) -> tuple[str, ...]:
        """Two or three objectives."""
        return NAMES[: 2 + self.seed % 2]

    def fidelity(self) -> Fidelity:
        """One to four rungs."""
        return Fidelity(min_epochs=1, max_epochs=3 ** (self.seed % 4))

    def space(self) -> ConfigurationSpace:
        """A tiny discrete space every third time, else numbers and conditions."""
        space = ConfigurationSpace(seed=0)
        if self.seed % 3 == 0:
            space.add([Categorical("a", ["x", "y"]), Integer("n", (1, 2 + self.seed % 7))])
            return space
        kind, rate = Categorical("kind", ["p", "q"]), Float("rate", (1e-4, 1.0), log=True)
        depth = Integer("depth", (1, 9))
        space.add([kind, rate, depth, Constant("fixed", "yes"), Float("momentum", (0.0, 0.99))])
        space.add(EqualsCondition(depth, kind, "p"))
        return space

    def optimizer(self) -> SmacOptimizer:
        """A fresh one."""
        return SmacOptimizer(
            self.space(),
            [objective(name, n_identities=50) for name in self.names()],
            self.fidelity(),
            seed=self.seed,
            engine=EngineSettings(n_initial=1 + self.seed % 12),
        )

    def outcome(self, request: TrialRequest) -> TrialOutcome:
        """What training gives: costs, or a failure where they would not be finite."""
        text = json.dumps([dict(request.configuration), request.rung, self.seed], sort_keys=True)
        chance = random.Random(zlib.crc32(text.encode()))
        kind = chance.random()
        dead_rung = self.seed % 11 == 0 and request.rung == self.seed % 3
        if kind < FAILURE_SHARE or dead_rung:
            return _failed(request, FailureKind.COLLAPSED)
        costs = {name: chance.random() for name in self.names()}
        if kind < FAILURE_SHARE + 0.05:
            costs["error"] = chance.choice([math.nan, math.inf, -math.inf])
        try:
            return TrialOutcome(
                trial_id=request.trial_id,
                attempt=request.attempt,
                costs=costs,
                epochs_trained=request.epochs,
                seconds=1.0,
            )
        except ValueError:
            return _failed(request, FailureKind.DIVERGED)


def _failed(request: TrialRequest, kind: FailureKind) -> TrialOutcome:
    return TrialOutcome(
        trial_id=request.trial_id, attempt=request.attempt, failure=kind, detail="as drawn"
    )


class ShuffledExecutor:
    """Ends trials in random order."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._chance = random.Random(case.seed + 1)
        self._n_slots = 1 + case.seed % 8
        self._jobs: deque[TrialJob] = deque()
        self._is_new = True

    def submit(self, job: TrialJob) -> None:
        """Put it among the others."""
        self._jobs.append(job)

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        """Any trial ends."""
        del timeout_seconds
        events: list[ExecutorEvent] = [SlotsChanged(self._n_slots)] if self._is_new else []
        self._is_new = False
        if self._jobs:
            self._jobs.rotate(self._chance.randrange(len(self._jobs)))
            events.append(Finished(self._case.outcome(self._jobs.popleft().request)))
        return events

    def recall(self) -> tuple[str, ...]:
        """Nothing waits."""
        return ()

    def suspend(self) -> None:
        """Nothing runs between two questions."""

    def bench(self, worker: str, reason: str) -> None:
        """There is no other place."""

    def attendance(self) -> Attendance:
        """All are there."""
        return Attendance(n_workers=self._n_slots, n_busy=min(len(self._jobs), self._n_slots))

    def close(self) -> None:
        """Nothing to give up."""


def job_of(request: TrialRequest) -> TrialJob:
    """A job that nobody trains."""
    return TrialJob(
        request=request,
        data=DataSettings(pack="", digest="", group="g"),
        space=SpaceSettings(),
        training=TrainingSettings(),
        evaluation=EvaluationSettings(),
        objectives=NAMES[:2],
        max_epochs=27,
        split="val",
        artefacts="",
        checkpoints="",
    )


def opened(case: Case) -> RunOpened:
    """The first event."""
    return RunOpened(
        run="faults",
        objectives=tuple(objective(name, n_identities=50) for name in case.names()),
        rungs=case.fidelity().rungs,
        data={"digest": "d", "split": "val", "group": "g", "groups": {"g": ["f", "m"]}},
        space={"preset": "paper", "fingerprint": "f"},
        seed=case.seed,
        versions={},
        at=START,
    )


def searched(case: Case, n_trials: int) -> list[LoggedEvent]:
    """The log of one search."""
    store = InMemoryStore()
    store.append(opened(case), time=START)
    optimizer = case.optimizer()
    ticks = itertools.count()
    try:
        Coordinator(
            state=SearchState(max_attempts=1, max_trials=n_trials),
            optimizer=optimizer,
            executor=ShuffledExecutor(case),
            store=store,
            view=fold(store.read()),
            requests=RequestFactory(rungs=case.fidelity().rungs, seed=0),
            reception=Reception(artefacts=DirectoryStore(Path(tempfile.gettempdir()))),
            make_job=job_of,
            limits=Limits(trials=n_trials),
            watchers=(),
            stop_signal=StopSignal(),
            utc_now=lambda: START,
            clock=ticks.__next__,
        ).run()
    finally:
        optimizer.close()
    return list(store.read())


def fault_of(case: Case) -> str | None:
    """What went wrong in a search, if anything."""
    try:
        log = searched(case, N_TRIALS)
    except Exception:  # noqa: BLE001 - whatever is raised is what is looked for
        return traceback.format_exc()
    view = fold(log)
    if any(trial.outcome is None for trial in view.trials.values()):
        return "a trial was never told"
    failed = {
        trial.request.trial_id
        for trial in view.trials.values()
        if trial.outcome is not None and trial.outcome.failure is not None
    }
    in_front = [trial.request.trial_id for trial in view.front()]
    return (
        f"failed trials in the front: {failed & set(in_front)}" if failed & set(in_front) else None
    )


def kill_faults(case: Case, n_events: int, step: int) -> tuple[int, list[int]]:
    """Kill a search at events of its log; how often, and where it went on differently."""
    log = [logged for logged in searched(case, n_events) if isinstance(logged.event, Asked | Told)]
    log = log[:n_events]
    at = list(range(0, len(log), step))
    return len(at), [index for index in at if not _goes_on(case, log, index)]


def _goes_on(case: Case, log: list[LoggedEvent], index: int) -> bool:
    optimizer = case.optimizer()
    requests = {
        logged.event.request.trial_id: logged.event.request
        for logged in log
        if isinstance(logged.event, Asked)
    }
    try:
        replay(optimizer, log[:index])
        for logged in log[index:]:
            if isinstance(logged.event, Asked):
                found, wanted = optimizer.ask(), logged.event.request
                if found is None or (dict(found.configuration), found.rung) != (
                    dict(wanted.configuration),
                    wanted.rung,
                ):
                    return False
            elif isinstance(logged.event, Told):
                outcome = logged.event.outcome
                request = requests[outcome.trial_id]
                optimizer.tell(proposal_of(request), outcome.costs)
    finally:
        optimizer.close()
    return True


def row(name: str, n_faults: int, n: int) -> dict[str, Any]:
    """One row of the table: nothing may go wrong."""
    return {
        "name": name,
        "value": n_faults,
        "unit": "faults",
        "baseline": n,
        "ratio": n_faults / n,
        "target": 0,
        "met": n_faults == 0,
    }


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few searches, under 50 seconds")
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    n = 12 if arguments.quick else arguments.searches
    begin = time.perf_counter()
    faults = {seed: fault for seed in range(n) if (fault := fault_of(Case(seed=seed)))}
    rows = [row(f"random searches of {N_TRIALS} trials", len(faults), n)]
    for seed, fault in list(faults.items())[:5]:
        print(f"search {seed}: {fault}")
    for seed in (1, 7, 22):  # with 2, 8 and 7 trials in flight
        n_kills, wrong = kill_faults(Case(seed=seed), 100, 25 if arguments.quick else 1)
        in_flight = 1 + seed % 8
        rows.append(row(f"kills at events of a log, {in_flight} in flight", len(wrong), n_kills))
        if wrong:
            print(f"other proposals after a kill at events {wrong}")
    for line in rows:
        print(
            f"{line['name']:48} {line['value']:4} faults of {line['baseline']:5}  "
            f"{'met' if line['met'] else 'NOT MET'}"
        )
    print(f"{time.perf_counter() - begin:.0f} s")
    if arguments.json:
        write_json_atomically(arguments.json, rows)


if __name__ == "__main__":
    main()
