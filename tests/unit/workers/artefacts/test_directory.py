"""What a folder as a store does beyond the contract."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from workers.artefacts.directory import DirectoryStore
from workers.artefacts.registry import open_store
from workers.errors import DataError


def test_files_that_are_being_written_are_no_artefacts(tmp_path: Path) -> None:
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / ".epochs-0003.1234.tmp.pt").write_bytes(b"half")
    store = DirectoryStore(tmp_path)
    assert store.sizes("c1") == {}
    store.remove("c1")
    assert not (tmp_path / "c1").exists(), "they go with their folder"


def test_what_a_killed_writer_left_behind_goes_with_the_next_write(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    abandoned, fresh = (tmp_path / f".epochs-0003.{name * 32}.tmp.pt" for name in "ab")
    somebody_elses = tmp_path / ".notes.tmp.txt"
    for path in (abandoned, fresh, somebody_elses):
        path.write_bytes(b"half")
    long_ago = time.time() - 2 * 3600
    for path in (abandoned, somebody_elses):
        os.utime(path, (long_ago, long_ago))
    store.write("epochs-0009.pt", b"whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {fresh.name, somebody_elses.name, "epochs-0009.pt"}


def test_a_folder_where_a_file_is_wanted_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "c1").mkdir()
    with pytest.raises(OSError, match="c1"):
        DirectoryStore(tmp_path).read("c1")


@pytest.mark.parametrize("form", ["{}", "file://{}", "FILE://{}"])
def test_a_location_is_a_path_or_a_url(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert open_store(form.format(tmp_path)).read("a") == b"x"


def test_a_kind_of_store_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(DataError, match=r"no artefact store of the kind gopher://.*file://"):
        open_store("gopher://bucket/runs")
