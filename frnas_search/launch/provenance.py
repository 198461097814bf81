"""What a run came from, for its manifest: versions, commit, data, space. Reads, never writes."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from results.clock import utc_now

_LIBRARIES = (
    "frnas",
    "torch",
    "torchvision",
    "timm",
    "smac",
    "ConfigSpace",
    "scikit-learn",
    "numpy",
    "dask",
    "distributed",
)


def library_versions() -> dict[str, str]:
    """Python and the libraries a result depends on, without loading any of them."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def git_commit() -> str | None:
    """The commit this code was checked out at, with `+dirty` when it was changed since.

    None when it is not a checkout of git's, or git is not there.
    """
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return commit + ("+dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")


def manifest(
    *, run: str, seed: int, data: dict[str, Any], space: dict[str, Any]
) -> dict[str, Any]:
    """Where a run's results come from, schema `frnas.manifest/1`."""
    return {
        "schema": "frnas.manifest/1",
        "run": run,
        "started": utc_now(),
        "seed": seed,
        "commit": git_commit(),
        "versions": library_versions(),
        "platform": platform.platform(),
        "data": data,
        "space": space,
    }


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        answer = subprocess.run(  # noqa: S603 - git with constant arguments
            ("git", "-C", str(root), *arguments),  # noqa: S607 - wherever git is installed
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
