"""Packs by where they are kept: fetched, opened, and believed by their digest."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from workers.artefacts.registry import open_store
from workers.data.packs.pack import Pack, open_pack
from workers.errors import DataError

if TYPE_CHECKING:
    from workers.settings import DataSettings


def fetched_pack(location: str, *, verify: bool = False) -> Pack:
    """The pack at a location, opened without reading its images.

    Args:
        location: The location of a store and, behind a `/`, the pack's name there; so a file's
            path is one.
        verify: Read the images as well and compare the digest.

    Raises:
        DataError: There is none, or it is damaged, of another version or contradicts itself.
    """
    folder, slash, name = location.rpartition("/")
    if name in ("", ".", ".."):  # a folder, which is no pack
        folder, name = location, ""
    store = open_store(folder or slash or ".")
    try:
        file = store.fetch(name)
    except FileNotFoundError:
        raise DataError(f"{location}: no such pack; make one with `frnas data pack`") from None
    except OSError as error:
        raise DataError(f"{location}: cannot be read ({error.strerror}); check the file") from None
    return open_pack(file, verify=verify)


def pack_of(data: DataSettings) -> Pack:
    """The pack of a job, kept open from one job to the next.

    Raises:
        DataError: There is none, it is damaged, or it is another than the run was started with.
    """
    pack = _kept(data.pack)
    if pack.digest != data.digest:
        _kept.cache_clear()  # the file may have been replaced since it was opened
        pack = _kept(data.pack)
    if pack.digest != data.digest:
        raise DataError(
            f"{data.pack} has digest {pack.digest[:12]}…, but the run was started with "
            f"{data.digest[:12]}…; give this worker the same pack"
        )
    return pack


@lru_cache(maxsize=4)
def _kept(location: str) -> Pack:
    return fetched_pack(location)
