"""A pack: face images and what is known about them in one memory-mapped file. Loads no torch.

A pack is one safetensors file (format `frnas.pack/1`) with the tensors

    identity        int32 (n_images,)   index into the names of the identities
    group.<column>  int16 (n_images,)   index into the column's labels, -1 unknown
    split           uint8 (n_images,)   0 train, 1 val, 2 test
    sources         uint8 (n_bytes,)    one line of UTF-8 for each image
    images          uint8 (n_images, channels, size, size)

and the metadata `format`, `digest`, `splits_digest`, `header_digest`, `names`, `settings`,
`warnings` and, if somebody counted, `account`, the last four as JSON.
A pack with pairs to verify (`frnas.pairs`) has four tensors more, rows of the pack and their fold:

    pairs.first, pairs.second  int32 (n_pairs,)
    pairs.same                 uint8 (n_pairs,)   1 where both show one person
    pairs.fold                 int16 (n_pairs,)

The digest covers all tensors and the names; `splits_digest` covers the splits alone, and
`header_digest` every byte before the tensors. Packs from before there was a `header_digest` are
read; nothing covers their settings, their warnings and the layout of their tensors.
An identity lies in one split only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from workers.data.formats.pairs import PairList
from workers.data.packs.account import parse_account
from workers.data.packs.integrity import FileState, changed, file_state, require_intact
from workers.data.packs.table import (
    FORMAT,
    SPLITS,
    UNKNOWN,
    ByteArray,
    GroupColumn,
    IdentityArray,
    IndexArray,
    PackTable,
    splits_digest,
)
from workers.data.packs.tensor_file import HEADER_DIGEST, Array, TensorFile, read_tensor_file
from workers.data.packs.writing import write_pack
from workers.errors import DataError
from workers.settings import Split

__all__ = [
    "FORMAT",
    "SPLITS",
    "UNKNOWN",
    "GroupColumn",
    "Pack",
    "PackTable",
    "open_pack",
    "pack_faults",
    "write_pack",
]

# Of packs without a digest of their header.
_OLDER_METADATA = {"format", "digest", "splits_digest", "names", "settings", "warnings"}
# What a header of the right form with other things in it leads to.
_DAMAGE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """An opened pack.

    Attributes:
        digest: sha256 over table and images, 64 hexadecimal digits.
        images: Shape (n_images, channels, size, size), uint8; memory-mapped, read only.
        identity: Shape (n_images,); index into `identities`.
        split: Shape (n_images,); index into `SPLITS`.
        groups: Column name -> labels and codes.
        settings: How the pack was made; JSON values.
        warnings: What its maker should have been told.
        source_lines: The sources as stored; see `sources`.
        splits_digest: sha256 of who is in which split, 64 hexadecimal digits.
        state: The file that was opened, as of when it was.
        has_header_digest: Whether a digest covers settings, warnings and layout, too.
        pairs: Pairs to verify, by row; None where the pack has none.
        account: What the source announced and what became of it, as `workers.data.packs.account`
            writes it; None in packs of sources that nobody counted.
    """

    path: Path
    digest: str
    images: ByteArray
    identity: IdentityArray
    identities: tuple[str, ...]
    split: ByteArray
    groups: Mapping[str, GroupColumn]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]
    source_lines: ByteArray
    splits_digest: str
    state: FileState
    has_header_digest: bool = True
    pairs: PairList | None = None
    account: Mapping[str, Any] | None = None

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for red, green and blue."""
        return int(self.images.shape[1])

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return int(self.images.shape[2])

    @property
    def sources(self) -> tuple[str, ...]:
        """Where each image came from; decoded anew at each call, for trials do not need it."""
        lines = self.source_lines.tobytes().decode("utf-8").split("\n")
        return tuple(lines[: len(self.identity)])

    def rows(self, split: Split) -> IndexArray:
        """Indices of the split's images, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split)).astype(np.int64)

    def n_identities(self, split: Split) -> int:
        """Identities with an image in the split."""
        return len(np.unique(self.identity[self.rows(split)]))


def open_pack(path: Path, *, verify: bool = False) -> Pack:
    """Open the pack at `path` without reading its images.

    Args:
        path: A file that `write_pack` wrote.
        verify: Read the images as well and compare the digest.

    Raises:
        DataError: There is no pack, or it is damaged, of another version or contradicts itself.
    """
    try:
        with path.open("rb") as stream:
            return _opened(stream, path, verify=verify)
    except FileNotFoundError:
        raise DataError(f"{path}: no such pack; make one with `frnas data pack`") from None
    except IsADirectoryError:
        raise DataError(
            f"{path}: a folder, not a pack; make a pack of it with `frnas data pack`"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def _opened(stream: BinaryIO, path: Path, *, verify: bool) -> Pack:
    state = file_state(stream.fileno())
    tensors = read_tensor_file(stream, path)
    _check_format(path, tensors.metadata)
    _check_header(tensors)
    try:
        pack = _build(tensors, state)
    except _DAMAGE as error:
        raise DataError(f"{path}: damaged pack ({error}); pack it again") from None
    _check_one_split(pack)
    if verify:
        require_intact(tensors, stream)
    # Its tensors are mapped by name: it must be one file that was read, from first to last.
    if not file_state(path).is_unchanged_since(state):
        raise changed(path)
    return pack


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    found = str(metadata.get("format", "")) if isinstance(metadata, dict) else ""
    family = FORMAT.rpartition("/")[0] + "/"
    if not found.startswith(family):
        raise DataError(f"{path}: not a pack; make one with `frnas data pack`")
    if found != FORMAT:
        raise DataError(
            f"{path}: pack of format {found}, but this version reads {FORMAT}; pack it again"
        )


def _check_header(tensors: TensorFile) -> None:
    metadata = tensors.metadata
    if not tensors.has_intact_header:
        raise DataError(
            f"{tensors.path}: the header does not match its digest "
            f"{str(metadata[HEADER_DIGEST])[:12]}…; copy or pack it again"
        )
    strange = sorted(set(metadata) - _OLDER_METADATA)
    if HEADER_DIGEST not in metadata and strange:
        raise DataError(
            f"{tensors.path}: damaged pack (no version wrote {strange[0]!r} into a header); "
            "copy or pack it again"
        )


def _build(tensors: TensorFile, state: FileState) -> Pack:
    names = json.loads(tensors.metadata["names"])
    identity, split = tensors.load("identity"), tensors.load("split")
    images = np.asarray(tensors.map("images"))
    identities = tuple(names["identities"])
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images of shape {images.shape}")
    _check_codes("identity", identity, (0, len(identities)), len(images))
    _check_codes("split", split, (0, len(SPLITS)), len(images))
    return Pack(
        path=tensors.path,
        digest=tensors.metadata["digest"],
        images=images,
        identity=identity,
        identities=identities,
        split=split,
        groups=_build_groups(tensors, names["groups"], len(images)),
        settings=json.loads(tensors.metadata["settings"]),
        warnings=tuple(json.loads(tensors.metadata["warnings"])),
        source_lines=np.asarray(tensors.map("sources")),
        splits_digest=_splits_digest(tensors, identity, identities, split),
        state=state,
        has_header_digest=HEADER_DIGEST in tensors.metadata,
        pairs=_build_pairs(tensors, len(images)),
        account=_build_account(tensors),
    )


def _build_account(tensors: TensorFile) -> Mapping[str, Any] | None:
    text = tensors.metadata.get("account")
    return None if text is None else parse_account(text)


def _splits_digest(
    tensors: TensorFile, identity: IdentityArray, identities: tuple[str, ...], split: ByteArray
) -> str:
    """The splits' digest, which the file repeats so that an edited split is found out."""
    digest = splits_digest(identity, identities, split)
    if tensors.metadata.get("splits_digest", digest) != digest:
        raise ValueError("the splits do not match their digest")
    return digest


def _build_pairs(tensors: TensorFile, n_images: int) -> PairList | None:
    if "pairs.first" not in tensors.entries:
        return None
    names = ("first", "second", "same", "fold")
    columns = {name: tensors.load(f"pairs.{name}") for name in names}
    bounds = {"first": n_images, "second": n_images, "same": 2, "fold": 1 << 15}
    for name, codes in columns.items():
        _check_codes(f"pairs.{name}", codes, (0, bounds[name]), len(columns["first"]))
    return PairList(
        first=columns["first"].astype(np.int64),
        second=columns["second"].astype(np.int64),
        same=columns["same"].astype(np.bool_),
        fold=columns["fold"].astype(np.int64),
    )


def _build_groups(
    tensors: TensorFile, labels: Mapping[str, Sequence[str]], n_images: int
) -> dict[str, GroupColumn]:
    groups: dict[str, GroupColumn] = {}
    for column, values in labels.items():
        codes = tensors.load(f"group.{column}")
        _check_codes(f"group.{column}", codes, (UNKNOWN, len(values)), n_images)
        groups[column] = GroupColumn(labels=tuple(values), codes=codes)
    return groups


def _check_codes(name: str, codes: Array, bounds: tuple[int, int], n_images: int) -> None:
    if codes.shape != (n_images,):
        raise ValueError(f"{name} has shape {codes.shape} for {n_images} images")
    if codes.size and not bounds[0] <= codes.min() <= codes.max() < bounds[1]:
        raise ValueError(f"{name} has a value outside {bounds[0]}..{bounds[1] - 1}")


def _check_one_split(pack: Pack) -> None:
    cells = pack.identity.astype(np.int64) * len(SPLITS) + pack.split
    counts = np.bincount(cells, minlength=len(pack.identities) * len(SPLITS))
    present = counts.reshape(-1, len(SPLITS)) > 0
    torn = np.flatnonzero(present.sum(axis=1) > 1)
    if len(torn):
        found = " and ".join(SPLITS[index] for index in np.flatnonzero(present[torn[0]]))
        raise DataError(
            f"{pack.path}: identity {pack.identities[torn[0]]!r} has images in {found}; "
            "give every identity one split and pack again"
        )


def pack_faults(pack: Pack, group: str) -> list[str]:
    """Why a search could not compare the groups of column `group`; empty when it can.

    Each fault is one sentence that says what to do.
    """
    column = pack.groups.get(group)
    if column is None:
        known = ", ".join(pack.groups) or "none"
        return [f"{pack.path}: no group column {group!r}; its columns are: {known}"]
    faults = _unknown_faults(pack, column, group) + _split_faults(pack)
    known_labels = [label for code, label in enumerate(column.labels) if code in column.codes]
    if len(known_labels) < 2:
        found = ", ".join(known_labels) or "none"
        fault = f"group column {group!r} has fewer than two groups ({found}); name another column"
        return [*faults, f"{pack.path}: {fault}"]
    for label in known_labels:
        faults += _group_faults(pack, column, label)
    return faults


def _unknown_faults(pack: Pack, column: GroupColumn, group: str) -> list[str]:
    n_unknown = int((column.codes == UNKNOWN).sum())
    if not n_unknown:
        return []
    return [
        f"{pack.path}: {n_unknown} images have no {group!r}; pack again and name this group "
        "column, which leaves their identities out"
    ]


def _split_faults(pack: Pack) -> list[str]:
    faults = [
        f"{pack.path}: the {split} split is empty; pack again with a larger share for it"
        for split in SPLITS
        if not len(pack.rows(split))
    ]
    if len(pack.rows("train")) and pack.n_identities("train") < 2:
        faults.append(f"{pack.path}: the train split has one identity; training needs two")
    return faults


def _group_faults(pack: Pack, column: GroupColumn, label: str) -> list[str]:
    faults: list[str] = []
    in_group = column.codes == column.labels.index(label)
    for code, split in enumerate(SPLITS):
        identities, counts = np.unique(
            pack.identity[in_group & (pack.split == code)], return_counts=True
        )
        if not len(identities):
            faults.append(
                f"{pack.path}: group {label!r} has no identities in {split}; "
                "add some or pack again with other shares"
            )
        elif split == "val" and (counts >= 2).sum() < 2:
            faults.append(
                f"{pack.path}: group {label!r} has fewer than two identities with two or more "
                "images in val; add some or pack again with a larger share for val"
            )
    return faults
