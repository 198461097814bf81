"""An executor that hands out results in the order of a virtual clock, whatever comes in when.

It makes a parallel search reproducible: what is asked and told in which order follows from the
seed and the number of slots, not from the speed and number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frnas_search.coordinator.state import Finished, SlotsChanged

if TYPE_CHECKING:
    from frnas_search.coordinator.executor import Attendance, Executor, ExecutorEvent
    from frnas_search.executors.virtual_clock import VirtualClock
    from results.trial import TrialOutcome
    from workers.settings import TrialJob


class VirtualTimeExecutor:
    """Keeps the rules of `frnas_search.coordinator.executor.Executor` around another one.

    One result at a time is handed out, that of the trial that ends next; all that follows from it
    enters the clock before the next one is chosen. The loss of a worker waits for its turn as
    well: a trial that is tried again keeps its end, so that everything waits for it and nothing
    else changes.
    """

    def __init__(self, executor: Executor, clock: VirtualClock) -> None:
        """An executor whose jobs run on another.

        Args:
            executor: Runs the jobs; closed with this one.
            clock: With what is in flight inside, when a search goes on.
        """
        self._executor = executor
        self._clock = clock
        self._jobs: dict[str, TrialJob] = {}
        self._arrived: dict[str, TrialOutcome] = {}
        self._handed_out: str | None = None
        self._has_reported_slots = False
        self._is_suspended = False

    def submit(self, job: TrialJob) -> None:
        """Run the job, or let it wait for a slot; one that was just handed out goes on."""
        if job.request.trial_id == self._handed_out:
            self._handed_out = None
        self._settle()
        if self._clock.enter(job.request):
            self._executor.submit(job)
        else:
            self._jobs[job.request.trial_id] = job

    def next_events(self, timeout_seconds: float) -> list[ExecutorEvent]:
        """The fixed number of slots at first, then the next result once it is there."""
        if not self._has_reported_slots:
            self._has_reported_slots = True
            return [SlotsChanged(self._clock.n_slots)]
        self._settle()
        is_there = self._clock.next_to_end() in self._arrived
        seen: list[ExecutorEvent] = []
        for event in self._executor.next_events(0.0 if is_there else timeout_seconds):
            if isinstance(event, Finished):
                self._arrived[event.outcome.trial_id] = event.outcome
            elif not isinstance(event, SlotsChanged):
                seen.append(event)  # to look at; nothing is decided by it
        return [*seen, *self._hand_out()]

    def recall(self) -> tuple[str, ...]:
        """Take back the jobs without a slot; those that wait for a worker run, by this clock.

        Unless it was suspended: then nothing that has not begun is to begin.
        """
        self._settle()
        recalled = self._clock.recall()
        for trial_id in recalled:
            del self._jobs[trial_id]
        if not self._is_suspended:
            return recalled
        unsent = self._executor.recall()
        self._clock.take_out(unsent)
        return (*recalled, *unsent)

    def suspend(self) -> None:
        """Ask all that runs in truth; what has ended is handed out in its turn all the same."""
        self._is_suspended = True
        self._executor.suspend()

    def bench(self, worker: str, reason: str) -> None:
        """Give the worker no more jobs."""
        self._executor.bench(worker, reason)

    def attendance(self) -> Attendance:
        """Who is there in truth."""
        return self._executor.attendance()

    def close(self) -> None:
        """Close the executor behind it."""
        self._executor.close()

    def _hand_out(self) -> list[ExecutorEvent]:
        trial_id = self._clock.next_to_end()
        if trial_id is None or trial_id not in self._arrived:
            return []
        self._handed_out = trial_id
        return [Finished(self._arrived.pop(trial_id))]

    def _settle(self) -> None:
        """Let the trial that was handed out leave, now that it is not tried again."""
        if self._handed_out is None:
            return
        trial_id, self._handed_out = self._handed_out, None
        for request in self._clock.leave(trial_id):
            self._executor.submit(self._jobs.pop(request.trial_id))
