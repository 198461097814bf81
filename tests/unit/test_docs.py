"""Documents that keep their word: links lead somewhere, run files load, commands have examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from frnas_search.cli.app import app
from frnas_search.config.run_config import RunConfig
from frnas_search.config.run_file import load_run_config
from tests.places import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
RUN_FILES = sorted(REPOSITORY.glob("configs/**/*.yaml"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")


def test_there_are_documents_and_run_files() -> None:
    assert len(DOCUMENTS) >= 14
    assert len(RUN_FILES) >= 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target, anchor in _LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), f"{document.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor[1:] in anchors, f"{document.name} links to {target}{anchor}"


@pytest.mark.parametrize("run_file", RUN_FILES, ids=lambda path: path.name)
def test_run_files_that_ship_are_in_order(run_file: Path) -> None:
    load_run_config(run_file)


def _keys(model: type, prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        if hasattr(field.annotation, "model_fields"):
            keys += _keys(field.annotation, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def test_every_key_of_the_run_file_is_documented() -> None:
    text = (REPOSITORY / "docs/run-file.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for key in _keys(RunConfig):
        section, _, last = key.rpartition(".")
        named = [row for row in rows if f"`{key}`" in row]
        grouped = [row for row in rows if f"`{section}." in row and f"`{last}`" in row]
        assert named or grouped or key == "schema_version", f"{key} is not in docs/run-file.md"


def _commands(group: typer.Typer, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [(*prefix, str(command.name)) for command in group.registered_commands]
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        found += _commands(sub.typer_instance, (*prefix, str(sub.typer_instance.info.name)))
    return found


def test_every_command_has_help_with_an_example() -> None:
    commands = _commands(app)
    assert len(commands) >= 11
    for command in commands:
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0
        assert f"Example: frnas {' '.join(command)}" in " ".join(result.output.split()), command


def test_the_architecture_names_every_folder_and_stays_short() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    folders = [
        path.parent.relative_to(REPOSITORY).as_posix()
        for package in ("search_space", "workers", "results", "frnas_search", "frnas")
        for path in (REPOSITORY / package).rglob("__init__.py")
    ]
    assert len(folders) >= 20
    unnamed = [folder for folder in folders if f"`{folder}`" not in text]
    assert unnamed == []
