from __future__ import annotations

from pathlib import Path

import pytest

import frnas


def test_a_model_that_is_missing_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(frnas.errors.CheckpointError, match="give a folder that `frnas retrain`"):
        frnas.load_model(tmp_path / "models/c0001-s1")
    for name in ("c0002-s2", "c0001-s3"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.json").touch()
    (tmp_path / "models/other").mkdir()
    with pytest.raises(frnas.errors.CheckpointError, match=r"models holds c0001-s3, c0002-s2$"):
        frnas.load_model(str(tmp_path / "models/c0001-s1"))


def test_a_damaged_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(frnas.errors.CheckpointError, match="no readable model"):
        frnas.load_model(tmp_path / "model.json")
