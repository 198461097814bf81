"""A source of faces of any format that can be read, told apart by what lies at the path."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workers.errors import DataError
from workers.face_source import FaceSource
from workers.folder_source import open_folder_source
from workers.npz_source import open_npz_source


@contextmanager
def open_source(source: Path, labels: Path | None = None) -> Iterator[FaceSource]:
    """Open a folder, a `.zip` file or an `.npz` file of faces.

    Args:
        source: What to open; see `open_folder_source` and `open_npz_source` for what is inside.
        labels: A label file beside a folder or zip; None takes the one inside.

    Raises:
        DataError: There is no such source, it cannot be read, or it is damaged.
    """
    with ExitStack() as stack:
        try:
            faces = _open(source, labels, stack)
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"{source}: cannot be read ({why}); check the path") from error
        yield faces


def _open(source: Path, labels: Path | None, stack: ExitStack) -> FaceSource:
    if not source.exists():
        raise DataError(f"{source}: no such source; give a folder, a .zip or an .npz file")
    if source.suffix.lower() == ".npz":
        if labels is not None:
            raise DataError(
                f"{source}: an .npz file carries its labels as arrays; leave out {labels}"
            )
        return open_npz_source(source)
    if source.is_dir() or source.suffix.lower() == ".zip" or zipfile.is_zipfile(source):
        return stack.enter_context(open_folder_source(source, labels))
    raise DataError(
        f"{source}: neither a folder nor a .zip or .npz file; unpack it into one folder for each "
        "person"
    )
