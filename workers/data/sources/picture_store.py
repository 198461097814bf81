"""Picture files by name, in a folder or a zip archive; nothing is ever extracted to disk."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from workers.errors import DataError

Read: TypeAlias = Callable[[str], bytes]
Files: TypeAlias = tuple[Sequence[str], Read]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_MAX_MEMBER_BYTES = 1 << 28
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStore:
    """What lies in a folder or an archive.

    Attributes:
        pictures: Names of the picture files with `/` between folders, sorted.
        files: Names of all files, sorted.
        label_files: Names of the files called `labels.csv`, the one nearest the top first.
        read: The content of a named file; may be called from several threads at once.
    """

    pictures: Sequence[str]
    files: Sequence[str]
    label_files: Sequence[str]
    read: Read


@contextmanager
def open_store(source: Path) -> Iterator[PictureStore]:
    """Open a folder or a `.zip` file.

    Of a folder without pictures but with archives, such as CelebA's as it is handed out, the
    archives' files count too.

    Raises:
        DataError: The archive is damaged or encrypted, or names a file outside itself.
        OSError: The source cannot be read.
    """
    with ExitStack() as stack:
        if not source.is_dir():
            yield _store(*stack.enter_context(_open_archive(source)))
            return
        store = _store(list(_walk(source)), lambda name: (source / name).read_bytes())
        archives = [name for name in store.files if name.lower().endswith(".zip")]
        if archives and not store.pictures:
            opened = [stack.enter_context(_open_archive(source / name)) for name in archives]
            store = _with_archives(store, opened)
        yield store


def _with_archives(store: PictureStore, archives: Sequence[Files]) -> PictureStore:
    readers = {name: read for names, read in archives for name in names}
    readers |= dict.fromkeys(store.files, store.read)
    return _store(list(readers), lambda name: readers[name](name))


@contextmanager
def _open_archive(source: Path) -> Iterator[Files]:
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{source}: damaged zip archive ({error}); copy it again") from None
    with archive:
        members = {
            _checked(member, source): member
            for member in archive.infolist()
            if not member.filename.endswith("/")
        }
        lock = threading.Lock()

        def read(name: str) -> bytes:
            # Opening a member changes the archive's own counter without a lock.
            with lock:
                if members[name].file_size > _MAX_MEMBER_BYTES:
                    raise OSError(f"larger than {_MAX_MEMBER_BYTES >> 20} MiB")
                return archive.read(members[name])

        yield list(members), read


def _walk(folder: Path) -> Iterator[str]:
    for root, _, files in os.walk(folder, onerror=_refuse):
        inside = Path(root).relative_to(folder).as_posix()
        prefix = "" if inside == "." else inside + "/"
        for name in files:
            yield prefix + name


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed must not pass for an empty one."""
    raise error


def _checked(member: zipfile.ZipInfo, source: Path) -> str:
    """The member's name with `/` between folders, which some archivers on Windows do not use."""
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    if not name:
        raise DataError(f"{source}: a member has no name; copy the archive again")
    if path.is_absolute() or ".." in path.parts or ":" in name.split("/")[0]:
        raise DataError(f"{source}: member {name!r} lies outside the archive; do not trust it")
    if member.flag_bits & _ENCRYPTED:
        raise DataError(f"{source}: member {name!r} is encrypted; decrypt the archive first")
    return name


def _store(names: Sequence[str], read: Read) -> PictureStore:
    visible = sorted(name for name in names if not _is_hidden(name))
    labels = [name for name in visible if PurePosixPath(name).name.lower() == "labels.csv"]
    return PictureStore(
        pictures=[name for name in visible if PurePosixPath(name).suffix.lower() in _SUFFIXES],
        files=visible,
        label_files=sorted(labels, key=lambda name: name.count("/")),
        read=read,
    )


def find_file(store: PictureStore, *names: str) -> str | None:
    """The file with one of these names, in any case, that lies nearest the top."""
    wanted = {name.lower() for name in names}
    found = [name for name in store.files if PurePosixPath(name).name.lower() in wanted]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def read_text(store: PictureStore, name: str, place: str) -> bytes:
    """The content of a list that lies among the pictures.

    Raises:
        DataError: It cannot be read, or is larger than any list.
    """
    try:
        return store.read(name)
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{place}: cannot be read ({error}); copy it again") from None


def _is_hidden(name: str) -> bool:
    """Such as the shadow files that macOS puts into archives."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
