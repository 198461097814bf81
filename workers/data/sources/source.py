"""What every source of face images offers to the importer, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from workers.data.formats.pairs import PairList
from workers.data.packs.account import Gap, listed
from workers.errors import DataError
from workers.settings import Split

__all__ = ["FaceRow", "FaceSource", "clean_label", "listed", "parse_split"]

_UNKNOWN_LABELS = frozenset({"", "?", "unknown", "nan", "none", "null", "n/a"})
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRow:
    """One image before anything is decided about it.

    Attributes:
        source: Its name within the source, for people to read and for `FaceSource.read`.
        position: Its number within the source.
        labels: Column -> value; an empty value is an unknown one.
        split: Given by the source, or None.
    """

    source: str
    position: int
    identity: str
    labels: Mapping[str, str]
    split: Split | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSource:
    """Images and their labels, opened for reading.

    Attributes:
        columns: Columns that might be groups, in the source's order.
        read: The picture of a row; may be called from several threads at once, and raises one of
            `workers.data.importing.decoding.BROKEN` for a picture that cannot be read.
        warnings: What was found on the way.
        pairs: Pairs to verify, by `FaceRow.position`; None where the source lists none.
        usual_columns: Those that are groups when nobody names any; None for all with few values.
        columns_place: The file that names the columns, for messages; empty where it is the source.
        max_val_identities: At most so many people of each group choose between networks, unless
            somebody says otherwise; None leaves it to their share.
        gaps: Pictures that the source holds or announces and that have no row.
        people_gaps: People of whom it holds or announces something, without a row; who has one
            does not count, and of several reasons the first.
        pair_gaps: Pairs that it lists and that are not in `pairs`.
        file_bytes: Bytes of a row's encoded picture, known without reading it; None where all of
            the source is in memory or mapped.
    """

    rows: Sequence[FaceRow]
    columns: tuple[str, ...]
    read: Callable[[FaceRow], Image.Image]
    warnings: tuple[str, ...] = ()
    pairs: PairList | None = None
    usual_columns: tuple[str, ...] | None = None
    columns_place: str = ""
    max_val_identities: int | None = None
    gaps: tuple[Gap, ...] = ()
    people_gaps: tuple[Gap, ...] = ()
    pair_gaps: tuple[Gap, ...] = ()
    file_bytes: Callable[[FaceRow], int] | None = None


def clean_label(text: str) -> str:
    """The label without blanks around it; empty when it says that nothing is known."""
    label = text.strip()
    return "" if label.lower() in _UNKNOWN_LABELS else label


def parse_split(text: str, place: str) -> Split:
    """The split that `text` names.

    Raises:
        DataError: It names none; `place` begins the message.
    """
    split = _SPLIT_NAMES.get(text.strip().lower())
    if split is None:
        raise DataError(f"{place}: split {text.strip()!r} is unknown; use train, val or test")
    return split
