"""The files of a run, kept up to date with its log: front, report, checkpoints."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from frnas_search.coordinator.jobs import CHECKPOINTS, checkpoint_folder
from results.atomic import write_json_atomically, write_text_atomically
from results.documents import pareto_csv, pareto_document
from results.events import Ended, Resumed, RunOpened, Told
from results.trial import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frnas_search.coordinator.executor import Attendance
    from results.events import LoggedEvent
    from results.run_directory import RunDirectory
    from results.view import RunView
    from workers.artefacts.store import ArtefactStore

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
    for trial in view.trials.values():
        config_id = trial.request.config_id
        if trial.told_sequence is None:
            running.add(config_id)
            continue
        place = (trial.request.rung, trial.told_sequence)
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
