"""Trials on Dask workers: one job per worker, and the loss of a worker is an outcome.

Each job is sent to a worker that is known to be free, so it is always known where a trial runs;
Dask's own retries and rescheduling are never relied on. Only workers that declare a slot as a
resource take trials, whatever else is attached to the scheduler.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import time
import uuid
from collections import defaultdict, deque
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, KilledWorker
from distributed.core import Status
from distributed.scheduler import NoValidWorkerError

from frnas_search.coordinator.executor import Attendance, ExecutorEvent
from frnas_search.coordinator.state import Finished, SlotsChanged
from frnas_search.executors.dask_task import run_on_worker
from results.trial import FailureKind, TrialOutcome, outcome_from_json
from workers.settings import TrialJob, job_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

SLOT_RESOURCES = ("GPU", "CPU_SLOT")
_POLL_SECONDS = 1.0
_CONNECT_SECONDS = 5.0
_DISCONNECT_SECONDS = 1.0
_RESULT_SECONDS = 60.0
_QUARANTINED_AFTER = 3
"""Trials in a row whose data a worker could not read, while another worker could."""


@dataclass(frozen=True, slots=True)
class _Assignment:
    """A job with the worker it was sent to, and when, in seconds that only rise."""

    job: TrialJob
    address: str
    sent: float
    future: Future[Any]


class DaskExecutor:
    """Keeps the rules of `frnas_search.coordinator.executor.Executor` on a Dask cluster.

    Args:
        client: Connected; closed with the executor.
        find_scheduler: The scheduler's address, asked again when it was restarted.
    """

    def __init__(self, client: Client, find_scheduler: Callable[[], str]) -> None:
        self._client = client
        self._find = find_scheduler
        self._address = find_scheduler()
        self._session = uuid.uuid4().hex[:8]
        self._waiting: deque[TrialJob] = deque()
        self._running: dict[str, _Assignment] = {}
        self._slots: dict[str, str] = {}
        self._last_lost_on: dict[str, str] = {}
        self._unreadable_on: defaultdict[str, set[str]] = defaultdict(set)
        self._data_errors: defaultdict[str, int] = defaultdict(int)
        self._proven: set[str] = set()
        self._quarantined: set[str] = set()
        self._suspects: set[str] = set()
        self._missing: set[str] = set()
        self._answers: queue.SimpleQueue[tuple[str, TrialOutcome]] = queue.SimpleQueue()
        self._next_poll = 0.0
        self._reported_slots: int | None = None
        self._scheduler_answers = True

    def submit(self, job: TrialJob) -> None:
        """Send the job to a free worker, or let it wait for one."""
        self._waiting.append(job)
        self._assign_jobs()

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        """Answers that came in, workers that were lost, and a changed number of slots."""
        events: list[ExecutorEvent] = []
        deadline = time.monotonic() + timeout_seconds
        while not events:
            # Answers first: a worker that has answered and left has not lost its trial.
            events += [*self._collect(), *self._poll_workers()]
            remaining = deadline - time.monotonic()
            if events or remaining <= 0:
                break
            events += self._collect(min(remaining, _POLL_SECONDS))
        self._assign_jobs()
        return events

    def recall(self) -> tuple[str, ...]:
        """Take back the jobs that were sent to no worker yet."""
        waiting = tuple(job.request.trial_id for job in self._waiting)
        self._waiting.clear()
        return waiting

    def attendance(self) -> Attendance:
        """Workers with a slot, and how many run a trial of ours."""
        missing = ""
        if not self._scheduler_answers:
            missing = f"no scheduler answers at {self._address}; start it again there"
        elif not self._slots:
            missing = f"no workers yet; attach one: frnas worker --scheduler {self._address}"
        return Attendance(
            n_workers=len(self._usable()), n_busy=len(self._running), waiting_for=missing
        )

    def close(self) -> None:
        """Take back what is running and disconnect."""
        for assignment in self._running.values():
            assignment.future.release()
        self._running.clear()
        self._waiting.clear()
        self._disconnect()

    def _assign_jobs(self) -> None:
        if self._client.status != "running":
            return  # what is sent now would be cancelled with the rest
        busy = {assignment.address for assignment in self._running.values()}
        free = [worker for worker in self._usable() if worker not in busy | self._suspects]
        for job in list(self._waiting):
            address = self._worker_for(job.request.trial_id, free)
            if address is not None:
                self._waiting.remove(job)
                free.remove(address)
                self._send(job, address)

    def _worker_for(self, trial_id: str, free: list[str]) -> str | None:
        """The free worker for a trial; None when it has to wait for another one."""
        # Where its data could not be read they cannot be now; unless nobody else is there.
        others = self._usable().keys() - self._unreadable_on[trial_id]
        able = [address for address in free if address in others] if others else free
        # A worker that has just cost this trial an attempt is the last choice.
        return min(
            able, key=lambda address: address == self._last_lost_on.get(trial_id), default=None
        )

    def _usable(self) -> dict[str, str]:
        """Workers that get trials: all but those in quarantine, unless there are no others."""
        able = {
            address: slot
            for address, slot in self._slots.items()
            if address not in self._quarantined
        }
        return able or self._slots

    def _send(self, job: TrialJob, address: str) -> None:
        request = job.request
        key = f"frnas-{self._session}-{request.trial_id}-{request.attempt}"
        logger.debug("trial %s goes to %s", request.trial_id, address)
        future = self._client.submit(
            run_on_worker,
            job_to_json(job),
            key=key,
            workers=[address],
            allow_other_workers=False,
            resources={self._slots[address]: 1},
            retries=0,
            pure=False,
        )
        self._running[key] = _Assignment(job, address, time.monotonic(), future)
        future.add_done_callback(lambda done: self._answers.put((key, _outcome(job, done))))

    def _collect(self, wait_seconds: float = 0.0) -> list[ExecutorEvent]:
        """All answers that are there, waiting a while for the first one."""
        events: list[ExecutorEvent] = []
        try:
            answer = self._answers.get(block=wait_seconds > 0, timeout=wait_seconds)
            while True:
                events += self._take(*answer)
                answer = self._answers.get_nowait()
        except queue.Empty:
            return events

    def _take(self, key: str, outcome: TrialOutcome) -> list[ExecutorEvent]:
        assignment = self._running.pop(key, None)
        if assignment is None:
            return []  # its worker was reported lost before
        if outcome.failure is FailureKind.WORKER_LOST:
            self._last_lost_on[outcome.trial_id] = assignment.address
            # Nothing more goes there before the next poll has found it present.
            self._suspects.add(assignment.address)
            seconds = outcome.seconds or time.monotonic() - assignment.sent
            outcome = replace(outcome, seconds=seconds)
        else:
            self._count_data_errors(assignment.address, outcome)
        assignment.future.release()
        return [Finished(replace(outcome, worker=assignment.address))]

    def _count_data_errors(self, address: str, outcome: TrialOutcome) -> None:
        """Quarantine a worker that cannot read the data which others can."""
        if outcome.failure is not FailureKind.DATA_ERROR:
            self._data_errors[address] = 0
            self._proven.add(address)
            return
        self._proven.discard(address)
        self._data_errors[address] += 1
        self._unreadable_on[outcome.trial_id].add(address)
        others = (self._proven & self._slots.keys()) - self._quarantined
        if self._data_errors[address] >= _QUARANTINED_AFTER and others:
            self._quarantined.add(address)
            logger.warning(
                "worker %s gets no more trials: it could not read the data of %d in a row, and "
                "others can (%s); mend its data and start it again",
                address,
                self._data_errors[address],
                outcome.detail.split("\n")[0],
            )

    def _poll_workers(self) -> list[ExecutorEvent]:
        """Compare the workers that are there with those that were."""
        now = time.monotonic()
        if now < self._next_poll:
            return []
        self._next_poll = now + _POLL_SECONDS
        events: list[ExecutorEvent] = []
        try:
            if self._client.status != "running":
                events += self._reconnect()
            self._note_workers(self._present_slots())
            events += self._losses()
        except (OSError, TimeoutError, RuntimeError) as error:
            # Trials may well go on meanwhile; what is lost shows when it answers again.
            self._note_unreachable(error)
        return [*events, *self._slots_changed()]

    def _present_slots(self) -> dict[str, str]:
        """Address -> resource of every worker that takes trials."""
        # Not client.scheduler_info(): its answer goes through a cache that a background task
        # keeps overwriting with one that names no workers.
        scheduler = self._client.scheduler
        if scheduler is None:
            raise ConnectionError("not connected")
        answer = self._client.sync(
            scheduler.identity, n_workers=-1, callback_timeout=_CONNECT_SECONDS
        )
        workers = answer["workers"]
        return {address: slot for address, info in workers.items() if (slot := _slot(info))}

    def _note_workers(self, slots: dict[str, str]) -> None:
        for address in sorted(slots.keys() - self._slots.keys()):
            logger.info("worker %s is there (%s)", address, slots[address])
        for address in sorted(self._slots.keys() - slots.keys()):
            logger.warning("worker %s is gone", address)
        self._slots = slots
        self._suspects.clear()
        self._scheduler_answers = True

    def _note_unreachable(self, error: Exception) -> None:
        if self._scheduler_answers:
            logger.warning("no scheduler answers at %s (%s)", self._address, error)
        self._scheduler_answers = False
        self._slots = {}
        self._next_poll = time.monotonic() + _CONNECT_SECONDS

    def _losses(self) -> list[ExecutorEvent]:
        """Trials whose workers were missing in this poll and in the one before."""
        missing = {
            assignment.address for assignment in self._running.values()
        } - self._slots.keys()
        gone, self._missing = missing & self._missing, missing
        return self._lose(
            [key for key, assignment in self._running.items() if assignment.address in gone],
            "its worker is gone",
        )

    def _lose(self, keys: list[str], detail: str) -> list[ExecutorEvent]:
        return [
            event
            for key in keys
            for event in self._take(key, _lost(self._running[key].job, detail))
        ]

    def _slots_changed(self) -> list[ExecutorEvent]:
        n_slots = len(self._usable())
        if self._reported_slots == n_slots:
            return []
        self._reported_slots = n_slots
        return [SlotsChanged(n_slots)]

    def _reconnect(self) -> list[ExecutorEvent]:
        """A new client for one whose scheduler went away, and with it all that was running.

        Raises:
            OSError: There is no scheduler yet.
        """
        address = self._find()
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        self._disconnect()
        self._client, self._address = client, address
        logger.info("connected to %s again", address)
        return self._lose(list(self._running), "the scheduler was restarted")

    def _disconnect(self) -> None:
        # There may be no scheduler left, nor a loop to reach it with.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._client.close(timeout=_DISCONNECT_SECONDS)


def _slot(worker: Mapping[str, Any]) -> str | None:
    """The resource by which a worker takes trials, None when it does not."""
    if worker.get("status", Status.running.name) != Status.running.name:
        return None
    resources = worker.get("resources", {})
    return next((name for name in SLOT_RESOURCES if resources.get(name, 0) >= 1), None)


def _outcome(job: TrialJob, future: Future[Any]) -> TrialOutcome:
    """What became of a task; called by the client's own thread once it is over."""
    # Nothing may escape: whoever waits for this answer would wait for ever.
    try:
        if future.status == "finished":
            return _decoded(job, future.result(timeout=_RESULT_SECONDS))
        if future.status != "error":
            return _lost(job, f"its task was {future.status}")
        raised = future.exception(timeout=_RESULT_SECONDS)
    except (OSError, TimeoutError, CancelledError) as error:
        return _lost(job, f"its result could not be fetched ({error})")
    # Training never raises; what does is the cluster losing the worker or failing to load us.
    if isinstance(raised, KilledWorker | NoValidWorkerError):
        return _lost(job, "its worker died")
    return _failed(job, FailureKind.CRASHED, f"the task itself failed: {raised!r}")


def _decoded(job: TrialJob, answer: Mapping[str, Any]) -> TrialOutcome:
    try:
        return outcome_from_json(answer)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        detail = f"its worker answered what this frnas does not know ({error}); is it another one?"
        return _failed(job, FailureKind.CRASHED, detail)


def _lost(job: TrialJob, detail: str) -> TrialOutcome:
    return _failed(job, FailureKind.WORKER_LOST, detail)


def _failed(job: TrialJob, kind: FailureKind, detail: str) -> TrialOutcome:
    request = job.request
    return TrialOutcome(
        trial_id=request.trial_id, attempt=request.attempt, failure=kind, detail=detail
    )
