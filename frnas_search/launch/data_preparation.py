"""The faces that a run file asks for: opened, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from search_space.fault import Fault
from workers.data.packs.pack import pack_faults
from workers.data.packs.stored import fetched_pack
from workers.data.synthetic import synthetic_pack
from workers.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from frnas_search.config.requests import DataRequest
    from workers.data.packs.pack import Pack

_DATA = ("data",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What a space must know of the pictures.

    Attributes:
        image_size: Side in pixels.
        in_channels: 1 or 3.
        groups: Labels of the group column; None where it is not known which column.
        pack: Where this is from; None where the operator said it.
    """

    image_size: int
    in_channels: int
    groups: tuple[str, ...] | None = ()
    pack: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedData:
    """A pack, as far as it can be opened.

    Attributes:
        pack: None where there is none, or a fault of the run file hides which.
        pictures: Likewise.
        group: The column of groups that are compared; empty where it is not known.
    """

    pack: Pack | None = None
    pictures: Pictures | None = None
    group: str = ""
    faults: tuple[Fault, ...] = ()


def open_data(
    request: DataRequest | None, *, stated: Pictures | None = None, remedy: str = ""
) -> OpenedData:
    """Open the pack; the embedded faces are made when they are not there yet.

    A pack that this machine has not read yet is read through and compared with its digest.

    Args:
        request: Which faces; None where a fault of the run file hides it.
        stated: The pictures, where the operator described them instead: nothing is opened.
        remedy: What else can be done about a pack that cannot be opened, to follow the message.
    """
    if request is None or stated is not None:
        return OpenedData(pictures=stated)
    try:
        pack = fetched_pack(str(_pack_path(request)), verify=True)
    except DataError as error:
        return OpenedData(faults=(Fault(_DATA, f"{error}{remedy}"),))
    group = request.group or ""
    column = pack.groups.get(group)
    return OpenedData(
        pack=pack,
        pictures=Pictures(
            image_size=pack.size,
            in_channels=pack.channels,
            groups=None if column is None else column.used_labels,
            pack=str(pack.path),
        ),
        group=group,
        faults=tuple(Fault(_DATA, message) for message in pack_faults(pack, group))
        if request.group is not None
        else (),
    )


def _pack_path(request: DataRequest) -> Path:
    """The absolute path of the pack.

    Raises:
        DataError: The embedded data set cannot be written.
    """
    if request.pack is not None:
        return request.pack.expanduser().absolute()
    assert request.synthetic is not None, "the section has one of the two"
    cache = user_cache_path("frnas")
    try:
        return synthetic_pack(request.synthetic, cache)
    except OSError as error:
        raise DataError(
            f"{cache}: the embedded data set cannot be written there ({error.strerror}); "
            "set XDG_CACHE_HOME to a writable folder"
        ) from error
