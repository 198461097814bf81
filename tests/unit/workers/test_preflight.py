from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from search_space.build import check_buildable
from search_space.candidate import SpaceSettings
from workers.preflight import buildable_faults

MIXED = SpaceSettings(
    preset="joint",
    families={"good": ("test_resnet",), "bad": ("resnet18", "resnet1000", "hrnet_w18_small")},
)


def test_networks_that_cannot_be_built_are_reported_together() -> None:
    faults = buildable_faults(MIXED, in_channels=3, image_size=112)
    assert faults == check_buildable(MIXED, in_channels=3, image_size=112)
    assert [fault.split(":")[0] for fault in faults] == ["space.families.bad"] * 2
    assert "resnet1000" in faults[0]
    assert "pictures of 112 pixels with 3 channels" in faults[1]


def test_what_libraries_print_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Chatty:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'timm': print('timm says hello')\n"
        "sys.meta_path.insert(0, Chatty())\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert buildable_faults(SpaceSettings(), in_channels=1, image_size=32) == []
    assert "timm says hello" in capfd.readouterr().err


def test_a_process_that_fails_raises_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('timm is broken')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        buildable_faults(SpaceSettings(), in_channels=1, image_size=32)
    assert "timm is broken" in capfd.readouterr().err
