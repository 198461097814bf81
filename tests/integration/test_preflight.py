from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_space.backbones.resolution import resolve_families
from workers.processes.preflight import resolved_families

MIXED = {"good": ("test_resnet", "dla34*"), "bad": ("resnet18", "resnet1000", "hrnet_w18_small")}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return


def test_the_answer_is_that_of_a_process_with_timm() -> None:
    found = resolved_families(MIXED, in_channels=3, image_size=112)
    assert found == resolve_families(MIXED, in_channels=3, image_size=112)
    assert found.names == {"bad": ("resnet18",), "good": ("test_resnet",)}
    assert [fault.path for fault in found.faults] == [("space", "families", "bad")] * 2
    assert [left.name for left in found.left_out] == ["dla34"]


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
    found = resolved_families({"mine": ("test_resnet",)}, in_channels=1, image_size=32)
    assert found.names == {"mine": ("test_resnet",)}
    assert "timm says hello" in capfd.readouterr().err


def test_a_process_that_fails_raises_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('timm is broken')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        resolved_families({"mine": ("test_resnet",)}, in_channels=1, image_size=32)
    assert "timm is broken" in capfd.readouterr().err
