from __future__ import annotations

import importlib
import pkgutil

import pytest

from workers.data import sources
from workers.data.sources.registry import function_of
from workers.data.sources.specs import FORMATS, SOURCE_FORMATS, FileFormat, SourceFormat

SPECS = tuple(SOURCE_FORMATS.values())


@pytest.mark.parametrize("spec", SPECS, ids=SOURCE_FORMATS)
def test_a_record_names_functions_that_are_there(spec: SourceFormat) -> None:
    for name in filter(None, (spec.opener, spec.recogniser)):
        assert function_of(spec, name).__module__ == spec.module


def test_one_format_is_left_for_pictures_that_none_recognises() -> None:
    left = [s.name for s in SPECS if not isinstance(s, FileFormat) and not s.recogniser]
    assert left == ["folder"]


def test_no_two_files_share_a_suffix_and_names_are_sorted() -> None:
    suffixes = [spec.suffix for spec in SPECS if isinstance(spec, FileFormat)]
    assert len(set(suffixes)) == len(suffixes) == 3
    assert len(FORMATS) == len(SPECS)
    assert list(FORMATS) == sorted(spec.name for spec in SPECS)


def test_every_module_that_recognises_a_source_has_its_record() -> None:
    modules = [module.name for module in pkgutil.iter_modules(sources.__path__)]
    assert len(modules) >= len(SPECS)
    recognising = {
        f"{sources.__name__}.{name}"
        for name in modules
        if hasattr(importlib.import_module(f"{sources.__name__}.{name}"), f"is_{name}")
    }
    assert recognising <= {spec.module for spec in SPECS}
    assert len(recognising) == 6
