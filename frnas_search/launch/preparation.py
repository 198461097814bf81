"""All that can be found wrong with a run file before anything is spent, in one round."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frnas_search.launch.data_preparation import OpenedData, open_data
from frnas_search.launch.space_preparation import (
    PreparedSpace,
    SpaceFindings,
    describe_left_out,
    limit_faults,
    prepare_space,
)
from frnas_search.optimizers.registry import SAMPLERS, Sampler, sampler_faults
from frnas_search.optimizers.warm_start import EarlierRuns, earlier_results, read_earlier_runs
from results.objectives import Objective, objective
from search_space.definition.families import families_in_use
from search_space.definition.space import fingerprint
from search_space.fault import Fault
from workers.settings import DataSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frnas_search.config.requests import PreparationRequest
    from frnas_search.launch.constraints import CostModel
    from frnas_search.launch.data_preparation import Pictures
    from results.events import WarmStarted
    from search_space.candidate import SpaceSettings, Value
    from workers.data.packs.pack import Pack

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
        warm_started: What other runs tell; None when nobody asks, or would listen.
    """

    data: DataSettings
    space: SpaceSettings
    enqueued: tuple[Mapping[str, Value], ...]
    costs: CostModel
    objectives: tuple[Objective, ...]
    data_record: dict[str, Any]
    space_record: dict[str, Any]
    warm_started: WarmStarted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What came of looking at all that a run file asks for.

    Attributes:
        data: The pack; of pictures that the operator described, only these.
        space: What came of preparing it.
        earlier: Runs to learn from; None when nobody asks, or would listen.
        faults: All of the run file, its data and its space.
    """

    data: OpenedData
    space: SpaceFindings
    earlier: EarlierRuns | None
    faults: tuple[Fault, ...]


def prepare(request: PreparationRequest) -> Prepared:
    """Open the data, check it against the run file, and try out every backbone of the space.

    Raises:
        RunFileError: Every fault of the run file, its data and its space, one a line.
    """
    found = inspect(request)
    pack, space, group = found.data.pack, found.space.prepared, found.data.group
    if found.faults or request.file.unread or pack is None or space is None:
        raise request.file.refusal(found.faults)
    _warn(request, space, pack.size)
    labels = pack.groups[group].used_labels
    return Prepared(
        data=DataSettings(pack=str(pack.path), digest=pack.digest, group=group),
        space=space.settings,
        enqueued=space.enqueued,
        costs=space.costs,
        objectives=_objectives(request, pack),
        data_record={
            "digest": pack.digest,
            "split": "val",
            "group": group,
            "groups": {group: list(labels)},
        },
        space_record=_space_record(space),
        warm_started=_warm_started(request, found.earlier, space.settings),
    )


def inspect(
    request: PreparationRequest, *, stated: Pictures | None = None, remedy: str = ""
) -> Inspection:
    """Look at all that a run file asks for; what hangs on a part with a fault is left out.

    Args:
        request: What the run file asks for, with the faults that it has itself.
        stated: As for `open_data`.
        remedy: Likewise.
    """
    data = open_data(request.data, stated=stated, remedy=remedy)
    space = prepare_space(request.space, data.pictures)
    earlier = _earlier_runs(request)
    return Inspection(
        data=data,
        space=space,
        earlier=earlier,
        faults=(
            *request.file.faults,
            *data.faults,
            *(() if request.sampler is None else sampler_faults(request.sampler)),
            *_max_cost_faults(request, data.pack),
            *space.faults,
            *limit_faults(request.space, space),
            *(() if earlier is None else earlier.faults),
        ),
    )


def warm_start(request: PreparationRequest, space: SpaceSettings) -> WarmStarted | None:
    """What the runs of `search.warm_start` tell; None when nobody asks, or would listen.

    Raises:
        RunFileError: Every run that is not there or cannot be read, one a line.
    """
    earlier = _earlier_runs(request)
    if earlier is not None and earlier.faults:
        raise request.file.refusal(earlier.faults)
    return _warm_started(request, earlier, space)


def _earlier_runs(request: PreparationRequest) -> EarlierRuns | None:
    asked = request.warm_start
    if asked is None or not (request.sampler is None or SAMPLERS[request.sampler].learns):
        return None
    return read_earlier_runs(asked.runs, asked.directory)


def _warm_started(
    request: PreparationRequest, earlier: EarlierRuns | None, space: SpaceSettings
) -> WarmStarted | None:
    if earlier is None:
        return None
    return earlier_results(earlier, objectives=request.objectives, space=space)


def _warn(request: PreparationRequest, space: PreparedSpace, image_size: int) -> None:
    """What is not wrong, and may not be what was meant."""
    if request.warm_start is not None and request.sampler is not None:
        _warn_of_deaf_sampler(request.sampler)
    for variant in space.left_out:
        described = describe_left_out(variant, image_size)
        logger.warning("space.families.%s: %s", variant.family, described)


def _warn_of_deaf_sampler(sampler: Sampler) -> None:
    if SAMPLERS[sampler].learns:
        return
    learning = " and ".join(spec.name for spec in SAMPLERS.values() if spec.learns)
    logger.warning(
        "search.warm_start: %s does not learn from earlier results; %s does", sampler, learning
    )


def _objectives(request: PreparationRequest, pack: Pack) -> tuple[Objective, ...]:
    n_identities = pack.n_identities("val")
    return tuple(objective(name, n_identities=n_identities) for name in request.objectives)


def _max_cost_faults(request: PreparationRequest, pack: Pack | None) -> list[Fault]:
    """The range of a rank is known with the people."""
    if pack is None:
        return []
    costs = request.max_costs
    return [
        Fault(("constraints", "max_cost", minimised.name), message)
        for minimised in _objectives(request, pack)
        if minimised.name in costs and (message := minimised.range_fault(costs[minimised.name]))
    ]


def _space_record(space: PreparedSpace) -> dict[str, Any]:
    """What a run's log and manifest say of its space."""
    record: dict[str, Any] = {
        "preset": space.settings.preset,
        "fingerprint": fingerprint(space.settings),
    }
    if space.timm is not None:
        record["timm"] = space.timm
        record["families"] = {
            family: list(names) for family, names in families_in_use(space.settings).items()
        }
    return record
