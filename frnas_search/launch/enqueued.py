"""Configurations to begin with, named or written out, checked against the space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frnas_search.launch.constraints import CostModel, violations
from search_space.definition.decode import complete, configuration_faults, decode
from search_space.definition.hyperparameters import unrestricted
from search_space.definition.published import PUBLISHED, published_configuration
from search_space.definition.soundness import only_narrows, widened
from search_space.definition.space import as_defined
from search_space.definition.suggestions import suggestion
from search_space.errors import InvalidConfigurationError
from search_space.fault import Fault

if TYPE_CHECKING:
    from frnas_search.config.requests import SpaceRequest
    from search_space.candidate import SpaceSettings, Value
    from search_space.fault import KeyPath

# Where a part that was left out may be the reason.
CAUTION = " (seen without the faulty parts of space)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSpace:
    """What is known of the space that configurations must be of.

    Attributes:
        settings: Without the parts that have faults; None where too little is left.
        costs: None where the pictures are not known.
        undecided: Beginnings of names of hyperparameters of which the data would tell the values.
        broken: Places of the space with a fault.
    """

    settings: SpaceSettings | None
    costs: CostModel | None
    undecided: tuple[str, ...]
    broken: frozenset[KeyPath]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """Configurations of the space, each as its samples are, and the faults of the others."""

    configurations: tuple[Mapping[str, Value], ...]
    faults: tuple[Fault, ...]


def named_configuration(
    named: str | Mapping[str, Value], settings: SpaceSettings
) -> dict[str, Value]:
    """The complete configuration that a run file or an operator names or writes out.

    Raises:
        KeyError: There is no published configuration of this name.
    """
    if isinstance(named, str):
        return complete(published_configuration(named, settings), settings)
    return complete(named, settings)


def check_enqueued(request: SpaceRequest, space: KnownSpace) -> Enqueued:
    """The configurations that the run file enqueues, as far as they can be checked."""
    configurations, faults = [], []
    for index, named in request.enqueued.items():
        configuration: dict[str, Value] | None = None
        if isinstance(named, str) and named not in PUBLISHED:
            messages = [_no_such(named)]
        elif space.settings is None:
            messages = _foreign_names(named, request, space)
        else:
            configuration, messages = _checked(named, space, request.limits)
        path = ("search", "enqueue", str(index))
        faults += [Fault(path, message) for message in messages]
        if configuration is not None:
            configurations.append(configuration)
    return Enqueued(configurations=tuple(configurations), faults=tuple(faults))


def _no_such(name: str) -> str:
    return (
        f"there is no configuration {name!r}; {suggestion(name, PUBLISHED)} "
        f"Known: {', '.join(PUBLISHED)}"
    )


def _foreign_names(
    named: str | Mapping[str, Value], request: SpaceRequest, space: KnownSpace
) -> list[str]:
    """Names that no space knows, where it is not known which one is meant."""
    if isinstance(named, str):
        return []
    wide = widened(request.settings, space.broken)
    known = {parameter.name for parameter in unrestricted(wide)}
    return [
        f"{name} is not a hyperparameter of any space; leave it out"
        for name in sorted(set(named) - known)
        if not name.startswith(space.undecided)
    ]


def _checked(
    named: str | Mapping[str, Value], space: KnownSpace, limits: Mapping[str, float]
) -> tuple[dict[str, Value] | None, list[str]]:
    settings = space.settings
    assert settings is not None, "asked for by the caller"
    if not isinstance(named, str):
        named = {
            name: value for name, value in named.items() if not name.startswith(space.undecided)
        }
    configuration = named_configuration(named, settings)
    messages = configuration_faults(configuration, settings)
    if not messages and space.costs is not None and only_narrows(space.broken):
        candidate = decode(configuration, settings)
        messages = violations(space.costs.predicted(candidate), limits)
    if not messages:
        try:
            configuration = as_defined(configuration, settings)
        except InvalidConfigurationError as error:
            messages = [str(error)]
    if messages:
        return None, [f"{message}{CAUTION if space.broken else ''}" for message in messages]
    return (None if space.undecided else configuration), []
