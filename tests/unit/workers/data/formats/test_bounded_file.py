from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from workers.data.formats.bounded_file import (
    UnfitFileError,
    check_regular,
    read_bounded,
    read_list,
)
from workers.errors import DataError


@pytest.fixture
def unfit(tmp_path, monkeypatch):
    """Name -> what it is; nothing here is a file, and each opened without a look would hang."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    Path("zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    return {name: tmp_path / name for name in ("pipe", "socket", "zero", "folder")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pipe", "a pipe"), ("socket", "a socket"), ("zero", "a device"), ("folder", "a folder")],
)
def test_what_is_no_file_is_said_and_not_read(unfit, name, kind):
    with pytest.raises(UnfitFileError, match=f"^{kind}, not a file$"):
        read_bounded(unfit[name], 10)
    with pytest.raises(DataError, match=f"{name}: {kind}, not a file, so no list"):
        read_list(unfit[name])


@pytest.mark.parametrize("name", ["pipe", "socket", "zero"])
def test_a_source_is_a_file_or_a_folder(unfit, name):
    with pytest.raises(DataError, match="not a file; give one"):
        check_regular(unfit[name], "give one")
    check_regular(unfit["folder"], "give one")


def test_a_size_is_looked_at_before_the_file_is_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(DataError, match=r"1,099,511,627,776 bytes, larger than 256 MiB"):
        read_list(path)


def test_a_file_within_the_limit_is_read_whole(tmp_path):
    (tmp_path / "x").write_bytes(b"0123456789")
    assert read_bounded(tmp_path / "x", 10) == b"0123456789"
    with pytest.raises(UnfitFileError, match="10 bytes, larger than"):
        read_bounded(tmp_path / "x", 9)


def test_a_file_that_says_it_is_empty_is_read_up_to_the_limit():
    # As everything in /proc says.
    with pytest.raises(UnfitFileError, match="larger than"):
        read_bounded(Path("/proc/self/maps"), 10)


def test_a_missing_list_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="cannot be read \\(No such file or directory\\); check"):
        read_list(tmp_path / "none")
