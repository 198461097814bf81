"""What the commands `frnas space ...` are about: a run file's space, for pictures of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frnas_search.errors import RunFileError
from frnas_search.launch.preparation import pack_path
from frnas_search.launch.space_preparation import PreparedSpace, prepare_space
from workers.data.packs.pack import open_pack, pack_faults
from workers.errors import DataError

if TYPE_CHECKING:
    from frnas_search.config.run_config import DataSection, RunConfig

_COLOUR = 3
_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What a space must know of the pictures.

    Attributes:
        image_size: Side in pixels.
        groups: Labels of the group column, as far as known.
        pack: Where this is from; None where the operator said it.
        faults: Of the pack, a sentence each.
    """

    image_size: int
    in_channels: int
    groups: tuple[str, ...] = ()
    pack: str | None = None
    faults: tuple[str, ...] = ()


def stated_pictures(size: int | None, channels: int | None) -> Pictures | None:
    """The pictures that the operator described instead of the data; None without a size.

    Raises:
        RunFileError: The description is incomplete or there are no such pictures.
    """
    if channels is not None and channels not in _CHANNELS:
        raise RunFileError(f"--channels {channels}: give 1 for grey or 3 for colour pictures")
    if size is None:
        if channels is not None:
            raise RunFileError("--channels counts only together with --size; add it")
        return None
    return Pictures(image_size=size, in_channels=channels or _COLOUR)


def pictures_of(data: DataSection) -> Pictures:
    """The pictures of the run's pack; the embedded ones are made when they are not there yet.

    Raises:
        DataError: The pack cannot be opened.
    """
    try:
        pack = open_pack(pack_path(data))
    except DataError as error:
        raise DataError(
            f"{error}; or describe the pictures with --size PIXELS --channels 1|3"
        ) from error
    column = pack.groups.get(data.group)  # none is a fault, which `pack_faults` tells
    return Pictures(
        image_size=pack.size,
        in_channels=pack.channels,
        groups=() if column is None else column.used_labels,
        pack=str(pack.path),
        faults=tuple(pack_faults(pack, data.group)),
    )


def space_for(config: RunConfig, pictures: Pictures) -> PreparedSpace:
    """The run's space for such pictures, faults included."""
    return prepare_space(
        config,
        in_channels=pictures.in_channels,
        image_size=pictures.image_size,
        groups=pictures.groups,
    )


def sound_space_for(config: RunConfig, pictures: Pictures) -> PreparedSpace:
    """The run's space for such pictures.

    Raises:
        RunFileError: Every fault of data and space, one a line.
    """
    prepared = space_for(config, pictures)
    faults = (*pictures.faults, *prepared.faults)
    if faults:
        raise RunFileError("\n".join(faults))
    return prepared
