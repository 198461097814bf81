from __future__ import annotations

import zipfile

import numpy as np
import pytest

from workers.data.sources.npz import open_npz_source
from workers.errors import DataError

GREY = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
IDENTITY = np.array([2, 2, 0, 0])


def save(path, **arrays):
    defaults = {"images": GREY, "identity": IDENTITY, "gender": np.array(list("ffmm"))}
    chosen = {name: value for name, value in (defaults | arrays).items() if value is not None}
    np.savez(path, **chosen)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "faces.npz"


def identities(path, **arrays):
    return [row.identity for row in open_npz_source(save(path, **arrays)).rows]


def test_rows_have_identities_labels_and_names(path):
    source = open_npz_source(save(path))
    assert [row.identity for row in source.rows] == ["2", "2", "0", "0"]
    assert [row.labels for row in source.rows] == [{"gender": sex} for sex in "ffmm"]
    assert [row.source for row in source.rows] == [f"images[{i}]" for i in range(4)]
    assert {row.split for row in source.rows} == {None}
    assert source.columns == ("gender",)


def test_pictures_are_read_by_position(path):
    source = open_npz_source(save(path))
    for row, pixels in zip(source.rows, GREY, strict=True):
        np.testing.assert_array_equal(np.asarray(source.read(row)), pixels)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_may_lie_before_or_behind_the_pixels(path, axes, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 6, channels), np.uint8)
    source = open_npz_source(save(path, images=pixels.transpose(axes)))
    read = np.asarray(source.read(source.rows[1]))
    np.testing.assert_array_equal(read.reshape(8, 6, channels), pixels[1])


def test_names_stand_for_numbers(path):
    assert identities(path, names=np.array(["ann", "bob", "eve"])) == ["eve", "eve", "ann", "ann"]


@pytest.mark.parametrize(
    "names",
    [
        ["eve", "bob", "eve"],  # Two people of one name.
        ["eve", "eve", "eve", "ann"],  # One name for each image.
        ["ann", "bob"],  # Too few.
        ["ann"],
    ],
)
def test_names_that_do_not_tell_people_apart_are_not_used(path, names):
    assert identities(path, names=np.array(names)) == ["2", "2", "0", "0"]


def test_a_single_text_for_names_is_not_used(path):
    assert identities(path, names=np.array("ann")) == ["2", "2", "0", "0"]


def test_identities_may_be_texts_or_bytes(path):
    assert identities(path, identity=np.array(["b", "b", "a", "a"])) == ["b", "b", "a", "a"]
    encoded = np.array(["ü".encode(), b"b", b"a", b"a"])
    assert identities(path, identity=encoded) == ["ü", "b", "a", "a"]


def test_only_columns_of_texts_or_whole_numbers_may_be_groups(path):
    more = {
        "age": np.array([1, 2, 3, 4]),
        "smiles": np.array([True, False, True, False]),
        "score": np.ones(4),
        "landmarks": np.zeros((4, 5), int),
        "files": np.array(list("abcd")),
    }
    source = open_npz_source(save(path, **more))
    assert set(source.columns) == {"gender", "age", "smiles"}
    assert source.rows[0].labels == {"gender": "f", "age": "1", "smiles": "True"}
    assert [row.source for row in source.rows] == list("abcd")


def test_unknown_labels_are_empty(path):
    source = open_npz_source(save(path, gender=np.array(["f", "?", "nan", ""])))
    assert [row.labels["gender"] for row in source.rows] == ["f", "", "", ""]


def test_splits_are_read(path):
    source = open_npz_source(save(path, split=np.array(["train", "train", "valid", "valid"])))
    assert [row.split for row in source.rows] == ["train", "train", "val", "val"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "no array 'images'; it has identity, gender"),
        ({"images": GREY.astype(np.float32)}, "images are float32; save them as uint8"),
        ({"images": GREY[0]}, r"images have shape \(3, 5\)"),
        ({"images": np.zeros((4, 5, 6, 7), np.uint8)}, r"images have shape \(4, 5, 6, 7\)"),
        ({"images": GREY[:0], "identity": IDENTITY[:0]}, r"images have shape \(0, 3, 5\)"),
        ({"identity": None}, "for each of the 4 images, but is no array"),
        ({"identity": IDENTITY[:3]}, r"for each of the 4 images, but is int64 \(3,\)"),
        ({"identity": IDENTITY / 2}, "but is float64"),
        ({"split": np.array(["train"] * 3)}, r"'split' must hold .* has shape \(3,\)"),
        ({"split": np.array(["a"] * 4)}, "image 0: split 'a' is unknown"),
        ({"gender": np.array([None] * 4)}, "not an .npz file of plain arrays"),
    ],
)
def test_what_is_wrong_is_named(path, arrays, message):
    with pytest.raises(DataError, match=message) as error:
        open_npz_source(save(path, **arrays))
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\0", b"no archive", b"PK\x03\x04 cut"])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz file"):
        open_npz_source(path)


def test_damaged_pixels_are_refused(path):
    data = bytearray(save(path).read_bytes())
    data[data.index(GREY.tobytes()[:20])] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"not an .npz file of plain arrays \(Bad CRC"):
        open_npz_source(path)


def archive_of(path, header, n_bytes=100, compression=zipfile.ZIP_STORED):
    """A file whose one array has a header of its own."""
    text = header.encode()
    front = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("images.npy", front + bytes(n_bytes))
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000)}", "promises"),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9, 9)}",
            "promises 7.. byte",
        ),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3", "a damaged header"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (4,)}", "of Python objects"),
        ("(" * 900, "a damaged header"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_read(path, header, message):
    with pytest.raises(DataError, match=f"'images'.*{message}") as error:
        open_npz_source(archive_of(path, header))
    assert str(error.value).endswith("save it again with numpy.savez")
    assert str(error.value).count(str(path)) == 1


def test_a_small_file_that_becomes_large_is_refused(path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3000, 100, 100)}"
    archive_of(path, header, 30_000_000, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"takes 0.0315 GB of memory, more than the 0.01 GB"):
        open_npz_source(path, 10_000_000)


def test_many_tiny_images_take_more_than_their_pixels(path):
    save(path, images=np.zeros((9000, 1, 1), np.uint8), identity=np.zeros(9000, np.int8))
    with pytest.raises(DataError, match="raise --memory-gb"):
        open_npz_source(path, 1_000_000)


def test_what_is_no_array_is_passed_over(path):
    with zipfile.ZipFile(save(path), "a") as archive:
        archive.writestr("README.txt", "made by hand")
    assert open_npz_source(path).columns == ("gender",)
