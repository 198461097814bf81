"""Searches without clocks, files, SMAC or networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from frnas_search.coordinator.coordinator import Coordinator, StopSignal, Watcher
from frnas_search.coordinator.executor import InlineExecutor
from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.optimizer import Proposal
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.requests import RequestFactory
from frnas_search.coordinator.state import SearchState
from results.events import RunOpened
from results.objectives import objective
from results.store import InMemoryStore
from results.trial import FailureKind, TrialOutcome, TrialRequest
from results.view import fold
from tests.fakes import InMemoryArtefacts, ScriptedOptimizer, doomed_job
from workers.settings import TrialJob

RUNGS = (1, 3, 9)
OPENED = RunOpened(
    run="test",
    objectives=(
        objective("error", n_identities=11),
        objective("rank_disparity", n_identities=11),
    ),
    rungs=RUNGS,
    data={"digest": "d", "split": "val", "group": "g", "groups": {"g": ["f", "m"]}},
    space={"preset": "paper", "fingerprint": "f"},
    seed=7,
    versions={},
    at="2026-01-01T00:00:00Z",
    stop={"trials": 200},
)


def proposal(number: int, rung: int = 2) -> Proposal:
    return Proposal(configuration={"head": "CosFace", "lr_sgd": 0.1 + number / 1000}, rung=rung)


def job_of(request: TrialRequest) -> TrialJob:
    return replace(doomed_job(1), request=request, max_epochs=9)


def succeed(job: TrialJob) -> TrialOutcome:
    """Costs that fall with the learning rate of `proposal`, and rise in the other objective."""
    rate = float(job.request.configuration["lr_sgd"])
    return TrialOutcome(
        trial_id=job.request.trial_id,
        attempt=job.request.attempt,
        costs={"error": 1.0 - rate, "rank_disparity": rate},
        epochs_trained=job.request.epochs,
        seconds=10.0,
    )


def fail(job: TrialJob, kind: FailureKind = FailureKind.COLLAPSED) -> TrialOutcome:
    request = job.request
    return TrialOutcome(
        trial_id=request.trial_id, attempt=request.attempt, failure=kind, detail="so it is"
    )


@dataclass
class SearchBuilder:
    """Everything a coordinator needs, all of it in memory."""

    proposals: Sequence[Proposal] = ()
    run_job: Callable[[TrialJob], TrialOutcome] = succeed
    limits: Limits = field(default_factory=Limits)
    n_slots: int = 1
    watchers: tuple[Watcher, ...] = ()
    max_attempts: int = 3
    store: InMemoryStore = field(default_factory=InMemoryStore)
    stop: StopSignal = field(default_factory=StopSignal)
    artefacts: InMemoryArtefacts = field(default_factory=InMemoryArtefacts)

    def __post_init__(self) -> None:
        seconds = itertools.count()
        self.optimizer = ScriptedOptimizer(self.proposals)
        if not self.store.read():
            self.store.append(OPENED, time=OPENED.at)
        view = fold(self.store.read())
        requests = RequestFactory(rungs=RUNGS, seed=7)
        requests.remember(trial.request for trial in view.trials.values())
        self.executor = InlineExecutor(self.run_job, n_slots=self.n_slots)
        self.coordinator = Coordinator(
            state=SearchState(
                max_attempts=self.max_attempts,
                max_trials=self.limits.trials,
                n_asked=len(view.trials),
            ),
            optimizer=self.optimizer,
            executor=self.executor,
            store=self.store,
            view=view,
            requests=requests,
            reception=Reception(artefacts=self.artefacts, pause=lambda _: None),
            make_job=job_of,
            limits=self.limits,
            watchers=self.watchers,
            stop_signal=self.stop,
            utc_now=lambda: f"2026-01-01T00:{next(seconds) // 60:02d}:00Z",
            clock=itertools.count().__next__,
        )


@pytest.fixture
def new_search() -> type[SearchBuilder]:
    return SearchBuilder
