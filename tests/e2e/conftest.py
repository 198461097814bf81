"""The command line as people use it: processes, signals, files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 100.0
RUN_FILE = """
name: tiny
seed: 1
data: {synthetic: {size: 24}, group: group}
space: {preset: paper, width: 0.02, embedding_size: 16}
fidelity: {min_epochs: 2, max_epochs: 4, eta: 2}
stop: {trials: 8}
training: {device: cpu, augmentation: 0.2, batch_size: 16}
evaluation: {n_replicates: 100}
search: {initial_configurations: 3}
workers: {local: 2}
"""


@dataclass
class Shell:
    """A folder to work in, and the processes that were started there."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def frnas(self, *arguments: str, timeout: float = PATIENCE_SECONDS) -> CompletedCommand:
        """Run a command to its end."""
        done = subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return CompletedCommand(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its log goes to a file."""
        log = (self.folder / f"{len(self.started)}.log").open("w")
        process = subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        log.close()
        self.started.append(process)
        return process

    def log_of(self, process: subprocess.Popen[str]) -> str:
        return (self.folder / f"{self.started.index(process)}.log").read_text()

    def wait(self, process: subprocess.Popen[str]) -> int:
        """The exit code of a started command."""
        try:
            return process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end:\n{self.log_of(process)}")

    def trials(self, run: str = "tiny") -> list[dict[str, Any]]:
        """What `frnas trials` knows; empty before the run began."""
        done = self.frnas("trials", run, "--json")
        if done.code != 0:
            return []
        trials: list[dict[str, Any]] = json.loads(done.output)["trials"]
        return trials

    def wait_for_told(self, n_trials: int, process: subprocess.Popen[str]) -> None:
        """Wait until so many trials of the run ended."""
        self.wait_until(
            lambda: sum(t["told"] is not None for t in self.trials()) >= n_trials, process
        )

    def wait_until(
        self, is_so: Callable[[], bool], process: subprocess.Popen[str] | None = None
    ) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            if process is not None and process.poll() is not None and not is_so():
                pytest.fail(f"it ended early:\n{self.log_of(process)}")
            if time.monotonic() > deadline:
                pytest.fail(f"waited too long:\n{self.log_of(process) if process else ''}")
            time.sleep(0.2)

    def end_all(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @staticmethod
    def _command(arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "frnas_search.cli.main", *arguments]


@dataclass(frozen=True)
class CompletedCommand:
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shell(tmp_path: Path, cache: Path) -> Iterator[Shell]:
    """A shell in an empty folder with the run file `tiny.yaml`."""
    (tmp_path / "tiny.yaml").write_text(RUN_FILE)
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "COLUMNS": "100"}
    made = Shell(tmp_path, environment)
    yield made
    made.end_all()
