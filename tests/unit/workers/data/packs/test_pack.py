from __future__ import annotations

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from tests.damage import without_header_digest
from workers.data.formats.pairs import PairList
from workers.data.packs import pack as pack_module
from workers.data.packs.integrity import file_state
from workers.data.packs.pack import GroupColumn, PackTable, open_pack, pack_faults, write_pack
from workers.errors import DataError

PAIRS = PairList(
    first=np.array([0, 2]),
    second=np.array([1, 5]),
    same=np.array([True, False]),
    fold=np.array([0, 1]),
)
SPLIT_OF = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 1, "f": 1, "g": 2, "h": 2}


def make_table(split_of=SPLIT_OF, per_identity=2, genders="xyxxyyxy"):
    n = len(split_of) * per_identity
    identity = np.repeat(np.arange(len(split_of), dtype=np.int32), per_identity)
    split = np.array(list(split_of.values()), np.uint8)[identity]
    codes = np.array([" xy".index(g) - 1 for g in genders], np.int16)[identity]
    return PackTable(
        identity=identity,
        identities=tuple(split_of),
        split=split,
        groups={"gender": GroupColumn(labels=("x", "y"), codes=codes)},
        sources=[f"{i}.png" for i in range(n)],
        settings={"seed": 3},
    )


def make_images(n, channels=3, size=5):
    return np.random.default_rng(0).integers(0, 256, (n, channels, size, size), np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "faces.pack"


def write(path, table=None, images=None, **more):
    table = make_table() if table is None else table
    images = make_images(len(table.identity)) if images is None else images
    return write_pack(path, images=images, table=table, channels=3, size=5, **more)


def test_what_was_written_is_read(path):
    table = make_table()
    digest = write(path, table, warnings=['a "quoted" warning', "ü"])
    pack = open_pack(path, verify=True)
    assert pack.digest == digest
    assert len(digest) == 64
    np.testing.assert_array_equal(pack.images, make_images(16))
    np.testing.assert_array_equal(pack.identity, table.identity)
    np.testing.assert_array_equal(pack.split, table.split)
    np.testing.assert_array_equal(pack.groups["gender"].codes, table.groups["gender"].codes)
    assert pack.groups["gender"].labels == ("x", "y")
    assert pack.identities == tuple("abcdefgh")
    assert pack.sources == tuple(table.sources)
    assert pack.settings == {"seed": 3}
    assert pack.warnings == ('a "quoted" warning', "ü")
    assert (pack.channels, pack.size) == (3, 5)


def test_the_pack_is_a_safetensors_file(path):
    table = make_table()
    write(path, table)
    with safe_open(path, framework="np") as file:
        assert set(file.keys()) == {"images", "identity", "split", "group.gender", "sources"}
        np.testing.assert_array_equal(file.get_tensor("images"), make_images(16))
        np.testing.assert_array_equal(file.get_tensor("identity"), table.identity)
        assert file.get_tensor("identity").dtype == np.int32
        assert file.get_tensor("group.gender").dtype == np.int16
        assert file.metadata()["format"] == "frnas.pack/1"
        assert json.loads(file.metadata()["names"])["groups"] == {"gender": ["x", "y"]}


def test_rows_and_identities_of_a_split(path):
    write(path)
    pack = open_pack(path)
    assert pack.rows("train").tolist() == [0, 1, 2, 3]
    assert pack.rows("train").dtype == np.int64
    assert (pack.n_identities("train"), pack.n_identities("val")) == (2, 4)


def test_an_opened_pack_cannot_be_changed(path):
    write(path)
    pack = open_pack(path)
    for array in (pack.images, pack.identity, pack.split, pack.groups["gender"].codes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_missing_image_leaves_its_row_out(path):
    table = make_table()
    images = list(make_images(16))
    images[0] = None
    images[2] = images[3] = None
    write(path, table, images)
    pack = open_pack(path, verify=True)
    assert pack.identities == tuple("acdefgh")
    assert [pack.identities[i] for i in pack.identity] == list("accddeeffgghh")
    assert pack.sources[:2] == ("1.png", "4.png")
    np.testing.assert_array_equal(pack.images[0], images[1])
    with safe_open(path, framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("identity"), pack.identity)


def test_warnings_may_be_added_while_the_images_are_read(path):
    warnings = []

    def images():
        for image in make_images(16):
            warnings.append("seen")
            yield image

    write(path, images=images(), warnings=warnings)
    assert len(open_pack(path).warnings) == 16


def test_too_many_warnings_are_cut_and_do_no_harm(path):
    write(path, warnings=['"' * 1000] * 500)
    assert 10 < len(open_pack(path, verify=True).warnings) < 500


def test_names_that_are_no_unicode_are_stored_all_the_same(path):
    write(path, make_table({f"{name}\udcff": split for name, split in SPLIT_OF.items()}))
    assert open_pack(path, verify=True).identities[0] == "a?"
    with safe_open(path, framework="np") as file:
        assert "images" in file.keys()  # noqa: SIM118 - not a mapping


def test_the_digest_depends_on_content_and_not_on_settings(path):
    table = make_table()
    digest = write(path, table)
    assert write(path, table, warnings=["other"]) == digest
    assert write(path, make_table(genders="yxxxyyxy")) != digest
    assert write(path, make_table({**SPLIT_OF, "b": 1})) != digest
    changed = make_images(16)
    changed[3, 0, 0, 0] += 1
    assert write(path, table, changed) != digest


def test_a_changed_pixel_is_found_only_when_asked_for(path):
    write(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    open_pack(path)
    with pytest.raises(DataError, match="does not match its digest"):
        open_pack(path, verify=True)


def test_no_byte_of_a_pack_can_be_another_unnoticed(path):
    table = make_table()
    table = replace(table, pairs=PAIRS)
    write(path, table, warnings=["careful"])
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    text_end = data.rindex(b"}", 0, begin) + 1
    padding = range(text_end, begin, 4001)
    tensors = range(begin, len(data), 13)
    for place in [*range(0, text_end, 5), *padding, *tensors, len(data) - 1]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DataError):
            open_pack(path, verify=True)
    path.write_bytes(data)
    open_pack(path, verify=True)


@pytest.mark.parametrize("words", [(b"careful", b"useless"), (b'"seed\\": 3', b'"seed\\": 4')])
def test_changed_settings_and_warnings_are_found_at_once(path, words):
    write(path, warnings=["careful"])
    data = path.read_bytes()
    assert data.count(words[0]) == 1
    path.write_bytes(data.replace(*words))
    with pytest.raises(DataError, match="the header does not match its digest"):
        open_pack(path)


def test_a_pack_from_before_headers_had_a_digest_is_read(path):
    digest = write(path)
    without_header_digest(path)
    pack = open_pack(path, verify=True)
    assert pack.digest == digest
    assert not pack.has_header_digest
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"splits_digest"', b'"splits_digess"'))
    with pytest.raises(DataError, match="no version wrote 'splits_digess'"):
        open_pack(path)


def test_a_pack_that_is_written_while_it_is_opened_is_refused(path, monkeypatch):
    write(path)
    states = iter([file_state(path), replace(file_state(path), size=1)])
    monkeypatch.setattr(pack_module, "file_state", lambda file: next(states))
    with pytest.raises(DataError, match="was changed while it was in use"):
        open_pack(path)


def test_a_missing_pack_says_how_to_make_one(path):
    with pytest.raises(DataError, match=r"no such pack; make one with `frnas data pack`"):
        open_pack(path)


def test_a_folder_is_no_pack(tmp_path):
    with pytest.raises(DataError, match="a folder, not a pack"):
        open_pack(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" * 20, b"\x10" + b"\0" * 7 + b"[1]" * 9])
def test_another_file_is_no_pack(tmp_path, content):
    path = tmp_path / "faces.pack"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a pack"):
        open_pack(path)


def test_another_safetensors_file_is_no_pack(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3, np.uint8)}, tmp_path / "x.safetensors")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "y.safetensors")
    for name in "xy":
        with pytest.raises(DataError, match="not a pack"):
            open_pack(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
def test_a_truncated_pack_is_refused(path, kept):
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match="truncated"):
        open_pack(path)


def test_another_format_version_is_named(path):
    write(path)
    path.write_bytes(path.read_bytes().replace(b"frnas.pack/1", b"frnas.pack/7"))
    with pytest.raises(DataError, match=r"frnas.pack/7.*reads frnas.pack/1"):
        open_pack(path)


def test_a_header_whose_digests_are_no_text_is_no_packs(path):
    digest = write(path)
    without_header_digest(path)
    number = b"7".rjust(66)
    path.write_bytes(path.read_bytes().replace(f'"{digest}"'.encode(), number))
    for verify in (False, True):
        with pytest.raises(DataError, match="not a pack"):
            open_pack(path, verify=verify)


def test_an_identity_in_two_splits_is_named(path):
    table = make_table()
    table.split[5] = 2
    write(path, table)
    with pytest.raises(DataError, match="identity 'c' has images in val and test"):
        open_pack(path)


def test_a_code_out_of_range_is_refused(path):
    table = make_table()
    table.groups["gender"].codes[0] = 2
    write(path, table)
    with pytest.raises(DataError, match=r"group.gender has a value outside -1..1"):
        open_pack(path)


def test_a_full_disk_is_told_and_leaves_nothing_behind(path):
    def images():
        yield from make_images(3)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="disk is full"):
        write(path, images=images())
    assert list(path.parent.iterdir()) == []


def test_a_failed_write_leaves_the_old_pack(path):
    digest = write(path)
    with pytest.raises(ValueError, match="image 1 is"):
        write(path, images=[make_images(1)[0], make_images(1, size=4)[0]])
    assert open_pack(path, verify=True).digest == digest


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "file" / "faces.pack")


def test_a_pack_without_images_is_refused(path):
    with pytest.raises(DataError, match="no image is left"):
        write(path, images=[None] * 16)


@pytest.mark.parametrize("n_images", [15, 17])
def test_more_or_fewer_images_than_rows_are_refused(path, n_images):
    with pytest.raises(ValueError, match="argument 2 is"):
        write(path, images=make_images(n_images))


def test_a_table_whose_columns_differ_in_length_cannot_be_built():
    table = make_table()
    with pytest.raises(ValueError, match="sources has 1 rows"):
        PackTable(
            identity=table.identity,
            identities=table.identities,
            split=table.split,
            groups=table.groups,
            sources=["one"],
        )


def faults(path, group="gender", **table):
    write(path, make_table(**table))
    return " / ".join(pack_faults(open_pack(path), group))


def test_a_good_pack_has_no_faults(path):
    assert faults(path) == ""


def test_an_unknown_group_column_is_told_with_the_known_ones(path):
    assert "no group column 'race'; its columns are: gender" in faults(path, group="race")


def test_one_group_is_no_comparison(path):
    assert "fewer than two groups (x)" in faults(path, genders="xxxxxxxx")


def test_a_group_missing_in_a_split_is_named(path):
    found = faults(path, genders="xxxxyyxx")
    assert "group 'y' has no identities in train" in found
    assert "group 'y' has no identities in test" in found
    assert "in val" not in found


def test_two_identities_with_two_images_are_needed_in_val(path):
    assert "group 'y' has fewer than two" in faults(path, genders="xyxxxyxy")
    assert "group 'x' has fewer than two" in faults(path, per_identity=1)


def test_images_without_a_group_are_counted(path):
    assert "2 images have no 'gender'" in faults(path, genders=" yxxyyxy")


def test_an_empty_split_and_a_single_train_identity_are_faults(path):
    found = faults(path, split_of={**SPLIT_OF, "a": 1, "g": 1, "h": 1})
    assert "the test split is empty" in found
    assert "the train split has one identity" in found
