"""The formats of sources of faces: one record each, from which names and choices are made.

A format is a module of this folder and its record here. Says where the functions are and loads
none of them, so that the command line has the names without what reads pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

_FOLDER = "workers.data.sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """Faces in one file of their own kind.

    Attributes:
        name: What people call it.
        module: Where the functions are.
        opener: Name of the function from a path to a `FaceSource`, or to a context of one.
        suffix: Of the file, lower case, with its dot.
        recogniser: Name of the function that says whether a folder is of this format; empty where
            none is.
        label_refusal: Why a label file beside it is refused; empty where its columns are added.
        is_held: Whether it is read into memory as a whole; the opener then takes the bytes that
            it may have as well.
    """

    name: str
    module: str
    opener: str
    suffix: str
    recogniser: str = ""
    label_refusal: str = ""
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """Faces as picture files, in a folder or an archive.

    Attributes:
        name: What people call it.
        module: Where the functions are.
        opener: Name of the function from a `PictureStore` and the source's name to a
            `FaceSource`.
        recogniser: Name of the function that says whether a store is of this format; empty of the
            format that is left, which reads its label file itself.
    """

    name: str
    module: str
    opener: str
    recogniser: str = ""


SourceFormat: TypeAlias = FileFormat | PictureFormat

_SPECS: tuple[SourceFormat, ...] = (
    FileFormat(
        name="npz",
        module=f"{_FOLDER}.npz",
        opener="open_npz_source",
        suffix=".npz",
        label_refusal="an .npz file carries its labels as arrays",
        is_held=True,
    ),
    FileFormat(
        name="rec",
        module=f"{_FOLDER}.record",
        opener="open_record_source",
        suffix=".rec",
        recogniser="is_record_folder",
    ),
    FileFormat(
        name="bin",
        module=f"{_FOLDER}.bin",
        opener="open_bin_source",
        suffix=".bin",
        is_held=True,
    ),
    PictureFormat(
        name="celeba",
        module=f"{_FOLDER}.celeba",
        opener="read_celeba",
        recogniser="is_celeba",
    ),
    PictureFormat(
        name="vggface2",
        module=f"{_FOLDER}.vggface2",
        opener="read_vggface2",
        recogniser="is_vggface2",
    ),
    # Before LFW, for its pictures are called like LFW's too.
    PictureFormat(
        name="rfw",
        module=f"{_FOLDER}.rfw",
        opener="read_rfw",
        recogniser="is_rfw",
    ),
    PictureFormat(
        name="orl",
        module=f"{_FOLDER}.orl",
        opener="read_orl",
        recogniser="is_orl",
    ),
    PictureFormat(
        name="agedb",
        module=f"{_FOLDER}.agedb",
        opener="read_agedb",
        recogniser="is_agedb",
    ),
    PictureFormat(
        name="lfw",
        module=f"{_FOLDER}.lfw",
        opener="read_lfw",
        recogniser="is_lfw",
    ),
    PictureFormat(name="folder", module=f"{_FOLDER}.folder", opener="read_folder"),
)

SOURCE_FORMATS: Mapping[str, SourceFormat] = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Name -> format, in the order in which they are tried."""

FORMATS = tuple(sorted(SOURCE_FORMATS))
"""The names, as people are shown them."""
