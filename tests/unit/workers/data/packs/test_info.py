from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from workers.data.packs.info import pack_info, pack_info_schema
from workers.data.packs.pack import GroupColumn, PackTable, open_pack, write_pack


@pytest.fixture
def pack(tmp_path):
    """Splits, sexes and numbers of images: train a f 1, b m 2, c m 5; val d f 2; test empty."""
    identity = np.repeat(np.arange(4, dtype=np.int32), [1, 2, 5, 2])
    codes = np.array([0, 1, 1, 0], np.int16)[identity]
    race = np.array([0, -1, 0, 0], np.int16)[identity]
    table = PackTable(
        identity=identity,
        identities=tuple("abcd"),
        split=np.array([0, 0, 0, 1], np.uint8)[identity],
        groups={
            "sex": GroupColumn(labels=("f", "m"), codes=codes),
            "race": GroupColumn(labels=("x",), codes=race),
        },
        sources=[str(i) for i in range(10)],
        settings={"seed": 3},
    )
    images = np.zeros((10, 3, 4, 4), np.uint8)
    path = tmp_path / "x.pack"
    write_pack(path, images=images, table=table, channels=3, size=4, warnings=["careful"])
    return open_pack(path)


def check(document):
    """The document, valid by its schema and the same after a trip through JSON text."""
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    Draft202012Validator(pack_info_schema()).validate(document)
    return document


def counts(identities, images, low=None, median=None, high=None):
    spread = None if low is None else {"min": low, "median": median, "max": high}
    return {"identities": identities, "images": images, "images_per_identity": spread}


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(pack_info_schema())
    later = {"not_covered"}  # documents from before it are valid without
    assert set(pack_info_schema()["required"]) == set(pack_info_schema()["properties"]) - later


def test_the_pack_as_a_whole(pack):
    document = check(pack_info(pack))
    assert document["schema"] == "frnas.pack-info/1"
    assert document["path"] == str(pack.path)
    assert document["digest"] == pack.digest
    assert document["verified"] is False
    assert (document["size"], document["channels"]) == (4, 3)
    assert {name: document[name] for name in counts(0, 0)} == counts(4, 10, 1, 2.0, 5)
    assert document["settings"] == {"seed": 3}
    assert document["warnings"] == ["careful"]


def test_each_split_is_counted(pack):
    assert pack_info(pack)["splits"] == {
        "train": counts(3, 8, 1, 2.0, 5),
        "val": counts(1, 2, 2, 2.0, 2),
        "test": counts(0, 0),
    }


def test_each_group_of_each_split_is_counted(pack):
    sex = check(pack_info(pack))["groups"]["sex"]
    assert sex["labels"] == ["f", "m"]
    assert sex["unknown_images"] == 0
    assert sex["splits"] == {
        "train": {"f": counts(1, 1, 1, 1.0, 1), "m": counts(2, 7, 2, 3.5, 5)},
        "val": {"f": counts(1, 2, 2, 2.0, 2), "m": counts(0, 0)},
        "test": {"f": counts(0, 0), "m": counts(0, 0)},
    }


def test_faults_are_told_for_each_column(pack):
    groups = pack_info(pack)["groups"]
    assert any("group 'm' has no identities in val" in fault for fault in groups["sex"]["faults"])
    assert groups["race"]["unknown_images"] == 2
    assert any("fewer than two groups (x)" in fault for fault in groups["race"]["faults"])


def test_what_no_digest_covers_is_told(pack):
    assert pack_info(pack)["not_covered"] == []
    older = check(pack_info(replace(pack, has_header_digest=False)))
    assert older["not_covered"] == ["settings", "warnings", "layout"]


def test_a_comparison_with_the_digest_is_told(pack):
    assert check(pack_info(pack, is_verified=True))["verified"] is True


@pytest.mark.parametrize(
    "change", [{"digest": "abc"}, {"channels": 2}, {"more": 1}, {"splits": {"train": None}}]
)
def test_the_schema_refuses_another_document(pack, change):
    with pytest.raises(ValidationError):
        check(pack_info(pack) | change)
