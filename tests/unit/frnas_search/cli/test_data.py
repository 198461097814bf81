from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from typer.testing import CliRunner

from frnas_search.cli.data import data_app
from tests.damage import without_header_digest
from tests.face_sets import bin_set, celeba, lfw, vggface2
from tests.places import REPOSITORY
from workers.data.packs.info import pack_info_schema
from workers.data.packs.pack import open_pack
from workers.data.synthetic import SyntheticSettings, synthetic_pack
from workers.errors import DataError


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "faces"
    for i in range(12):
        (folder / f"p{i}").mkdir(parents=True)
        for j in range(2):
            pixels = np.random.default_rng([i, j]).integers(0, 256, (12, 12), np.uint8)
            Image.fromarray(pixels).save(folder / f"p{i}" / f"{j}.png")
    lines = ["identity,gender,hair", *(f"p{i},{'fm'[i % 2]},dark" for i in range(12))]
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "faces.pack"


def run(*arguments):
    """What the command prints on stdout and on stderr; its errors come out as they are."""
    result = CliRunner().invoke(
        data_app, [str(each) for each in arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_a_folder_is_packed_and_described(folder, out):
    printed, progress = run("pack", folder, "--out", out)
    made = open_pack(out, verify=True)
    assert len(made.images) == 24
    assert f"24 images of 12 identities, 12x12 pixels, grey\ndigest {made.digest}" in printed
    assert "warning: 'gender': fewer than 30 identities" in printed
    assert "cannot compare 'hair'" in printed
    assert progress.splitlines()[-1] == "packed 24 of 24 pictures"
    assert len(progress.splitlines()) == 10


def test_options_of_pack_reach_the_pack(folder, out, tmp_path):
    labels = tmp_path / "mine.csv"
    labels.write_text(
        "identity,race,hair\n" + "".join(f"p{i},{'xy'[i % 2]},d\n" for i in range(9))
    )
    options = {
        "--group": "race",
        "--labels": labels,
        "--size": 8,
        "--colour": "colour",
        "--min-images": 1,
        "--val": 0.25,
        "--test": 0.5,
        "--seed": 7,
        "--max-broken": 0.2,
        "--max-left-out": 0.3,
        "--memory-gb": 1,
    }
    run("pack", folder, "-o", out, *(part for option in options.items() for part in option))
    made = open_pack(out)
    recorded = {
        "groups": ["race"],
        "labels": str(labels),
        "size": 8,
        "channels": 3,
        "min_images": 1,
        "val_fraction": 0.25,
        "test_fraction": 0.5,
        "seed": 7,
        "max_broken_fraction": 0.2,
        "max_left_out_fraction": 0.3,
        "unlabelled_left_out": True,
    }
    assert {name: made.settings[name] for name in recorded} == recorded
    assert len(made.identities) == 9


def test_several_groups_may_be_named(folder, out):
    run("pack", folder, "--out", out, "--group", "hair", "--group", "gender")
    assert list(open_pack(out).groups) == ["hair", "gender"]


def test_a_file_is_overwritten_only_on_purpose(folder, out):
    out.write_text("mine")
    with pytest.raises(DataError, match="add --overwrite"):
        run("pack", folder, "--out", out)
    with pytest.raises(DataError, match="add --overwrite"):
        run("synthetic", "--out", out)
    assert out.read_text() == "mine"
    run("pack", folder, "--out", out, "--overwrite")
    run("synthetic", "--out", out, "--overwrite", "--size", 16)
    assert open_pack(out).size == 16


def test_faults_of_the_data_are_left_to_the_main_command(tmp_path, out):
    with pytest.raises(DataError, match="no such source"):
        run("pack", tmp_path / "no", "--out", out)
    with pytest.raises(DataError, match="no such pack"):
        run("info", out)


def test_info_prints_a_table_of_splits_and_groups(folder, out):
    run("pack", folder, "--out", out)
    printed, _ = run("info", out)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    # Of six people in each group two choose and two test.
    assert ["val", "all", "4", "8", "2", "2", "2"] in rows
    assert ["", "gender: f", "2", "4", "2", "2", "2"] in rows
    assert "compared with the images" in printed


def test_info_as_json_follows_its_schema(folder, out):
    run("pack", folder, "--out", out)
    document = json.loads(run("info", out, "--json")[0])
    Draft202012Validator(pack_info_schema()).validate(document)
    assert document["digest"] == open_pack(out).digest
    assert document["verified"] is True
    assert document["not_covered"] == []
    assert document["images"] == 24


def test_the_account_is_printed_and_kept(folder, out):
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(f"{text}\nnobody,f,dark\n")
    (folder / "p3/0.png").write_bytes(b"none")
    printed, _ = run("pack", folder, "--out", out)
    lines = printed.splitlines()
    at = lines.index("pictures: 24 announced = 23 packed + 1 left out")
    assert lines[at + 1].startswith("  1 cannot be read (broken): p3/0.png (not a picture")
    assert lines[at + 2] == "identities: 13 announced = 12 packed + 1 left out"
    assert lines[at + 3].endswith("not in the source (missing): nobody")
    assert lines[at : at + 4] == [
        line for line in run("info", out)[0].splitlines() if line in lines[at : at + 4]
    ]
    document = json.loads(run("info", out, "--json")[0])
    Draft202012Validator(pack_info_schema()).validate(document)
    assert document["account"]["pictures"]["announced"] == 24
    assert document["account"]["identities"]["left_out"] == [
        {
            "reason": "are listed in labels.csv and not in the source",
            "kind": "missing",
            "count": 1,
            "examples": ["nobody"],
        }
    ]
    assert document["account"]["pairs"] is None


def test_a_pack_without_an_account_has_none(folder, out):
    run("synthetic", "--out", out, "--size", 16)
    printed, _ = run("info", out)
    assert "announced" not in printed
    document = json.loads(run("info", out, "--json")[0])
    Draft202012Validator(pack_info_schema()).validate(document)
    assert document["account"] is None


def test_more_missing_than_allowed_is_an_error(folder, out):
    shutil.rmtree(folder / "p0")
    shutil.rmtree(folder / "p1")
    with pytest.raises(DataError, match=r"2 of 12 identities are missing.*\(2 are listed in lab"):
        run("pack", folder, "--out", out)
    assert not out.exists()
    run("pack", folder, "--out", out, "--max-left-out", 0.2)


def test_a_picture_that_takes_too_much_memory_is_said(folder, out):
    Image.new("L", (4000, 4000)).save(folder / "p0/0.png")
    message = r"decoding 16 megapixels takes 192 MB of memory, more than the 75 MB .*--memory-gb"
    with pytest.raises(DataError, match=message):
        run("pack", folder, "--out", out, "--memory-gb", 0.1, "--max-broken", 0)


@pytest.mark.parametrize("command", ["info", "splits", "pack"])
def test_a_pipe_is_not_waited_for(command, out, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: a pipe, not a file; give a"):
        run(command, tmp_path / "pipe", *(() if command == "info" else ("--out", out)))


def test_what_is_no_file_is_not_written_over(folder, out):
    os.mkfifo(out)
    with pytest.raises(DataError, match=r"faces\.pack: a pipe, not a file; choose another name"):
        run("pack", folder, "--out", out, "--overwrite")
    assert out.is_fifo()


def test_info_compares_the_images_with_the_digest(folder, out):
    assert "images not compared" in run("pack", folder, "--out", out)[0]
    assert json.loads(run("info", out, "--json", "--verify")[0])["verified"] is True
    assert "compared with the images" in run("info", out, "--verify")[0]
    data = bytearray(out.read_bytes())
    data[-1] ^= 1
    out.write_bytes(data)
    for options in ((), ("--verify",), ("--json",)):
        with pytest.raises(DataError, match="does not match its digest"):
            run("info", out, *options)


def test_info_says_what_no_digest_of_an_older_pack_covers(folder, out):
    run("pack", folder, "--out", out)
    without_header_digest(out)
    assert "no digest covers settings, warnings, layout" in run("info", out)[0]
    document = json.loads(run("info", out, "--json")[0])
    Draft202012Validator(pack_info_schema()).validate(document)
    assert document["not_covered"] == ["settings", "warnings", "layout"]


def test_names_with_brackets_are_printed_as_they_are(folder, tmp_path):
    path = tmp_path / "a [bold]x[/] pack"
    (folder / "labels.csv").write_text(
        "identity,gender\n" + "".join(f"p{i},{'[red]' if i % 2 else '[/]'}\n" for i in range(12))
    )
    printed, _ = run("pack", folder, "--out", path)
    assert str(path) in printed
    assert "gender: [red]" in printed
    assert "gender: [/]" in printed


def test_the_synthetic_faces_are_those_of_the_cache(out, tmp_path):
    run("synthetic", "--out", out, "--size", 16, "--seed", 5)
    cached = synthetic_pack(SyntheticSettings(size=16, seed=5), tmp_path / "cache")
    assert open_pack(out, verify=True).digest == open_pack(cached).digest


def test_options_of_synthetic_reach_the_pack(out):
    options = {"--size": 16, "--seed": 5, "--identities": 8, "--share": 0.25, "--images": 3}
    run("synthetic", "--out", out, "--spread", 0.9, *(x for pair in options.items() for x in pair))
    recorded = open_pack(out).settings["synthetic"]
    expected = SyntheticSettings(
        size=16,
        seed=5,
        train_identities=8,
        train_share_b=0.25,
        images_per_identity=3,
        spread_b=0.9,
    )
    assert {name: getattr(expected, name) for name in recorded} == recorded


def test_a_known_data_set_is_packed_with_its_own_splits_and_an_intersection(tmp_path, out):
    printed, _ = run("pack", celeba(tmp_path / "c"), "--out", out, "--group", "gender*Smiling")
    assert "gender*Smiling: f*yes" in printed
    made = open_pack(out, verify=True)
    assert f"digest of the splits {made.splits_digest}" in printed
    assert made.settings["splits"] == "source"


def test_a_verification_set_says_how_many_pairs_it_has(tmp_path, out):
    printed, _ = run("pack", bin_set(tmp_path / "lfw.bin"), "--out", out, "--format", "bin")
    assert "20 pairs to verify, 10 of one person, 10 folds" in printed
    document = json.loads(run("info", out, "--json")[0])
    Draft202012Validator(pack_info_schema()).validate(document)
    assert document["pairs"] == {"pairs": 20, "genuine": 10, "impostor": 10, "folds": 10}
    assert document["splits_digest"] == open_pack(out).splits_digest


def test_splits_pairs_and_val_identities_reach_the_pack(tmp_path, out):
    folder = lfw(tmp_path / "l")
    splits, pairs = tmp_path / "s.csv", (folder / "pairs.txt").rename(tmp_path / "p.txt")
    splits.write_text("identity,split\nAnn_Lee,test\nBob_Roy,val\nEve,train\n")
    run("pack", folder, "--out", out, "--splits", splits, "--pairs", pairs)
    assert open_pack(out).settings["splits_file"] == str(splits)
    assert open_pack(out).settings["pairs_file"] == str(pairs)
    run("pack", vggface2(tmp_path / "v"), "--out", out, "--overwrite", "--val-identities", 1)
    assert open_pack(out).settings["max_val_identities"] == 1


def test_splits_are_written_for_another_pack(folder, out, tmp_path):
    run("pack", folder, "--out", out)
    written = tmp_path / "s.csv"
    printed, _ = run("splits", out, "--out", written)
    assert open_pack(out).splits_digest in printed
    run("pack", folder, "--out", tmp_path / "b.pack", "--splits", written)
    assert open_pack(tmp_path / "b.pack").splits_digest == open_pack(out).splits_digest
    with pytest.raises(DataError, match="exists already"):
        run("splits", out, "--out", written)


def test_broken_pictures_are_listed_one_by_one(folder, out):
    for i in range(8):
        (folder / f"p{i}" / "0.png").write_bytes(b"no picture")
    _, told = run("pack", folder, "--out", out, "--max-broken", 0.5)
    assert "cannot be read: p7/0.png (not a picture of a known format)" in told
    assert told.count("cannot be read: ") == 8


@pytest.mark.parametrize("command", ["pack", "info", "splits", "synthetic"])
def test_each_command_shows_an_example(command):
    assert f"Example: frnas data {command} " in run(command, "--help")[0]


def test_unknown_choices_are_refused_with_the_known_ones(folder, out):
    result = CliRunner().invoke(data_app, ["pack", str(folder), "-o", str(out), "--colour", "x"])
    assert result.exit_code == 2
    assert "grey" in result.stderr
    assert not out.exists()


def loaded_modules(code):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    return set(run.stdout.split())


def test_neither_the_help_nor_the_commands_load_more_than_they_need():
    for_help = loaded_modules("import frnas_search.cli.data")
    assert for_help.isdisjoint({"numpy", "PIL", "torch"})
    in_commands = loaded_modules(
        "import workers.data.importing.packing, workers.data.packs.info, "
        "workers.data.synthetic, frnas_search.cli.pack_tables"
    )
    assert "PIL" in in_commands
    assert "torch" not in in_commands
