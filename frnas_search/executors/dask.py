"""Trials on Dask workers: one job per worker, and the loss of a worker is an outcome.

Each job is sent to a worker that is known to be free and fit, so it is always known where a trial
runs; Dask's own retries and rescheduling are never relied on. Only workers that declare a slot as
a resource take trials, whatever else is attached to the scheduler.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import time
import uuid
from collections import deque
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, KilledWorker
from distributed.core import Status
from distributed.scheduler import NoValidWorkerError

from frnas_search.coordinator.executor import Attendance, ExecutorEvent, Heard
from frnas_search.coordinator.state import Finished, SlotsChanged
from frnas_search.executors.dask_task import (
    prove_on_worker,
    run_on_worker,
    suspend_on_worker,
)
from frnas_search.executors.roll_call import RollCall
from results.trial import FailureKind, Fault, TrialOutcome, failed_attempt, outcome_from_json
from workers.settings import TrialJob, job_to_json
from workers.trials.messages import (
    Heartbeat,
    Hello,
    ProofRequest,
    heartbeat_from_json,
    hello_from_json,
    proof_request_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

SLOT_RESOURCES = ("GPU", "CPU_SLOT")
_POLL_SECONDS = 1.0
_CONNECT_SECONDS = 5.0
_DISCONNECT_SECONDS = 1.0
_RESULT_SECONDS = 60.0
_UNHEARD_SECONDS = 60.0
"""Without a word of a trial: its worker, which runs, passes one on every two seconds."""

_DOUBTFUL = (FailureKind.DATA_ERROR, FailureKind.CRASHED, FailureKind.STALLED)
"""After these a worker proves itself again: a disk may have filled up since it last did."""

_ELSEWHERE = (*_DOUBTFUL, FailureKind.OUT_OF_MEMORY)
"""After these a trial goes to another worker, where there is one."""


@dataclass(slots=True)
class _Assignment:
    """A job with the worker it was sent to.

    Attributes:
        sent: When, in seconds that only rise.
        heartbeat: The last one; None before the first.
        heard: When that was, or when there was last a reason to expect none.
    """

    job: TrialJob
    address: str
    sent: float
    future: Future[Any]
    heartbeat: Heartbeat | None = None
    heard: float | None = None


class DaskExecutor:
    """Keeps the rules of `frnas_search.coordinator.executor.Executor` on a Dask cluster.

    Args:
        client: Connected; closed with the executor.
        find_scheduler: The scheduler's address, asked again when it was restarted.
        proof: What each worker must show before it gets a job; None takes all.
    """

    def __init__(
        self,
        client: Client,
        find_scheduler: Callable[[], str],
        *,
        proof: ProofRequest | None = None,
    ) -> None:
        self._client = client
        self._find = find_scheduler
        self._address = find_scheduler()
        self._session = uuid.uuid4().hex[:8]
        self._topic = f"frnas-{self._session}"
        self._proof = proof
        self._roll = RollCall(proof is not None, time.monotonic)
        self._proofs: dict[str, Future[Any]] = {}
        self._waiting: deque[TrialJob] = deque()
        self._running: dict[str, _Assignment] = {}
        self._suspects: set[str] = set()
        self._missing: set[str] = set()
        self._answers: queue.SimpleQueue[tuple[str, TrialOutcome | Hello | None]] = (
            queue.SimpleQueue()
        )
        self._heartbeats: queue.SimpleQueue[Heartbeat] = queue.SimpleQueue()
        self._next_poll = 0.0
        self._reported_slots: int | None = None
        self._scheduler_answers = True
        self._listen()

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

    def suspend(self) -> None:
        """Ask the workers that run a trial of ours to let it save itself."""
        running = list(self._running.values())
        if not running:
            return
        # One that is stopped does not answer; the others have heard it all the same.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._client.run(
                suspend_on_worker,
                [_attempt_of(assignment.job) for assignment in running],
                workers=sorted({assignment.address for assignment in running}),
                on_error="ignore",
                callback_timeout=_CONNECT_SECONDS,
            )

    def bench(self, worker: str, reason: str) -> None:
        """Give the worker no more jobs."""
        self._roll.benched[worker] = reason

    def attendance(self) -> Attendance:
        """Workers with a slot, and how many run a trial of ours."""
        now = time.monotonic()
        usable, idle = self._roll.usable(), self._roll.idle()
        missing = ""
        if not self._scheduler_answers:
            missing = f"no scheduler answers at {self._address}; start it again there"
        elif not self._roll.present:
            missing = f"no workers yet; attach one: frnas worker --scheduler {self._address}"
        elif not usable and idle:
            missing = "no worker is fit: " + "; ".join(
                f"{address} is {reason}" for address, reason in sorted(idle.items())
            )
        elif not usable:
            missing = f"workers that show whether they are fit: {len(self._roll.present)}"
        return Attendance(
            n_workers=len(usable),
            n_busy=len(self._running),
            waiting_for=missing,
            idle=idle,
            trials=tuple(
                (assignment.heartbeat, now - (assignment.heard or now))
                for assignment in self._running.values()
                if assignment.heartbeat is not None
            ),
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
        self._ask_for_proofs()
        busy = {assignment.address for assignment in self._running.values()}
        free = [worker for worker in self._roll.usable() if worker not in busy | self._suspects]
        for job in list(self._waiting):
            address = self._roll.place_for(job.request.trial_id, free)
            if address is not None:
                self._waiting.remove(job)
                free.remove(address)
                self._send(job, address)

    def _ask_for_proofs(self) -> None:
        if self._proof is None:
            return
        request = proof_request_to_json(self._proof)
        for address in self._roll.to_ask():
            future = self._client.submit(
                prove_on_worker,
                request,
                key=f"frnas-{self._session}-proof-{uuid.uuid4().hex[:8]}",
                workers=[address],
                allow_other_workers=False,
                resources={self._roll.present[address]: 1},
                retries=0,
                pure=False,
            )
            self._proofs[address] = future
            future.add_done_callback(functools.partial(self._proof_answered, address))

    def _proof_answered(self, address: str, future: Future[Any]) -> None:
        """Called by the client's own thread."""
        self._answers.put((address, _hello(future)))

    def _send(self, job: TrialJob, address: str) -> None:
        request = job.request
        key = self._key(request.trial_id, request.attempt)
        logger.debug("trial %s goes to %s", request.trial_id, address)
        future = self._client.submit(
            run_on_worker,
            job_to_json(job),
            self._topic,
            key=key,
            workers=[address],
            allow_other_workers=False,
            resources={self._roll.present[address]: 1},
            retries=0,
            pure=False,
        )
        now = time.monotonic()
        self._running[key] = _Assignment(job, address, now, future, heard=now)
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
            return [*self._heard(), *events]

    def _heard(self) -> list[ExecutorEvent]:
        """What trials have said, of those that still run; the reports of the others, too."""
        events: list[ExecutorEvent] = []
        while True:
            try:
                heartbeat = self._heartbeats.get_nowait()
            except queue.Empty:
                return events
            key = self._key(heartbeat.trial_id, heartbeat.attempt)
            assignment = self._running.get(key)
            if assignment is not None:
                assignment.heartbeat, assignment.heard = heartbeat, time.monotonic()
            events.append(Heard(heartbeat))

    def _key(self, trial_id: str, attempt: int) -> str:
        return f"frnas-{self._session}-{trial_id}-{attempt}"

    def _take(self, key: str, answer: TrialOutcome | Hello | None) -> list[ExecutorEvent]:
        if isinstance(answer, TrialOutcome):
            return self._ended(key, answer)
        self._proofs.pop(key, None)
        if answer is None:
            self._roll.unanswered(key)
            return []
        found = self._roll.answered(key, answer)
        return [] if found is None else [found]

    def _ended(self, key: str, outcome: TrialOutcome) -> list[ExecutorEvent]:
        assignment = self._running.pop(key, None)
        if assignment is None:
            return []  # its worker was reported lost before
        trial_id, address = outcome.trial_id, assignment.address
        if outcome.failure is FailureKind.WORKER_LOST:
            self._roll.lost_on[trial_id] = address
            # Nothing more goes there before the next poll has found it present.
            self._suspects.add(address)
            seconds = outcome.seconds or time.monotonic() - assignment.sent
            outcome = replace(outcome, seconds=seconds)
        if outcome.failure in _ELSEWHERE:
            self._roll.failed_on[trial_id].add(address)
        if outcome.failure in _DOUBTFUL:
            self._roll.doubt(address)
        assignment.future.release()
        return [Finished(replace(outcome, worker=address))]

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
            events += [*self._losses(), *self._silences()]
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
        self._roll.note(slots)
        for address in self._proofs.keys() - slots.keys():
            self._proofs.pop(address).release()
        self._suspects.clear()
        self._scheduler_answers = True

    def _note_unreachable(self, error: Exception) -> None:
        if self._scheduler_answers:
            logger.warning("no scheduler answers at %s (%s)", self._address, error)
        self._scheduler_answers = False
        self._roll.present = {}
        self._next_poll = time.monotonic() + _CONNECT_SECONDS

    def _losses(self) -> list[ExecutorEvent]:
        """Trials whose workers were missing in this poll and in the one before."""
        missing = {
            assignment.address for assignment in self._running.values()
        } - self._roll.present.keys()
        gone, self._missing = missing & self._missing, missing
        # Several at once with none left: that was no trial's doing.
        is_cluster = len(gone) > 1 and not self._roll.present
        return self._lose(
            [key for key, assignment in self._running.items() if assignment.address in gone],
            "all workers are gone" if is_cluster else "its worker is gone",
            fault=Fault.CLUSTER if is_cluster else None,
        )

    def _silences(self) -> list[ExecutorEvent]:
        """Trials of which their workers, which are there, have said nothing for too long."""
        now = time.monotonic()
        silent = [
            key
            for key, assignment in self._running.items()
            if assignment.heartbeat is not None
            and now - (assignment.heard or now) > _UNHEARD_SECONDS
        ]
        return self._lose(silent, f"its worker has said nothing for {_UNHEARD_SECONDS:g} s")

    def _lose(
        self, keys: list[str], detail: str, *, fault: Fault | None = None
    ) -> list[ExecutorEvent]:
        return [
            event
            for key in keys
            for event in self._ended(
                key, replace(_lost(self._running[key].job, detail), fault=fault)
            )
        ]

    def _slots_changed(self) -> list[ExecutorEvent]:
        n_slots = len(self._roll.usable())
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
        self._roll.note({})
        self._proofs.clear()
        self._listen()
        logger.info("connected to %s again", address)
        return self._lose(list(self._running), "the scheduler was restarted", fault=Fault.CLUSTER)

    def _listen(self) -> None:
        """Hear what the trials say."""
        self._client.subscribe_topic(self._topic, self._take_heartbeat)

    def _take_heartbeat(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Called by the client's own thread."""
        try:
            self._heartbeats.put(heartbeat_from_json(event[1]))
        except (TypeError, AttributeError):
            logger.debug("a heartbeat that is none: %r", event)

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
        if future.status != "error":  # by nobody but a scheduler that goes away
            return replace(_lost(job, f"its task was {future.status}"), fault=Fault.CLUSTER)
        raised = future.exception(timeout=_RESULT_SECONDS)
    except (OSError, TimeoutError, CancelledError) as error:
        return _lost(job, f"its result could not be fetched ({error})")
    # Training never raises; what does is the cluster losing the worker or failing to load us.
    if isinstance(raised, KilledWorker | NoValidWorkerError):
        return _lost(job, "its worker died")
    return failed_attempt(
        job.request, FailureKind.DATA_ERROR, f"the task itself failed: {raised!r}"
    )


def _hello(future: Future[Any]) -> Hello | None:
    """What a worker has shown; None when the question was lost. Called by the client's thread."""
    try:
        if future.status == "finished":
            return hello_from_json(future.result(timeout=_RESULT_SECONDS))
        if future.status != "error":
            return None
        raised = future.exception(timeout=_RESULT_SECONDS)
    except (OSError, TimeoutError, CancelledError):
        return None
    except (TypeError, AttributeError):
        return Hello(unfit=_OTHER_FRNAS)
    if isinstance(raised, KilledWorker | NoValidWorkerError):
        return None
    return Hello(unfit=f"{_OTHER_FRNAS} ({type(raised).__name__}: {raised})")


_OTHER_FRNAS = (
    "answers what this frnas does not know; install the same frnas there as where the search was "
    "started"
)


def _decoded(job: TrialJob, answer: Mapping[str, Any]) -> TrialOutcome:
    try:
        return outcome_from_json(answer)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return failed_attempt(
            job.request, FailureKind.DATA_ERROR, f"its worker {_OTHER_FRNAS} ({error})"
        )


def _attempt_of(job: TrialJob) -> tuple[str, int]:
    return job.request.trial_id, job.request.attempt


def _lost(job: TrialJob, detail: str) -> TrialOutcome:
    return failed_attempt(job.request, FailureKind.WORKER_LOST, detail)
