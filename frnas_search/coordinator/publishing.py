"""The files of a run, kept up to date with its log: front, report, checkpoints."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import TYPE_CHECKING

from frnas_search.coordinator.jobs import CHECKPOINTS, checkpoint_folder
from results.atomic import write_json_atomically, write_text_atomically
from results.documents import pareto_csv, pareto_document
from results.events import Ended, Resumed, RunOpened, Told
from results.follow import SnapshotKeeper
from results.live import Live, live_document
from results.trial import FailureKind
from workers.trials.messages import heartbeat_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frnas_search.coordinator.executor import Attendance
    from results.events import LoggedEvent
    from results.run_directory import RunDirectory
    from results.view import RunView
    from workers.artefacts.store import ArtefactStore

_LIVE_SECONDS = 2.0

# After these a configuration may be trained further: it has a result, or its worker was lost.
_GOES_ON = (None, FailureKind.WORKER_LOST)


class FilePublisher:
    """Writes what changed; the event log stays the only truth."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._front: list[str] | None = None

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """Replace `pareto.json` when the front or the run's state is another than before.

        Raises:
            OSError: It cannot be written.
        """
        if isinstance(logged.event, Told):
            front = [trial.request.trial_id for trial in view.front()]
            if front != self._front:
                self._front = front
                self.publish(view)
        elif isinstance(logged.event, RunOpened | Resumed | Ended):
            self.publish(view)

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Nothing; files follow events."""

    def publish(self, view: RunView) -> None:
        """Write `pareto.json` as of now."""
        document = pareto_document(view, run=self._run.name, state=view.state)
        write_json_atomically(self._run.pareto, document)


class LivePublisher:
    """Keeps `live.json` as of now, for whoever looks on from another process.

    Args:
        run: Whose.
        utc_now: ISO 8601 with a Z.
        clock: Seconds that only rise.
    """

    def __init__(
        self, run: RunDirectory, *, utc_now: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._run = run
        self._utc_now = utc_now
        self._clock = clock
        self._next = 0.0

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """At the end, nothing is left to look at."""
        if view.state != "running" and isinstance(logged.event, Ended):
            self._run.live.unlink(missing_ok=True)

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Write it anew every few seconds."""
        if view.state == "running":
            self.write(attendance)

    def write(self, attendance: Attendance) -> None:
        """Write it anew, unless it is only seconds old."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + _LIVE_SECONDS
        live = Live(
            updated=self._utc_now(),
            n_workers=attendance.n_workers,
            n_busy=attendance.n_busy,
            idle=attendance.idle,
            waiting_for=attendance.waiting_for,
            trials=tuple(
                {**heartbeat_to_json(heartbeat), "heard_seconds": age}
                for heartbeat, age in attendance.trials
            ),
        )
        # A full disk must not end a search for something that is only to look at.
        with contextlib.suppress(OSError):
            write_json_atomically(self._run.live, live_document(live))


class SnapshotPublisher:
    """Keeps what the log says beside it, so that whoever looks need not read it all."""

    def __init__(self, run: RunDirectory) -> None:
        self._keeper = SnapshotKeeper(run)

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """Write a snapshot now and then, and at the end."""
        self._keeper.changed(view, is_end=isinstance(logged.event, Ended))

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Nothing; snapshots follow events."""


class CheckpointCollector:
    """Removes checkpoints that nothing will go on from: a checkpoint is as large as two networks.

    Kept are those of the front and of configurations that may still be promoted. Of the latter,
    where the disk they may take is bounded, those go first that stayed lowest, the oldest before
    the newer; should one be promoted after all, it trains from the beginning to the same result.
    """

    def __init__(self, artefacts: ArtefactStore, *, max_bytes: float = math.inf) -> None:
        """Args: the run's store, and what checkpoints may take in all, give or take a trial's."""
        self._artefacts = artefacts
        self._max_bytes = max_bytes
        self._front: set[str] = set()

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """Remove what the end of a trial has made useless."""
        if not isinstance(logged.event, Told):
            return
        front = {trial.request.config_id for trial in view.front()}
        trial = view.trials[logged.event.outcome.trial_id]
        useless = self._front - front
        if trial.request.rung == view.top_rung or trial.failure not in _GOES_ON:
            useless.add(trial.request.config_id)
        for config_id in useless - front:
            self._remove(config_id)
        self._front = front
        self._keep_within(view, front)

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Nothing; checkpoints follow events."""

    def _keep_within(self, view: RunView, front: set[str]) -> None:
        sizes: Mapping[str, int] = self._sizes() if self._max_bytes < math.inf else {}
        excess = sum(sizes.values()) - self._max_bytes
        if excess <= 0.0:
            return  # before all configurations are put in order, for nothing
        for config_id in _least_promising_first(view):
            if excess <= 0.0:
                return
            if config_id in sizes and config_id not in front:
                self._remove(config_id)
                excess -= sizes[config_id]

    def _sizes(self) -> Mapping[str, int]:
        """Bytes of each configuration's checkpoints."""
        sizes: Counter[str] = Counter()
        for key, n_bytes in self._artefacts.sizes(CHECKPOINTS).items():
            sizes[key.split("/")[1]] += n_bytes
        return sizes

    def _remove(self, config_id: str) -> None:
        # Whoever cannot delete there will hear of it when the disk is full.
        self._artefacts.remove(checkpoint_folder(config_id))


def _least_promising_first(view: RunView) -> list[str]:
    """Configurations without a trial in progress, by the highest rung and then the last end."""
    places: dict[str, tuple[int, int]] = {}
    running = set()
    for row in view.trials.rows.values():
        config_id = row.config_id
        if row.told_sequence is None:
            running.add(config_id)
            continue
        place = (row.rung, row.told_sequence)
        places[config_id] = max(place, places.get(config_id, place))
    return sorted(places.keys() - running, key=places.__getitem__)


def write_report(run: RunDirectory, view: RunView) -> None:
    """Write `report/front.csv` and `report/front.png`.

    Raises:
        OSError: They cannot be written.
    """
    from results.plot import front_plot  # matplotlib is slow to load and needed once

    run.report.mkdir(exist_ok=True)
    document = pareto_document(view, run=run.name, state=view.state)
    write_text_atomically(run.report / "front.csv", pareto_csv(document))
    front_plot(view, run.report / "front.png", run=run.name)
