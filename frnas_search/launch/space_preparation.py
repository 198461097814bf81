"""From the space that a run file asks for to the one that is searched, with every fault it has."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frnas_search.launch.constraints import CostModel, violations
from search_space.definition.decode import complete, configuration_faults, decode
from search_space.definition.faults import space_faults, suggestion
from search_space.definition.published import PUBLISHED, published_configuration
from search_space.definition.space import as_defined, definition_faults, read_definition
from search_space.errors import EmptySpaceError, InvalidConfigurationError
from workers.processes.preflight import resolved_families

if TYPE_CHECKING:
    from frnas_search.config.run_config import RunConfig
    from search_space.candidate import SpaceSettings, Value
    from search_space.definition.variants import LeftOut, Resolution


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSpace:
    """The space for pictures of one size.

    Attributes:
        settings: With the variants of every family by name, and with the user's own space.
        enqueued: Configurations to begin with, each as the space's samples are.
        left_out: timm variants that a pattern matched and that do not work at this size.
        timm: Version of timm that was asked; None where it was not.
        faults: A sentence each; the rest means little if there is one.
    """

    settings: SpaceSettings
    enqueued: tuple[Mapping[str, Value], ...]
    costs: CostModel
    left_out: tuple[LeftOut, ...]
    timm: str | None
    faults: tuple[str, ...]


def prepare_space(
    config: RunConfig, *, in_channels: int, image_size: int, groups: Sequence[str]
) -> PreparedSpace:
    """Find the backbones, read the user's own space, and check what is enqueued.

    Args:
        config: A run file without faults of its own.
        in_channels: 1 or 3.
        image_size: Side of the pictures in pixels.
        groups: Labels of the group column.
    """
    faults: list[str] = []
    settings = config.space.settings()
    if "mitigation" in settings.tuned:
        settings = replace(settings, groups=tuple(groups))
    resolution = _resolution(config, in_channels=in_channels, image_size=image_size)
    if resolution is not None:
        faults += resolution.faults
        if not resolution.faults:
            settings = replace(
                settings,
                families=resolution.names,
                drop_path_families=resolution.drop_path_families,
            )
    faults += space_faults(settings)
    settings = _with_definition(config, settings, faults)
    costs = CostModel(
        in_channels=in_channels,
        image_size=image_size,
        backbones={}
        if resolution is None
        else {record.name: record for each in resolution.families.values() for record in each},
    )
    enqueued = () if faults else _enqueued(config, settings, costs, faults)
    return PreparedSpace(
        settings=settings,
        enqueued=enqueued,
        costs=costs,
        left_out=resolution.left_out if resolution is not None else (),
        timm=resolution.timm if resolution is not None else None,
        faults=tuple(faults),
    )


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


def words_of(left_out: LeftOut, image_size: int) -> str:
    """Why a variant is not searched, in a sentence."""
    hint = f"; it works at {left_out.works_at} pixels" if left_out.works_at is not None else ""
    return f"{left_out.name} is left out at {image_size} pixels ({left_out.reason}){hint}"


def _resolution(config: RunConfig, *, in_channels: int, image_size: int) -> Resolution | None:
    if "timm" not in config.space.settings().sources_in_use:
        return None
    logger.info("trying the timm models out; the first time takes a good second for every three")
    return resolved_families(config.space.families, in_channels=in_channels, image_size=image_size)


def _with_definition(
    config: RunConfig, settings: SpaceSettings, faults: list[str]
) -> SpaceSettings:
    if config.space.file is None or faults:
        return settings
    try:
        definition = read_definition(config.space.file.expanduser())
    except EmptySpaceError as error:
        faults.append(str(error))
        return settings
    defined = replace(settings, definition=definition)
    faults += definition_faults(defined)
    return defined


def _enqueued(
    config: RunConfig, settings: SpaceSettings, costs: CostModel, faults: list[str]
) -> tuple[Mapping[str, Value], ...]:
    configurations = []
    limits = config.constraints.limits()
    for index, named in enumerate(config.search.enqueue):
        field = f"search.enqueue.{index}"
        if isinstance(named, str) and named not in PUBLISHED:
            faults.append(
                f"{field}: there is no configuration {named!r}; {suggestion(named, PUBLISHED)} "
                f"Known: {', '.join(PUBLISHED)}"
            )
            continue
        configuration = named_configuration(named, settings)
        wrong = configuration_faults(configuration, settings)
        if not wrong:
            wrong = violations(costs.predicted(decode(configuration, settings)), limits)
        if not wrong:
            try:
                configurations.append(as_defined(configuration, settings))
            except InvalidConfigurationError as error:
                wrong = [str(error)]
        faults += [f"{field}: {fault}" for fault in wrong]
    return tuple(configurations)
