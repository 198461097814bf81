"""What the Makefile, the hooks, the locks and pyproject.toml say of each other is so."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.places import REPOSITORY

_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ]+)", re.MULTILINE)
# Not laid over the environment by `make lowest`: they are too large to be had twice.
AS_INSTALLED = {"torch", "torchvision"}


def requirements() -> dict[str, Requirement]:
    """The direct dependencies of every search, by name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = map(Requirement, project["dependencies"])
    return {requirement.name.lower(): requirement for requirement in found}


def pinned(lock: str) -> dict[str, set[Version]]:
    """The versions of a lock by name; some packages have another for a newer Python."""
    versions: dict[str, set[Version]] = {}
    for name, version in _PINNED.findall((REPOSITORY / lock).read_text(encoding="utf-8")):
        versions.setdefault(name, set()).add(Version(version))
    return versions


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_the_hooks_run_the_commands_of_make_lint() -> None:
    text = (REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (own,) = yaml.safe_load(text)["repos"]
    assert own["repo"] == "local"
    commands = [hook["entry"] for hook in own["hooks"]]
    assert len(commands) >= 4
    assert commands == recipe("lint")


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock"])
def test_the_locks_hold_what_the_project_asks_for(lock: str) -> None:
    versions = pinned(lock)
    for name, requirement in requirements().items():
        assert versions[name], f"{name}: make locks"
        for version in versions[name]:
            assert version in requirement.specifier, f"{name} {version}: make locks"


def test_the_test_lock_holds_the_versions_of_the_other() -> None:
    both = pinned("requirements-test.lock")
    for name, versions in pinned("requirements.lock").items():
        assert both[name] == versions, name


def test_the_lowest_lock_holds_the_lowest_versions_of_the_project() -> None:
    versions = pinned("requirements-lowest.lock")
    asked = requirements()
    assert asked.keys() >= AS_INSTALLED
    assert AS_INSTALLED.isdisjoint(versions)
    for name in asked.keys() - AS_INSTALLED:
        (bound,) = (
            Version(part.version)
            for part in asked[name].specifier
            if part.operator in (">=", "==")
        )
        assert min(versions[name]) == bound, f"{name}: make locks"
