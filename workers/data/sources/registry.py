"""A source of faces of any format that can be read, told apart by what lies at the path."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from workers.data.formats.bounded_file import check_regular, read_list
from workers.data.packs.account import Gap
from workers.data.sources.pack_settings import DEFAULT_MEMORY_BYTES
from workers.data.sources.picture_store import PictureStore, open_store
from workers.data.sources.source import FaceSource
from workers.data.sources.specs import (
    FORMATS,
    SOURCE_FORMATS,
    FileFormat,
    PictureFormat,
    SourceFormat,
)
from workers.data.sources.stored import add_labels, add_pairs
from workers.errors import DataError

_FILE_FORMATS = tuple(spec for spec in SOURCE_FORMATS.values() if isinstance(spec, FileFormat))
_PICTURE_FORMATS = tuple(
    spec for spec in SOURCE_FORMATS.values() if isinstance(spec, PictureFormat)
)
_FOLDER = next(spec for spec in _PICTURE_FORMATS if not spec.recogniser)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """What else to read, and as what.

    Attributes:
        labels: A label file beside the source; None takes the one inside, if any.
        pairs: A list of pairs in the format of LFW's; None takes the one inside, if any.
        form: The source's format; None finds it out.
        memory_bytes: At most so much for a source that is held in memory as a whole.
    """

    labels: Path | None = None
    pairs: Path | None = None
    form: str | None = None
    memory_bytes: int = DEFAULT_MEMORY_BYTES


@contextmanager
def open_source(
    source: Path,
    labels: Path | None = None,
    *,
    pairs: Path | None = None,
    form: str | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Iterator[FaceSource]:
    """Open any source of faces; the formats' modules say what is inside.

    Args:
        source: What to open.
        labels: A label file beside it; None takes the one inside. Except for folders of no known
            data set, its columns are added to those the source has.
        pairs: A list of pairs in the format of LFW's; None takes the one inside.
        form: The source's format, one of `specs.FORMATS`; None finds it out.
        memory_bytes: At most so much for a source that is held in memory as a whole.

    Raises:
        DataError: There is no such format, no such source, it cannot be read, or it is damaged.
    """
    files = SourceFiles(labels=labels, pairs=pairs, form=form, memory_bytes=memory_bytes)
    with ExitStack() as stack:
        try:
            faces = _with_pairs(_open(source, files, stack), pairs)
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"{source}: cannot be read ({why}); check the path") from error
        yield faces


def _open(source: Path, files: SourceFiles, stack: ExitStack) -> FaceSource:
    if not source.exists():
        raise DataError(f"{source}: no such source; give a folder, an archive or a file of faces")
    check_regular(source, "give a folder, an archive or a file of faces")
    form = _named(files.form) or _file_format(source)
    if not isinstance(form, FileFormat):
        return _open_stored(source, form, files, stack)
    if form.label_refusal and files.labels is not None:
        raise DataError(f"{source}: {form.label_refusal}; leave out {files.labels}")
    arguments = (source, files.memory_bytes) if form.is_held else (source,)
    opened = function_of(form, form.opener)(*arguments)
    # What keeps no file open comes as it is.
    faces = opened if isinstance(opened, FaceSource) else stack.enter_context(opened)
    return _labelled(faces, files)


def function_of(form: SourceFormat, name: str) -> Callable[..., Any]:
    """The function of this name in the format's module."""
    function: Callable[..., Any] = getattr(import_module(form.module), name)
    return function


def _named(form: str | None) -> SourceFormat | None:
    if form is not None and form not in SOURCE_FORMATS:
        raise DataError(f"format {form!r} is not known; choose from {', '.join(FORMATS)}")
    return None if form is None else SOURCE_FORMATS[form]


def _file_format(source: Path) -> FileFormat | None:
    """By the suffix, else by what lies in the folder; None of pictures."""
    suffix = source.suffix.lower()
    for form in _FILE_FORMATS:
        if suffix == form.suffix:
            return form
    if source.is_dir():
        for form in _FILE_FORMATS:
            if form.recogniser and function_of(form, form.recogniser)(source):
                return form
    return None


def _open_stored(
    source: Path, form: PictureFormat | None, files: SourceFiles, stack: ExitStack
) -> FaceSource:
    if not source.is_dir() and not zipfile.is_zipfile(source):
        if source.suffix.lower() not in (".zip", ".whl"):
            *others, last = (".zip", *(form.suffix for form in _FILE_FORMATS))
            raise DataError(
                f"{source}: neither a folder nor a {', '.join(others)} or {last} file; unpack it "
                "into one folder for each person"
            )
        raise DataError(f"{source}: damaged zip archive; copy it again")
    store = stack.enter_context(open_store(source))
    form = form or _detected(store)
    read: Callable[..., FaceSource] = function_of(form, form.opener)
    if form is _FOLDER:
        return _accounted(read(store, str(source), files.labels), store)
    return _labelled(_accounted(read(store, str(source)), store), files)


def _accounted(faces: FaceSource, store: PictureStore) -> FaceSource:
    """The source with what the store itself could not give."""
    return replace(
        faces,
        warnings=(*store.warnings, *faces.warnings),
        gaps=(*store.gaps, *faces.gaps),
        people_gaps=(*map(_of_people, store.people_gaps), *faces.people_gaps),
        file_bytes=lambda row: store.size(row.source),
    )


def _of_people(gap: Gap) -> Gap:
    """Of a gap of folders: the last part of a folder's path is whose it is."""
    return replace(gap, names=[PurePosixPath(name).name for name in gap.names])


def _detected(store: PictureStore) -> PictureFormat:
    """A label file among the pictures says more than their names do."""
    if store.label_files:
        return _FOLDER
    known = (form for form in _PICTURE_FORMATS if form is not _FOLDER)
    return next((form for form in known if function_of(form, form.recogniser)(store)), _FOLDER)


def _labelled(faces: FaceSource, files: SourceFiles) -> FaceSource:
    return faces if files.labels is None else add_labels(faces, files.labels)


def _with_pairs(faces: FaceSource, pairs: Path | None) -> FaceSource:
    if pairs is None:
        return faces
    # The list inside, if any, is replaced by the one that was named.
    return add_pairs(replace(faces, pair_gaps=()), {str(pairs): read_list(pairs)})
