"""The processes of one search under a supervisor: what has died is started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.kills.processes import MARK, Marked, marked, orphans, send
from results.clock import utc_now
from results.errors import LogError, RunNotFoundError
from results.live import read_live
from results.run_directory import RunDirectory
from results.sqlite_store import read_only
from results.view import fold

if TYPE_CHECKING:
    from results.events import LoggedEvent

ROOT = Path(__file__).parents[2]
N_WORKERS = 2
_RESTART_SECONDS = 0.5
_LEAVE_SECONDS = 45.0
_FRESH_SECONDS = 6.0
_MOST_VAIN_STARTS = 6


@dataclass(slots=True, kw_only=True)
class Fleet:
    """A search and, with a scheduler, its workers.

    Attributes:
        folder: For its run, its logs and its run file, which is there.
        name: Of its run.
        options: Of the first start, beside the run file.
        is_cluster: Whether it uses a scheduler; else it starts workers itself.
        roots: What the supervisor has started, by name.
        n_starts: How often each was.
        n_vain: Starts of the search, one after the other, that wrote nothing.
    """

    folder: Path
    name: str
    options: tuple[str, ...]
    is_cluster: bool
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    port: int = field(default_factory=lambda: _free_port())
    roots: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    n_starts: dict[str, int] = field(default_factory=dict)
    n_vain: int = 0
    _died: dict[str, float] = field(default_factory=dict)
    _length: int = -1

    @property
    def run(self) -> RunDirectory:
        """Where the search keeps its log."""
        return RunDirectory(self.folder / "runs" / self.name)

    @property
    def is_stuck(self) -> bool:
        """Whether the search cannot be started again."""
        return self.n_vain >= _MOST_VAIN_STARTS

    def tend(self) -> bool:
        """Start what does not run and should; whether the search is over, with all its trials."""
        if self.is_cluster:
            self._keep("scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(self.port))
            for number in range(N_WORKERS):
                self._keep(f"worker-{number}", "worker", *self._reach(), *_ON_ONE_CORE)
        if self._is_running("search"):
            return False
        if self._is_over():
            return True
        if self._is_due("search"):
            log = self.log()
            self.n_vain = self.n_vain + 1 if len(log) == self._length else 0
            self._length = len(log)
            self._start("search", "search", *self._what(log), *self._reach())
        return False

    def log(self) -> list[LoggedEvent]:
        """The events so far; none while there is no log."""
        try:
            with read_only(self.run.events) as reader:
                return reader.read()
        except (LogError, RunNotFoundError, OSError):
            return []

    def running(self) -> list[dict[str, object]]:
        """Trials that run now, as the search says."""
        live = read_live(self.run.live, now=utc_now())
        if live is None:
            return []
        with contextlib.suppress(OSError):
            if time.time() - self.run.live.stat().st_mtime < _FRESH_SECONDS:
                return [dict(trial) for trial in live.trials]
        return []

    def processes(self) -> list[Marked]:
        """All that are alive, whoever has started them."""
        return marked(self.mark)

    def orphans(self, patience_seconds: float) -> list[Marked]:
        """Processes that have outlived their parent, and are still there after so long."""
        deadline = time.monotonic() + patience_seconds
        while True:
            alive = [root.pid for root in self.roots.values() if root.poll() is None]
            found = orphans(self.processes(), alive)
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def stop(self) -> list[Marked]:
        """Tell all to end; what is left after a while, which is then killed."""
        for root in self.roots.values():
            if root.poll() is None:
                root.terminate()
        deadline = time.monotonic() + _LEAVE_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            for root in self.roots.values():
                root.poll()
            time.sleep(0.5)
        for process in left:
            send(process.pid, signal.SIGKILL)
        for root in self.roots.values():
            root.wait()
        return left

    def _what(self, log: list[LoggedEvent]) -> tuple[str, ...]:
        """A new search, or one that goes on."""
        runs = ("--runs", str(self.folder / "runs"))
        if log:
            return ("--resume", self.name, *runs)
        return (str(self.folder / "run.yaml"), *runs, *self.options)

    def _reach(self) -> tuple[str, ...]:
        return ("--scheduler", f"127.0.0.1:{self.port}") if self.is_cluster else ()

    def _is_over(self) -> bool:
        """Whether the log says so, and no trial is left that a resumed run would hand out."""
        log = self.log()
        if not log:
            return False
        view = fold(log)
        is_whole = all(trial.outcome is not None for trial in view.trials.values())
        return view.state == "failed" or (view.state == "finished" and is_whole)

    def _is_running(self, name: str) -> bool:
        return name in self.roots and self.roots[name].poll() is None

    def _is_due(self, name: str) -> bool:
        """Whether it is dead for long enough to be started again."""
        if name not in self.roots:
            return True
        now = time.monotonic()
        return now - self._died.setdefault(name, now) >= _RESTART_SECONDS

    def _keep(self, name: str, *arguments: str) -> None:
        if not self._is_running(name) and self._is_due(name):
            self._start(name, *arguments)

    def _start(self, name: str, *arguments: str) -> None:
        self._died.pop(name, None)
        self.n_starts[name] = self.n_starts.get(name, 0) + 1
        with (self.folder / f"{name}.log").open("ab") as log:
            self.roots[name] = subprocess.Popen(
                (sys.executable, "-m", "frnas_search.cli.main", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                env=os.environ | {MARK: self.mark, "PYTHONPATH": str(ROOT)},
            )


_ON_ONE_CORE = ("--gpus", "none", "--cpu-workers", "1", "--threads", "1", "--patience", "120")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
