"""What the commands `frnas space ...` are about: a run file's space, for pictures of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frnas_search.errors import RunFileError
from frnas_search.launch.data_preparation import Pictures, open_data
from frnas_search.launch.space_preparation import PreparedSpace, prepare_space

if TYPE_CHECKING:
    from frnas_search.config.requests import PreparationRequest

REMEDY = "; or describe the pictures with --size PIXELS --channels 1|3"
_COLOUR = 3
_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSpace:
    """A space without faults, and the pictures that it is for."""

    pictures: Pictures
    prepared: PreparedSpace


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


def shown_space(request: PreparationRequest, stated: Pictures | None) -> ShownSpace:
    """The space that a run file asks for.

    Args:
        request: What the run file asks for, with the faults that it has itself.
        stated: The pictures, where the operator described them; else the data are opened, and
            the embedded ones are made when they are not there yet.

    Raises:
        RunFileError: Every fault of the run file, its data and its space, one a line.
    """
    data = open_data(request.data, stated=stated, remedy=REMEDY)
    found = prepare_space(request.space, data.pictures)
    faults = (*request.file.faults, *data.faults, *found.faults)
    if faults or request.file.unread or data.pictures is None or found.prepared is None:
        raise request.file.refusal(faults)
    return ShownSpace(pictures=data.pictures, prepared=found.prepared)
