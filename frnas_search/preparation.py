"""All that can be found wrong with a run file's data and space before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from frnas_search.errors import RunFileError
from results.objectives import Objective, objective
from search_space.families import families_in_use
from search_space.space import fingerprint
from workers.errors import DataError
from workers.pack import open_pack, pack_faults
from workers.preflight import buildable_faults
from workers.settings import DataSettings
from workers.synthetic import SyntheticSettings, synthetic_pack

if TYPE_CHECKING:
    from frnas_search.config import DataSection, RunConfig
    from workers.pack import Pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the coordinator knows of data and space, without images and without networks.

    Attributes:
        data: For the workers.
        data_record: For the log: digest, split, group and the labels of the group column.
        space_record: For the log: preset and fingerprint.
    """

    data: DataSettings
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
    settings = config.space.settings()
    if families_in_use(settings):
        faults += buildable_faults(settings, in_channels=pack.channels, image_size=pack.size)
    if faults:
        raise RunFileError("\n".join(faults))
    n_identities = pack.n_identities("val")
    return Prepared(
        data=DataSettings(pack=str(pack.path), digest=pack.digest, group=group),
        objectives=tuple(objective(name, n_identities=n_identities) for name in config.objectives),
        data_record={
            "digest": pack.digest,
            "split": "val",
            "group": group,
            "groups": {group: _labels(pack, group)},
        },
        space_record={"preset": settings.preset, "fingerprint": fingerprint(settings)},
    )


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


def _labels(pack: Pack, group: str) -> list[str]:
    column = pack.groups[group]
    return [label for code, label in enumerate(column.labels) if code in column.codes]
