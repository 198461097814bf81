"""What may be loaded with what: the coordinator without torch, the records without libraries."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterable

import pytest

import results

HEAVY = ("torch", "torchvision", "timm")
LIBRARIES = (*HEAVY, "smac", "dask", "distributed", "ConfigSpace", "pydantic", "fastapi", "yaml")
RESULTS = [
    f"results.{module.name}"
    for module in pkgutil.iter_modules(results.__path__)
    if module.name != "plot"
]


def loaded(modules: Iterable[str], among: Iterable[str]) -> list[str]:
    """Which of the libraries a fresh interpreter has loaded after importing the modules."""
    program = (
        "import importlib, json, sys\n"
        f"for module in {list(modules)!r}:\n"
        "    importlib.import_module(module)\n"
        f"print(json.dumps([name for name in {list(among)!r} if name in sys.modules]))"
    )
    printed = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True
    ).stdout
    found: list[str] = json.loads(printed)
    return found


def test_this_test_sees_what_is_loaded() -> None:
    assert loaded(["workers.settings", "yaml"], ["yaml", "numpy", "torch"]) == ["yaml"]


@pytest.mark.parametrize(
    "module",
    [
        "frnas_search.config.run_config",
        "frnas_search.coordinator.state",
        "frnas_search.optimizers.smac.optimizer",
        "frnas_search.api",
        "workers.processes.preflight",
        "workers.settings",
        "workers.processes.task",
        "workers.processes.trial_process",
        "results.view",
    ],
)
def test_the_coordinators_side_never_loads_torch(module: str) -> None:
    assert loaded([module], HEAVY) == []


def test_what_a_scheduler_unpickles_loads_no_library_at_all() -> None:
    assert loaded(["workers.processes.task"], (*LIBRARIES, "numpy")) == []


def test_the_child_loads_torch_only_after_it_owns_its_standard_output() -> None:
    assert loaded(["workers.processes.child"], HEAVY) == []


def test_the_state_machine_needs_the_standard_library_only() -> None:
    assert loaded(["frnas_search.coordinator.state"], (*LIBRARIES, "numpy")) == []


def test_records_need_no_library_of_the_search() -> None:
    assert len(RESULTS) >= 15
    assert loaded(RESULTS, LIBRARIES) == []


def test_the_plot_needs_no_library_of_the_search() -> None:
    assert loaded(["results.plot"], LIBRARIES) == []


def test_the_public_package_needs_the_standard_library_only_until_it_is_used() -> None:
    slow = ("numpy", "pandas", "rich", "typer", "matplotlib", "importlib.metadata")
    assert loaded(["frnas"], (*LIBRARIES, *slow)) == []


def test_looking_at_a_run_from_python_loads_neither_torch_nor_the_search() -> None:
    assert loaded(["frnas.frames"], LIBRARIES) == []
