"""The verification of an opened pack: at once, or in the background while it is already in use.

Nothing that was made of a pack may be passed on before `Verification.require` has come back.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import BinaryIO

from workers.data.packs.integrity import changed, file_state, require_intact
from workers.data.packs.pack import Pack
from workers.data.packs.remembered import is_remembered, remember
from workers.data.packs.tensor_file import read_tensor_file
from workers.errors import DataError

logger = logging.getLogger(__name__)

LARGE_BYTES = 1 << 30
"""A pack of up to this size is read in seconds."""

_SAID_SECONDS = 30.0
_GB = 1e9


def verify_pack(pack: Pack, *, again: bool = False) -> None:
    """Read the pack whole and compare its digest, unless this machine has done so before.

    Args:
        pack: As it was opened; the file must still be the same one.
        again: Read it whatever is remembered.

    Raises:
        DataError: It is damaged, was changed meanwhile or cannot be read.
    """
    if not again and is_remembered(pack):
        return
    _Reading(pack, _opened(pack)).run()


class Verification:
    """What is known of a pack's bytes, found out by a thread that begins at once.

    The file stays open, so that a change of what is mapped is seen even when another file has
    taken its name.

    Args:
        pack: The pack.

    Raises:
        DataError: The file is not the one that was opened, or cannot be read.
    """

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        stream = _opened(pack)
        self._descriptor = os.dup(stream.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._fault: str | None = None
        self._reading = _Reading(pack, stream)
        self._done = threading.Event()
        if is_remembered(pack):
            stream.close()
            self._done.set()
        else:
            threading.Thread(target=self._read, name="verify pack", daemon=True).start()

    def require(self) -> None:
        """Wait until the pack is read; it must be intact, and must not have changed since.

        Raises:
            DataError: It is damaged, was changed or cannot be read.
        """
        while not self._done.wait(_SAID_SECONDS):
            logger.info(
                "%s: %.1f of %.1f GB are read to compare the digest",
                self.pack.path,
                self._reading.n_bytes / _GB,
                self.pack.state.size / _GB,
            )
        if self._fault is not None:
            raise DataError(self._fault)
        if not file_state(self._descriptor).is_unchanged_since(self.pack.state):
            raise changed(self.pack.path)

    def _read(self) -> None:
        self._fault = f"{self.pack.path}: was not read to its end; begin again"
        try:
            self._reading.run()
        except DataError as error:
            self._fault = str(error)
        except MemoryError:
            logger.warning("%s: there is no memory to compare its digest", self.pack.path)
        else:
            self._fault = None
        finally:
            self._done.set()


class _Reading:
    """One reading of a pack, from its beginning to its end; closes the stream.

    Attributes:
        n_bytes: Read so far.
    """

    def __init__(self, pack: Pack, stream: BinaryIO) -> None:
        self._pack = pack
        self._stream = stream
        self.n_bytes = 0

    def run(self) -> None:
        pack = self._pack
        if pack.state.size > LARGE_BYTES:
            logger.info(
                "%s: its %.1f GB are read once on this machine, to compare the digest",
                pack.path,
                pack.state.size / _GB,
            )
        try:
            with self._stream as stream:
                require_intact(read_tensor_file(stream, pack.path), stream, note=self._note)
        except OSError as error:
            raise _unreadable(pack, error) from error
        remember(pack)

    def _note(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes


def _opened(pack: Pack) -> BinaryIO:
    """The pack's file, to be read again; the very one that is mapped."""
    try:
        stream = pack.path.open("rb")
    except OSError as error:
        raise _unreadable(pack, error) from error
    if not file_state(stream.fileno()).is_unchanged_since(pack.state):
        stream.close()
        raise changed(pack.path)
    return stream


def _unreadable(pack: Pack, error: OSError) -> DataError:
    return DataError(
        f"{pack.path}: cannot be read ({error.strerror}); check the file and its disk"
    )
