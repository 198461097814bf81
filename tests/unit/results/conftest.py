"""Runs made of events, without any clock or file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from results.events import Asked, Event, RunOpened, Submitted, Told
from results.objectives import objective
from results.store import EventStore, InMemoryStore
from results.trial import Architecture, FailureKind, TrialOutcome, TrialRequest
from results.view import RunView, fold

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class RunBuilder:
    """Writes a run's events into a store, one second apart."""

    store: EventStore = field(default_factory=InMemoryStore)
    n_events: int = 0

    def log(self, event: Event) -> int:
        time = (START + timedelta(seconds=self.n_events)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.n_events += 1
        return self.store.append(event, time=time)

    def open(
        self,
        objectives: tuple[str, ...] = ("error", "rank_disparity"),
        max_costs: Mapping[str, float] | None = None,
    ) -> RunBuilder:
        self.log(
            RunOpened(
                run="lfw",
                objectives=tuple(objective(name, n_identities=101) for name in objectives),
                rungs=(3, 9, 27),
                data={
                    "digest": "d" * 8,
                    "split": "val",
                    "group": "gender",
                    "groups": {"gender": ["f", "m"]},
                },
                space={"preset": "paper", "fingerprint": "f" * 8},
                seed=0,
                versions={"frnas": "0.1.0"},
                at="2026-01-01T00:00:00Z",
                stop={"trials": 20, "epochs": None},
                max_costs=max_costs or {},
            )
        )
        return self

    def ask(self, number: int, *, config: int | None = None, rung: int = 2) -> RunBuilder:
        request = TrialRequest(
            trial_id=f"t{number:04d}",
            config_id=f"c{number if config is None else config:04d}",
            configuration={"head": "CosFace", "lr_sgd": 0.1, "edge1": 3},
            rung=rung,
            epochs=(3, 9, 27)[rung],
            seed=0,
            origin="model" if config is None else "promoted",
        )
        self.log(Asked(request=request))
        self.log(Submitted(trial_id=request.trial_id, attempt=1))
        return self

    def tell(self, number: int, *costs: float, metrics: Mapping[str, Any] | None = None) -> None:
        """The trial's end with costs in the order of error, rank_disparity, disparity."""
        names = ("error", "rank_disparity", "disparity")
        self.log(
            Told(
                outcome=TrialOutcome(
                    trial_id=f"t{number:04d}",
                    attempt=1,
                    costs=dict(zip(names, costs, strict=False)),
                    interval95={"error": (costs[0] * 0.9, costs[0] * 1.1)},
                    metrics=metrics or {"error": {"f": 0.2, "m": 0.1}},
                    architecture=Architecture(
                        family="dual_path", hash="abc", parameters=1000, macs=2000
                    ),
                    seconds=10.0,
                    epochs_trained=6,
                    checkpoint=f"checkpoints/c{number:04d}/last.pt",
                    worker="tcp://a",
                    device="cpu",
                )
            )
        )

    def fail(self, number: int, kind: FailureKind = FailureKind.COLLAPSED) -> None:
        self.log(
            Told(
                outcome=TrialOutcome(
                    trial_id=f"t{number:04d}",
                    attempt=1,
                    failure=kind,
                    detail="all embeddings are equal",
                    seconds=5.0,
                    epochs_trained=3,
                )
            )
        )

    def trial(self, number: int, *costs: float, config: int | None = None, rung: int = 2) -> None:
        self.ask(number, config=config, rung=rung)
        self.tell(number, *costs)

    @property
    def view(self) -> RunView:
        return fold(self.store.read())


@pytest.fixture(scope="session")
def new_run() -> Callable[..., RunBuilder]:
    """A builder of a run in the store given, by default in memory; not opened yet."""
    return RunBuilder


@pytest.fixture
def run() -> RunBuilder:
    """A run that was opened and holds no trial."""
    return RunBuilder().open()
