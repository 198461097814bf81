from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.data.sources.registry import open_source
from workers.errors import DataError

GREYS = {"ann/1.png": 10, "ann/2.png": 20, "bob/1.png": 30}
BY_PATH = "path,gender\r\nann/1.png,f\r\nann/2.png,f\r\nbob/1.png,m\r\n"


@pytest.fixture
def folder(tmp_path):
    for name, grey in GREYS.items():
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), grey, np.uint8)).save(path)
    return tmp_path / "faces"


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def rows_of(source, labels=None):
    with open_source(source, labels) as faces:
        return [(row.source, row.identity, dict(row.labels), row.split) for row in faces.rows]


def warnings_of(source, labels=None):
    with open_source(source, labels) as faces:
        return " / ".join(faces.warnings)


def identities_of(source, labels=None):
    return [identity for _, identity, _, _ in rows_of(source, labels)]


@pytest.mark.parametrize("pack_up", [Path, zipped])
def test_labels_by_path_name_people_by_their_folder(folder, pack_up):
    (folder / "labels.csv").write_text(BY_PATH, newline="")
    source = pack_up(folder)
    assert rows_of(source) == [
        ("ann/1.png", "ann", {"gender": "f"}, None),
        ("ann/2.png", "ann", {"gender": "f"}, None),
        ("bob/1.png", "bob", {"gender": "m"}, None),
    ]
    with open_source(source) as faces:
        assert faces.columns == ("gender",)
        assert faces.warnings == ()
        assert [faces.read(row).getpixel((0, 0)) for row in faces.rows] == [10, 20, 30]


def test_labels_by_identity_hold_for_every_picture_of_the_folder(folder):
    (folder / "labels.csv").write_text("identity;Gender\nbob;m\nann;f\n")
    assert rows_of(folder) == [
        ("ann/1.png", "ann", {"Gender": "f"}, None),
        ("ann/2.png", "ann", {"Gender": "f"}, None),
        ("bob/1.png", "bob", {"Gender": "m"}, None),
    ]


def test_an_identity_column_is_stronger_than_the_folder(folder):
    (folder / "labels.csv").write_text("path,identity,g\nann/1.png,p,f\nann/2.png,q,f\n")
    assert identities_of(folder) == ["p", "q"]


def test_a_label_file_elsewhere_is_stronger_than_the_one_inside(folder, tmp_path):
    (folder / "labels.csv").write_text(BY_PATH)
    (tmp_path / "mine.csv").write_text("path,race\n./bob\\1.png,x\n")
    assert rows_of(folder, tmp_path / "mine.csv") == [("bob/1.png", "bob", {"race": "x"}, None)]


@pytest.mark.parametrize("prefix", ["", "faces/"])
def test_paths_may_start_at_the_label_file_or_at_the_source(folder, tmp_path, prefix):
    (folder / "labels.csv").write_text(f"path,gender\n{prefix}bob/1.png,m\n")
    assert [name for name, _, _, _ in rows_of(tmp_path)] == ["faces/bob/1.png"]


def test_unknown_labels_are_empty(folder):
    (folder / "labels.csv").write_text("identity,gender\nann,?\nbob,Unknown\n")
    with open_source(folder) as faces:
        assert {row.labels["gender"] for row in faces.rows} == {""}


def test_splits_are_read(folder):
    (folder / "labels.csv").write_text("identity,gender,split\nann,f,Train\nbob,m,valid\n")
    assert [split for *_, split in rows_of(folder)] == ["train", "train", "val"]


def test_an_unknown_split_is_named_with_its_picture(folder):
    (folder / "labels.csv").write_text("identity,gender,split\nann,f,0\nbob,m,1\n")
    with pytest.raises(DataError, match=r"labels.csv, line 2: ann/1.png: split '0' is unknown"):
        rows_of(folder)


def test_what_has_no_counterpart_is_told(folder):
    (folder / "labels.csv").write_text("path,gender\nann/1.png,f\nann/9.png,f\n")
    told = warnings_of(folder)
    assert "1 listed pictures are not in the source: ann/9.png" in told
    assert "2 pictures have no line and were left out: ann/2.png, bob/1.png" in told


def test_people_without_a_counterpart_are_told(folder):
    (folder / "labels.csv").write_text("identity,gender\nann,f\neve,f\n")
    told = warnings_of(folder)
    assert "1 listed identities are not in the source: eve" in told
    assert "1 pictures have no line and were left out: bob/1.png" in told


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("path,gender\nx/1.png,f\n", "no listed path is a picture .* lists x/1.png.* ann/1.png"),
        ("path,gender\n", "no listed path is a picture .* it lists none"),
        ("identity,gender\nx,f\n", "no listed identity is a folder .* it lists x"),
        ("path,gender\nann/1.png,f\n./ann/1.png,m\n", "ann/1.png is listed twice"),
        ("identity,gender\nann,f\nann,m\n", "identity 'ann' is listed twice with different"),
        ("path,identity,gender\nann/1.png,,f\n", "nobody is named for ann/1.png; fill in"),
    ],
)
def test_labels_that_do_not_fit_are_refused(folder, labels, message):
    (folder / "labels.csv").write_text(labels)
    with pytest.raises(DataError, match=message):
        rows_of(folder)


def test_a_picture_outside_every_folder_needs_an_identity(folder):
    shutil.copy(folder / "ann/1.png", folder / "eve.png")
    (folder / "labels.csv").write_text("path,gender\neve.png,f\n")
    with pytest.raises(DataError, match=r"nobody is named for eve.png; put the picture into"):
        rows_of(folder)


def test_missing_labels_are_asked_for(folder, tmp_path):
    with pytest.raises(DataError, match=r"no labels.csv inside; give one with --labels"):
        rows_of(folder)
    with pytest.raises(DataError, match=r"other.csv: no such label file"):
        rows_of(folder, tmp_path / "other.csv")


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="no pictures inside"):
        rows_of(tmp_path)
