"""Picture files by name, in a folder or a zip archive; nothing is ever extracted to disk."""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from workers.data.formats.bounded_file import (
    MAX_LIST_BYTES,
    UnfitFileError,
    check_regular,
    read_bounded,
)
from workers.data.formats.text_lines import composed
from workers.data.formats.zip_directory import check_directory
from workers.data.packs.account import Gap
from workers.data.sources.folder_walk import FolderContent, is_hidden, walk_folder
from workers.errors import DataError

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pictures too, but of kinds that no data set of faces comes in; not to be passed over in silence.
_OTHER_SUFFIXES = frozenset(
    {".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".pbm", ".pnm", ".tga"}
)
_LIST_SUFFIXES = frozenset({".csv", ".lst", ".txt", ".zip"})
_MAX_MEMBER_BYTES = MAX_LIST_BYTES
_MAX_STRAY_SHARE = 0.1
_ENCRYPTED = 0x1
_IS_UTF8 = 0x800


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files by name, in a folder or an archive.

    Attributes:
        names: As they are there.
        read: The content of a named file.
        size: Bytes of a named file, without reading it.
        gaps: Pictures that are not among the names, with the reason.
        people_gaps: Folders of people likewise.
    """

    names: Sequence[str]
    read: Callable[[str], bytes]
    size: Callable[[str], int]
    gaps: tuple[Gap, ...] = ()
    people_gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStore:
    """What lies in a folder or an archive; all names are in Unicode's composed form.

    Attributes:
        pictures: Names of the picture files with `/` between folders, sorted.
        files: Names of all files, sorted.
        label_files: Names of the files called `labels.csv`, the one nearest the top first.
        read: The content of a named file; may be called from several threads at once.
        size: Bytes of a named file, without reading it.
        gaps: Pictures that are there and cannot be had, with the reason.
        people_gaps: Folders of people likewise.
        warnings: What else people should know.
    """

    pictures: Sequence[str]
    files: Sequence[str]
    label_files: Sequence[str]
    read: Callable[[str], bytes]
    size: Callable[[str], int]
    gaps: tuple[Gap, ...] = ()
    people_gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()


@contextmanager
def open_store(source: Path) -> Iterator[PictureStore]:
    """Open a folder or a `.zip` file.

    Links in a folder are followed, each folder once. Of a folder with archives and next to no
    pictures, such as CelebA's as it is handed out, the archives' files count too.

    Raises:
        DataError: The archive is damaged or encrypted, or names a file outside itself, or a link
            leads in a circle.
        OSError: The source cannot be read.
    """
    with ExitStack() as stack:
        if not source.is_dir():
            yield _store(stack.enter_context(_open_archive(source)))
            return
        files = _folder(source)
        store = _store(files)
        archives = [name for name in store.files if name.lower().endswith(".zip")]
        opened = _opened(source, archives, stack, is_needed=not store.pictures)
        if opened:
            whole = _store(_joined(files, opened))
            if len(store.pictures) <= _MAX_STRAY_SHARE * len(whole.pictures):
                store = whole
        yield store


def _opened(
    source: Path, names: Sequence[str], stack: ExitStack, *, is_needed: bool
) -> list[Files]:
    """The archives; where there are pictures besides them, those that can be opened."""
    opened: list[Files] = []
    for name in names:
        try:
            opened.append(stack.enter_context(_open_archive(source / name)))
        except DataError:
            if is_needed:
                raise
    return opened


def _folder(source: Path) -> Files:
    content = walk_folder(source)
    _check_lists(source, content)
    pictures = [name for name in content.files if is_picture(name)]
    # Who reads a folder under one name reads its pictures, but nobody by the other name.
    repeated = [
        name + picture.removeprefix(first)
        for name, first in content.repeated
        for picture in sorted(pictures)
        if picture.startswith(f"{first}/")
    ]
    special = [
        Gap(reason=f"are no files (such as {kind})", names=[name])
        for name, kind in content.special
        if is_picture(name)
    ]
    lost = [name for name in content.dangling if is_picture(name)]
    return Files(
        names=content.files,
        read=lambda name: read_bounded(source / name, _MAX_MEMBER_BYTES),
        size=lambda name: (source / name).stat().st_size,
        gaps=(
            Gap(reason="are links that lead nowhere", names=lost),
            Gap(reason=_REPEATED, names=repeated, kind="chosen"),
            *special,
        ),
        people_gaps=(
            Gap(
                reason="are links that lead nowhere",
                names=[name for name in content.dangling if _may_be_folder(name)],
            ),
            Gap(
                reason=_REPEATED,
                names=sorted({str(PurePosixPath(name).parent) for name in repeated}),
                kind="chosen",
            ),
        ),
    )


def _check_lists(source: Path, content: FolderContent) -> None:
    """A list that is no file must not pass for a list that is not there."""
    unfit = [*content.special, *((name, "a link that leads nowhere") for name in content.dangling)]
    for name, kind in unfit:
        if PurePosixPath(name).suffix.lower() in _LIST_SUFFIXES:
            raise DataError(f"{source / name}: {kind}, not a file; replace or remove it")


_REPEATED = "lie behind a link to a folder that is read under another name"


def _joined(own: Files, archives: Sequence[Files]) -> Files:
    """The folder's files and those of its archives; of one name the folder's."""
    owners = {name: files for files in [*archives, own] for name in files.names}
    return Files(
        names=list(owners),
        read=lambda name: owners[name].read(name),
        size=lambda name: owners[name].size(name),
        gaps=tuple(gap for files in [own, *archives] for gap in files.gaps),
        people_gaps=tuple(gap for files in [own, *archives] for gap in files.people_gaps),
    )


@contextmanager
def _open_archive(source: Path) -> Iterator[Files]:
    check_regular(source, "give an archive")
    check_directory(source)
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{source}: damaged zip archive ({error}); copy it again") from None
    with archive:
        found = {
            _checked(member, source): member
            for member in archive.infolist()
            if not member.filename.endswith("/")
        }
        links = [name for name, member in found.items() if _is_link(member)]
        members = {name: member for name, member in found.items() if not _is_link(member)}
        lock = threading.Lock()

        def read(name: str) -> bytes:
            # Opening a member changes the archive's own counter without a lock.
            with lock:
                if members[name].file_size > _MAX_MEMBER_BYTES:
                    raise UnfitFileError(f"larger than {_MAX_MEMBER_BYTES >> 20} MiB")
                return archive.read(members[name])

        reason = "are links inside an archive, which lead nowhere"
        yield Files(
            names=list(members),
            read=read,
            size=lambda name: members[name].file_size,
            gaps=(Gap(reason=reason, names=[name for name in links if is_picture(name)]),),
            people_gaps=(
                Gap(reason=reason, names=[name for name in links if _may_be_folder(name)]),
            ),
        )


def _is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def _checked(member: zipfile.ZipInfo, source: Path) -> str:
    """The member's name with `/` between folders, which some archivers on Windows do not use."""
    name = _decoded(member).replace("\\", "/")
    path = PurePosixPath(name)
    if not name:
        raise DataError(f"{source}: a member has no name; copy the archive again")
    if path.is_absolute() or ".." in path.parts or ":" in name.split("/")[0]:
        raise DataError(f"{source}: member {name!r} lies outside the archive; do not trust it")
    if member.flag_bits & _ENCRYPTED:
        raise DataError(f"{source}: member {name!r} is encrypted; decrypt the archive first")
    return name


def _decoded(member: zipfile.ZipInfo) -> str:
    """The member's name; macOS and others write UTF-8 without the flag that says so."""
    name = member.filename
    if name.isascii() or member.flag_bits & _IS_UTF8:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its name."""
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _may_be_folder(name: str) -> bool:
    """Whether a link of this name may have led to a person's folder; many names have dots."""
    return not is_picture(name) and PurePosixPath(name).suffix.lower() not in _LIST_SUFFIXES


def _store(files: Files) -> PictureStore:
    visible = sorted(
        name for name in files.names if not any(map(is_hidden, PurePosixPath(name).parts))
    )
    stored: dict[str, str] = {}
    twice: list[str] = []
    for name in visible:
        if stored.setdefault(composed(name), name) != name:
            twice.append(name)
    names = sorted(stored)
    labels = [name for name in names if PurePosixPath(name).name.lower() == "labels.csv"]
    others = [name for name in names if PurePosixPath(name).suffix.lower() in _OTHER_SUFFIXES]
    gaps = (
        *files.gaps,
        Gap(
            reason="have the name of another file but for the way in which Unicode writes it",
            names=[name for name in twice if is_picture(name)],
        ),
        Gap(
            reason="are pictures of a kind that is not read",
            names=others,
            remedy="save them as .png or .jpg",
        ),
    )
    return PictureStore(
        pictures=[name for name in names if is_picture(name)],
        files=names,
        label_files=sorted(labels, key=lambda name: name.count("/")),
        read=lambda name: files.read(stored[name]),
        size=lambda name: files.size(stored[name]),
        gaps=tuple(gap for gap in map(_composed, gaps) if gap.names),
        people_gaps=tuple(gap for gap in map(_composed, files.people_gaps) if gap.names),
        warnings=_warnings(gaps, files.people_gaps),
    )


def _composed(gap: Gap) -> Gap:
    return replace(gap, names=[composed(name) for name in gap.names])


def _warnings(gaps: Sequence[Gap], people_gaps: Sequence[Gap]) -> tuple[str, ...]:
    told = [gap.sentence() for gap in gaps if gap.names]
    return (*told, *(gap.sentence("folders") for gap in people_gaps if gap.names))


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
