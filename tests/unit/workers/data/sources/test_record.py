from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from tests.face_sets import MAGIC, framed, picture, rec, record, write
from workers.data.formats.record_file import parse_index, read_record, scan
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.errors import DataError


def rows_of(source):
    with open_source(source) as faces:
        return [(row.source, row.identity) for row in faces.rows]


def test_the_pictures_of_a_training_set_have_the_labels_as_people(tmp_path):
    folder = rec(tmp_path)
    with open_source(folder) as faces:
        assert [row.identity for row in faces.rows] == [str(i // 3) for i in range(12)]
        assert faces.warnings == ()
        for i in (0, 5, 11):
            expected = np.asarray(Image.open(io.BytesIO(picture(i))))
            np.testing.assert_array_equal(np.asarray(faces.read(faces.rows[i])), expected)
    assert rows_of(folder / "train.rec") == rows_of(folder)


def test_without_an_index_the_records_are_found_one_by_one(tmp_path):
    expected = rows_of(rec(tmp_path))
    (tmp_path / "train.idx").unlink()
    assert rows_of(tmp_path) == expected


def test_a_file_without_a_first_record_has_pictures_only(tmp_path):
    records = [record(float(i // 2), picture(i)) for i in range(6)]
    write(tmp_path, {"a.rec": b"".join(records)})
    assert [identity for _, identity in rows_of(tmp_path / "a.rec")] == list("001122")


def test_the_list_names_the_pictures(tmp_path):
    rec(tmp_path)
    write(tmp_path, {"train.lst": "".join(f"{k}\t0\tp/{k}.jpg\n" for k in range(1, 13))})
    assert rows_of(tmp_path)[3] == ("p/4.jpg", "1")
    write(tmp_path, {"train.lst": "1\tx\n"})
    with pytest.raises(DataError, match=r"train.lst, line 1: '1\\tx' is no key, label and path"):
        rows_of(tmp_path)


def test_a_wrong_number_of_people_is_told(tmp_path):
    write(rec(tmp_path), {"property": "5,112,112\n"})
    with open_source(tmp_path) as faces:
        assert "announces '5,112,112', but train.rec holds 4 identities" in faces.warnings[0]


def test_groups_come_from_a_label_file(tmp_path):
    table = tmp_path / "race.csv"
    table.write_text("identity,race\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(4)))
    out = tmp_path / "x.pack"
    report = pack_source(rec(tmp_path / "r"), out, settings=PackSettings(labels=table))
    assert report.n_images == 12
    assert open_pack(out, verify=True).groups["race"].labels == ("a", "b")


def test_a_content_that_holds_the_magic_number_is_put_together_again():
    magic = struct.pack("<I", MAGIC)
    body = struct.pack("<IfQQ", 0, 7.0, 0, 0) + b"abcd" + magic + b"efgh" + magic + b"xy"
    data = framed(b"first record") + framed(body)
    offsets = list(scan(data, "x.rec"))
    assert len(offsets) == 2
    read = read_record(data, offsets[1], "x.rec")
    assert read.labels == (7.0,)
    assert read.picture == body[24:]


GOOD = record(1.0, b"picture")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0" + GOOD[1:], r"x.rec: no record at byte 0 \(magic number 0xced72300 instead of"),
        (GOOD[:-3], "it ends behind the file's"),
        (GOOD[:5], "it is cut off"),
        (framed(b"short"), "5 bytes are too few for its header"),
        (framed(struct.pack("<IfQQ", 9, 0.0, 0, 0)), "announces 9 labels and is shorter"),
        (struct.pack("<II", MAGIC, 2 << 29), "begins in the middle of another"),
        (struct.pack("<II", MAGIC, 1 << 29) + GOOD, "its last part is missing"),
    ],
)
def test_damaged_records_are_named_with_their_byte(data, message):
    with pytest.raises(DataError, match=message):
        read_record(data, 0, "x.rec")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("0\t0\n1 2 3\n", "x.idx, line 2: '1 2 3' is no key and offset"),
        ("0\t0\n0\t8\n", "line 2: key 0 is listed twice"),
        ("0\t-1\n", "line 1"),
    ],
)
def test_damaged_indices_are_named_with_their_line(text, message):
    with pytest.raises(DataError, match=message):
        parse_index(text.encode(), "x.idx")


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -1.0, 0.5, 1e30])
def test_a_label_that_is_nobody_is_refused(tmp_path, label):
    write(tmp_path, {"a.rec": record(label, b"x")})
    with pytest.raises(DataError, match="record 0: label"):
        rows_of(tmp_path / "a.rec")


def test_foreign_and_empty_files_are_refused(tmp_path):
    write(tmp_path, {"a.rec": b"PK\3\4 not a record", "b.rec": b"", "c.rec": record([1.0], b"")})
    for name, message in (("a", "magic number"), ("b", "empty"), ("c", "no pictures inside")):
        with pytest.raises(DataError, match=message):
            rows_of(tmp_path / f"{name}.rec")
    with (
        pytest.raises(DataError, match=r"not one .rec file inside"),
        open_source(tmp_path, form="rec"),
    ):
        pass
