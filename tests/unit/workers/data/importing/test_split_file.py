from __future__ import annotations

import pytest

from tests.face_sets import rfw
from workers.data.importing.packing import pack_source
from workers.data.importing.split_file import (
    parse_split_file,
    read_split_file,
    splits_of,
    write_split_file,
)
from workers.data.packs.pack import SPLITS, open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.errors import DataError


def packed(source, out, **settings):
    report = pack_source(source, out, settings=PackSettings(**settings))
    return report, open_pack(out, verify=True)


def test_splits_are_read_in_any_order_of_columns():
    data = b"Split;x;Identity\r\ntrain;1;ann\r\nval;2;bob\r\n"
    assert parse_split_file(data, "s.csv") == {"ann": "train", "bob": "val"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "identity,split\na,train\nb,val\na,test\n",
            "s.csv, line 4: identity 'a' is in test, but in train in line 2; give it one split",
        ),
        ("identity,part\na,train\n", "line 1: needs the columns identity and split"),
        ("identity,split\na,maybe\n", "line 2: split 'maybe' is unknown"),
        ("identity,split\n ,train\n", "line 2: names nobody"),
        ("identity,split\n", "lists nobody"),
        ("", "empty"),
    ],
)
def test_leaks_and_damage_are_named_with_their_line(text, message):
    with pytest.raises(DataError, match=message):
        parse_split_file(text.encode(), "s.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"s.csv: cannot be read"):
        read_split_file(tmp_path / "s.csv")


def test_the_splits_of_one_pack_serve_another(tmp_path):
    folder = rfw(tmp_path / "r", n_people=6)
    _, first = packed(folder, tmp_path / "a.pack", seed=3)
    write_split_file(tmp_path / "s.csv", splits_of(first))
    _, other = packed(folder, tmp_path / "b.pack", splits=tmp_path / "s.csv", size=8)
    assert other.splits_digest == first.splits_digest
    assert other.digest != first.digest
    assert other.settings["splits"] == "file"
    assert "seed" not in other.settings
    _, drawn = packed(folder, tmp_path / "c.pack", seed=4)
    assert drawn.splits_digest != first.splits_digest


def test_people_without_a_split_are_left_out_and_told(tmp_path):
    folder = rfw(tmp_path / "r")
    splits = splits_of(packed(folder, tmp_path / "a.pack")[1])
    gone = sorted(splits)[0]
    del splits[gone]
    write_split_file(tmp_path / "s.csv", {**splits, "nobody": "test"})
    report, made = packed(folder, tmp_path / "b.pack", splits=tmp_path / "s.csv")
    told = " / ".join(report.warnings)
    assert f"1 identities have no split and were left out: {gone}" in told
    assert "1 listed identities are not in the source: nobody" in told
    assert gone not in made.identities
    write_split_file(tmp_path / "s.csv", {"nobody": "test"})
    with pytest.raises(DataError, match="lists nobody of the source; it lists nobody"):
        packed(folder, tmp_path / "c.pack", splits=tmp_path / "s.csv")


def test_an_edited_split_of_a_pack_is_found_out(tmp_path):
    out = tmp_path / "a.pack"
    _, made = packed(rfw(tmp_path / "r"), out)
    data = bytearray(out.read_bytes())
    at = bytes(data).index(made.split.tobytes(), 8)
    data[at : at + len(made.split)] = bytes([SPLITS.index("train")]) * len(made.split)
    out.write_bytes(data)
    with pytest.raises(DataError, match="the splits do not match their digest"):
        open_pack(out)
