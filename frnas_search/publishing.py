"""The files of a run, kept up to date with its log: front, report, checkpoints."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from results.atomic import write_json_atomically, write_text_atomically
from results.documents import pareto_csv, pareto_document
from results.events import Ended, Resumed, RunOpened, Told
from results.trial import FailureKind

if TYPE_CHECKING:
    from frnas_search.executor import Attendance
    from results.events import LoggedEvent
    from results.run_directory import RunDirectory
    from results.view import RunView


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

    Kept are those of the front and of configurations that may still be promoted.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
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
            # Whoever cannot delete here will hear of it when the disk is full.
            shutil.rmtree(self._run.checkpoints(config_id), ignore_errors=True)
        self._front = front

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Nothing; checkpoints follow events."""


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
