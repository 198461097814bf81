"""What is refused before a search begins, and what Python's values become in a run file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frnas
from frnas_search.config.run_file import override, override_text
from tests.unit.results.conftest import RunBuilder

MAPPING: dict[str, Any] = {
    "name": "tiny",
    "data": {"synthetic": {"size": 24}, "group": "group"},
    "fidelity": {"min_epochs": np.int64(1), "max_epochs": np.array([2])[0], "eta": 2},
    "stop": {"trials": 1},
    "objectives": ("error", "rank_disparity"),
}


def test_every_fault_of_a_mapping_is_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    wrong = MAPPING | {"stop": {"trails": 1}, "sede": 2}
    with pytest.raises(frnas.errors.RunFileError) as refused:
        frnas.search(wrong, runs=tmp_path / "runs", overrides={"space.wdith": 1})
    lines = str(refused.value).splitlines()
    assert {line.split(": ")[1] for line in lines} == {"stop.trails", "sede", "space.wdith"}
    assert not (tmp_path / "runs").exists()


def test_a_run_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(frnas.errors.RunFileError, match="no such run file"):
        frnas.search(tmp_path / "none.yaml")


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/notes.txt").touch()
    with pytest.raises(frnas.errors.RunExistsError, match="holds other files"):
        frnas.search(MAPPING, runs=tmp_path)


def test_a_run_that_is_not_there_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(frnas.errors.RunNotFoundError, match="no run 'lfw'"):
        frnas.resume("lfw", runs=tmp_path)


def test_what_a_run_began_with_does_not_change_when_it_is_resumed(
    begin: Callable[..., RunBuilder],
) -> None:
    begin()
    Path("runs/lfw/run.yaml").write_text("{name: lfw, data: {synthetic: {}, group: group}}")
    run = frnas.open_run("lfw")
    with pytest.raises(frnas.errors.RunChangedError, match="seed cannot change"):
        frnas.resume(run, overrides={"seed": 5})


@pytest.mark.parametrize(
    "value",
    [
        3,
        1e-05,
        0.5,
        True,
        None,
        "many",
        "1e-5",
        "null",
        "a: b",
        "2020-01-01",
        "é\n",
        [1, "2"],
        {"a": []},
    ],
)
def test_an_override_is_read_back_as_what_it_was(value: object) -> None:
    assert override({}, (override_text("a.b", value),)) == {"a": {"b": value}}


def test_an_override_that_no_run_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(frnas.errors.RunFileError, match=r"stop\.trials: a run file cannot hold"):
        frnas.search(MAPPING, runs=tmp_path, overrides={"stop.trials": object()})
