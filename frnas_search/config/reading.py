"""A run file as far as it can be read: what of it is sound, and all that is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from frnas_search.config.contradictions import contradictions, naming_faults
from frnas_search.config.messages import faults_of, known_keys, shortened, shown
from frnas_search.config.run_config import RunConfig
from frnas_search.errors import RunFileError
from search_space.definition.suggestions import near_names
from search_space.fault import Fault

if TYPE_CHECKING:
    from datetime import datetime

    from search_space.fault import KeyPath

_LARGEST = 10**18
# What stands where a key without a default has a fault.
_STAND_INS: Mapping[str, Any] = {"name": "unnamed", "data": {"synthetic": {}}}
# What stands in a list for an item with a fault, so that the others keep their numbers.
_STAND_IN_ITEMS: Mapping[KeyPath, Any] = {
    ("search", "enqueue"): {},
    ("search", "warm_start"): "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFaults:
    """What is wrong with a run file itself; data and timm were not asked.

    Attributes:
        where: The file, as messages name it.
        faults: Of what was read.
        unread: What could not be read at all, a line each.
    """

    where: str
    faults: tuple[Fault, ...] = ()
    unread: tuple[str, ...] = ()

    def refusal(self, faults: Collection[Fault]) -> RunFileError:
        """The error that tells these faults, and what could not be read."""
        lines = (shortened(f"{self.where}: {fault}") for fault in faults)
        return RunFileError("\n".join((*map(shortened, self.unread), *lines)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What a run file says, as far as it is sound.

    Attributes:
        config: With a default, or something that stands in for one, at every place with a fault.
        found: What is wrong with it.
        unknown: Places of which it is not known what they should say.
    """

    config: RunConfig
    found: FileFaults
    unknown: frozenset[KeyPath] = frozenset()


def without_past_deadline(run_file: RunFile, *, now: datetime) -> RunFile:
    """The run file of a search that is about to begin: a deadline that has passed is a fault.

    Args:
        run_file: As it was read.
        now: With its zone.
    """
    deadline = run_file.config.stop.limits().deadline
    if deadline is None or deadline > now:
        return run_file
    message = (
        f"{run_file.config.stop.deadline} has passed, so nothing would be trained; give a later "
        "one, or null"
    )
    fault = Fault(("stop", "deadline"), message)
    found = replace(run_file.found, faults=(*run_file.found.faults, fault))
    return replace(run_file, found=found, unknown=run_file.unknown | {fault.path})


def parse_run_config(raw: Mapping[str, Any], *, where: str) -> RunConfig:
    """Check a whole run file and fill in its defaults.

    Raises:
        RunFileError: Every fault, one a line, each with its path.
    """
    return sound_config(parse_run_file(raw, where=where))


def sound_config(run_file: RunFile) -> RunConfig:
    """What a run file says that has no fault of its own.

    Raises:
        RunFileError: Every fault, one a line, each with its path.
    """
    if run_file.found.faults or run_file.found.unread:
        raise run_file.found.refusal(run_file.found.faults)
    return run_file.config


def parse_run_file(
    raw: Mapping[str, Any],
    *,
    where: str,
    unknown: Collection[KeyPath] = (),
    unread: Collection[str] = (),
) -> RunFile:
    """Check a whole run file, and what of it is sound without the parts that have a fault.

    Args:
        raw: The mapping in the file.
        where: The file, as messages name it.
        unknown: Places of which what was read does not count.
        unread: What could not be read at all, a line each.
    """
    raw = _without(raw, unknown)
    enormous = list(_enormous(raw, ()))
    raw = _without(raw, {fault.path for fault in enormous})
    errors = _errors(raw)
    faults = [*enormous, *_faults_of(errors)]
    broken = {*unknown, *(fault.path for fault in faults), *_misspelt(errors, raw)}
    config = _sound_part(raw, broken)
    faults += contradictions(config, broken)
    naming = naming_faults(raw, config, broken)
    sections = list(RunConfig.model_fields)
    faults.sort(key=lambda fault: _position(fault, sections))
    found = FileFaults(where=where, faults=(*faults, *naming), unread=tuple(unread))
    return RunFile(
        config=_sound_part(raw, {*broken, *(fault.path for fault in naming)}),
        found=found,
        unknown=frozenset({*broken, *(fault.path for fault in found.faults)}),
    )


def _enormous(value: Any, place: KeyPath) -> Iterator[Fault]:
    """Numbers above all bounds, wherever they stand: not everything can even compare to them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _enormous(inner, (*place, shown(key) if isinstance(key, int) else str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _enormous(inner, (*place, str(index)))
    elif isinstance(value, int | float) and _LARGEST < abs(value) < math.inf:
        yield Fault(place, f"is {shown(value)}; no number of a run file is above 10^18")


def _errors(raw: Mapping[str, Any]) -> list[Any]:
    try:
        RunConfig.model_validate(dict(raw))
    except ValidationError as error:
        return error.errors()
    return []


def _faults_of(errors: list[Any]) -> list[Fault]:
    return [fault for error in errors for fault in faults_of(error, RunConfig)]


def _misspelt(errors: list[Any], raw: Mapping[str, Any]) -> set[KeyPath]:
    """Places that are not given, and that an unknown key beside them may mean."""
    places = set()
    for error in errors:
        if error["type"] != "extra_forbidden":
            continue
        *above, key = (str(part) for part in error["loc"])
        section: Any = raw
        for part in above:
            section = section[part]
        near = near_names(key, known_keys(error["loc"], RunConfig))
        places |= {(*above, name) for name in near if name not in section}
    return places


def _position(fault: Fault, sections: list[str]) -> int:
    """Faults come in the order of the sections; keys that are none come last."""
    section = fault.path[0] if fault.path else ""
    return sections.index(section) if section in sections else len(sections)


def _sound_part(raw: Mapping[str, Any], places: Collection[KeyPath]) -> RunConfig:
    """The run file without these places."""
    rest = _without({key: raw[key] for key in RunConfig.model_fields if key in raw}, places)
    # A place that cannot be found takes its whole section with it.
    rest = _without(rest, {fault.path[:1] for fault in _faults_of(_errors(rest))})
    return RunConfig.model_validate(rest)


def _without(raw: Mapping[str, Any], places: Collection[KeyPath]) -> dict[str, Any]:
    rest: dict[str, Any] = _copied(dict(raw))
    for place in places:
        _remove(rest, place)
    for name, stand_in in _STAND_INS.items():
        if any(place[:1] == (name,) for place in places):
            rest.setdefault(name, stand_in)
    return rest


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, list) else value


def _remove(section: dict[Any, Any], place: KeyPath, above: KeyPath = ()) -> None:
    """Take away what is at the place, if there is something; of a list, the item or all of it."""
    key = next((key for key in section if place and str(key) == place[0]), None)
    if key is None:
        return
    inner, below, here = section[key], place[1:], (*above, place[0])
    if below and isinstance(inner, dict):
        _remove(inner, below, here)
    elif below and here in _STAND_IN_ITEMS:
        inner[int(below[0])] = _STAND_IN_ITEMS[here]
    elif not below or isinstance(inner, list):
        del section[key]
