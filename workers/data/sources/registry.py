"""A source of faces of any format that can be read, told apart by what lies at the path."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from workers.data.sources.agedb import is_agedb, read_agedb
from workers.data.sources.bin import open_bin_source
from workers.data.sources.celeba import is_celeba, read_celeba
from workers.data.sources.folder import read_folder
from workers.data.sources.lfw import is_lfw, read_lfw
from workers.data.sources.npz import open_npz_source
from workers.data.sources.orl import is_orl, read_orl
from workers.data.sources.pack_settings import FORMATS, SourceFormat
from workers.data.sources.picture_store import PictureStore, open_store
from workers.data.sources.record import find_records, open_record_source
from workers.data.sources.rfw import is_rfw, read_rfw
from workers.data.sources.source import FaceSource
from workers.data.sources.stored import add_labels, add_pairs
from workers.data.sources.vggface2 import is_vggface2, read_vggface2
from workers.errors import DataError

_Read: TypeAlias = Callable[[PictureStore, str], FaceSource]
_Detect: TypeAlias = Callable[[PictureStore], bool]

# In this order: RFW's pictures are called like LFW's too.
_STORED: Mapping[SourceFormat, tuple[_Detect, _Read]] = {
    "celeba": (is_celeba, read_celeba),
    "vggface2": (is_vggface2, read_vggface2),
    "rfw": (is_rfw, read_rfw),
    "orl": (is_orl, read_orl),
    "agedb": (is_agedb, read_agedb),
    "lfw": (is_lfw, read_lfw),
}
_SUFFIXES: Mapping[str, SourceFormat] = {".npz": "npz", ".bin": "bin", ".rec": "rec"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """What else to read, and as what.

    Attributes:
        labels: A label file beside the source; None takes the one inside, if any.
        pairs: A list of pairs in the format of LFW's; None takes the one inside, if any.
        form: The source's format; None finds it out.
    """

    labels: Path | None = None
    pairs: Path | None = None
    form: SourceFormat | None = None


@contextmanager
def open_source(
    source: Path,
    labels: Path | None = None,
    *,
    pairs: Path | None = None,
    form: SourceFormat | None = None,
) -> Iterator[FaceSource]:
    """Open any source of faces; the `*_source` modules say what is inside.

    Args:
        source: What to open.
        labels: A label file beside it; None takes the one inside. Except for folders of no known
            data set, its columns are added to those the source has.
        pairs: A list of pairs in the format of LFW's; None takes the one inside.
        form: The source's format; None finds it out.

    Raises:
        DataError: There is no such source, it cannot be read, or it is damaged.
    """
    files = SourceFiles(labels=labels, pairs=pairs, form=form)
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
    form = files.form or _SUFFIXES.get(source.suffix.lower())
    if form == "npz":
        if files.labels is not None:
            raise DataError(
                f"{source}: an .npz file carries its labels as arrays; leave out {files.labels}"
            )
        return open_npz_source(source)
    if form == "bin":
        return _labelled(open_bin_source(source), files)
    records = _records(source, form)
    if records is not None:
        return _labelled(stack.enter_context(open_record_source(records)), files)
    return _open_stored(source, files, stack)


def _records(source: Path, form: SourceFormat | None) -> Path | None:
    """The `.rec` file to read: the source, or the one in it."""
    if form not in ("rec", None):
        return None
    if not source.is_dir():
        return source if form == "rec" else None
    found = find_records(source)
    if form == "rec" and found is None:
        raise DataError(f"{source}: not one .rec file inside; name the file itself")
    return found


def _open_stored(source: Path, files: SourceFiles, stack: ExitStack) -> FaceSource:
    if not source.is_dir() and not zipfile.is_zipfile(source):
        if source.suffix.lower() not in (".zip", ".whl"):
            raise DataError(
                f"{source}: neither a folder nor a .zip, .npz, .rec or .bin file; unpack it into "
                "one folder for each person"
            )
        raise DataError(f"{source}: damaged zip archive; copy it again")
    store = stack.enter_context(open_store(source))
    form = files.form or _detected(store)
    if form not in _STORED:
        return read_folder(store, source, files.labels)
    return _labelled(_STORED[form][1](store, str(source)), files)


def _detected(store: PictureStore) -> SourceFormat:
    """A label file among the pictures says more than their names do."""
    found = (form for form, (is_form, _) in _STORED.items() if is_form(store))
    return "folder" if store.label_files else next(found, "folder")


def _labelled(faces: FaceSource, files: SourceFiles) -> FaceSource:
    return faces if files.labels is None else add_labels(faces, files.labels)


def _with_pairs(faces: FaceSource, pairs: Path | None) -> FaceSource:
    if pairs is None:
        return faces
    return add_pairs(faces, {str(pairs): pairs.read_bytes()})


__all__ = ["FORMATS", "open_source"]
