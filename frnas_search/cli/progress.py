"""How far a search is, for whoever looks on: a live display on a terminal, else plain lines."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from frnas_search.optimizers.warm_start import describe_warm_start
from results.clock import utc_now
from results.events import (
    AttemptLost,
    Ended,
    GivenUp,
    Resumed,
    RunOpened,
    StopRequested,
    Submitted,
    Told,
    WarmStarted,
)
from results.front import volume_text
from results.remaining import fraction_done, seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from frnas_search.coordinator.executor import Attendance
    from results.events import LoggedEvent
    from results.trial import TrialOutcome
    from results.view import RunView
    from workers.trials.messages import Heartbeat

logger = logging.getLogger(__name__)

_SUMMARY_SECONDS = 60.0
_PROGRESS_SECONDS = 20.0
_MOST_TRIALS = 16
_SILENT_SECONDS = 10.0


class LogWatcher:
    """One line for each change of state, and a summary now and then.

    Args:
        run: The run's name.
        clock: Seconds that only rise.
    """

    def __init__(self, run: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._next_summary = clock() + _SUMMARY_SECONDS

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """Say what happened."""
        message, context = _message(view, logged)
        if message:
            logger.info(message, extra={"run": self._run, "event": logged.sequence, **context})

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Sum up once a minute."""
        if self._clock() >= self._next_summary:
            self._next_summary = self._clock() + _SUMMARY_SECONDS
            logger.info("%s", summary(view, attendance), extra={"run": self._run})
            for line in progress_lines(attendance):
                logger.info("%s", line, extra={"run": self._run})


class LiveWatcher:
    """A display at the bottom of the terminal, redrawn about once a second.

    Args:
        run: The run's name.
        console: A terminal; log lines on it scroll by above the display.
    """

    def __init__(self, run: str, console: Console) -> None:
        self._run = run
        self._live = Live(console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveWatcher:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def changed(self, view: RunView, logged: LoggedEvent) -> None:
        """Nothing; the next tick shows it."""

    def tick(self, view: RunView, attendance: Attendance) -> None:
        """Draw anew."""
        self._live.update(display(self._run, view, attendance))


def summary(view: RunView, attendance: Attendance) -> str:
    """The state of a search in one line."""
    parts = [
        f"{view.n_finished} done",
        f"{view.n_running} running",
        f"{view.n_failed} failed",
        f"{view.epochs_spent} epochs",
        f"best error {_best_error(view)}",
        f"front {view.front_size}",
        f"hypervolume {_volume(view)}",
        f"{attendance.n_workers} workers",
        f"time left {_duration(seconds_left(view, utc_now()))}",
    ]
    return ", ".join(parts)


def display(run: str, view: RunView, attendance: Attendance) -> Group:
    """The live display of a search."""
    table = Table.grid(padding=(0, 3))
    for _ in range(4):
        table.add_column()
    now = utc_now()
    done = fraction_done(view, now)
    rows = (
        ("trials", f"{view.n_finished} done  {view.n_running} running  {view.n_failed} failed"),
        ("epochs", str(view.epochs_spent)),
        ("best error", _best_error(view)),
        ("front", f"{view.front_size} points"),
        ("hypervolume", _volume(view)),
        ("workers", f"{attendance.n_workers} ({attendance.n_busy} busy)"),
        ("elapsed", _duration(view.wall_seconds_at(now))),
        ("time left", _duration(seconds_left(view, now))),
    )
    for left, right in zip(rows[::2], rows[1::2], strict=True):
        table.add_row(Text(left[0], style="dim"), left[1], Text(right[0], style="dim"), right[1])
    bar = ProgressBar(total=1.0, completed=done or 0.0, width=60)
    parts: list[Any] = [Text(f"search {run}", style="bold"), bar, table]
    if attendance.trials:
        parts.append(trials_table(attendance))
    for worker, reason in sorted(attendance.idle.items()):
        parts.append(Text(f"{worker} is {reason}", style="yellow"))
    if attendance.waiting_for:
        parts.append(Text(f"waiting: {attendance.waiting_for}", style="yellow"))
    if view.reason:
        parts.append(Text(f"ending: {view.reason}", style="yellow"))
    return Group(*parts)


def trials_table(attendance: Attendance) -> Table:
    """The trials that run: epoch, loss, speed and time left of each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("trial", "epoch", "loss", "pictures/s", "left", "worker"):
        table.add_column(name, no_wrap=True)
    for heartbeat, age in attendance.trials[:_MOST_TRIALS]:
        table.add_row(*trial_cells(heartbeat, age))
    n_more = len(attendance.trials) - _MOST_TRIALS
    if n_more > 0:
        table.add_row(f"and {n_more} more")
    return table


def trial_cells(heartbeat: Heartbeat, age: float) -> tuple[str, ...]:
    """One trial as a row of `trials_table`.

    Args:
        heartbeat: Its last one.
        age: Seconds since then.
    """
    share = heartbeat.step / heartbeat.n_steps if heartbeat.n_steps else 0.0
    speed, loss = heartbeat.pictures_per_second, heartbeat.loss
    silence = f"  (silent for {_duration(age)})" if age > _SILENT_SECONDS else ""
    epoch = f"{heartbeat.epoch + share:.1f} of {heartbeat.n_epochs}"
    return (
        heartbeat.trial_id,
        epoch if heartbeat.phase == "training" else f"{epoch}, {heartbeat.phase}",
        "-" if loss is None else f"{loss:.4g}",
        "-" if speed is None else f"{speed:.0f}",
        _duration(heartbeat.seconds_left),
        f"{heartbeat.worker}{silence}",
    )


def progress_lines(attendance: Attendance) -> list[str]:
    """The trials that run, a line each, for a log."""
    lines = []
    for heartbeat, age in attendance.trials[:_MOST_TRIALS]:
        name, epoch, loss, speed, left, worker = trial_cells(heartbeat, age)
        lines.append(
            f"{name}: epoch {epoch}, loss {loss}, {speed} pictures/s, {left} left, on {worker}"
        )
    return lines


class ProgressLog:
    """A line for each training that runs, now and then.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + _PROGRESS_SECONDS

    def look(self, attendance: Attendance) -> None:
        """Say how far the trainings are, if it is time again."""
        if self._clock() >= self._next:
            self._next = self._clock() + _PROGRESS_SECONDS
            for line in progress_lines(attendance):
                logger.info("%s", line)


def _message(view: RunView, logged: LoggedEvent) -> tuple[str, Mapping[str, Any]]:
    """What to say of an event, with fields for machines; an empty text says nothing."""
    event = logged.event
    if isinstance(event, Told):
        return _outcome_message(view, event.outcome)
    if isinstance(event, AttemptLost):
        request = view.trials[event.outcome.trial_id].request
        reason = event.outcome.detail.split("\n")[0]
        message = f"{request.trial_id} {request.config_id} lost attempt {event.outcome.attempt} "
        message += f"({event.outcome.failure}, {reason})"
        return message, {"trial_id": request.trial_id, "config_id": request.config_id}
    if isinstance(event, GivenUp):
        request = view.trials[event.trial_id].request
        message = f"{request.trial_id} {request.config_id} is given up: {event.reason}; "
        message += "--resume tries it again"
        return message, {"trial_id": request.trial_id, "config_id": request.config_id}
    if isinstance(event, Submitted):
        request = view.trials[event.trial_id].request
        again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
        message = f"{request.trial_id} {request.config_id} to {request.epochs} epochs{again}"
        return message, {"trial_id": request.trial_id, "config_id": request.config_id}
    return _run_message(logged), {}


def _run_message(logged: LoggedEvent) -> str:
    event = logged.event
    match event:
        case RunOpened():
            rungs = ", ".join(map(str, event.rungs))
            return f"run {event.run} begins: rungs of {rungs} epochs, seed {event.seed}"
        case WarmStarted():
            return f"warm start: {describe_warm_start(event)}"
        case Resumed():
            again = f"; handed out again: {', '.join(event.reissued)}" if event.reissued else ""
            return f"run resumed at event {logged.sequence}{again}"
        case StopRequested():
            return f"ending: {event.reason}"
        case Ended():
            return f"{event.state}: {event.reason}"
        case _:
            return ""


def _outcome_message(view: RunView, outcome: TrialOutcome) -> tuple[str, Mapping[str, Any]]:
    request = view.trials[outcome.trial_id].request
    context = {"trial_id": request.trial_id, "config_id": request.config_id}
    name = f"{request.trial_id} {request.config_id} at {request.epochs} epochs"
    if outcome.costs is None:
        reason = outcome.detail.splitlines()[0] if outcome.detail else ""
        return f"{name} failed: {outcome.failure}, {reason}", context
    costs = "  ".join(f"{cost} {value:.4g}" for cost, value in outcome.costs.items())
    trial_ids = {trial.request.trial_id for trial in view.front()}
    mark = "  on the front" if request.trial_id in trial_ids else ""
    return f"{name}: {costs}  in {outcome.seconds:.1f} s{mark}", context


def _volume(view: RunView) -> str:
    return volume_text(view.hypervolume, view.hypervolume_error, digits=4)


def _best_error(view: RunView) -> str:
    names = [objective.name for objective in view.objectives]
    best = view.best(names[0])
    if best is None or best.costs is None:
        return "-"
    return f"{best.costs[names[0]]:.4g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
