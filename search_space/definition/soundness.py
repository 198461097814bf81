"""What is left of settings with faults: as wide as they may be meant, or without the faulty parts.

Pure; finds no faults itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_space.candidate import TUNABLES, DagSettings, SpaceSettings
from search_space.cell import JOINS, LARGEST_CELL, TAILS
from search_space.definition.bounds import MOST_BLOCKS_PER_STAGE
from search_space.definition.families import families_in_use
from search_space.definition.hyperparameters import DAG_WIDTH, DROP_PATH, FAMILY, variant_name
from search_space.fault import is_at

if TYPE_CHECKING:
    from search_space.fault import KeyPath

_SPACE = ("space",)
_DAG = ("space", "dag")
_FAMILIES = ("space", "families")
_NARROWING = ("fix", "limit", "priors", "file")
_WIDEST_DAG: Mapping[str, Any] = {
    "nodes": LARGEST_CELL,
    "operations": (),
    "joins": JOINS,
    "tails": TAILS,
    "widths": (1.0,),
    "blocks": (1, MOST_BLOCKS_PER_STAGE),
}
# Stands for the variants of a family of which only the name is known.
_SOME_VARIANT: tuple[str, ...] = ("?",)


def has_meaning(broken: Collection[KeyPath]) -> bool:
    """Whether it is known which space is meant; without it the rest says little."""
    return not any(path in broken for path in (_SPACE, (*_SPACE, "preset"), (*_SPACE, "sources")))


def only_narrows(broken: Collection[KeyPath]) -> bool:
    """Whether all that is broken would make the space smaller and no network another one."""
    return all(path[:1] != _SPACE or (path[1:2] and path[1] in _NARROWING) for path in broken)


def undecided_names(broken: Collection[KeyPath]) -> tuple[str, ...]:
    """Beginnings of the names of hyperparameters whose values hang on what is broken."""
    names: tuple[str, ...] = ()
    if is_at((*_DAG, "widths"), broken):
        names += (DAG_WIDTH,)
    if is_at(_FAMILIES, broken):
        names += (variant_name(""), DROP_PATH)
    if _FAMILIES in broken or _SPACE in broken:
        names += (FAMILY,)
    return names


def widened(settings: SpaceSettings, broken: Collection[KeyPath]) -> SpaceSettings:
    """The settings with each broken part as wide as it may be meant; nothing restricted.

    Apart from `undecided_names`, what is not in this space is in none that may be meant.
    """
    changes: dict[str, Any] = {"fix": {}, "limit": {}, "priors": {}, "definition": ""}
    defaults = SpaceSettings()
    for name in ("width", "blocks_per_stage", "embedding_size"):
        if is_at((*_SPACE, name), broken):
            changes[name] = getattr(defaults, name)
    if not has_meaning(broken):
        changes |= {"preset": "joint", "sources": ()}
    if is_at((*_SPACE, "tune"), broken):
        changes["tune"] = TUNABLES
    settings = replace(settings, **changes, dag=_widened_dag(settings.dag, broken))
    return replace(settings, families=_named_families(settings, broken))


def sound_settings(
    settings: SpaceSettings, broken: Collection[KeyPath], *, undecided: tuple[str, ...] = ()
) -> SpaceSettings | None:
    """The settings without their broken parts; None where the rest would mean something else.

    What is left may still narrow a hyperparameter that went with a broken part: `space_faults`
    tells, and its places are broken as well.

    Args:
        settings: As the run file says, the broken parts included.
        broken: Places of the run file with a fault.
        undecided: Beginnings of names of hyperparameters that cannot be narrowed yet.
    """
    if not has_meaning(broken):
        return None
    broken = set(broken)
    if is_at((*_SPACE, "width"), broken):
        broken.add((*_DAG, "widths"))  # they are multiples of it
    wide = widened(settings, broken)
    if wide.preset == "paper" and is_at((*_SPACE, "tune"), broken):
        wide = replace(wide, tune=())
    families = {
        name: variants
        for name, variants in settings.families.items()
        if not is_at((*_FAMILIES, name), broken)
    }
    if "timm" in wide.sources_in_use and is_at(_FAMILIES, broken) and not families:
        return None  # no families at all would be all that ship
    if is_at(_FAMILIES, broken):
        undecided += (FAMILY,)
    undecided += undecided_names(broken)
    definition = "" if is_at((*_SPACE, "file"), broken) else settings.definition
    parts = judged_parts(settings, broken, undecided)
    return replace(wide, **parts, families=families, definition=definition)


def judged_parts(
    settings: SpaceSettings, broken: Collection[KeyPath], undecided: tuple[str, ...]
) -> dict[str, Any]:
    """`fix`, `limit` and `priors` without what is broken or undecided."""

    def judged(part: str) -> dict[str, Any]:
        return {
            name: value
            for name, value in getattr(settings, part).items()
            if not name.startswith(undecided) and not is_at((*_SPACE, part, name), broken)
        }

    return {part: judged(part) for part in ("fix", "limit", "priors")}


def _widened_dag(dag: DagSettings, broken: Collection[KeyPath]) -> DagSettings:
    return replace(
        dag,
        **{name: wide for name, wide in _WIDEST_DAG.items() if is_at((*_DAG, name), broken)},
    )


def _named_families(
    settings: SpaceSettings, broken: Collection[KeyPath]
) -> dict[str, tuple[str, ...]]:
    """Families in use, also those of which nothing but the name is known."""
    if "timm" not in settings.sources_in_use:
        return {}
    named = {path[2]: _SOME_VARIANT for path in broken if path[:2] == _FAMILIES and path[2:]}
    if named and not settings.families:
        return named
    in_use = {
        name: tuple(dict.fromkeys(variants)) or _SOME_VARIANT
        for name, variants in families_in_use(settings).items()
    }
    return named | in_use
