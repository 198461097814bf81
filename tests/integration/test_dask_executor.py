"""Trials on a real Dask cluster whose parts are killed, restarted, or are none of ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from frnas_search.coordinator.executor import ExecutorEvent
from frnas_search.coordinator.state import Finished, SlotsChanged
from frnas_search.executors.cluster import connect, resolve_scheduler
from frnas_search.executors.dask import DaskExecutor
from results.trial import FailureKind, Fault, TrialOutcome
from search_space.candidate import SpaceSettings
from tests.fakes import doomed_job
from workers.data.packs.pack import open_pack
from workers.data.synthetic import SyntheticSettings, synthetic_pack
from workers.settings import DataSettings, EvaluationSettings, TrainingSettings, TrialJob

pytestmark = pytest.mark.timeout(200)

PATIENCE_SECONDS = 90.0
ENDLESS_EPOCHS = 10_000


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrialJob:
    """A job of one epoch on a few small faces."""
    folder = tmp_path_factory.mktemp("data")
    settings = SyntheticSettings(
        size=16, train_identities=8, val_identities=12, test_identities=4, images_per_identity=4
    )
    pack = open_pack(synthetic_pack(settings, folder))
    return replace(
        doomed_job(1),
        data=DataSettings(pack=str(pack.path), digest=pack.digest, group="group"),
        space=SpaceSettings(width=0.02, embedding_size=8),
        training=TrainingSettings(device="cpu", batch_size=16, checkpoint_seconds=0.0),
        evaluation=EvaluationSettings(n_replicates=100),
        max_epochs=ENDLESS_EPOCHS,
        artefacts=str(folder),
    )


def endless(job: TrialJob, folder: str) -> TrialJob:
    """A job that goes on until somebody ends it, with checkpoints of its own."""
    request = replace(job.request, trial_id="t0009", epochs=ENDLESS_EPOCHS)
    return replace(job, request=request, checkpoints=folder)


class Cluster:
    """Processes of a cluster, started and ended one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"

    def start(
        self, *arguments: str, module: str = "frnas_search.cli.main", folder: Path | None = None
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder or self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[bytes]:
        self.file.unlink(missing_ok=True)
        process = self.start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        wait_until(self.file.exists)
        return process

    def worker(self, folder: Path | None = None) -> subprocess.Popen[bytes]:
        return self.start(
            *("worker", "--scheduler", str(self.file), "--threads", "1", "--patience", "60"),
            folder=folder,
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self.processes:
            self.kill(process)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


@pytest.fixture
def executor(cluster: Cluster) -> Iterator[DaskExecutor]:
    cluster.scheduler()
    made = DaskExecutor(
        connect(resolve_scheduler(str(cluster.file))),
        lambda: resolve_scheduler(str(cluster.file)),
    )
    yield made
    made.close()


class Listener:
    """Hears everything that an executor reports, in whatever order and company it comes."""

    def __init__(self, executor: DaskExecutor) -> None:
        self._executor = executor
        self._outcomes: deque[TrialOutcome] = deque()
        self._n_slots: int | None = None

    def outcome(self) -> TrialOutcome:
        """The next trial that ended, waiting for one if need be."""
        self._listen_until(lambda: bool(self._outcomes), "no trial ended")
        return self._outcomes.popleft()

    def slots_become(self, n_slots: int) -> None:
        """Wait until so many slots is the last that was reported."""
        self._listen_until(lambda: self._n_slots == n_slots, f"{n_slots} slots were not reported")

    def _listen_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, otherwise
            for event in self._executor.next_events(1.0):
                self._hear(event)

    def _hear(self, event: ExecutorEvent) -> None:
        if isinstance(event, Finished):
            self._outcomes.append(event.outcome)
        elif isinstance(event, SlotsChanged):
            self._n_slots = event.n_slots


@pytest.fixture
def listener(executor: DaskExecutor) -> Listener:
    return Listener(executor)


def has_checkpoint(job: TrialJob) -> Callable[[], bool]:
    folder = Path(job.artefacts) / job.checkpoints
    return lambda: folder.is_dir() and any(folder.glob("epochs-*.pt"))


def test_workers_that_come_late_get_what_waits(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    executor.submit(job)
    assert executor.next_events(1.0) == [SlotsChanged(0)]
    assert "frnas worker --scheduler" in executor.attendance().waiting_for
    cluster.worker()
    listener.slots_become(1)
    done = listener.outcome()
    assert done.failure is None or done.failure is FailureKind.COLLAPSED
    assert done.worker.startswith("tcp://")


def test_a_worker_that_is_killed_has_lost_its_trial_and_another_goes_on_with_it(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    long_job = endless(job, "killed")
    first = cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    cluster.kill(first)
    lost = listener.outcome()
    assert (lost.failure, lost.trial_id) == (FailureKind.WORKER_LOST, "t0009")

    cluster.worker()
    again = replace(long_job.request, attempt=2, epochs=2)
    executor.submit(replace(long_job, request=again))
    done = listener.outcome()
    assert done.attempt == 2
    assert done.failure is not FailureKind.WORKER_LOST


def test_a_worker_that_is_asked_to_leave_gives_its_trial_back_at_once(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    long_job = endless(job, "left")
    worker = cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    worker.send_signal(signal.SIGTERM)
    assert listener.outcome().failure is FailureKind.WORKER_LOST
    assert worker.wait(PATIENCE_SECONDS) == 0


def test_trials_that_are_suspended_save_themselves_and_their_worker_takes_others(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    executor.suspend()  # nothing runs: nothing to ask
    long_job = endless(job, "suspended")
    cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    executor.suspend()
    left = listener.outcome()
    assert (left.failure, left.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
    assert left.checkpoint is not None
    assert "saved after" in left.detail

    executor.submit(replace(long_job, request=replace(long_job.request, attempt=2, epochs=2)))
    assert listener.outcome().attempt == 2


def test_a_restarted_scheduler_is_found_again_by_everybody(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    long_job = endless(job, "restarted")
    cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    cluster.kill(cluster.processes[0])
    listener.slots_become(0)
    assert "no scheduler answers" in executor.attendance().waiting_for
    cluster.scheduler()  # on another port
    listener.slots_become(1)
    assert listener.outcome().failure is FailureKind.WORKER_LOST
    executor.submit(job)
    assert listener.outcome().failure is not FailureKind.WORKER_LOST


def test_a_plain_dask_worker_gets_no_trial(
    cluster: Cluster, executor: DaskExecutor, job: TrialJob
) -> None:
    address = resolve_scheduler(str(cluster.file))
    cluster.start(address, "--nthreads", "4", "--no-nanny", module="distributed.cli.dask_worker")
    executor.submit(job)
    with connect(address) as client:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    assert executor.next_events(3.0) in ([], [SlotsChanged(0)])
    assert executor.attendance().n_workers == 0


def test_what_is_given_up_is_not_trained_any_longer(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    long_job = endless(job, "given-up")
    cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    executor.close()
    folder = Path(long_job.artefacts) / long_job.checkpoints

    def newest() -> str:
        return max(path.name for path in folder.glob("epochs-*.pt"))

    def is_quiet() -> bool:
        before = newest()
        time.sleep(1.0)
        return newest() == before

    wait_until(is_quiet)


def test_data_that_a_worker_cannot_read_are_read_by_another_and_that_one_is_quarantined(
    cluster: Cluster,
    executor: DaskExecutor,
    listener: Listener,
    job: TrialJob,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The pack's place is relative, and there is nothing below the first worker's folder.
    empty = tmp_path / "empty"
    empty.mkdir()
    pack = Path(job.data.pack)
    (tmp_path / "here.pack").symlink_to(pack)
    near = replace(job, data=replace(job.data, pack="here.pack"))
    cluster.worker(empty)
    listener.slots_become(1)
    bad = next(iter(executor._slots))
    cluster.worker(tmp_path)
    listener.slots_become(2)

    def trial(number: int, attempt: int = 1) -> TrialJob:
        request = replace(near.request, trial_id=f"t{number:04d}", attempt=attempt)
        return replace(near, request=request)

    n_refused, number = 0, 0
    while n_refused < 3:
        number += 2
        executor.submit(trial(number))
        executor.submit(trial(number + 1))
        first, second = listener.outcome(), listener.outcome()
        refused = [each for each in (first, second) if each.worker == bad]
        assert [each.failure for each in refused] == [FailureKind.DATA_ERROR]
        n_refused += 1
        executor.submit(trial(int(refused[0].trial_id[1:]), attempt=2))
        again = listener.outcome()
        assert again.worker != bad
        assert again.failure is not FailureKind.DATA_ERROR
    listener.slots_become(1)
    assert executor.attendance().n_workers == 1
    assert "gets no more trials" in caplog.text
