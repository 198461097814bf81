from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frnas_search.coordinator.limits import Limits
from frnas_search.coordinator.publishing import CheckpointCollector, FilePublisher, write_report
from results.documents import pareto_document
from results.run_directory import RunDirectory
from results.trial import FailureKind, TrialOutcome
from tests.unit.frnas_search.conftest import SearchBuilder, fail, proposal, succeed
from workers.artefacts.registry import open_store
from workers.settings import TrialJob


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


def saving(run: RunDirectory, run_job: Callable[[TrialJob], TrialOutcome]) -> Any:
    """Like `run_job`, and leaves a checkpoint as a worker does."""

    def save(job: TrialJob) -> TrialOutcome:
        folder = run.path / "checkpoints" / job.request.config_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"epochs-{job.request.epochs:04d}.pt").touch()
        return run_job(job)

    return save


def kept(run: RunDirectory) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_checkpoints_of_the_front_and_of_what_may_be_promoted_are_kept(
    new_search: type[SearchBuilder], run: RunDirectory
) -> None:
    def costs(job: TrialJob) -> TrialOutcome:
        error = {"c0001": 0.5, "c0002": 0.9, "c0003": 0.6, "c0004": 0.1}[job.request.config_id]
        return TrialOutcome(
            trial_id=job.request.trial_id,
            attempt=1,
            costs={"error": error, "rank_disparity": error},
        )

    # c0001 enters the front and leaves it for c0004; c0002 stays low; c0003 is dominated at once.
    proposals = [proposal(1), proposal(2, 0), proposal(3)]
    collector = CheckpointCollector(open_store(run.artefacts))
    search = new_search(proposals, watchers=(collector,), run_job=saving(run, costs))
    search.coordinator.run()
    assert kept(run) == ["c0001", "c0002"]
    again = new_search(
        [proposal(4)], watchers=(collector,), run_job=saving(run, costs), store=search.store
    )
    again.coordinator.run()
    assert kept(run) == ["c0002", "c0004"]


@pytest.mark.parametrize(
    ("kind", "names"), [(FailureKind.COLLAPSED, []), (FailureKind.WORKER_LOST, ["c0001"])]
)
def test_a_failed_configuration_keeps_its_checkpoint_only_when_it_was_not_its_fault(
    new_search: type[SearchBuilder], run: RunDirectory, kind: FailureKind, names: list[str]
) -> None:
    search = new_search(
        [proposal(1, 0)],
        watchers=(CheckpointCollector(open_store(run.artefacts)),),
        run_job=saving(run, lambda job: fail(job, kind)),
    )
    search.coordinator.run()
    assert kept(run) == names


def test_checkpoints_keep_within_the_disk_they_may_take(
    new_search: type[SearchBuilder], run: RunDirectory
) -> None:
    """The lowest rung goes first, the oldest of it before the newer; the front stays."""
    proposals = [proposal(0, 2), proposal(1, 0), proposal(2, 1), proposal(3, 0), proposal(4, 0)]
    sizes: list[int] = []

    def save(job: TrialJob) -> TrialOutcome:
        outcome: TrialOutcome = saving(run, succeed)(job)
        folder = run.path / "checkpoints" / job.request.config_id
        next(folder.iterdir()).write_bytes(bytes(1000))
        sizes.append(sum(path.stat().st_size for path in folder.parent.rglob("*.pt")))
        return outcome

    search = new_search(
        proposals,
        watchers=(CheckpointCollector(open_store(run.artefacts), max_bytes=3000.0),),
        run_job=save,
    )
    search.coordinator.run()
    assert kept(run) == ["c0001", "c0003", "c0005"]
    assert max(sizes) == 4000  # a trial's more, until it is told
