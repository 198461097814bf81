"""Every module can be imported, with whatever versions are installed (`make lowest`)."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

PACKAGES = ("search_space", "results", "workers", "frnas_search")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_can_be_imported(package: str) -> None:
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    names = [module.name for module in found]
    assert len(names) >= 20
    for name in names:
        importlib.import_module(name)
