from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.places import REPOSITORY
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import open_pack
from workers.data.packs.partial import BLOCK, journal_path, part_path, resuming
from workers.data.sources.pack_settings import PackSettings
from workers.errors import DataError

N_PEOPLE, N_IMAGES = 40, 10
BROKEN = "p07/3.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for i in range(N_PEOPLE):
        (folder / f"p{i:02d}").mkdir()
        for j in range(N_IMAGES):
            pixels = np.random.default_rng([i, j]).integers(0, 256, (96, 96), np.uint8)
            Image.fromarray(pixels).save(folder / f"p{i:02d}" / f"{j}.png")
    (folder / BROKEN).write_bytes(b"no picture")
    people = "".join(f"p{i:02d},{'fm'[i % 2]}\n" for i in range(N_PEOPLE))
    (folder / "labels.csv").write_text("identity,gender\n" + people)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "faces.pack"


def pack(folder, out, *, stop_at=None, **settings):
    """The report and the numbers that progress told."""
    told = []

    def progress(done, total):
        told.append(done)
        if done == stop_at:
            raise KeyboardInterrupt

    settings = PackSettings(**settings)
    return pack_source(folder, out, settings=settings, progress=progress), told


def interrupt(folder, out, at, **settings):
    with pytest.raises(KeyboardInterrupt):
        pack(folder, out, stop_at=at, **settings)
    assert not out.exists()


def whole(folder, tmp_path, **settings):
    return pack(folder, tmp_path / "whole.pack", **settings)[0]


def test_a_killed_process_is_taken_up_where_it_was(folder, out, tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from workers.data.sources.pack_settings import PackSettings\n"
        "from workers.data.importing.packing import pack_source\n"
        "pack_source(Path(sys.argv[1]), Path(sys.argv[2]), settings=PackSettings(),\n"
        "            progress=lambda done, total: time.sleep(0.005))\n"
    )
    arguments = [sys.executable, "-c", code, str(folder), str(out)]
    process = subprocess.Popen(arguments, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while not (journal_path(out).exists() and journal_path(out).read_bytes().count(b"\n") > 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    report, told = pack(folder, out)
    assert told[0] > 2 * BLOCK
    assert told[-1] == N_PEOPLE * N_IMAGES
    assert report.digest == whole(folder, tmp_path).digest
    assert open_pack(out, verify=True).digest == report.digest
    assert not part_path(out).exists()
    assert not journal_path(out).exists()


def test_broken_pictures_before_the_interruption_are_still_told(folder, out, tmp_path):
    interrupt(folder, out, 300)
    report, told = pack(folder, out)
    assert told == list(range(301, 401))
    assert dict(report.broken).keys() == {BROKEN}
    expected = whole(folder, tmp_path)
    assert (report.digest, report.warnings) == (expected.digest, expected.warnings)


def test_several_interruptions_are_as_good_as_none(folder, out, tmp_path):
    for at in (10, 20, 150, 399, 400):
        interrupt(folder, out, at)
    report, told = pack(folder, out)
    assert told == []
    assert report.digest == whole(folder, tmp_path).digest


@pytest.mark.parametrize("settings", [{"size": 32}, {"seed": 1}, {"colour": "colour"}])
def test_other_settings_start_anew(folder, out, tmp_path, settings):
    interrupt(folder, out, 200)
    report, told = pack(folder, out, **settings)
    assert told[0] == 1
    assert report.digest == whole(folder, tmp_path, **settings).digest


def test_another_source_starts_anew(folder, out, tmp_path):
    interrupt(folder, out, 200)
    other = tmp_path / "other"
    other.symlink_to(folder)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
    assert pack(copy, out)[1][0] == 1


def torn(data):
    return data[:-7]


def flipped(data):
    return data[:-2000] + bytes([data[-2000] ^ 1]) + data[-1999:]


@pytest.mark.parametrize("harm", [torn, flipped, lambda data: data[: len(data) // 2]])
def test_pictures_that_do_not_match_the_journal_are_made_again(folder, out, tmp_path, harm):
    interrupt(folder, out, 200)
    part_path(out).write_bytes(harm(part_path(out).read_bytes()))
    report, told = pack(folder, out)
    assert 1 <= told[0] <= 200
    assert report.digest == whole(folder, tmp_path).digest


@pytest.mark.parametrize("cut", [1, 5, 40, 90, 10_000])
def test_a_torn_journal_counts_as_far_as_it_goes(folder, out, tmp_path, cut):
    interrupt(folder, out, 200)
    data = journal_path(out).read_bytes()
    journal_path(out).write_bytes(data[: max(0, len(data) - cut)])
    report, told = pack(folder, out)
    assert told[0] <= 201
    assert report.digest == whole(folder, tmp_path).digest


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[1]",
        b"null",
        b'{"rows": "x", "crc": 0, "faults": {}, "enlarged": 0}',
        b'{"rows": 1e999, "crc": 0, "faults": {}, "enlarged": 0}',
        b'{"rows": 9, "crc": 0, "faults": [], "enlarged": 0}',
        b'{"rows": 200, "crc": 0, "faults": {"7000": "x"}, "enlarged": 0}',
        b"\xff\x00",
    ],
)
def test_a_foreign_line_ends_the_journal(folder, out, tmp_path, line):
    interrupt(folder, out, 100)
    first = journal_path(out).read_bytes().splitlines()[0]
    journal_path(out).write_bytes(first + b"\n" + line + b"\n")
    report, told = pack(folder, out)
    assert told[0] == 1
    assert report.digest == whole(folder, tmp_path).digest


def test_two_processes_do_not_write_one_pack(out):
    settings = {"key": "k", "front_bytes": 8, "row_bytes": 1}
    with resuming(out, **settings):
        message = "another process is packing it"
        with pytest.raises(DataError, match=message), resuming(out, **settings):
            pass
        assert part_path(out).exists()


def test_a_fault_of_the_data_leaves_nothing(folder, out):
    with pytest.raises(DataError, match="cannot be read"):
        pack(folder, out, max_broken_fraction=0)
    assert list(out.parent.iterdir()) == []


def test_a_picture_of_another_size_is_a_bug(out):
    with (
        pytest.raises(ValueError, match="a picture of 3 bytes, not 4"),
        resuming(out, key="k", front_bytes=8, row_bytes=4) as partial,
    ):
        partial.add(np.zeros(3, np.uint8), fault="", enlarged=0)


def test_the_journal_names_its_format(folder, out):
    interrupt(folder, out, 100)
    first = json.loads(journal_path(out).read_bytes().splitlines()[0])
    assert first["format"] == "frnas.partial/1"
