"""From the space that a run file asks for to the one that is searched, with every fault it has.

A part with a fault is left out and the rest is checked without it, as far as that means anything.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frnas_search.launch.constraints import MOST_REFUSALS, CostModel
from frnas_search.launch.enqueued import CAUTION, KnownSpace, check_enqueued
from frnas_search.launch.space_samples import (
    constraint_faults,
    feasible_of,
    is_foreseen,
    sample_statistics,
)
from frnas_search.optimizers.rarity import share_in_words
from search_space.definition.families import NAMED_FAMILIES
from search_space.definition.faults import space_faults
from search_space.definition.hyperparameters import DROP_PATH, FAMILY, MITIGATION, variant_name
from search_space.definition.soundness import (
    has_meaning,
    only_narrows,
    sound_settings,
    widened,
)
from search_space.definition.space import definition_faults, read_definition, sample
from search_space.errors import UnreadableSpaceError
from search_space.fault import Fault, is_at
from workers.processes.preflight import resolved_families

if TYPE_CHECKING:
    from frnas_search.config.requests import SpaceRequest
    from frnas_search.launch.data_preparation import Pictures
    from search_space.candidate import SpaceSettings, Value
    from search_space.definition.variants import LeftOut, Resolution
    from search_space.fault import KeyPath

logger = logging.getLogger(__name__)

_RARE = 0.05
"""Share of a space within the constraints, below which it is worth a word."""

_FILE = ("space", "file")
_FAMILIES = ("space", "families")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSpace:
    """The space for pictures of one size.

    Attributes:
        settings: With the variants of every family by name, and with the user's own space.
        enqueued: Configurations to begin with, each as the space's samples are.
        left_out: timm variants that a pattern matched and that do not work at this size.
        timm: Version of timm that was asked; None where it was not.
    """

    settings: SpaceSettings
    enqueued: tuple[Mapping[str, Value], ...]
    costs: CostModel
    left_out: tuple[LeftOut, ...]
    timm: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceFindings:
    """What came of preparing a space.

    Attributes:
        prepared: Without the parts that have faults; None where too little is left, or the
            pictures are not known.
        faults: Those that were not told yet.
        broken: Places of the space with a fault, told now or before.
    """

    prepared: PreparedSpace | None
    faults: tuple[Fault, ...]
    broken: frozenset[KeyPath]


def prepare_space(request: SpaceRequest, pictures: Pictures | None) -> SpaceFindings:
    """Find the backbones, read the user's own space, and check what is enqueued.

    Args:
        request: Which space.
        pictures: What it is for; None where they are not known, so that less can be checked.
    """
    told = _Told(broken={path for path in request.broken if path[:1] == ("space",)})
    resolution = _resolution(request, pictures, told.broken)
    settings = _with_data(request.settings, pictures, resolution)
    if resolution is not None:
        told.add(resolution.faults)
    undecided = _undecided(settings, pictures)
    sound = _sound(settings, told, undecided)
    sound = _with_definition(request, sound, told, is_complete=not undecided)
    costs = None if pictures is None else _costs(pictures, resolution)
    known = KnownSpace(
        settings=sound, costs=costs, undecided=undecided, broken=frozenset(told.broken)
    )
    enqueued = check_enqueued(request, known)
    told.add(enqueued.faults)
    prepared = None
    if sound is not None and costs is not None:
        prepared = PreparedSpace(
            settings=sound,
            enqueued=enqueued.configurations,
            costs=costs,
            left_out=() if resolution is None else resolution.left_out,
            timm=None if resolution is None else resolution.timm,
        )
    return SpaceFindings(
        prepared=prepared, faults=tuple(told.faults), broken=frozenset(told.broken)
    )


def limit_faults(request: SpaceRequest, found: SpaceFindings) -> list[Fault]:
    """That constraints leave nothing, as far as samples can tell; what is enqueued is there.

    The optimizer would look for minutes for what is not there.
    """
    is_enqueued = request.enqueued or is_at(("search", "enqueue"), request.broken)
    if found.prepared is None or is_enqueued or not only_narrows(found.broken):
        return []
    if not any(map(is_foreseen, request.limits)):
        return []
    settings, costs = found.prepared.settings, found.prepared.costs
    drawn = sample(settings, MOST_REFUSALS, seed=0)
    statistics = sample_statistics(drawn, settings, costs, request.limits)
    faults, effort = constraint_faults(statistics), statistics.effort
    feasible = feasible_of(settings, costs, request.limits)
    if faults and feasible is not None:  # none of a thousand may still be one of many thousands
        faults = [] if len(feasible.any()) else faults
        effort += feasible.effort
    if not faults and effort.accepted < _RARE * effort.drawn:
        share = share_in_words(effort.accepted, effort.drawn)
        logger.info("constraints: within them lies %s of the space as it is drawn from", share)
    return _cautious(faults, found.broken)


def describe_left_out(left_out: LeftOut, image_size: int) -> str:
    """Why a variant is not searched, in a sentence."""
    hint = f"; it works at {left_out.works_at} pixels" if left_out.works_at is not None else ""
    return f"{left_out.name} is left out at {image_size} pixels ({left_out.reason}){hint}"


@dataclass(slots=True, kw_only=True)
class _Told:
    """Faults so far, and the places of the space that have one."""

    broken: set[KeyPath]
    faults: list[Fault] = field(default_factory=list)

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.faults.append(fault)
            if fault.path[:1] == ("space",):
                self.broken.add(fault.path)


def _resolution(
    request: SpaceRequest, pictures: Pictures | None, broken: Collection[KeyPath]
) -> Resolution | None:
    """What timm says of the families, as far as it is known which are meant."""
    settings = request.settings
    if pictures is None or "timm" not in widened(settings, broken).sources_in_use:
        return None
    requested = {
        family: names
        for family, names in settings.families.items()
        if names or family in NAMED_FAMILIES
    }
    is_shipped_list = not settings.families and not is_at(_FAMILIES, broken)
    if not requested and not (is_shipped_list and has_meaning(broken)):
        return None
    logger.info("trying the timm models out; the first time takes a good second for every three")
    return resolved_families(
        requested, in_channels=pictures.in_channels, image_size=pictures.image_size
    )


def _with_data(
    settings: SpaceSettings, pictures: Pictures | None, resolution: Resolution | None
) -> SpaceSettings:
    """The settings with what pictures, groups and timm tell."""
    if pictures is not None and pictures.groups is not None and "mitigation" in settings.tuned:
        settings = replace(settings, groups=pictures.groups)
    if resolution is None:
        return settings
    return replace(
        settings,
        families=resolution.names,
        drop_path_families=resolution.drop_path_families,
    )


def _undecided(settings: SpaceSettings, pictures: Pictures | None) -> tuple[str, ...]:
    """Beginnings of the names of hyperparameters of which the data would tell the values."""
    names: tuple[str, ...] = ()
    if pictures is None and "timm" in settings.sources_in_use:
        names += (variant_name(""), DROP_PATH)
    if (pictures is None or pictures.groups is None) and "mitigation" in settings.tuned:
        names += (MITIGATION,)
    return names


def _sound(
    settings: SpaceSettings, told: _Told, undecided: tuple[str, ...]
) -> SpaceSettings | None:
    """The settings without what is broken; of what only the data tell, the faults are told now."""
    sound = sound_settings(settings, told.broken, undecided=undecided)
    if sound is None:
        return None
    faults = space_faults(sound)
    told.add(fault for fault in faults if _is_of_data(fault.path))
    told.broken |= {fault.path for fault in faults}
    return sound_settings(settings, told.broken, undecided=undecided)


def _is_of_data(path: KeyPath) -> bool:
    is_narrowing = path[1:2] in (("fix",), ("limit",), ("priors",)) and len(path) > 2
    return is_narrowing and path[2].startswith((FAMILY, variant_name(""), DROP_PATH, MITIGATION))


def _with_definition(
    request: SpaceRequest, sound: SpaceSettings | None, told: _Told, *, is_complete: bool
) -> SpaceSettings | None:
    """The settings with the user's own space, if that is one of the preset's."""
    if request.file is None or is_at(_FILE, told.broken):
        return sound
    try:
        definition = read_definition(request.file.expanduser())
    except UnreadableSpaceError as error:
        told.add([error.fault])
        return sound
    if sound is None or not is_complete:
        return sound
    defined = replace(sound, definition=definition)
    faults = definition_faults(defined)
    told.add(_cautious(faults, told.broken))
    return sound if faults else defined


def _costs(pictures: Pictures, resolution: Resolution | None) -> CostModel:
    variants = () if resolution is None else resolution.families.values()
    return CostModel(
        in_channels=pictures.in_channels,
        image_size=pictures.image_size,
        backbones={record.name: record for records in variants for record in records},
    )


def _cautious(faults: Iterable[Fault], broken: Collection[KeyPath]) -> list[Fault]:
    """The faults; with a word of caution where a part that was left out may be the reason."""
    caution = CAUTION if broken else ""
    return [replace(fault, message=f"{fault.message}{caution}") for fault in faults]
