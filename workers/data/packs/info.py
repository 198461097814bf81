"""What a pack holds, as a JSON document for people and programs. Pure; reads no pictures."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np

from workers.data.formats.pairs import PairList
from workers.data.packs.pack import Pack, pack_faults
from workers.data.packs.table import SPLITS, UNKNOWN, BoolArray, GroupColumn

# By any digest, in a pack from before headers had one.
_OLDER_UNCOVERED = ("settings", "warnings", "layout")

Document: TypeAlias = dict[str, Any]


def pack_info(pack: Pack, *, is_verified: bool = False) -> Document:
    """Identities, images and groups of the pack, schema `frnas.pack-info/1`.

    Args:
        pack: The pack.
        is_verified: Whether the images were read and compared with the digest, now or before.
    """
    return {
        "schema": "frnas.pack-info/1",
        "path": str(pack.path),
        "digest": pack.digest,
        "verified": is_verified,
        "not_covered": [] if pack.has_header_digest else list(_OLDER_UNCOVERED),
        "splits_digest": pack.splits_digest,
        "size": pack.size,
        "channels": pack.channels,
        **_counts(pack, np.ones(len(pack.identity), np.bool_)),
        "splits": {split: _counts(pack, pack.split == code) for code, split in enumerate(SPLITS)},
        "groups": {name: _group(pack, name, column) for name, column in pack.groups.items()},
        "pairs": None if pack.pairs is None else _pairs(pack.pairs),
        "settings": dict(pack.settings),
        "warnings": list(pack.warnings),
        "account": None if pack.account is None else dict(pack.account),
    }


def pack_info_schema() -> Document:
    """The JSON Schema, draft 2020-12, of the document `frnas.pack-info/1`."""
    path = files("workers").joinpath("schemas", "pack-info-1.schema.json")
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def _pairs(pairs: PairList) -> Document:
    return {
        "pairs": len(pairs),
        "genuine": int(pairs.same.sum()),
        "impostor": int((~pairs.same).sum()),
        "folds": len(np.unique(pairs.fold)),
    }


def _group(pack: Pack, name: str, column: GroupColumn) -> Document:
    return {
        "labels": list(column.labels),
        "unknown_images": int((column.codes == UNKNOWN).sum()),
        "splits": {
            split: {
                label: _counts(pack, (pack.split == code) & (column.codes == label_code))
                for label_code, label in enumerate(column.labels)
            }
            for code, split in enumerate(SPLITS)
        },
        "faults": pack_faults(pack, name),
    }


def _counts(pack: Pack, chosen: BoolArray) -> Document:
    """Of the chosen rows, shape (n_images,)."""
    _, counts = np.unique(pack.identity[chosen], return_counts=True)
    return {
        "identities": len(counts),
        "images": int(counts.sum()),
        "images_per_identity": {
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "max": int(counts.max()),
        }
        if len(counts)
        else None,
    }
