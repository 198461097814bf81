"""Packs by where they are kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.damage import flipped_bit
from workers.data.packs import stored
from workers.data.packs.pack import Pack
from workers.data.packs.stored import fetched_pack, pack_of, require_intact_pack
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


@pytest.fixture
def faces(pattern_pack: Pack, tmp_path: Path) -> DataSettings:
    """A job's own copy of a pack."""
    path = shutil.copy(pattern_pack.path, tmp_path / "faces.pack")
    return DataSettings(pack=str(path), digest=pattern_pack.digest, group="gender")


def test_a_pack_is_fetched_verified_only_where_that_is_asked_for(faces: DataSettings) -> None:
    flipped_bit(Path(faces.pack))
    fetched_pack(faces.pack)
    for options in ({"verify": True}, {"again": True}):
        with pytest.raises(DataError, match="does not match its digest"):
            fetched_pack(faces.pack, **options)


def test_a_damaged_pack_is_refused_before_the_first_trial_until_it_is_copied_again(
    faces: DataSettings, pattern_pack: Pack
) -> None:
    path = Path(faces.pack)
    flipped_bit(path)
    for _ in range(2):
        with pytest.raises(DataError, match="does not match its digest"):
            pack_of(faces)
    shutil.copy(pattern_pack.path, path)
    assert pack_of(faces).digest == faces.digest
    require_intact_pack(faces)


def test_a_pack_that_is_touched_between_two_trials_is_looked_at_anew(faces: DataSettings) -> None:
    first = pack_of(faces)
    flipped_bit(Path(faces.pack))
    with pytest.raises(DataError, match="was changed while it was in use"):
        require_intact_pack(faces)  # the trial in progress
    with pytest.raises(DataError, match="does not match its digest"):
        pack_of(faces)  # the next one
    flipped_bit(Path(faces.pack))
    assert pack_of(faces) is not first


def test_a_large_pack_is_handed_out_before_it_is_read(
    faces: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "LARGE_BYTES", 0)
    flipped_bit(Path(faces.pack))
    assert pack_of(faces).digest == faces.digest
    with pytest.raises(DataError, match="does not match its digest"):
        require_intact_pack(faces)
    require_intact_pack(faces)  # forgotten, until it is asked for again


def test_the_packs_of_the_last_jobs_are_kept_open(faces: DataSettings, tmp_path: Path) -> None:
    first = pack_of(faces)
    for number in range(5):
        other = shutil.copy(faces.pack, tmp_path / f"{number}.pack")
        pack_of(replace(faces, pack=str(other)))
    assert len(stored._kept) == 4
    assert pack_of(faces) is not first
