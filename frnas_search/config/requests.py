"""What a run file asks of the parts of the program: small records in place of the whole file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from search_space.fault import is_at
from workers.data.synthetic import SyntheticSettings

if TYPE_CHECKING:
    from pathlib import Path

    from frnas_search.config.reading import FileFaults, RunFile
    from frnas_search.config.run_config import DataSection
    from frnas_search.optimizers.registry import Sampler
    from search_space.candidate import SpaceSettings, Value
    from search_space.fault import KeyPath

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """Which faces are searched on.

    Attributes:
        pack: A file.
        synthetic: The embedded faces, where there is no file.
        group: The column of groups that are compared; None where a fault hides which.
    """

    pack: Path | None
    synthetic: SyntheticSettings | None
    group: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceRequest:
    """Which space is searched.

    Attributes:
        settings: As written: families may be patterns, and what is at a broken place may be wrong.
        file: A space of the user's own.
        enqueued: Place in `search.enqueue` -> a published name, or hyperparameters.
        limits: What a candidate may cost, by name.
        broken: Places of the run file with a fault that is told already.
    """

    settings: SpaceSettings
    file: Path | None
    enqueued: Mapping[int, str | Mapping[str, Value]]
    limits: Mapping[str, float]
    broken: frozenset[KeyPath]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartRequest:
    """Earlier runs to learn from.

    Attributes:
        runs: Place in `search.warm_start` -> a name or a folder.
        directory: Where runs lie that are given by name.
    """

    runs: Mapping[int, str]
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationRequest:
    """What must be found and checked before anything is spent.

    Attributes:
        file: What is wrong with the run file itself.
        data: None where a fault hides which faces are meant.
        sampler: None where a fault hides which is meant.
        max_costs: Objective -> the largest cost that is wanted.
        warm_start: None where nobody asks.
    """

    file: FileFaults
    data: DataRequest | None
    space: SpaceRequest
    sampler: Sampler | None
    objectives: tuple[str, ...]
    max_costs: Mapping[str, float]
    warm_start: WarmStartRequest | None


def preparation_request(
    run_file: RunFile, *, runs_directory: Path | None = None
) -> PreparationRequest:
    """What the run file asks to be prepared.

    Args:
        run_file: Also with faults: what hangs on them is left out.
        runs_directory: Where earlier runs lie; None to let them be.
    """
    config, broken = run_file.config, run_file.unknown
    runs = _sound_items("warm_start", config.search.warm_start, broken)
    warm_start = None
    if runs and runs_directory is not None:
        warm_start = WarmStartRequest(runs=runs, directory=runs_directory)
    return PreparationRequest(
        file=run_file.found,
        data=_data_request(config.data, broken),
        space=SpaceRequest(
            settings=config.space.settings(),
            file=config.space.file,
            enqueued=_sound_items("enqueue", config.search.enqueue, broken),
            limits=config.constraints.limits(),
            broken=broken,
        ),
        sampler=None if is_at(("search", "sampler"), broken) else config.search.sampler,
        objectives=config.objectives,
        max_costs=config.constraints.max_cost,
        warm_start=warm_start,
    )


def _data_request(data: DataSection, broken: Collection[KeyPath]) -> DataRequest | None:
    if any(is_at(("data", name), broken) for name in ("pack", "synthetic")):
        return None
    section = data.synthetic
    return DataRequest(
        pack=data.pack,
        synthetic=None if section is None else SyntheticSettings(**section.model_dump()),
        group=None if is_at(("data", "group"), broken) else data.group,
    )


def _sound_items(
    key: str, items: Sequence[ItemT], broken: Collection[KeyPath]
) -> dict[int, ItemT]:
    """Of a list in `search`, the items without a fault, by their place."""
    return {
        index: item
        for index, item in enumerate(items)
        if not is_at(("search", key, str(index)), broken)
    }
