"""Packs by where they are kept: fetched, opened, and believed by their digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.artefacts.registry import open_store
from workers.data.packs.integrity import file_state
from workers.data.packs.pack import Pack, open_pack
from workers.data.packs.verification import LARGE_BYTES, Verification, verify_pack
from workers.errors import DataError

if TYPE_CHECKING:
    from workers.settings import DataSettings

_N_KEPT = 4


def fetched_pack(location: str, *, verify: bool = False, again: bool = False) -> Pack:
    """The pack at a location, opened without reading its images.

    Args:
        location: The location of a store and, behind a `/`, the pack's name there; so a file's
            path is one.
        verify: Read the images as well and compare the digest, unless this machine has done so
            before, see `workers.data.packs.remembered`.
        again: Do so whatever is remembered.

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
    pack = open_pack(file)
    if verify or again:
        verify_pack(pack, again=again)
    return pack


def pack_of(data: DataSettings) -> Pack:
    """The pack of a job, kept open from one job to the next and read through once.

    A large one is read in the background: `require_intact_pack` waits for the end of it.

    Raises:
        DataError: There is none, it is damaged, or it is another than the run was started with.
    """
    pack = _verification(data.pack).pack
    if pack.digest != data.digest:
        raise DataError(
            f"{data.pack} has digest {pack.digest[:12]}…, but the run was started with "
            f"{data.digest[:12]}…; give this worker the same pack"
        )
    return pack


def require_intact_pack(data: DataSettings) -> None:
    """Wait until the pack that `pack_of` gave is read to its end, and found to be intact.

    Whatever was made of the pack is kept or told only behind this. Where `pack_of` gave none,
    nothing was made of it.

    Raises:
        DataError: It is not, or it was changed since.
    """
    kept = _kept.get(data.pack)
    if kept is not None:
        _require(data.pack, kept)


_kept: dict[str, Verification] = {}


def _verification(location: str) -> Verification:
    kept = _kept.get(location)
    if kept is None or not _is_current(kept.pack):
        # Not opened yet, or replaced or touched since it was.
        _kept.pop(location, None)
        for older in list(_kept)[: 1 - _N_KEPT]:
            del _kept[older]
        kept = _kept[location] = Verification(fetched_pack(location))
    if kept.pack.state.size <= LARGE_BYTES:
        _require(location, kept)
    return kept


def _require(location: str, kept: Verification) -> None:
    try:
        kept.require()
    except DataError:
        _kept.pop(location, None)  # a pack that was copied again is looked at anew
        raise


def _is_current(pack: Pack) -> bool:
    try:
        return file_state(pack.path) == pack.state
    except OSError:
        return False
