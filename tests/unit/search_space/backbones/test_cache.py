from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from search_space.backbones.cache import (
    CacheKey,
    cache_outcomes,
    cache_path,
    cached_outcomes,
    default_folder,
)
from search_space.definition.variants import VariantRecord

KEY = CacheKey(timm="1.0", torch="2.8", in_channels=3, image_size=112)
RECORD = VariantRecord(
    name="some_net",
    feature_size=8,
    options={"img_size": 112},
    parameters=10,
    macs=20,
    accepts_drop_path=True,
)


def test_what_is_remembered_comes_back_and_is_added_to(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    assert cached_outcomes(folder, KEY) == {}
    cache_outcomes(folder, KEY, {"some_net": RECORD})
    cache_outcomes(folder, KEY, {"other_net": "does not fit"})
    assert cached_outcomes(folder, KEY) == {"some_net": RECORD, "other_net": "does not fit"}
    assert [path.name for path in folder.iterdir()] == [cache_path(folder, KEY).name]


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, timm="1.1"),
        replace(KEY, torch="2.9"),
        replace(KEY, in_channels=1),
        replace(KEY, image_size=64),
    ],
)
def test_another_key_knows_nothing(tmp_path: Path, other: CacheKey) -> None:
    cache_outcomes(tmp_path, KEY, {"some_net": RECORD})
    assert cached_outcomes(tmp_path, other) == {}
    cache_path(tmp_path, KEY).rename(cache_path(tmp_path, other))  # by whatever mishap
    assert cached_outcomes(tmp_path, other) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'"text"',
        b"[" * 100_000,
        json.dumps({"made_for": {"format": 1, "timm": "1.0"}, "variants": {}}).encode(),
    ],
)
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    cache_path(tmp_path, KEY).write_bytes(content)
    assert cached_outcomes(tmp_path, KEY) == {}
    cache_outcomes(tmp_path, KEY, {"some_net": RECORD})
    assert cached_outcomes(tmp_path, KEY) == {"some_net": RECORD}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        3,
        None,
        "misfit",
        {"name": "some_net"},
        {"misfit": "x", "variants": 1},
        asdict(replace(RECORD, options={"checkpoint_path": "/some/file"})),
        asdict(replace(RECORD, options={})) | {"options": None},
        asdict(RECORD) | {"feature_size": "8"},
        asdict(RECORD) | {"feature_size": 10**400},
        asdict(RECORD) | {"accepts_drop_path": "no"},
        asdict(RECORD) | {"options": {"img_size": float("nan")}},
        asdict(RECORD) | {"name": ["some_net"]},
        asdict(RECORD) | {"name": "another_net"},
    ],
)
def test_a_damaged_entry_never_raises(tmp_path: Path, entry: object) -> None:
    cache_outcomes(tmp_path, KEY, {"some_net": RECORD})
    path = cache_path(tmp_path, KEY)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["variants"]["some_net"] = entry
    path.write_text(json.dumps(content), encoding="utf-8")
    assert cached_outcomes(tmp_path, KEY) in ({}, {"some_net": "x"})


def test_damage_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache_path(tmp_path, KEY).write_text("{", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            cached_outcomes(tmp_path, KEY)
    assert [record.message for record in caplog.records] == [
        f"{cache_path(tmp_path, KEY)}: is damaged and will be replaced; "
        "backbones are tried out again"
    ]


def test_a_folder_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        cache_outcomes(folder, KEY, {"some_net": RECORD})
        assert cached_outcomes(folder, KEY) == {}
    assert "set XDG_CACHE_HOME to a writable folder" in caplog.text


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    cache_path(tmp_path, KEY).mkdir()
    assert cached_outcomes(tmp_path, KEY) == {}
    cache_outcomes(tmp_path, KEY, {"some_net": RECORD})
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]


def test_the_default_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere" / "frnas" / "backbones"


WRITER = """
import sys
from pathlib import Path
from search_space.backbones.cache import CacheKey, cache_outcomes, cached_outcomes
folder, name = Path(sys.argv[1]), sys.argv[2]
key = CacheKey(timm="1.0", torch="2.8", in_channels=3, image_size=112)
for number in range(40):
    cache_outcomes(folder, key, {f"{name}{number}": "does not fit"})
    assert cached_outcomes(folder, key), "a reader met half a file"
"""


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    cache_outcomes(tmp_path, KEY, {"some_net": RECORD})
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        _, said = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
        assert said == ""  # no warning of damage either
    found = cached_outcomes(tmp_path, KEY)
    assert found["some_net"] == RECORD
    assert {"one39", "two39"} & set(found)
    assert len(list(tmp_path.iterdir())) == 1
