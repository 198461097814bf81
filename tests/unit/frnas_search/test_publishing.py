from __future__ import annotations

import json
from pathlib import Path

import pytest

from frnas_search.limits import Limits
from frnas_search.publishing import FilePublisher, write_report
from results.documents import pareto_document
from results.run_directory import RunDirectory
from tests.unit.frnas_search.conftest import SearchBuilder, proposal


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    folder = tmp_path / "test"
    folder.mkdir()
    return RunDirectory(folder)


def test_the_file_is_the_document_of_the_last_change(
    new_search: type[SearchBuilder], run: RunDirectory
) -> None:
    search = new_search([proposal(i) for i in range(3)], watchers=(FilePublisher(run),))
    search.coordinator.run()
    document = json.loads(run.pareto.read_text())
    view = search.coordinator.view
    assert document == pareto_document(view, run="test", state="finished")
    assert len(document["front"]) == 3


def test_it_is_written_only_when_front_or_state_change(
    new_search: type[SearchBuilder], run: RunDirectory
) -> None:
    class Counting(FilePublisher):
        n_written = 0

        def publish(self, view: object) -> None:
            self.n_written += 1

    publisher = Counting(run)
    dominated = [proposal(1), proposal(1, 0), proposal(2, 1)]
    search = new_search(dominated, watchers=(publisher,), limits=Limits(trials=3))
    search.coordinator.run()
    assert publisher.n_written == 2  # the first trial, and the end


def test_the_report_is_a_table_and_a_plot(
    new_search: type[SearchBuilder], run: RunDirectory
) -> None:
    search = new_search([proposal(1), proposal(2)])
    search.coordinator.run()
    write_report(run, search.coordinator.view)
    write_report(run, search.coordinator.view)
    lines = (run.report / "front.csv").read_text().splitlines()
    assert len(lines) == 3
    assert (run.report / "front.png").read_bytes().startswith(b"\x89PNG")
