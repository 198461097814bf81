"""Whatever lies in a file, a reader answers or raises a DataError, and nothing else happens."""

from __future__ import annotations

import io
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.face_sets import (
    LFW_PAIRS,
    VGG_META,
    celeba,
    celeba_lists,
    celeba_rows,
    orl_picture,
    python2_pickle,
    rec,
)
from workers.data.formats.label_table import read_label_table
from workers.data.formats.pairs import PairList, parse_lfw_pairs, read_bin
from workers.data.formats.plain_pickle import load_plain
from workers.data.formats.record_file import parse_index, read_record, scan
from workers.data.importing.decoding import BROKEN, to_array
from workers.data.importing.split_file import parse_split_file
from workers.data.packs.info import pack_info
from workers.data.packs.pack import GroupColumn, PackTable, open_pack, write_pack
from workers.data.sources.npz import open_npz_source
from workers.data.sources.orl_repair import repaired
from workers.data.sources.registry import open_source
from workers.data.sources.vggface2 import parse_identity_meta
from workers.errors import DataError

Reader = Callable[[bytes, Path], object]

fuzzed = settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def packed(folder):
    table = PackTable(
        identity=np.array([0, 0, 1, 1], np.int32),
        identities=("ann", "bob"),
        split=np.array([0, 0, 1, 1], np.uint8),
        groups={"sex": GroupColumn(labels=("f", "m"), codes=np.array([0, 0, 1, 1], np.int16))},
        sources=["1", "2", "3", "4"],
        pairs=PairList(
            first=np.array([0, 0]),
            second=np.array([1, 2]),
            same=np.array([True, False]),
            fold=np.array([0, 1]),
        ),
    )
    path = folder / "valid.pack"
    write_pack(path, images=np.zeros((4, 1, 2, 2), np.uint8), table=table, channels=1, size=2)
    return path.read_bytes()


def npz():
    data = io.BytesIO()
    np.savez(
        data, images=np.zeros((2, 3, 3), np.uint8), identity=[0, 1], sex=["f", "m"], x=[[1], [2]]
    )
    return data.getvalue()


def zipped():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ann/ann_0001.jpg", b"x" * 40)
        archive.writestr("ann/ann_0002.jpg", b"y" * 40)
        archive.writestr("labels.csv", "path,sex\nann/ann_0001.jpg,f\nann/ann_0002.jpg,f\n")
    return data.getvalue()


def read_all_records(data, _):
    return [read_record(data, offset, "x.rec") for offset in scan(data, "x.rec")]


def from_file(name, read):
    def reader(data, folder):
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return reader


def open_any(path):
    with open_source(path) as faces:
        for row in faces.rows:
            with suppress(*BROKEN):
                faces.read(row).load()


def open_indexed(path):
    """The records stay whole, the index is what is fuzzed."""
    open_any(path.with_suffix(".rec"))


def pack_and_describe(path):
    return pack_info(open_pack(path, verify=True), is_verified=True)


def celeba_list(name):
    def reader(data, folder):
        place = folder / "celeba"
        if not place.exists():
            celeba(place, celeba_rows(2, 2))
        for each, text in celeba_lists(celeba_rows(2, 2)).items():
            (place / each).write_text(text)
        (place / name).write_bytes(data)
        open_any(place)

    return reader


CELEBA = {name: text.encode() for name, text in celeba_lists(celeba_rows(2, 2)).items()}

READERS: dict[str, Reader] = {
    "labels": lambda data, _: read_label_table(data, "x.csv"),
    "splits": lambda data, _: parse_split_file(data, "x.csv"),
    "pairs": lambda data, _: parse_lfw_pairs(data, "x.txt"),
    "vggface2": lambda data, _: parse_identity_meta(data, "x.csv"),
    "index": lambda data, _: parse_index(data, "x.idx"),
    "records": read_all_records,
    "rec": from_file("x.rec", open_any),
    "pickle": lambda data, _: load_plain(data, "x.bin"),
    "bin": from_file("x.bin", read_bin),
    "python2": from_file("x.bin", read_bin),
    "npz": from_file("x.npz", open_npz_source),
    "zip": from_file("x.zip", open_any),
    "pack": from_file("x.pack", pack_and_describe),
    **{name: celeba_list(name) for name in CELEBA},
}


@cache
def valid_files():
    """A valid file of each format; not a fixture, which hypothesis would print."""
    with tempfile.TemporaryDirectory() as folder:
        return make_valid_files(Path(folder))


def make_valid_files(folder):
    rec(folder / "rec", 2, 1)
    records = (folder / "rec" / "train.rec").read_bytes()
    small = ([b"one", b"two", b"three", b"four"], [True, False])
    return {
        "labels": b'path,identity,sex,split\r\na.jpg,"a, b",f,train\r\nb.jpg,b,m,val\r\n',
        "splits": b"identity,split\nann,train\nbob,test\n",
        "pairs": LFW_PAIRS.encode(),
        "vggface2": VGG_META.encode(),
        "index": (folder / "rec" / "train.idx").read_bytes(),
        "records": records,
        "rec": records,
        "pickle": pickle.dumps((*small, np.bool_(True), np.int64(3), 1.5, None, "x"), protocol=4),
        "bin": pickle.dumps(small, protocol=2),
        "python2": python2_pickle(*small),
        "npz": npz(),
        "zip": zipped(),
        "pack": packed(folder),
        **CELEBA,
    }


def answers_or_refuses(reader, data, folder):
    with suppress(DataError):
        reader(data, folder)


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(name, tmp_path):
    READERS[name](valid_files()[name], tmp_path)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=300))
@fuzzed
def test_any_bytes(name, tmp_path, data):
    answers_or_refuses(READERS[name], data, tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_off_at_every_byte(name, tmp_path):
    data = valid_files()[name]
    # Of a long file the beginning, the end, and bytes spread over the rest.
    ends = {*range(min(400, len(data))), *range(max(0, len(data) - 200), len(data))}
    ends |= set(range(0, len(data), max(1, len(data) // 200)))
    for end in sorted(ends):
        answers_or_refuses(READERS[name], data[:end], tmp_path)


MATTERS = 'n0123456789-1 ,;\t"\n\r.jpgMale\x1c\u2028\ufeffé'

edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["set", "cut", "insert", "repeat"]),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def edited(data, changes):
    for share, kind, new in changes:
        at = int(share * len(data))
        end = at if kind == "insert" else at + len(new)
        middle = data[at : at + 40] * 2 if kind == "repeat" else b"" if kind == "cut" else new
        data = data[:at] + middle + data[end:]
    return data


@pytest.mark.parametrize("name", READERS)
@given(changes=edits)
@fuzzed
def test_edited_files(name, tmp_path, changes):
    answers_or_refuses(READERS[name], edited(valid_files()[name], changes), tmp_path)


@pytest.mark.parametrize("name", ["labels", "splits", "pairs", "vggface2", "index", *CELEBA])
@given(text=st.text(st.sampled_from(MATTERS), max_size=80))
@example("\x1c")
@example("\x85a,b\n")
@fuzzed
def test_texts_of_the_characters_that_matter(name, tmp_path, text):
    begin = valid_files()[name][: valid_files()[name].find(b"\n") + 1]
    for prefix in (b"", begin):
        answers_or_refuses(READERS[name], prefix + text.encode(), tmp_path)


@given(changes=edits)
@fuzzed
def test_a_damaged_orl_picture_is_repaired_or_broken(changes):
    with suppress(ValueError):
        assert len(repaired(edited(orl_picture(0), changes))) == 10318


@given(index=st.text(st.sampled_from("0123456789\t \n-"), max_size=60))
@fuzzed
def test_an_index_that_lies(index, tmp_path):
    (tmp_path / "x.rec").write_bytes(valid_files()["rec"])
    (tmp_path / "x.idx").write_text(index)
    with suppress(DataError):
        open_indexed(tmp_path / "x.idx")


HEADERS = [
    '{"__metadata__": null}',
    '{"__metadata__": {"format": 3}}',
    '{"__metadata__": {"format": "frnas.pack/1"}}',
    '{"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, -1]}}',
    '{"a": {"dtype": "U8", "shape": [1e400], "data_offsets": [0, 1]}}',
    '{"a": {"dtype": "U8", "shape": [99999999999999999999], "data_offsets": [0, 0]}}',
    '{"a": {"dtype": "F8", "shape": [], "data_offsets": [0, 1]}}',
    '{"a": {"dtype": "U8", "shape": [1], "data_offsets": [null, 1]}}',
    "[" * 100_000,
    '{"a":' * 100_000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_foreign_headers_of_a_pack(header, tmp_path):
    data = len(header).to_bytes(8, "little") + header.encode()
    with pytest.raises(DataError):
        READERS["pack"](data, tmp_path)


@given(data=st.binary(max_size=200))
@fuzzed
def test_what_is_no_picture_is_broken_and_nothing_worse(data):
    for prefix in (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"P5\n92 112\n255\n", b"BM"):
        with suppress(*BROKEN):
            to_array(Image.open(io.BytesIO(prefix + data)), channels=1, size=8)
