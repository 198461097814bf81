"""What a run is made of, as its log keeps it, so that nothing is believed because a file says it.

Pure. The files of a run can be edited by hand; the first event of its log cannot without a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from frnas_search.config.messages import shown
from frnas_search.config.run_config import CHANGEABLE_SECTIONS, RunConfig
from workers.evaluation.method import EVALUATION_METHOD

if TYPE_CHECKING:
    from results.events import Seal

RUN_FILE = "run_file"
MANIFEST = "manifest"

_METHOD = "evaluation.method"
# Sections that decide no result, keys likewise, and files, which may move: their content counts.
_LEFT_OUT = (
    "schema_version",
    "name",
    *CHANGEABLE_SECTIONS,
    "data.pack",
    "space.file",
    "training.checkpoint_seconds",
)
_LEFT_OUT_OF_MANIFEST = ("started", "data.pack")
_NOTHING = object()


def sealed_settings(config: RunConfig) -> dict[str, Any]:
    """Every value of a run file that decides results, and the version of the evaluation.

    Args:
        config: With backbones by name, as the run keeps it.
    """
    settings = dict(_leaves(config.model_dump(mode="json"), left_out=_LEFT_OUT))
    return settings | {_METHOD: EVALUATION_METHOD}


def sealed_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says, as `provenance.manifest` makes it, but for the time."""
    return dict(_leaves(manifest, left_out=_LEFT_OUT_OF_MANIFEST))


def broken_settings(seal: Seal, now: Mapping[str, Any]) -> list[str]:
    """What a run file says now that the run was not started with; nothing of an unsealed run.

    Args:
        seal: Of the run's first event; empty in logs from before there was one.
        now: As `sealed_settings` gives it.
    """
    before = seal.get(RUN_FILE)
    if before is None:
        return []
    # A key that came after the run began stood at its default.
    defaults = sealed_settings(RunConfig.model_validate({"name": "x", "data": {}}))
    return [
        _difference(name, was, now.get(name, _NOTHING))
        for name in dict.fromkeys((*before, *now))
        if (was := before.get(name, defaults.get(name, _NOTHING))) != now.get(name, _NOTHING)
    ]


def broken_manifest(seal: Seal, manifest: Mapping[str, Any] | None) -> list[str]:
    """Where a manifest differs from the one that the run was started with.

    Args:
        seal: Of the run's first event.
        manifest: As it is now; keys that somebody added are none of the run's. None says nothing.
    """
    if manifest is None:
        return []
    now = sealed_manifest(manifest)
    return [
        _difference(name, was, now.get(name, _NOTHING))
        for name, was in seal.get(MANIFEST, {}).items()
        if was != now.get(name, _NOTHING)
    ]


def _difference(name: str, was: object, now: object) -> str:
    before = "was not given" if was is _NOTHING else f"was {shown(was)}"
    after = "is not given" if now is _NOTHING else f"is {shown(now)}"
    return f"{name} {before} and {after}"


def _leaves(
    section: Mapping[str, Any], above: str = "", *, left_out: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    """Every value that is no section, by its path."""
    for key, value in section.items():
        path = f"{above}{key}"
        if path in left_out:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.", left_out=left_out)
        else:
            yield path, value
