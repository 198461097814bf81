from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.face_sets import celeba, celeba_lists, celeba_rows
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import SPLITS, open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.errors import DataError

ROWS = celeba_rows()
LISTS = celeba_lists(ROWS)
IDENTITIES, ATTRIBUTES, PARTITIONS = LISTS


def rows_of(source, **options):
    with open_source(source, **options) as faces:
        return [(row.source, row.identity, row.labels["gender"], row.split) for row in faces.rows]


def packed(source, tmp_path, **settings):
    report = pack_source(source, tmp_path / "x.pack", settings=PackSettings(**settings))
    return report, open_pack(tmp_path / "x.pack", verify=True)


def test_people_gender_and_the_official_partition_are_read(tmp_path):
    expected = [
        (f"img_align_celeba/{name}", str(person), "fm"[male], SPLITS[part])
        for name, person, male, part in ROWS
    ]
    assert rows_of(celeba(tmp_path)) == expected


def test_golden_counts_of_the_pack(tmp_path):
    report, made = packed(celeba(tmp_path / "c"), tmp_path)
    assert report.n_images == 36
    assert [made.n_identities(split) for split in SPLITS] == [4, 4, 4]
    assert list(made.groups) == ["gender"]
    assert Counter(made.groups["gender"].codes.tolist()) == {0: 18, 1: 18}
    assert made.settings["splits"] == "source"
    assert made.size == 12


def dos(text):
    return text.replace("\n", "\r\n")


def table(text):
    """As comma-separated copies have it: names in the first line, no count."""
    lines = [line.split() for line in text.splitlines()]
    if len(lines[0]) == 1:
        lines = [["image_id", *lines[1]], *lines[2:]]
    else:
        lines = [["image_id", "value"], *lines]
    return "".join(",".join(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    "damage",
    [
        {name: dos(text) for name, text in LISTS.items()},
        {IDENTITIES: "image_id identity\n" + LISTS[IDENTITIES]},
        {PARTITIONS: "﻿image_id partition\n" + LISTS[PARTITIONS] + "\n\n"},
        {name: table(text) for name, text in LISTS.items()},
        {ATTRIBUTES: LISTS[ATTRIBUTES].replace("  1\n", " 1 \n")},
    ],
)
def test_copies_with_other_line_ends_headers_and_blanks_say_the_same(tmp_path, damage):
    assert rows_of(celeba(tmp_path / "a", **damage)) == rows_of(celeba(tmp_path / "b"))


def test_tables_may_be_called_csv(tmp_path):
    folder = celeba(tmp_path / "a")
    for name, text in LISTS.items():
        (folder / name).unlink()
        (folder / name.replace(".txt", ".csv")).write_text(table(text))
    assert rows_of(folder) == rows_of(celeba(tmp_path / "b"))


def test_the_pictures_may_be_in_their_archive_and_all_in_another(tmp_path):
    expected = rows_of(celeba(tmp_path / "b"))
    whole = shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path / "b")
    assert rows_of(tmp_path / "whole.zip") == expected
    folder = tmp_path / "b"
    shutil.make_archive(
        str(folder / "img_align_celeba"), "zip", folder, base_dir="img_align_celeba"
    )
    shutil.rmtree(folder / "img_align_celeba")
    assert rows_of(folder) == expected
    report, _ = packed(folder, tmp_path)
    assert report.n_images == len(ROWS)
    assert whole


def test_conflicting_labels_are_settled_by_the_majority_and_ties_left_out(tmp_path):
    rows = celeba_rows(12, 4)
    for i in (0, 4, 5):
        name, person, male, part = rows[i]
        rows[i] = (name, person, 1 - male, part)
    report, made = packed(celeba(tmp_path / "c", rows), tmp_path)
    told = " / ".join(report.warnings)
    assert "1 identities have conflicting 'gender'; the majority decided: 1" in told
    assert "1 identities have as many images of one 'gender' as of another" in told
    assert "were left out: 2" in told
    assert "2" not in made.identities
    column = made.groups["gender"]
    first = made.identity.tolist().index(made.identities.index("1"))
    assert column.labels[column.codes[first]] == "f"


def test_any_attribute_may_be_a_group(tmp_path):
    _, made = packed(celeba(tmp_path / "c"), tmp_path, groups=("Male", "gender*Smiling"))
    assert made.groups["Male"].labels == ("no", "yes")
    assert made.groups["gender*Smiling"].labels == ("f*yes", "m*yes")


def test_pictures_that_are_not_there_are_told(tmp_path):
    folder = celeba(tmp_path)
    (folder / "img_align_celeba" / "000002.jpg").unlink()
    with open_source(folder) as faces:
        assert len(faces.rows) == 35
        assert "1 listed pictures are not in the source: 000002.jpg" in faces.warnings[0]


def test_a_wrong_count_is_told(tmp_path):
    text = LISTS[ATTRIBUTES].replace("36\n", "202599\n", 1)
    with open_source(celeba(tmp_path, **{ATTRIBUTES: text})) as faces:
        assert "announces '202599' pictures and lists 36" in faces.warnings[0]


def cut(name, n_lines, tail=""):
    return {name: "\n".join(LISTS[name].splitlines()[:n_lines]) + "\n" + tail}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut(IDENTITIES, 3, "000004.jpg\n"), r"identity_CelebA.txt, line 4: '000004.jpg' is not"),
        (cut(IDENTITIES, 3, "000004.jpg x\n"), r"line 4: 'x' is no number"),
        (cut(IDENTITIES, 3, "000001.jpg 7\n"), r"line 4: 000001.jpg is listed twice, as 1 and"),
        (cut(ATTRIBUTES, 4, "000003.jpg -1 1\n"), r"attr_celeba.txt, line 5: 2 values for 3 attr"),
        (cut(ATTRIBUTES, 4, "000003.jpg -1 1 2\n"), r"line 5: value '2' of 000003.jpg is neither"),
        (cut(ATTRIBUTES, 4), r"has no line for 34 pictures: 000003.jpg"),
        (cut(PARTITIONS, 30), r"eval_partition.txt: has no line for 6 pictures"),
        (cut(PARTITIONS, 3, "000004.jpg 3\n"), r"000004.jpg is in partition '3'"),
        (
            {ATTRIBUTES: LISTS[ATTRIBUTES].replace("Male", "Female")},
            r"line 2: no attribute 'Male'",
        ),
        (
            {ATTRIBUTES: "".join(LISTS[ATTRIBUTES].splitlines(keepends=True)[2:])},
            "no line of attr",
        ),
        ({IDENTITIES: b"\xff\xfe\x00"}, r"identity_CelebA.txt: not UTF-8 at byte 0"),
        ({IDENTITIES: ""}, r"identity_CelebA.txt: lists no pictures"),
        ({IDENTITIES: "x.jpg 1\n"}, r"none of its 1 pictures is in"),
    ],
)
def test_damaged_lists_are_named_with_their_line(tmp_path, damage, message):
    with pytest.raises(DataError, match=message):
        rows_of(celeba(tmp_path, **damage))


def test_a_missing_list_is_named(tmp_path):
    folder = celeba(tmp_path)
    (folder / PARTITIONS).unlink()
    with pytest.raises(DataError, match=r"no list_eval_partition.txt inside"):
        rows_of(folder)


def test_an_identity_in_two_partitions_is_refused(tmp_path):
    text = LISTS[PARTITIONS].replace("000002.jpg 0", "000002.jpg 2")
    folder = celeba(tmp_path / "c", **{PARTITIONS: text})
    with pytest.raises(DataError, match="identity '1' lies in train and in test"):
        packed(folder, tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
