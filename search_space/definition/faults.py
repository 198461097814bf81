"""Every reason why settings describe no space, found at once. Plain records, no library."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from search_space.candidate import SOURCES, TUNABLES, Preset, SpaceSettings
from search_space.cell import JOINS, LARGEST_CELL, OPERATIONS, SMALLEST_CELL, TAILS
from search_space.definition.bounds import (
    LARGEST_EMBEDDING,
    LARGEST_WIDTH,
    MOST_BLOCKS_PER_STAGE,
    SMALLEST_EMBEDDING,
    SMALLEST_WIDTH,
)
from search_space.definition.families import SHIPPED_FAMILIES, families_in_use
from search_space.definition.narrowing import narrowing_faults, repetitions
from search_space.fault import Fault, is_at

if TYPE_CHECKING:
    from search_space.fault import KeyPath


def space_faults(
    settings: SpaceSettings,
    *,
    told: Collection[KeyPath] = (),
    undecided: tuple[str, ...] = (),
) -> list[Fault]:
    """Every reason why the settings describe no space.

    Whether timm knows the variants and can build them is not seen here, and neither is what a
    space of the user's own says (see `space.definition_faults`).

    Args:
        settings: As the run file says.
        told: Places with a fault that is told elsewhere; `settings` have a default there.
        undecided: Beginnings of names of hyperparameters whose values only the data tell.
    """
    faults = [
        *_preset_faults(settings, told),
        *_size_faults(settings),
        *_dag_faults(settings, told),
        *_family_faults(settings, told),
    ]
    # Names and values can be checked against a space that is there; so what is broken is widened.
    broken = {*told, *(fault.path for fault in faults)}
    return [*faults, *narrowing_faults(settings, broken, undecided=undecided)]


def _preset_faults(settings: SpaceSettings, told: Collection[KeyPath]) -> list[Fault]:
    faults = []
    if settings.preset not in get_args(Preset):
        known = ", ".join(get_args(Preset))
        faults.append(_fault("preset", f"{settings.preset!r} is not known; choose from {known}"))
    faults += _unknown(("sources",), settings.sources, SOURCES)
    faults += _unknown(("tune",), settings.tune or (), TUNABLES)
    faults += _twice(("sources",), settings.sources)
    faults += _twice(("tune",), settings.tune or ())
    if not _is_preset_known(settings, told):
        return faults
    if settings.sources and settings.preset != "joint":
        faults.append(
            _fault(
                "sources",
                f"counts only with preset joint, and this is {settings.preset}; leave it out",
            )
        )
    if settings.tune and settings.preset == "paper":
        faults.append(
            _fault(
                "tune",
                "the paper preset is the published space and tunes nothing else; "
                "use preset dual_path",
            )
        )
    return faults


def _size_faults(settings: SpaceSettings) -> list[Fault]:
    faults = []
    if not _is_number(settings.width, SMALLEST_WIDTH, LARGEST_WIDTH):
        faults.append(
            _fault(
                "width",
                f"{settings.width} is outside {SMALLEST_WIDTH} to {LARGEST_WIDTH:g}; "
                "below it no channels are left, above it no network fits in memory",
            )
        )
    if not _is_number(settings.blocks_per_stage, 1, MOST_BLOCKS_PER_STAGE):
        faults.append(
            _fault(
                "blocks_per_stage",
                f"{settings.blocks_per_stage} is outside 1 to {MOST_BLOCKS_PER_STAGE}",
            )
        )
    if not _is_number(settings.embedding_size, SMALLEST_EMBEDDING, LARGEST_EMBEDDING):
        faults.append(
            _fault(
                "embedding_size",
                f"{settings.embedding_size} is outside {SMALLEST_EMBEDDING} to "
                f"{LARGEST_EMBEDDING}",
            )
        )
    return faults


def _dag_faults(settings: SpaceSettings, told: Collection[KeyPath]) -> list[Fault]:
    dag = settings.dag
    if "dag" not in _with_possible_sources(settings, told).sources_in_use:
        return []
    faults = [
        *_unknown(("dag", "operations"), dag.operations, OPERATIONS),
        *_unknown(("dag", "joins"), dag.joins, JOINS),
        *_unknown(("dag", "tails"), dag.tails, TAILS),
    ]
    for name in ("joins", "tails", "widths"):
        if not getattr(dag, name):
            faults.append(_fault("dag", name, "is empty; give one or more, or leave it out"))
    for name in ("operations", "joins", "tails", "widths"):
        faults += _twice(("dag", name), getattr(dag, name))
    return [*faults, *_dag_size_faults(settings, told)]


def _dag_size_faults(settings: SpaceSettings, told: Collection[KeyPath]) -> list[Fault]:
    dag, faults = settings.dag, []
    if not SMALLEST_CELL <= dag.nodes <= LARGEST_CELL:
        faults.append(
            _fault(
                "dag",
                "nodes",
                f"{dag.nodes} is outside {SMALLEST_CELL} to {LARGEST_CELL}; "
                "input and output count",
            )
        )
    is_width_known = not is_at(("space", "width"), told)
    if is_width_known and _is_number(settings.width, SMALLEST_WIDTH, LARGEST_WIDTH):
        faults += [
            _fault(
                "dag",
                "widths",
                f"{width} times space.width {settings.width} is outside "
                f"{SMALLEST_WIDTH} to {LARGEST_WIDTH:g}",
            )
            for width in dag.widths
            if not _is_number(width * settings.width, SMALLEST_WIDTH, LARGEST_WIDTH)
        ]
    if not 1 <= dag.blocks[0] <= dag.blocks[1] <= MOST_BLOCKS_PER_STAGE:
        faults.append(
            _fault(
                "dag",
                "blocks",
                f"{list(dag.blocks)} is not the smallest and the largest number of "
                f"blocks in a stage, from 1 to {MOST_BLOCKS_PER_STAGE}",
            )
        )
    return faults


def _family_faults(settings: SpaceSettings, told: Collection[KeyPath]) -> list[Fault]:
    faults = []
    for family, variants in families_in_use(_with_possible_sources(settings, told)).items():
        if not family:
            faults.append(_fault("families", "a family has an empty name; name it"))
        if not variants:
            faults.append(
                _fault(
                    "families",
                    family,
                    "has no variants; name at least one timm model below it, or a family "
                    f"that ships: {', '.join(SHIPPED_FAMILIES)}",
                )
            )
        faults += _twice(("families", family), variants)
    return faults


def _with_possible_sources(settings: SpaceSettings, told: Collection[KeyPath]) -> SpaceSettings:
    """What is written below `dag` or `families` counts where it is unknown what is searched."""
    if not _is_preset_known(settings, told):
        return replace(settings, preset="joint", sources=())
    is_known = set(settings.sources) <= set(SOURCES) and not is_at(("space", "sources"), told)
    return settings if is_known else replace(settings, sources=())


def _is_preset_known(settings: SpaceSettings, told: Collection[KeyPath]) -> bool:
    return settings.preset in get_args(Preset) and not is_at(("space", "preset"), told)


def _fault(*path_and_message: str) -> Fault:
    """A fault of a part of the space: its keys, then the message."""
    *path, message = path_and_message
    return Fault(("space", *path), message)


def _unknown(path: KeyPath, names: Iterable[str], known: Sequence[str]) -> list[Fault]:
    return [
        _fault(*path, f"{name!r} is not known; choose from {', '.join(known)}")
        for name in names
        if name not in known
    ]


def _twice(path: KeyPath, names: Iterable[Any]) -> list[Fault]:
    return [_fault(*path, fault) for fault in repetitions(names)]


def _is_number(value: float, lower: float, upper: float) -> bool:
    return math.isfinite(value) and lower <= value <= upper
