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

from frnas_search.coordinator.executor import ExecutorEvent, Heard, WorkerFound
from frnas_search.coordinator.state import Finished, SlotsChanged
from frnas_search.executors.cluster import connect, resolve_scheduler
from frnas_search.executors.dask import DaskExecutor
from results.trial import FailureKind, Fault, TrialOutcome
from search_space.candidate import SpaceSettings
from tests.fakes import doomed_job
from workers.artefacts.directory import DirectoryStore
from workers.data.packs.pack import open_pack
from workers.data.synthetic import SyntheticSettings, synthetic_pack
from workers.settings import DataSettings, EvaluationSettings, TrainingSettings, TrialJob
from workers.trials.function import Requirements
from workers.trials.messages import MARKER, Heartbeat, ProofRequest

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
        self.heard: list[Heartbeat] = []
        self.found: list[WorkerFound] = []
        self._n_slots: int | None = None

    def outcome(self) -> TrialOutcome:
        """The next trial that ended, waiting for one if need be."""
        self._listen_until(lambda: bool(self._outcomes), "no trial ended")
        return self._outcomes.popleft()

    def slots_become(self, n_slots: int) -> None:
        """Wait until so many slots is the last that was reported."""
        self._listen_until(lambda: self._n_slots == n_slots, f"{n_slots} slots were not reported")

    def finds(self, n_workers: int) -> None:
        """Wait until so many workers have shown what they have."""
        self._listen_until(lambda: len(self.found) >= n_workers, "no worker showed anything")

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
        elif isinstance(event, Heard):
            self.heard.append(event.heartbeat)
        else:
            self.found.append(event)


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
    outcome = listener.outcome()
    assert (outcome.failure, outcome.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
    assert "told to end; saved after" in outcome.detail
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
    assert {beat.trial_id for beat in listener.heard} == {"t0009"}
    assert listener.heard[-1].worker == left.worker

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
    lost = listener.outcome()
    assert (lost.failure, lost.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
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


def test_a_worker_that_sees_another_folder_is_unfit_and_costs_no_trial_an_attempt(
    cluster: Cluster, job: TrialJob, tmp_path: Path
) -> None:
    # The artefacts' place is relative: below the first worker's folder lies another one.
    for name in ("right", "wrong"):
        (tmp_path / name).mkdir()
    DirectoryStore(tmp_path / "right/run").write(MARKER, b'{"marker": "this one"}')
    DirectoryStore(tmp_path / "wrong/run").write(MARKER, b'{"marker": "a copy"}')
    near = replace(job, artefacts="run")
    requirements = Requirements(libraries=("torch",), device="cpu", data=job.data, artefacts="run")
    proof = ProofRequest(requirements=requirements, marker="this one", versions={})
    cluster.scheduler()
    address = resolve_scheduler(str(cluster.file))
    executor = DaskExecutor(connect(address), lambda: address, proof=proof)
    try:
        listener = Listener(executor)
        cluster.worker(tmp_path / "wrong")
        executor.submit(near)
        listener.finds(1)
        (found,) = listener.found
        assert "sees another folder under the run's path" in found.hello.unfit
        attendance = executor.attendance()
        assert attendance.n_workers == 0
        assert f"{found.worker} is unfit" in attendance.waiting_for
        cluster.worker(tmp_path / "right")
        done = listener.outcome()
        assert done.worker != found.worker
        assert done.failure is not FailureKind.DATA_ERROR, done.detail
        assert done.attempt == 1
    finally:
        executor.close()


def test_a_worker_that_is_stopped_is_lost_within_a_minute(
    cluster: Cluster, executor: DaskExecutor, listener: Listener, job: TrialJob
) -> None:
    long_job = endless(job, "stopped")
    worker = cluster.worker()
    listener.slots_become(1)
    executor.submit(long_job)
    wait_until(has_checkpoint(long_job))
    stopped = descendants(worker.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    lost = listener.outcome()
    assert lost.failure is FailureKind.WORKER_LOST
    assert time.monotonic() - began < 75.0
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_nothing_listens_where_others_reach_it(
    cluster: Cluster, executor: DaskExecutor, listener: Listener
) -> None:
    worker = cluster.worker()
    listener.slots_become(1)
    scheduler = cluster.processes[0]
    for process in (scheduler, worker):
        family = [process.pid, *descendants(process.pid)]
        hosts = {host for pid in family for host in listening_hosts(pid)}
        assert hosts == {"0100007F"}, "127.0.0.1, as the kernel writes it"
        # One for the scheduler, one each for the worker and who watches over it: no web pages.
        n_ports = sum(len(listening_hosts(pid)) for pid in family)
        assert n_ports == (1 if process is scheduler else 2)


def descendants(pid: int) -> list[int]:
    """Processes below one, at this moment."""
    parents = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            status = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            parents[int(folder.name)] = int(status[1])
    found, front = [], {pid}
    while front:
        front = {child for child, parent in parents.items() if parent in front}
        found += sorted(front)
    return found


def listening_hosts(pid: int) -> list[str]:
    """Where a process listens, as hexadecimal addresses; IPv6 ones are longer."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").rstrip("]"))
    hosts = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                hosts.append(fields[1].partition(":")[0])
    return hosts
