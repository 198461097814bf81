"""Where the files of one run lie. Names places; reads and writes nothing but folder listings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from results.errors import RunNotFoundError

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
        except OSError:
            return False


def resolve_run(text: str, *, runs_directory: Path = RUNS_DIRECTORY) -> RunDirectory:
    """The run that `text` means: the path of a run directory, or a name under `runs_directory`.

    Raises:
        RunNotFoundError: Neither is a run; the message lists those that are there.
    """
    for path in (Path(text), runs_directory / text):
        run = RunDirectory(path)
        if run.exists():
            return run
    raise RunNotFoundError(f"there is no run {text!r}; {_what_is_there(runs_directory)}")


def run_directories(runs_directory: Path) -> list[RunDirectory]:
    """Every run under `runs_directory`, by name; empty when the folder is missing."""
    if not runs_directory.is_dir():
        return []
    runs = (RunDirectory(path) for path in sorted(runs_directory.iterdir()))
    return [run for run in runs if run.exists()]


def _what_is_there(runs_directory: Path) -> str:
    names = [run.name for run in run_directories(runs_directory)]
    if not names:
        return f"{runs_directory}/ holds none yet, so give the path of a run directory"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"{runs_directory}/ holds {listed}"
