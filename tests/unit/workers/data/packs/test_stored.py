"""Packs by where they are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workers.data.packs.pack import Pack
from workers.data.packs.stored import fetched_pack, pack_of
from workers.errors import DataError
from workers.settings import DataSettings


def test_a_pack_is_found_by_every_way_of_writing_its_path(
    pattern_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    path = shutil.copy(pattern_pack.path, tmp_path / "x.pack")
    monkeypatch.chdir(tmp_path / "below")
    shutil.copy(path, "y.pack")
    for location in (str(path), f"file://{path}", "../x.pack", "y.pack", "./y.pack"):
        assert fetched_pack(location).digest == pattern_pack.digest


@pytest.mark.parametrize("location", [".", "..", "/", "folder", "folder/"])
def test_a_folder_is_no_pack(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="a folder, not a pack"):
        fetched_pack(location)


@pytest.mark.parametrize("location", ["none.pack", "none/x.pack", "x" * 300])
def test_what_is_not_there_or_cannot_be_is_told(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no such pack|cannot be read"):
        fetched_pack(location)


def test_a_pack_that_was_replaced_is_opened_again(pattern_pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    path.write_bytes(pattern_pack.path.read_bytes())
    data = DataSettings(pack=str(path), digest=pattern_pack.digest, group="gender")
    assert pack_of(data).digest == pattern_pack.digest
    with pytest.raises(DataError, match="give this worker the same pack"):
        pack_of(DataSettings(pack=str(path), digest="0" * 64, group="gender"))
    assert pack_of(data) is pack_of(data), "and is kept open"
