from __future__ import annotations

import os
import pickle
import tracemalloc
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from tests.face_sets import LFW_PAIRS, bin_set, picture, python2_pickle
from workers.data.formats.pairs import PairList, parse_lfw_pairs, read_bin
from workers.data.formats.plain_pickle import load_plain
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.errors import DataError


def test_the_list_of_lfw():
    named = parse_lfw_pairs(LFW_PAIRS.replace("\n", "\r\n").encode(), "pairs.txt")
    assert named.first[:2] == ["Ann_Lee/Ann_Lee_0001", "Bob_Roy/Bob_Roy_0001"]
    assert named.second[2] == "Bob_Roy/Bob_Roy_0002"
    assert named.same == [True, True, False, False] * 2
    assert named.fold == [0] * 4 + [1] * 4


def test_the_true_size_of_lfw():
    lines = ["10\t300"]
    for fold in range(10):
        lines += [f"A{fold}\t{i + 1}\t{i + 2}" for i in range(300)]
        lines += [f"A{fold}\t{i + 1}\tB{fold}\t{i + 2}" for i in range(300)]
    named = parse_lfw_pairs("\n".join(lines).encode(), "pairs.txt")
    assert len(named.same) == 6000
    assert sum(named.same) == 3000
    assert Counter(named.fold) == dict.fromkeys(range(10), 600)


def test_a_list_of_rfw_has_ten_folds_without_saying_so():
    text = "".join(f"m.0{i}\t1\t2\n" if i % 2 else f"m.0{i}\t1\tm.1\t2\n" for i in range(6000))
    named = parse_lfw_pairs(text.encode(), "African_pairs.txt")
    assert Counter(named.fold) == dict.fromkeys(range(10), 600)
    assert sum(named.same) == 3000


def test_one_number_at_the_top_is_one_fold():
    assert parse_lfw_pairs(b"1\nA\t1\t2\nA\t1\tB\t1\n", "pairsDevTest.txt").fold == [0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pairs inside"),
        ("10\t300\n", "no pairs inside"),
        ("hello\n", "line 1: 'hello' is neither a pair nor a count"),
        ("0\t300\nA\t1\t2\n", "line 1: announces no pairs"),
        ("1\t1\nA\t1\t2\n", "1 pairs, but its first line announces 2"),
        ("A\t1\t2\nA\t1\n", "pairs.txt, line 2: 'A 1' is no pair"),
        ("A\t1\tx\n", "line 1: 'A 1 x' is no pair"),
        ("A\t1\tB\t-2\n", "line 1: 'A 1 B -2' is no pair"),
    ],
)
def test_damaged_lists_are_named_with_their_line(text, message):
    with pytest.raises(DataError, match=message):
        parse_lfw_pairs(text.encode(), "pairs.txt")


def test_columns_of_one_length():
    with pytest.raises(ValueError, match="rows"):
        PairList(
            first=np.zeros(2, np.int64),
            second=np.zeros(2, np.int64),
            same=np.zeros(1, np.bool_),
            fold=np.zeros(2, np.int64),
        )


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_bin_files_of_every_protocol(tmp_path, protocol):
    pictures, pairs = read_bin(bin_set(tmp_path / "x.bin", protocol=protocol))
    # Picture 0 is stored once however often it occurs.
    assert len(pictures) == 21
    assert pictures[0] == picture(0)
    assert pairs.first.tolist() == [0] * 20
    assert pairs.second.tolist() == list(range(1, 21))
    assert pairs.same.tolist() == [True, False] * 10
    assert pairs.fold.tolist() == [i // 2 for i in range(20)]


def test_bin_files_of_python_2(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(python2_pickle([picture(i) for i in range(4)], [True, False]))
    pictures, pairs = read_bin(path)
    assert pictures == [picture(i) for i in range(4)]
    assert pairs.same.tolist() == [True, False]


def test_answers_may_be_numbers_of_numpy(tmp_path):
    path = tmp_path / "x.bin"
    answers = [np.bool_(True), np.int64(0), 1]
    path.write_bytes(pickle.dumps(([picture(i) for i in range(6)], answers), protocol=4))
    assert read_bin(path)[1].same.tolist() == [True, False, True]


def test_a_bin_file_becomes_a_pack_that_tests(tmp_path):
    out = tmp_path / "x.pack"
    report = pack_source(bin_set(tmp_path / "lfw.bin"), out, settings=PackSettings())
    made = open_pack(out, verify=True)
    assert report.n_images == 21
    assert len(made.rows("test")) == 21
    assert len(made.pairs) == 20
    same_person = made.identity[made.pairs.first] == made.identity[made.pairs.second]
    np.testing.assert_array_equal(same_person, made.pairs.same)
    assert made.settings["splits"] == "source"


def test_pairs_that_lose_a_picture_are_left_out(tmp_path):
    path = tmp_path / "x.bin"
    pictures = [picture(i) for i in range(20)]
    pictures[3] = pictures[3][:200]
    path.write_bytes(pickle.dumps((pictures, [True] * 10)))
    out = tmp_path / "x.pack"
    report = pack_source(path, out, settings=PackSettings(max_broken_fraction=0.1))
    assert dict(report.broken).keys() == {"picture 3"}
    made = open_pack(out, verify=True)
    assert len(made.pairs) == 9
    assert (
        made.pairs.first.tolist()
        == made.identity.searchsorted(made.identity[made.pairs.first]).tolist()
    )


def test_contradicting_pairs_are_told(tmp_path):
    path = tmp_path / "x.bin"
    two = [picture(0), picture(1)]
    path.write_bytes(pickle.dumps((two * 2, [True, False])))
    with open_source(path) as faces:
        assert "1 pairs are of different people, but other pairs" in faces.warnings[0]


class Evil:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_wants_to_run_something_is_refused_by_name_and_runs_nothing(
    tmp_path, protocol
):
    trace = tmp_path / "ran"
    path = tmp_path / "x.bin"
    evil = Evil((os.system, (f"touch {trace}",)))
    path.write_bytes(pickle.dumps(([picture(0), evil], [True]), protocol=protocol))
    with pytest.raises(DataError, match=r"x.bin: the pickle wants to call (posix|nt).system"):
        read_bin(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "call",
    [
        (eval, ("1",)),
        (exec, ("1",)),
        (getattr, (int, "x")),
        (bytearray, (10**9,)),
        (pickle.loads, (b"N.",)),
        (__import__, ("os",)),
    ],
)
def test_no_other_name_is_known(call):
    with pytest.raises(DataError, match="wants to call"):
        load_plain(pickle.dumps(Evil(call)), "x.bin")


@pytest.mark.parametrize("value", [{1: 2}, {1}, np.zeros(3), 1 + 2j, object(), ValueError])
def test_other_values_are_refused(value):
    with pytest.raises(DataError):
        load_plain(pickle.dumps(value), "x.bin")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        b"\x80\x02N",
        b"\x80\x02.",
        b"\x80\x02(.",
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x04\x8e" + b"\xff" * 8 + b".",
        b"\x80\x04\x96" + b"\x00\x00\x00\x00\x00\x01\x00\x00.",
        b"\x80\x02K\x01a.",
        b"\x80\x02K\x01(K\x02e.",
        b"\x80\x02)R.",
        b"S'\\c'\n.",
    ],
)
def test_damaged_pickles_are_refused_at_no_cost(data):
    with pytest.raises(DataError, match=r"x\.bin"):
        load_plain(data, "x.bin")


@pytest.mark.parametrize(
    ("data", "opcode"),
    [
        (b"\x82\x01.", "EXT1"),
        (b"\x84\x01\0\0\0.", "EXT4"),
        (b"Pone\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cos\nsystem\no.", "OBJ"),
        (b"N)\x81.", "NEWOBJ"),
        (b"N)}\x92.", "EMPTY_DICT"),
        (b"(N\x90.", "ADDITEMS"),
        (b"\x96\x01\0\0\0\0\0\0\0a.", "BYTEARRAY8"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"N\x98.", "READONLY_BUFFER"),
    ],
)
def test_what_makes_objects_or_buffers_is_refused_by_name(data, opcode):
    named = "wants to call os.system" if opcode == "OBJ" else f"uses {opcode}, which no list"
    with pytest.raises(DataError, match=named):
        load_plain(data, "x.bin")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"Np2147483647\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\0\0\0\0N.",
        b"\x80\x04B\xff\xff\xff\xff.",
        b"\x80\x04\x8e\0\0\0\0\x01\0\0\0.",
        b"\x80\x04cnumpy\ncore.multiarray.scalar\n.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vi8\ntRL4294967296L\ntR.",
    ],
)
def test_a_few_bytes_take_little_memory(data):
    tracemalloc.start()
    with suppress(DataError):
        load_plain(data, "x.bin")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2, 3], "no pair of lists"),
        ((1, [True]), "no list of pictures"),
        (([b"a", b"b"], True), "no list of answers"),
        (([b"a", "b"], [True]), "picture 1 is no encoded picture"),
        (([b"a", b"b"], [2]), "answer 0 is neither true nor false"),
        (([b"a", b"b"], [True, False]), "2 pictures for 2 pairs"),
        (([], []), "0 pictures for 0 pairs"),
    ],
)
def test_other_pickles_are_no_verification_set(tmp_path, value, message):
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=message):
        read_bin(path)
