"""Where the files of one run lie. Names places; reads and writes nothing but folder listings."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from results.errors import RunDirectoryError, RunNotFoundError

RUNS_DIRECTORY = Path("runs")

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one run.

    Attributes:
        path: The folder; its name is the run's name. It need not exist.
    """

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.absolute().name

    @property
    def run_yaml(self) -> Path:
        """The resolved run file, every default filled in."""
        return self.path / "run.yaml"

    @property
    def space(self) -> Path:
        """The space of a user's own, where the run has one."""
        return self.path / "space.json"

    @property
    def manifest(self) -> Path:
        """Versions, commit, digests and seed."""
        return self.path / "manifest.json"

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "events.sqlite"

    @property
    def snapshot(self) -> Path:
        """What the log says, kept for whoever looks next; can be removed at any time."""
        return self.path / "snapshot.jsonl"

    @property
    def pareto(self) -> Path:
        """The current front."""
        return self.path / "pareto.json"

    @property
    def live(self) -> Path:
        """What the run is doing right now, to look at."""
        return self.path / "live.json"

    @property
    def artefacts(self) -> str:
        """Location of the store of checkpoints and models, the same from every folder."""
        return str(self.path.absolute())

    @property
    def models(self) -> Path:
        """Retrained models, one folder each, and the document about them."""
        return self.path / "models"

    @property
    def report(self) -> Path:
        """Tables, plots and pages for people."""
        return self.path / "report"

    @property
    def logs(self) -> Path:
        """Log files, JSON lines."""
        return self.path / "logs"

    def exists(self) -> bool:
        """Whether a run was started here; a name that no file can have is that of no run."""
        try:
            return self.events.is_file()
        except (OSError, ValueError):
            return False

    def why_unusable(self) -> str | None:
        """Why there may be a run here that cannot be looked at; None where there is none."""
        try:
            mode = self.events.stat().st_mode
        except PermissionError:
            return (
                f"{self.path}: may not be read; ask whoever owns it, or check the permissions of "
                "the folder and of those above it"
            )
        except (OSError, ValueError):
            return self._why_without_log()
        if stat.S_ISREG(mode):
            return None
        what = "a folder" if stat.S_ISDIR(mode) else "no file"
        return f"{self.events}: is {what}, not an event log; restore the run from a copy"

    def _why_without_log(self) -> str | None:
        try:
            is_left = self.events.with_suffix(".head").exists() or self.events.is_symlink()
        except (OSError, ValueError):
            return None
        if not is_left:
            return None
        return f"{self.events}: is not there any more; restore the run's event log from a copy"


def resolve_run(text: str, *, runs_directory: Path = RUNS_DIRECTORY) -> RunDirectory:
    """The run that `text` means: the path of a run directory, or a name under `runs_directory`.

    Raises:
        RunDirectoryError: There is one that may not be read, or whose log is no file.
        RunNotFoundError: Neither is a run; the message lists those that are there.
    """
    places = [RunDirectory(path) for path in (Path(text), runs_directory / text)]
    for run in places:
        if run.exists():
            return run
    for run in places:
        if (reason := run.why_unusable()) is not None:
            raise RunDirectoryError(reason)
    raise RunNotFoundError(f"there is no run {text!r}; {_what_is_there(runs_directory)}")


def run_directories(runs_directory: Path) -> list[RunDirectory]:
    """Every run under `runs_directory`, by name; empty when the folder is missing."""
    try:
        paths = sorted(runs_directory.iterdir())
    except OSError:
        return []
    runs = (RunDirectory(path) for path in paths)
    return [run for run in runs if run.exists()]


def _what_is_there(runs_directory: Path) -> str:
    names = [run.name for run in run_directories(runs_directory)]
    if not names and runs_directory.is_dir() and not os.access(runs_directory, os.R_OK):
        return f"{runs_directory}/ may not be read; check its permissions"
    if not names:
        return f"{runs_directory}/ holds none yet, so give the path of a run directory"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"{runs_directory}/ holds {listed}"
