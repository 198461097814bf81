"""The files of a run that others read, kept up to date: `pareto.json`, the plot and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.atomic import write_json_atomically, write_text_atomically
from results.documents import pareto_csv, pareto_document
from results.events import Ended, Resumed, RunOpened, Told

if TYPE_CHECKING:
    from frnas_search.executor import Attendance
    from results.events import LoggedEvent
    from results.run_directory import RunDirectory
    from results.view import RunView


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
