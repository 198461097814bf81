"""What a pack knows about its images: identity, split, groups, sources. Reads no file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from workers.data.formats.pairs import PairList
from workers.settings import Split

FORMAT = "frnas.pack/1"
SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNKNOWN = -1

ByteArray: TypeAlias = npt.NDArray[np.uint8]
CodeArray: TypeAlias = npt.NDArray[np.int16]
IdentityArray: TypeAlias = npt.NDArray[np.int32]
IndexArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupColumn:
    """One attribute by which people are compared.

    Attributes:
        labels: The values the attribute takes, such as `("f", "m")`.
        codes: Shape (n_images,); index into `labels`, -1 where the value is unknown.
    """

    labels: tuple[str, ...]
    codes: CodeArray

    @property
    def used_labels(self) -> tuple[str, ...]:
        """The labels that some image has."""
        used = set(np.unique(self.codes).tolist())
        return tuple(label for code, label in enumerate(self.labels) if code in used)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackTable:
    """One row for each image, in the images' order.

    Attributes:
        identity: Shape (n_images,); index into `identities`.
        identities: Names.
        split: Shape (n_images,); index into `SPLITS`.
        groups: Column name -> column.
        sources: Where each image came from, for people to read.
        settings: How the pack was made; JSON values.
        pairs: Pairs to verify, by row; None where there are none.
    """

    identity: IdentityArray
    identities: tuple[str, ...]
    split: ByteArray
    groups: Mapping[str, GroupColumn]
    sources: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    pairs: PairList | None = None

    def __post_init__(self) -> None:
        lengths = {"split": len(self.split), "sources": len(self.sources)}
        lengths |= {f"group {name}": len(g.codes) for name, g in self.groups.items()}
        for name, length in lengths.items():
            if length != len(self.identity):
                raise ValueError(f"{name} has {length} rows, identity {len(self.identity)}")


def keep_rows(table: PackTable, kept: BoolArray) -> PackTable:
    """The table without the rows where `kept`, shape (n_images,), is false.

    Identities that lost all their images are forgotten, and so are pairs that lost one; labels
    are not.
    """
    if kept.all():
        return table
    numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int64)
    remaining, identity = np.unique(table.identity[kept], return_inverse=True)
    return PackTable(
        identity=identity.astype(np.int32),
        identities=tuple(table.identities[index] for index in remaining),
        split=table.split[kept],
        groups={
            name: GroupColumn(labels=column.labels, codes=column.codes[kept])
            for name, column in table.groups.items()
        },
        sources=[table.sources[row] for row in np.flatnonzero(kept).tolist()],
        settings=table.settings,
        pairs=None if table.pairs is None else table.pairs.renumbered(numbers),
    )


def splits_digest(identity: IdentityArray, identities: Sequence[str], split: ByteArray) -> str:
    """sha256, as 64 hexadecimal digits, of who is in which split, whatever the pictures are.

    Of the lines `identity<TAB>split` in UTF-8, sorted, each with a newline.

    Args:
        identity: Shape (n_images,); index into `identities`.
        identities: Names.
        split: Shape (n_images,); index into `SPLITS`.
    """
    numbers, first = np.unique(identity, return_index=True)
    lines = sorted(
        f"{identities[number]}\t{SPLITS[split[row]]}\n".encode("utf-8", "replace")
        for number, row in zip(numbers.tolist(), first.tolist(), strict=True)
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()


def names_json(identities: Sequence[str], groups: Mapping[str, Sequence[str]]) -> str:
    """Identity names and group labels as the one JSON text that is stored and digested."""
    value = {
        "identities": list(identities),
        "groups": {column: list(labels) for column, labels in groups.items()},
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def encode_sources(sources: Sequence[str], prefix_bytes: int) -> ByteArray:
    """The sources as UTF-8 lines, filled up with newlines.

    Args:
        sources: One text each; a newline within one becomes a blank.
        prefix_bytes: Bytes before this tensor; the end is put on a multiple of 8, so that the
            int32 table before it is aligned wherever the header ends.
    """
    lines = "".join(source.replace("\n", " ") + "\n" for source in sources)
    encoded = lines.encode("utf-8", "replace")
    padding = -(prefix_bytes + len(encoded)) % 8
    return np.frombuffer(encoded + b"\n" * padding, np.uint8)


def content_digest(names: str, columns: Sequence[bytes], image_digest: bytes) -> str:
    """sha256, as 64 hexadecimal digits, of all that training and evaluation can see.

    Args:
        names: As `names_json` wrote it.
        columns: The table's tensors as stored, in the file's order.
        image_digest: sha256 of the images as stored.
    """
    digest = hashlib.sha256(FORMAT.encode())
    for part in (names.encode(), *columns):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    digest.update(image_digest)
    return digest.hexdigest()
