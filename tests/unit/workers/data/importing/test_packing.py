from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.places import SHARED
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import SPLITS, open_pack, pack_faults
from workers.data.sources.pack_settings import PackSettings
from workers.errors import DataError

REAL_FACES = SHARED / "faces"
N_PEOPLE, N_IMAGES = 20, 3


def person(i):
    return f"p{i:02d}"


def pixels(i, j):
    return np.random.default_rng([i, j]).integers(0, 256, (12, 10), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Twenty people, f and m in turns, three pictures each, 10 x 12 pixels."""
    folder = tmp_path / "faces"
    for i in range(N_PEOPLE):
        (folder / person(i)).mkdir(parents=True)
        for j in range(N_IMAGES):
            Image.fromarray(pixels(i, j)).save(folder / person(i) / f"{j}.png")
    label(folder, [(person(i), "fm"[i % 2]) for i in range(N_PEOPLE)])
    return folder


def label(folder, people, header="identity,gender"):
    lines = [header, *(",".join(values) for values in people)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def damage(folder, *names):
    for name in names:
        path = folder / name
        path.write_bytes(path.read_bytes()[:60])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "packs" / "faces.pack"


def pack(source, out, *, overwrite=False, progress=None, **settings):
    report = pack_source(
        source,
        out,
        settings=PackSettings(**settings),
        overwrite=overwrite,
        progress=progress,
    )
    return report, open_pack(out, verify=True)


def split_of(pack):
    return {
        pack.identities[identity]: SPLITS[split]
        for identity, split in zip(pack.identity, pack.split, strict=True)
    }


def genders(pack):
    column = pack.groups["gender"]
    return {
        pack.identities[identity]: column.labels[code] if code >= 0 else ""
        for identity, code in zip(pack.identity, column.codes, strict=True)
    }


def test_a_folder_becomes_a_pack(folder, out):
    report, made = pack(folder, out)
    assert (report.path, report.digest) == (out, made.digest)
    assert (report.n_images, len(report.broken)) == (60, 0)
    assert report.warnings == made.warnings
    assert made.identities == tuple(person(i) for i in range(N_PEOPLE))
    assert genders(made) == {person(i): "fm"[i % 2] for i in range(N_PEOPLE)}
    assert (made.size, made.channels) == (10, 1)
    assert made.sources[4] == "p01/1.png"
    np.testing.assert_array_equal(made.images[4, 0], pixels(1, 1)[1:11])


def test_splits_are_by_identity_and_alike_for_each_group(folder, out):
    _, made = pack(folder, out)
    counts = {}
    for name, split in split_of(made).items():
        counts[split, genders(made)[name]] = counts.get((split, genders(made)[name]), 0) + 1
    expected = {"train": 6, "val": 2, "test": 2}
    assert counts == {(split, sex): n for split, n in expected.items() for sex in "fm"}


def test_the_same_people_give_the_same_pack_from_a_zip(folder, out):
    _, from_folder = pack(folder, out)
    archive = Path(shutil.make_archive(str(folder), "zip", folder))
    assert pack(archive, out, overwrite=True)[1].digest == from_folder.digest


def test_an_npz_file_becomes_the_same_images(folder, out, tmp_path):
    _, from_folder = pack(folder, out)
    n = np.arange(N_PEOPLE).repeat(N_IMAGES)
    images = np.stack([pixels(i, j)[1:11] for i in range(N_PEOPLE) for j in range(N_IMAGES)])
    names = np.array([person(i) for i in range(N_PEOPLE)])
    np.savez(
        tmp_path / "x.npz",
        images=images,
        identity=n,
        names=names,
        gender=np.array(["f", "m"])[n % 2],
    )
    _, from_npz = pack(tmp_path / "x.npz", out, overwrite=True)
    np.testing.assert_array_equal(from_npz.images, from_folder.images)
    assert split_of(from_npz) == split_of(from_folder)


def test_how_it_was_made_is_recorded(folder, out):
    _, made = pack(folder, out, size=8, seed=3, colour="colour")
    recorded = dict(made.settings)
    assert recorded.pop("pillow")
    assert recorded == {
        "source": str(folder),
        "size": 8,
        "channels": 3,
        "groups": ["gender"],
        "unlabelled_left_out": False,
        "min_images": 2,
        "splits": "drawn",
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "seed": 3,
        "max_val_identities": None,
        "labels": None,
        "max_broken_fraction": 0.05,
    }
    assert made.images.shape == (60, 3, 8, 8)


def test_another_seed_draws_other_splits(folder, out):
    splits = [split_of(pack(folder, out, overwrite=True, seed=seed)[1]) for seed in (0, 1, 0)]
    assert splits[0] != splits[1]
    assert splits[0] == splits[2]


def test_splits_of_the_source_are_kept(folder, out):
    given = {person(i): SPLITS[i % 3] for i in range(N_PEOPLE)}
    label(folder, [(name, "f", split) for name, split in given.items()], "identity,gender,split")
    _, made = pack(folder, out)
    assert split_of(made) == given
    assert made.settings["splits"] == "source"
    assert "seed" not in made.settings


def test_people_without_a_label_are_left_out_only_when_the_column_is_named(folder, out):
    label(folder, [(person(i), "fm?"[i % 3]) for i in range(N_PEOPLE)])
    report, made = pack(folder, out)
    assert genders(made)["p02"] == ""
    assert "6 identities have no known 'gender': p02," in " ".join(report.warnings)
    report, made = pack(folder, out, overwrite=True, groups=("gender",))
    assert "p02" not in made.identities
    assert report.n_images == 14 * N_IMAGES
    assert "6 identities have no known 'gender' and were left out" in " ".join(report.warnings)


def test_warnings_of_the_reader_and_of_the_curation_are_kept(folder, out):
    label(folder, [(person(i), "fm"[i % 2]) for i in range(1, N_PEOPLE)] + [("eve", "f")])
    for j in (1, 2):
        (folder / "p03" / f"{j}.png").unlink()
    told = " / ".join(pack(folder, out)[1].warnings)
    assert "1 listed identities are not in the source: eve" in told
    assert "3 pictures have no line and were left out: p00/0.png" in told
    assert "1 identities have fewer than 2 images and were left out: p03" in told
    assert "'gender': fewer than 30 identities of a group in train (f 5, m 5)" in told


def test_a_few_broken_pictures_are_left_out_and_listed(folder, out):
    damage(folder, "p01/0.png", "p02/2.png")
    report, made = pack(folder, out)
    assert (report.n_images, len(report.broken)) == (58, 2)
    assert "p01/0.png" not in made.sources
    assert len(made.images) == 58
    told = [text for text in report.warnings if "cannot be read" in text]
    assert len(told) == 1
    assert told[0].startswith("2 pictures cannot be read and were left out: p01/0.png (")
    np.testing.assert_array_equal(made.images[3, 0], pixels(1, 1)[1:11])


def test_people_who_lost_pictures_are_told(folder, out):
    damage(folder, *(f"p01/{j}.png" for j in range(3)), "p02/0.png", "p02/1.png", "p03/0.png")
    report, made = pack(folder, out, max_broken_fraction=0.1, seed=1)
    assert "1 identities lost every picture and are not in the pack: p01" in report.warnings
    assert "1 identities have fewer than 2 images that can be read: p02" in report.warnings
    assert "p01" not in made.identities
    assert "p02" in made.identities
    in_train = [genders(made)[name] for name, split in split_of(made).items() if split == "train"]
    n_f, n_m = in_train.count("f"), in_train.count("m")
    assert f"in train (f {n_f}, m {n_m})" in " ".join(report.warnings)
    assert n_f + n_m == 11


def test_too_many_broken_pictures_are_refused_and_leave_nothing(folder, out):
    damage(folder, *(f"p0{i}/0.png" for i in range(4)))
    with pytest.raises(DataError, match=r"more than 0.05 of the 60 pictures .*p00/0.png \("):
        pack(folder, out)
    assert list(out.parent.iterdir()) == []
    assert len(pack(folder, out, max_broken_fraction=0.07)[0].broken) == 4


def test_a_source_of_broken_pictures_only_is_refused(folder, out):
    damage(folder, *(f"{person(i)}/{j}.png" for i in range(N_PEOPLE) for j in range(N_IMAGES)))
    with pytest.raises(DataError, match="no image is left to pack"):
        pack(folder, out, max_broken_fraction=1)
    assert list(out.parent.iterdir()) == []


def test_a_truncated_jpeg_in_an_archive_is_left_out(folder, out):
    Image.fromarray(pixels(0, 0)).resize((64, 64)).save(folder / "p00" / "9.jpg")
    path = folder / "p00" / "9.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    archive = Path(shutil.make_archive(str(folder), "zip", folder))
    report, _ = pack(archive, out)
    assert len(report.broken) == 1
    assert any("p00/9.jpg (" in text for text in report.warnings)


def test_enlarged_pictures_are_counted(folder, out):
    report, _ = pack(folder, out, size=16)
    assert "60 pictures are smaller and were enlarged" in report.warnings
    assert "enlarged" not in " ".join(pack(folder, out, overwrite=True)[0].warnings)


def test_grey_stored_as_colour_is_packed_grey(folder, out):
    for path in folder.rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    assert pack(folder, out)[1].channels == 1


def test_progress_is_told_after_each_picture(folder, out):
    told = []
    pack(folder, out, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 60) for done in range(1, 61)]


def test_an_interrupted_pack_is_no_pack_and_goes_on(folder, out):
    def stop(done, total):
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, out, progress=stop)
    assert sorted(path.name for path in out.parent.iterdir()) == [
        ".faces.pack.journal",
        ".faces.pack.part",
    ]
    told = []
    _, resumed = pack(folder, out, progress=lambda done, total: told.append(done))
    assert told == list(range(41, 61))
    assert list(out.parent.iterdir()) == [out]
    assert resumed.digest == pack(folder, out, overwrite=True)[1].digest


def test_an_existing_file_is_not_overwritten_unawares(folder, out):
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(DataError, match="exists already; choose another name or add --overwrite"):
        pack(folder, out)
    assert out.read_text() == "mine"
    assert pack(folder, out, overwrite=True)[0].n_images == 60


def test_a_refused_source_leaves_the_old_pack(folder, out):
    digest = pack(folder, out)[0].digest
    damage(folder, *(f"p0{i}/0.png" for i in range(9)))
    with pytest.raises(DataError, match="cannot be read"):
        pack(folder, out, overwrite=True)
    assert open_pack(out, verify=True).digest == digest


def test_a_folder_and_the_source_itself_are_no_place_for_the_pack(folder, tmp_path):
    with pytest.raises(DataError, match="a folder; give the new file a name"):
        pack(folder, tmp_path)
    archive = Path(shutil.make_archive(str(folder), "zip", folder))
    before = archive.read_bytes()
    with pytest.raises(DataError, match="is the source itself"):
        pack(archive, archive, overwrite=True)
    assert archive.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_images": 4}, "no identity is left to pack"),
        ({"val_fraction": 0.8, "test_fraction": 0.8}, "at most 1 together"),
    ],
)
def test_faults_name_the_source(folder, out, settings, message):
    with pytest.raises(DataError, match=message) as error:
        pack(folder, out, **settings)
    assert str(error.value).startswith(f"{folder}: ")
    assert not out.exists()


def test_a_column_that_is_not_there_is_named_with_the_file(folder, out, tmp_path):
    for column in ("race", "gender*race"):
        with pytest.raises(DataError, match="no group column 'race'; the source has: gender") as e:
            pack(folder, out, groups=(column,))
        assert str(e.value).startswith(f"{folder}/labels.csv, line 1: ")
    assert not out.exists()


def test_an_intersection_of_groups_is_stratified_and_needs_both(folder, out):
    people = [(person(i), "fm"[i % 2], "xy"[i // 2 % 2] if i else " ") for i in range(N_PEOPLE)]
    label(folder, people, "identity,gender,race")
    _, made = pack(folder, out, groups=("gender*race",))
    assert list(made.groups) == ["gender*race"]
    column = made.groups["gender*race"]
    assert column.labels == ("f*x", "f*y", "m*x", "m*y")
    assert person(0) not in made.identities
    assert made.settings["groups"] == ["gender*race"]


def test_a_column_called_like_an_intersection_is_itself(folder, out):
    label(folder, [(person(i), "fm"[i % 2]) for i in range(N_PEOPLE)], "identity,a*b")
    assert pack(folder, out, groups=("a*b",))[1].groups["a*b"].labels == ("f", "m")


def test_a_group_that_a_given_split_lacks_is_told(folder, out):
    rows = [(person(i), "fm"[i % 2], SPLITS[i % 3] if i % 2 else "train") for i in range(N_PEOPLE)]
    label(folder, rows, "identity,gender,split")
    report, made = pack(folder, out)
    assert "val (f 0" in " ".join(report.warnings)
    assert "group 'f' has no identities in val" in " ".join(pack_faults(made, "gender"))


def real(name):
    path = REAL_FACES / name
    if not path.is_file():
        pytest.skip(f"needs the real faces at {path}")
    return path


def test_real_faces_in_an_npz_file(out):
    report, made = pack(real("lfwa_train_120x5_64.npz"), out)
    assert (report.n_images, len(report.broken), made.size, made.channels) == (600, 0, 64, 1)
    assert sorted(genders(made).values()) == ["f"] * 60 + ["m"] * 60
    assert [made.n_identities(split) for split in SPLITS] == [72, 24, 24]
    assert "Abdullah_Gul" in made.identities


def test_real_faces_in_an_archive(out):
    report, made = pack(real("lfwa_trainfull_min4_112.zip"), out, size=32)
    assert (report.n_images, len(report.broken), made.channels) == (3966, 0, 1)
    assert sorted(genders(made).values()) == ["f"] * 119 + ["m"] * 410
    assert "val (f 23); test (f 23)" in report.warnings[0]
