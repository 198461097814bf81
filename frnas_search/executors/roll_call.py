"""Which workers are there, which are fit, and what each has shown: who may get a trial.

A worker that joins is asked to prove itself before it gets one, and again after it failed one of
what a place may lack. One that is not fit is asked again now and then, for it may be mended.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frnas_search.coordinator.executor import WorkerFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.trials.messages import Hello

logger = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 30.0


@dataclass(slots=True)
class RollCall:
    """The workers by address.

    Attributes:
        needs_proof: Whether workers must show something; else who is there is fit.
        present: Address -> the resource by which the worker takes trials.
        benched: Address -> why it gets no more trials.
        failed_on: Trial -> workers that failed it of what may be the place's own.
        lost_on: Trial -> the worker that has cost it an attempt last.
    """

    needs_proof: bool
    clock: Callable[[], float]
    present: dict[str, str] = field(default_factory=dict)
    benched: dict[str, str] = field(default_factory=dict)
    failed_on: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    lost_on: dict[str, str] = field(default_factory=dict)
    _hellos: dict[str, Hello] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _next_question: dict[str, float] = field(default_factory=dict)
    _doubted: set[str] = field(default_factory=set)

    def note(self, present: Mapping[str, str]) -> None:
        """Take down who is there now."""
        for address in sorted(present.keys() - self.present.keys()):
            logger.info("worker %s is there (%s)", address, present[address])
        for address in sorted(self.present.keys() - present.keys()):
            logger.warning("worker %s is gone", address)
            self._forget(address)
        self.present = dict(present)

    def to_ask(self) -> Iterator[str]:
        """Workers that are to prove themselves now; each is taken for asked."""
        if not self.needs_proof:
            return
        for address in self.present:
            is_due = self.clock() >= self._next_question.get(address, 0.0)
            if address in self._asked or self.is_fit(address) or not is_due:
                continue
            self._asked.add(address)
            yield address

    def answered(self, address: str, hello: Hello) -> WorkerFound | None:
        """Take down what a worker has shown; None where it has gone meanwhile."""
        self._asked.discard(address)
        if address not in self.present:
            return None
        before = self._hellos.get(address)
        self._hellos[address] = hello
        self._doubted.discard(address)
        if hello.unfit:
            self._next_question[address] = self.clock() + _ASK_AGAIN_SECONDS
        is_news = before is None or before.unfit != hello.unfit
        return WorkerFound(worker=address, hello=hello, is_news=is_news)

    def unanswered(self, address: str) -> None:
        """The question was lost; it is asked again."""
        self._asked.discard(address)

    def doubt(self, address: str) -> None:
        """Let the worker prove itself once more before it gets another trial."""
        self._doubted.add(address)

    def is_fit(self, address: str) -> bool:
        """Whether the worker has shown all it must, and nothing speaks against it."""
        if not self.needs_proof:
            return True
        hello = self._hellos.get(address)
        return hello is not None and not hello.unfit and address not in self._doubted

    def usable(self) -> dict[str, str]:
        """Address -> resource of the workers that may get trials."""
        return {
            address: resource
            for address, resource in self.present.items()
            if address not in self.benched and self._may_be_used(address)
        }

    def idle(self) -> dict[str, str]:
        """Why workers that are there get no trials, in words."""
        reasons = {}
        for address in self.present:
            hello = self._hellos.get(address)
            if address in self.benched:
                reasons[address] = f"benched: {self.benched[address]}"
            elif hello is not None and hello.unfit:
                reasons[address] = f"unfit: {hello.unfit}"
        return reasons

    def place_for(self, trial_id: str, free: list[str]) -> str | None:
        """The free worker for a trial; None when it has to wait for one."""
        fit = [address for address in free if self.is_fit(address)]
        # Where it failed it is tried again only when nobody else is there.
        others = self.usable().keys() - self.failed_on[trial_id]
        able = [address for address in fit if address in others] if others else fit
        return min(able, key=lambda address: address == self.lost_on.get(trial_id), default=None)

    def _may_be_used(self, address: str) -> bool:
        """Also a worker that is to prove itself again: it keeps its slot meanwhile."""
        if not self.needs_proof:
            return True
        hello = self._hellos.get(address)
        return hello is not None and not hello.unfit

    def _forget(self, address: str) -> None:
        for known in (self._hellos, self._next_question, self.benched):
            known.pop(address, None)
        self._asked.discard(address)
        self._doubted.discard(address)
