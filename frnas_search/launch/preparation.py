"""All that can be found wrong with a run file's data and space before anything is spent."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from frnas_search.errors import RunFileError
from frnas_search.launch.constraints import MOST_REFUSALS
from frnas_search.launch.space_preparation import PreparedSpace, prepare_space, words_of
from frnas_search.launch.space_samples import constraint_faults, is_foreseen, sample_statistics
from frnas_search.optimizers.registry import sampler_faults
from frnas_search.optimizers.warm_start import earlier_results
from results.objectives import Objective, objective
from search_space.definition.families import families_in_use
from search_space.definition.space import fingerprint, sample
from workers.data.packs.pack import open_pack, pack_faults
from workers.data.synthetic import SyntheticSettings, synthetic_pack
from workers.errors import DataError
from workers.settings import DataSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frnas_search.config.run_config import DataSection, RunConfig
    from frnas_search.launch.constraints import CostModel
    from results.events import WarmStarted
    from search_space.candidate import SpaceSettings, Value

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the coordinator knows of data and space, without images and without networks.

    Attributes:
        data: For the workers.
        space: With every family's variants by name, and the groups where their margins are tuned.
        enqueued: Configurations to begin with, each as the space's samples are.
        costs: What every candidate will cost, for constraints.
        data_record: For the log: digest, split, group and the labels of the group column.
        space_record: For the log: preset and fingerprint, and what was left out of it.
    """

    data: DataSettings
    space: SpaceSettings
    enqueued: tuple[Mapping[str, Value], ...]
    costs: CostModel
    objectives: tuple[Objective, ...]
    data_record: dict[str, Any]
    space_record: dict[str, Any]


def prepare(config: RunConfig) -> Prepared:
    """Open the data, check it against the run file, and try out every backbone of the space.

    Raises:
        RunFileError: Every fault of data and space, one a line.
        DataError: The pack cannot be opened.
    """
    pack = open_pack(pack_path(config.data))
    group = config.data.group
    faults = pack_faults(pack, group)
    labels = pack.groups[group].used_labels if group in pack.groups else ()
    found = prepare_space(config, in_channels=pack.channels, image_size=pack.size, groups=labels)
    faults += sampler_faults(config.search.sampler)
    n_identities = pack.n_identities("val")
    objectives = tuple(objective(name, n_identities=n_identities) for name in config.objectives)
    faults += _max_cost_faults(objectives, config.constraints.max_cost)
    faults += found.faults or _constraint_faults(found, config.constraints.limits())
    if faults:
        raise RunFileError("\n".join(faults))
    for each in found.left_out:
        logger.warning("space.families.%s: %s", each.family, words_of(each, pack.size))
    return Prepared(
        data=DataSettings(pack=str(pack.path), digest=pack.digest, group=group),
        space=found.settings,
        enqueued=found.enqueued,
        costs=found.costs,
        objectives=objectives,
        data_record={
            "digest": pack.digest,
            "split": "val",
            "group": group,
            "groups": {group: list(labels)},
        },
        space_record=_space_record(found),
    )


def warm_start(config: RunConfig, prepared: Prepared, runs_directory: Path) -> WarmStarted | None:
    """What the runs of `search.warm_start` tell; None when nobody asks, or would listen.

    Args:
        config: The run file.
        prepared: Its space.
        runs_directory: Where runs lie that are given by name.

    Raises:
        RunFileError: Every run that is not there or cannot be read, one a line.
    """
    if not config.search.warm_start:
        return None
    if config.search.sampler != "smac":
        logger.warning(
            "search.warm_start: %s does not learn from earlier results; smac does",
            config.search.sampler,
        )
        return None
    return earlier_results(
        config.search.warm_start,
        runs_directory=runs_directory,
        objectives=config.objectives,
        space=prepared.space,
    )


def _max_cost_faults(objectives: Sequence[Objective], max_costs: Mapping[str, float]) -> list[str]:
    """The range of a rank is known with the people."""
    return [
        f"constraints.max_cost.{each.name}: {fault}"
        for each in objectives
        if each.name in max_costs and (fault := each.range_fault(max_costs[each.name]))
    ]


def _constraint_faults(found: PreparedSpace, limits: Mapping[str, float]) -> list[str]:
    """The optimizer would look for minutes for what is not there; what is enqueued is there."""
    if found.enqueued or not any(map(is_foreseen, limits)):
        return []
    drawn = sample(found.settings, MOST_REFUSALS, seed=0)
    return constraint_faults(sample_statistics(drawn, found.settings, found.costs, limits))


def _space_record(found: PreparedSpace) -> dict[str, Any]:
    """What a run's log and manifest say of its space."""
    record: dict[str, Any] = {
        "preset": found.settings.preset,
        "fingerprint": fingerprint(found.settings),
    }
    if found.timm is not None:
        record["timm"] = found.timm
        record["families"] = {
            family: list(names) for family, names in families_in_use(found.settings).items()
        }
    return record


def pack_path(data: DataSection) -> Path:
    """The absolute path of the pack; the embedded data set is made when it is not there yet.

    Raises:
        DataError: The embedded data set cannot be written.
    """
    if data.pack is not None:
        return data.pack.expanduser().absolute()
    assert data.synthetic is not None, "the section has one of the two"
    settings = SyntheticSettings(**data.synthetic.model_dump())
    cache = user_cache_path("frnas")
    try:
        return synthetic_pack(settings, cache)
    except OSError as error:
        raise DataError(
            f"{cache}: the embedded data set cannot be written there ({error.strerror}); "
            "set XDG_CACHE_HOME to a writable folder"
        ) from error
