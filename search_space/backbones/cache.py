"""Dry runs of timm backbones, kept on disk: each costs a fraction of a second, once per machine.

Saves time and nothing else: what cannot be read or written is warned of and done without. Several
processes may use one folder; an entry lost to a write at the same moment is only found out again.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from platformdirs import user_cache_path

from search_space.definition.variants import VariantRecord, variant_from_json

_log = logging.getLogger(__name__)

# To be raised when a dry run finds out other things than before; older files are then ignored.
_FORMAT = 1

Outcome: TypeAlias = VariantRecord | str
"""Of a dry run: the backbone's record, or why it does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """What the outcome of a dry run depends on, beside the variant.

    Attributes:
        timm, torch: Versions.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
    """

    timm: str
    torch: str
    in_channels: int
    image_size: int


def default_folder() -> Path:
    """The user's cache folder for backbones; follows XDG_CACHE_HOME as it is at the call."""
    return user_cache_path("frnas") / "backbones"


def cache_path(folder: Path, key: CacheKey) -> Path:
    """The file that holds all outcomes for the key."""
    name = f"timm-{key.timm}_torch-{key.torch}_{key.in_channels}x{key.image_size}.json"
    return folder / name


def cached_outcomes(folder: Path, key: CacheKey) -> dict[str, Outcome]:
    """Variant -> outcome of its dry run, for those tried out before; never raises for a bad file.

    A file that cannot be read counts as empty, and so does one for another key.
    """
    path = cache_path(folder, key)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["made_for"] != _header(key):
            return {}
        return {name: _outcome(name, entry) for name, entry in content["variants"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        _warn_once(f"{path}: cannot be read ({error.strerror}); backbones are tried out again")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # ValueError covers what is no UTF-8 and what is no JSON.
        _warn_once(f"{path}: is damaged and will be replaced; backbones are tried out again")
    return {}


def cache_outcomes(folder: Path, key: CacheKey, outcomes: Mapping[str, Outcome]) -> None:
    """Add outcomes by variant to those on disk; does nothing but warn where it cannot write."""
    path = cache_path(folder, key)
    merged = cached_outcomes(folder, key) | dict(outcomes)
    content = {
        "made_for": _header(key),
        "variants": {name: _entry(merged[name]) for name in sorted(merged)},
    }
    try:
        _replace(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        _warn_once(
            f"{path}: cannot be written ({error.strerror}), so backbones are tried out in every "
            "process; set XDG_CACHE_HOME to a writable folder"
        )


def _header(key: CacheKey) -> dict[str, Any]:
    return {"format": _FORMAT, **asdict(key)}


def _entry(outcome: Outcome) -> dict[str, Any]:
    return {"misfit": outcome} if isinstance(outcome, str) else asdict(outcome)


def _outcome(name: str, entry: Mapping[str, Any]) -> Outcome:
    if "misfit" in entry:
        return str(entry["misfit"])
    record = variant_from_json(entry)
    if record.name != name:
        raise ValueError(f"{name} is recorded as {record.name}")
    return record


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; this package must not know the one in `results`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    """Not once for each of a hundred backbones."""
    _log.warning("%s", message)
