from __future__ import annotations

import struct
import zipfile

import pytest

from workers.data.formats.zip_directory import check_directory
from workers.errors import DataError


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("a.txt", "a")
        stream.comment = b"made by hand"
    return path


def test_an_archive_is_let_through(archive):
    check_directory(archive)


@pytest.mark.parametrize("n_bytes", [(1 << 29) + 1, 0xFFFF_FFFE])
def test_a_list_of_members_too_long_is_refused(archive, n_bytes):
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, n_bytes)
    archive.write_bytes(data)
    with pytest.raises(DataError, match=rf"takes {n_bytes:,} bytes, more than 512 MiB; unpack"):
        check_directory(archive)


def test_the_list_of_a_large_archive_is_measured(archive):
    data = archive.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    end = bytearray(data[at:])
    struct.pack_into("<I", end, 12, 0xFFFF_FFFF)
    end64 = b"PK\x06\x06" + bytes(36) + struct.pack("<Q", 1 << 40) + bytes(8)
    archive.write_bytes(data[:at] + end64 + bytes(20) + end)
    with pytest.raises(DataError, match="takes 1,099,511,627,776 bytes"):
        check_directory(archive)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06 cut"])
def test_what_is_no_archive_is_left_to_who_opens_it(data, tmp_path):
    (tmp_path / "x.zip").write_bytes(data)
    check_directory(tmp_path / "x.zip")
