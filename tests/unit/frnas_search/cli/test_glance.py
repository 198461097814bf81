"""`frnas status` says the same by either way; what is not plain goes to the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frnas_search.cli.app import app
from frnas_search.cli.glance import glance
from results.events import RunOpened
from results.objectives import objective
from results.sqlite_store import SqliteStore

TIME = "2026-01-01T00:00:00Z"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "lfw"
    folder.mkdir(parents=True)
    with SqliteStore.create(folder / "events.sqlite") as store:
        opened = RunOpened(
            run="lfw",
            objectives=(objective("error", n_identities=9),),
            rungs=(3,),
            data={"digest": "d", "split": "val", "group": "g", "groups": {"g": ["f", "m"]}},
            space={"preset": "paper", "fingerprint": "f"},
            seed=0,
            versions={},
            at=TIME,
        )
        store.append(opened, time=TIME)
    return folder.parent


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_both_ways_print_the_same(runs: Path, form: tuple[str, ...], capsys) -> None:
    words = ["status", "lfw", *form, "--runs", str(runs)]

    assert glance(words)
    printed = capsys.readouterr().out
    slow = CliRunner().invoke(app, words)

    assert slow.exit_code == 0
    if form:
        assert json.loads(printed).keys() == json.loads(slow.output).keys()
        assert json.loads(printed)["state"] == "stopped"
    else:
        assert [line.split() for line in printed.splitlines()][:3] == (
            [line.split() for line in slow.output.splitlines()][:3]
        )


def test_the_folder_of_runs_can_be_written_either_way(runs: Path, capsys) -> None:
    assert glance(["status", f"--runs={runs}", "lfw"])
    assert "lfw: stopped" in capsys.readouterr().out
    assert glance(["status", str(runs / "lfw")])
    assert "lfw: stopped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["pareto", "lfw"],
        ["status"],
        ["status", ""],
        ["status", "--help"],
        ["status", "lfw", "vgg"],
        ["status", "lfw", "--runs"],
        ["status", "lfw", "--runs", ""],
        ["status", "lfw", "--verbose"],
        ["status", "--", "lfw"],
        ["status", "lfw", "--runs", "--json"],
    ],
)
def test_what_is_not_plain_is_left_to_the_library(words: list[str], capsys) -> None:
    assert not glance(words)
    assert capsys.readouterr() == ("", "")


def test_a_run_that_is_not_there_is_told_in_one_sentence(runs: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        glance(["status", "vgg", "--runs", str(runs)])

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("frnas: there is no run 'vgg'; ")


def test_a_file_that_cannot_be_read_is_left_to_those_who_know_what_to_do(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("frnas_search.cli.glance.print_status", refuse)

    assert not glance(["status", "lfw", "--runs", str(runs)])
