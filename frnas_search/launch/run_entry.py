"""The way into a run directory: what may be begun there, and what may be continued."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from frnas_search.config.reading import FileFaults, RunFile, parse_run_config
from frnas_search.config.run_config import CHANGEABLE_SECTIONS, RunConfig
from frnas_search.config.run_file import override, read_yaml
from frnas_search.errors import RunChangedError, RunFileError
from frnas_search.launch.seal import RUN_FILE, broken_manifest, broken_settings
from results.errors import RunExistsError
from results.lock import run_lock
from results.sqlite_store import read_only
from results.view import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from results.events import RunOpened
    from results.run_directory import RunDirectory

logger = logging.getLogger(__name__)

_LEFT_BY_A_START = frozenset(
    {"run.yaml", "space.json", "manifest.json", "marker.json", "lock", "logs", "events.sqlite"}
)


def resumed_file(run: RunDirectory, overrides: tuple[str, ...]) -> RunFile:
    """The run's own run file with limits or workers changed.

    Raises:
        As `resumed_config`.
    """
    found = FileFaults(where=str(run.run_yaml))
    return RunFile(config=resumed_config(run, overrides), found=found)


def resumed_config(run: RunDirectory, overrides: tuple[str, ...]) -> RunConfig:
    """The run's own configuration with limits or workers changed.

    Raises:
        RunFileError: An override is wrong, or touches another section.
        RunChangedError: It changes what the run was started with.
    """
    if not run.run_yaml.is_file():
        raise RunFileError(
            f"{run.run_yaml}: there is no such file, and the run cannot go on without it; restore "
            "it from a copy"
        )
    started = read_yaml(run.run_yaml)
    with read_only(run.events) as log:
        # Limits that an earlier session raised stay raised.
        started["stop"] = dict(fold(log.read()).limits)
    config = parse_run_config(started, where=str(run.run_yaml))
    changed = parse_run_config(override(started, overrides), where="--set")
    fixed = [
        name
        for name in RunConfig.model_fields
        if name not in CHANGEABLE_SECTIONS and _fixed(config, name) != _fixed(changed, name)
    ]
    if fixed:
        raise RunChangedError(
            f"{', '.join(fixed)} cannot change while a run goes on; on resuming give "
            f"{' and '.join(f'{name}.…' for name in CHANGEABLE_SECTIONS)} only, or start a new run"
        )
    return changed


def _fixed(config: RunConfig, section: str) -> Any:
    """What of a section may not change; a file may have moved, for its content is compared."""
    value = getattr(config, section)
    movable = {"data": "pack", "space": "file"}.get(section)
    return value if movable is None else value.model_copy(update={movable: None})


def refuse_changes(run: RunDirectory, *, before: RunOpened, now: RunOpened) -> None:
    """Compare what the run was started with to what is there now.

    Raises:
        RunChangedError: Data, space or a value that decides results differs, or the manifest was
            edited; all are named.
    """
    if not before.seal:
        logger.info("%s: of before run files were sealed; what it says is believed", run.run_yaml)
    changed = [
        *(f"its {name} was {was} and is {new}" for name, was, new in _differences(before, now)),
        *(f"its {words}" for words in broken_settings(before.seal, now.seal.get(RUN_FILE, {}))),
        *(f"its manifest's {words}" for words in broken_manifest(before.seal, _manifest(run))),
    ]
    if changed:
        raise RunChangedError(
            f"{run.path}: cannot be resumed, {'; '.join(changed)}; bring back what it was "
            "started with, or start a new run"
        )


def _differences(before: RunOpened, now: RunOpened) -> Iterator[tuple[str, Any, Any]]:
    """What differs of what a log holds without a seal, and of what no run file tells."""
    comparisons: list[tuple[str, Any, Any]] = [
        ("space fingerprint", before.space["fingerprint"], now.space["fingerprint"]),
        ("data digest", before.data["digest"], now.data["digest"]),
    ]
    if not before.seal:
        comparisons += [
            ("objectives", before.objectives, now.objectives),
            ("seed", before.seed, now.seed),
            ("rungs", before.rungs, now.rungs),
            ("max_cost", dict(before.max_costs), dict(now.max_costs)),
        ]
    return (comparison for comparison in comparisons if comparison[1] != comparison[2])


def _manifest(run: RunDirectory) -> Mapping[str, Any] | None:
    """What the run's manifest says; None where there is none, for nothing is read from it.

    Raises:
        RunChangedError: It cannot be read.
    """
    if not run.manifest.exists():
        return None
    try:
        # What is no file may be a pipe, which would keep us waiting.
        manifest = json.loads(run.manifest.read_bytes()) if run.manifest.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise RunChangedError(
            f"{run.manifest}: cannot be read ({reason}); restore it, or remove it, for its log "
            "tells the same"
        ) from error
    if not isinstance(manifest, dict):
        raise RunChangedError(
            f"{run.manifest}: holds no mapping; restore it, or remove it, for its log tells the "
            "same"
        )
    return manifest


def refuse_other_run(run: RunDirectory) -> None:
    """Refuse a directory with anything in it but what a start that failed leaves behind.

    Raises:
        RunExistsError: It holds another run, or something else.
    """
    path = run.path
    if path.is_dir() and not _has_events(run):
        if all(_is_left_by_a_start(entry) for entry in path.iterdir()):
            return
        raise RunExistsError(f"{path}: holds other files; give the run another `name`")
    if path.exists():
        raise RunExistsError(
            f"{path}: holds another run; resume it with `frnas search --resume {path}`, or give "
            "this one another `name`"
        )


def _is_left_by_a_start(path: Path) -> bool:
    """Also SQLite's companions of the log, and files that were being written."""
    return path.name.split("-")[0] in _LEFT_BY_A_START or ".tmp." in path.name


def _has_events(run: RunDirectory) -> bool:
    if not run.exists() or run.events.stat().st_size == 0:
        return False
    with read_only(run.events) as log:
        return bool(log.read(up_to=1))


@contextlib.contextmanager
def begun_directory(run: RunDirectory) -> Iterator[None]:
    """Make and lock the run's directory; take it away again when the run never began.

    Raises:
        OSError: It cannot be made or written to.
        RunFileError: No folder can be made there.
        RunLockedError: Another process holds it.
    """
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:
        raise RunFileError(f"{run.path}: cannot be made there; choose another --runs") from None
    with run_lock(run.path):
        refuse_other_run(run)  # again: another start may have come first
        try:
            yield
        finally:
            if not _has_events(run):
                _remove_leftovers(run)


def _remove_leftovers(run: RunDirectory) -> None:
    for path in run.path.iterdir():
        if path.is_file() and _is_left_by_a_start(path):
            path.unlink()
    with contextlib.suppress(OSError):  # something else lies there by now
        run.path.rmdir()
