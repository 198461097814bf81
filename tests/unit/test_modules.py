"""Every module can be imported, with whatever versions are installed (`make lowest`)."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

# Package -> fewer modules than it has, so that an empty walk is noticed.
PACKAGES = {"search_space": 20, "results": 20, "workers": 50, "frnas_search": 50, "frnas": 5}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_can_be_imported(package: str) -> None:
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    names = [module.name for module in found]
    assert len(names) >= PACKAGES[package]
    for name in names:
        importlib.import_module(name)
