"""One writer per run: an advisory lock that the kernel lets go of when its holder dies.

The lock belongs to the open file: a forked child shares it, a spawned one does not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from results.errors import RunDirectoryError, RunLockedError

_RETRY_SECONDS = 0.02
_CHECK = "check it and its folder"
_DENIED = "check who may write to it and to its folder, or copy the run to a folder of your own"
_REMEDIES = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _DENIED,
    errno.EISDIR: "it is a folder, and the run is locked by a file; remove it",
    errno.ENOSPC: "free some space there",
}


@contextmanager
def run_lock(directory: Path, *, patience_seconds: float = 2.0) -> Iterator[None]:
    """Hold the run in `directory` for writing while the block runs.

    Args:
        directory: An existing run directory.
        patience_seconds: How long to try again, so that a reader that is just looking whether the
            run is locked does not turn a writer away.

    Raises:
        RunLockedError: Another process holds it.
        RunDirectoryError: The lock cannot be made or opened there.
    """
    path = lock_path(directory)
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        _acquire(descriptor, path, patience_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether some process holds the run in `directory` for writing.

    Raises:
        RunDirectoryError: The lock cannot be opened, so nobody can tell.
    """
    path = lock_path(directory)
    if not path.exists():
        return False
    descriptor = _opened(path, os.O_RDONLY)
    try:
        # Shared, so that readers who look at the same moment do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_path(directory: Path) -> Path:
    """The file that is locked; it stays when the lock is let go of."""
    return directory / "lock"


def _opened(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)  # a pipe must not keep us waiting
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, _CHECK)
        raise RunDirectoryError(
            f"{path}: cannot be opened ({error.strerror}); {remedy}"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunDirectoryError(f"{path}: is no file, and the run is locked by one; remove it")
    return descriptor


def _acquire(descriptor: int, path: Path, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RunLockedError(_message(descriptor, path)) from None
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _message(descriptor: int, path: Path) -> str:
    holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
    return (
        f"{path.parent}: process {holder} is writing to this run; wait for it, or stop it and "
        "resume the run"
    )
