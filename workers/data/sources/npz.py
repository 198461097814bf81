"""Images and labels as arrays in one `.npz` file."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from workers.data.formats.array_file import read_array_header
from workers.data.formats.text_lines import composed, short
from workers.data.formats.zip_directory import check_directory
from workers.data.packs.table import ByteArray
from workers.data.packs.tensor_file import Array
from workers.data.sources.pack_settings import DEFAULT_MEMORY_BYTES
from workers.data.sources.source import FaceRow, FaceSource, clean_label, parse_split
from workers.errors import DataError

# What numpy and zipfile raise for a damaged archive or array; a size that is made up takes memory.
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    RecursionError,
    OverflowError,
    TypeError,
    NotImplementedError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
_ROW_BYTES = 500
"""What is known of an image, its labels included, takes about so much memory."""

_IDENTITY_NAMES, _FILE_NAMES = "names", "files"
_KEYS = ("images", "identity", "split", _IDENTITY_NAMES, _FILE_NAMES)


def open_npz_source(source: Path, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> FaceSource:
    """Read a `.npz` file.

    It holds `images`, uint8, of shape (n, height, width), with 1 or 3 channels before or behind
    the pixels if any; `identity`, one number or text for each image; further arrays with one
    text or whole number for each image, which may be group columns; if wanted `split` (train, val
    or test), `files` (a name for each image) and `names` (a name for each identity number).

    Args:
        source: The file.
        memory_bytes: At most so much for all arrays and the list of images together.

    Raises:
        DataError: An array is missing or has another shape or type, or they are too large.
        OSError: The file cannot be read.
    """
    arrays = _arrays(source, memory_bytes)
    images = _images(source, arrays)
    n_images = len(images)
    identities = _identities(source, arrays, n_images)
    columns = {
        composed(name): _texts(values)
        for name, values in arrays.items()
        if name not in _KEYS and _is_column(values, n_images)
    }
    files = _column(arrays, _FILE_NAMES, n_images)
    splits = _column(arrays, "split", n_images)
    if splits is None and "split" in arrays:
        raise DataError(
            f"{source}: 'split' must hold train, val or test for each of the {n_images} images, "
            f"but has shape {arrays['split'].shape}"
        )
    rows = [
        FaceRow(
            source=files[i] if files else f"images[{i}]",
            position=i,
            identity=identities[i],
            labels={name: clean_label(values[i]) for name, values in columns.items()},
            split=parse_split(splits[i], f"{source}: image {i}") if splits else None,
        )
        for i in range(n_images)
    ]

    def read(row: FaceRow) -> Image.Image:
        return Image.fromarray(images[row.position])

    return FaceSource(rows=rows, columns=tuple(columns), read=read)


def _arrays(source: Path, memory_bytes: int) -> dict[str, Array]:
    with source.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise DataError(f"{source}: not an .npz file; save the arrays with numpy.savez")
    try:
        check_directory(source)
        _check_promises(source, memory_bytes)
        # Opened here, for numpy leaves a file open that it cannot read.
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except DataError:
        # A ValueError too, but with its whole sentence.
        raise
    except _DAMAGE as error:
        raise DataError(
            f"{source}: not an .npz file of plain arrays ({error}); save it again with numpy.savez"
        ) from None
    # Members that are no arrays come as bytes.
    return {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}


def _check_promises(source: Path, memory_bytes: int) -> None:
    """Compare what the headers promise with what is there, before anything is read by them.

    Raises:
        DataError: An array promises more or less than its member of the archive holds, or all of
            it does not fit into the memory allowed.
    """
    n_bytes = 0
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            n_bytes += member.file_size
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                try:
                    header = read_array_header(stream)
                except ValueError as error:
                    raise DataError(
                        f"{source}: not an .npz file of plain arrays ({short(name)}: {error}); "
                        "save it again with numpy.savez"
                    ) from None
            if header.n_bytes != member.file_size:
                raise DataError(
                    f"{source}: array {short(name)} promises {header.n_bytes:,} bytes, shape "
                    f"{short(str(header.shape))}, and has {member.file_size:,}; save it again "
                    "with numpy.savez"
                )
            if name == "images":
                n_bytes += _ROW_BYTES * (header.shape[0] if header.shape else 0)
    if n_bytes > memory_bytes:
        raise DataError(
            f"{source}: takes {n_bytes / 1e9:,.3g} GB of memory, more than the "
            f"{memory_bytes / 1e9:.3g} GB allowed; raise --memory-gb, or give pictures as files"
        )


def _images(source: Path, arrays: Mapping[str, Array]) -> ByteArray:
    """The images with shape (n, height, width) or (n, height, width, 3)."""
    images = arrays.get("images")
    if images is None:
        raise DataError(f"{source}: no array 'images'; it has {', '.join(arrays) or 'none'}")
    if images.dtype != np.uint8:
        raise DataError(f"{source}: images are {images.dtype}; save them as uint8, 0 to 255")
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.size == 0 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
        raise DataError(
            f"{source}: images have shape {arrays['images'].shape}; save them as (n, height, "
            "width), (n, height, width, 3) or (n, 3, height, width)"
        )
    return images


def _identities(source: Path, arrays: Mapping[str, Array], n_images: int) -> list[str]:
    identity = arrays.get("identity")
    if identity is None or not _is_column(identity, n_images):
        found = "no array" if identity is None else f"{identity.dtype} {identity.shape}"
        raise DataError(
            f"{source}: 'identity' must hold one whole number or text for each of the {n_images} "
            f"images, but is {found}"
        )
    names = arrays.get(_IDENTITY_NAMES)
    if names is None or identity.dtype.kind not in "iu" or not _is_column(names, names.size):
        return _texts(identity)
    if identity.min() < 0 or identity.max() >= len(names):
        return _texts(identity)
    numbers = np.unique(identity)
    # Two people of one name, or one name for each image: then only the number tells people apart.
    if len(np.unique(names[numbers])) < len(numbers):
        return _texts(identity)
    return _texts(names[identity])


def _is_column(values: Array, length: int) -> bool:
    return values.shape == (length,) and values.dtype.kind in "USiub"


def _column(arrays: Mapping[str, Array], name: str, n_images: int) -> list[str] | None:
    values = arrays.get(name)
    return _texts(values) if values is not None and _is_column(values, n_images) else None


def _texts(values: Array) -> list[str]:
    if values.dtype.kind == "S":
        return [composed(value.decode("utf-8", "replace")) for value in values.tolist()]
    return [composed(str(value)) for value in values.tolist()]
