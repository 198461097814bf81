"""SMAC stays as it was shipped: nothing of the engine writes into its objects or its classes."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import frnas_search
from frnas_search.optimizers import smac as engine
from tests.places import REPOSITORY

SOURCES = sorted((REPOSITORY / "frnas_search").rglob("*.py"))
ENGINE = sorted((REPOSITORY / "frnas_search/optimizers/smac").rglob("*.py"))

WRITERS = {"setattr", "delattr", "__setattr__", "__delattr__"}


def targets(tree: ast.AST) -> Iterator[ast.expr]:
    """Whatever is assigned to or deleted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            yield from node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
            yield node.target
        elif isinstance(node, ast.With):
            yield from (item.optional_vars for item in node.items if item.optional_vars)


def written_from_outside(text: str) -> list[str]:
    """Private attributes of others that a program assigns, and calls that could."""
    tree = ast.parse(text)
    found = [
        ast.unparse(part)
        for target in targets(tree)
        for part in ast.walk(target)
        if isinstance(part, ast.Attribute)
        and part.attr.startswith("_")
        and not (isinstance(part.value, ast.Name) and part.value.id in {"self", "cls"})
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in WRITERS:
                found.append(ast.unparse(node))
    return found


def names_of_smac(tree: ast.AST) -> set[str]:
    """What a program calls the modules and classes that it has of SMAC."""
    return {
        name.asname or name.name.split(".")[0]
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "smac")
        or isinstance(node, ast.Import)
        for name in node.names
        if isinstance(node, ast.ImportFrom) or name.name.split(".")[0] == "smac"
    }


def written_into_smac(text: str) -> list[str]:
    """Attributes of SMAC's modules and classes that a program assigns."""
    tree = ast.parse(text)
    names = names_of_smac(tree)
    return [
        ast.unparse(target)
        for target in targets(tree)
        if isinstance(target, ast.Attribute) and ast.unparse(target).split(".")[0] in names
    ]


def test_there_are_sources() -> None:
    assert len(SOURCES) >= 80
    assert len(ENGINE) >= 25


@pytest.mark.parametrize("source", ENGINE, ids=lambda path: path.name)
def test_the_engine_writes_no_private_attribute_of_another_object(source: Path) -> None:
    assert written_from_outside(source.read_text(encoding="utf-8")) == []


def test_nothing_replaces_an_attribute_of_smacs_modules_and_classes() -> None:
    found = [
        f"{source.name}: {each}"
        for source in SOURCES
        for each in written_into_smac(source.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "selector._model = model",
        "self.facade._runhistory = history",
        "smbo._finished, other = True, 1",
        "history._data[key] = value",
        "del encoder._runhistory",
        "intensifier._n += 1",
        "setattr(model, name, value)",
        "object.__setattr__(model, '_seed', 1)",
    ],
)
def test_what_writes_from_outside_is_found(text: str) -> None:
    assert written_from_outside(text)


@pytest.mark.parametrize(
    "text", ["self._model = model", "encoder.runhistory = past", "found = selector._model"]
)
def test_what_does_not_is_left_alone(text: str) -> None:
    assert written_from_outside(text) == []


def test_a_replaced_method_is_found() -> None:
    assert written_into_smac("from smac.main.smbo import SMBO\nSMBO.ask = mine") == ["SMBO.ask"]
    assert written_into_smac("import smac\nsmac.main.smbo.input = mine")
    assert written_into_smac("from smac import Scenario\nmine.ask = Scenario") == []


def owned(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Functions of a module and of its classes, by their full names."""
    for name, value in vars(module).items():
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for attribute, member in vars(value).items():
                inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
                yield f"{module.__name__}.{name}.{attribute}", inner


def foreign(modules: list[ModuleType]) -> list[str]:
    """Functions among them whose code is ours."""
    here = str(Path(frnas_search.__file__).parent)
    return [
        name
        for module in modules
        for name, value in owned(module)
        if isinstance(value, FunctionType) and value.__code__.co_filename.startswith(here)
    ]


def test_no_function_of_smac_is_ours_when_the_engine_is_loaded() -> None:
    for found in pkgutil.walk_packages(engine.__path__, f"{engine.__name__}."):
        importlib.import_module(found.name)
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "smac"]
    assert len(modules) >= 60
    assert foreign(modules) == []


def test_a_function_of_ours_in_smac_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from smac.main import smbo

    from frnas_search.optimizers.smac.optimizer import ask_again

    monkeypatch.setattr(smbo.SMBO, "ask", ask_again)
    assert foreign([smbo]) == ["smac.main.smbo.SMBO.ask"]
