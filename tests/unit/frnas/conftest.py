"""Runs on disk, made of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from results.sqlite_store import SqliteStore
from tests.unit.results.conftest import RunBuilder


@pytest.fixture
def begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], RunBuilder]]:
    """Begins a run under `runs` of the current folder, by its directory; its writer stays open."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as open_stores:

        def begun(directory: str = "runs/lfw") -> RunBuilder:
            path = tmp_path / directory
            path.mkdir(parents=True)
            store = open_stores.enter_context(SqliteStore.create(path / "events.sqlite"))
            return RunBuilder(store=store).open()

        yield begun
