"""One search that is struck again and again until it is over."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.kills.account import Kill
from benchmarks.kills.fleet import Fleet
from benchmarks.kills.plan import GROUP, KILL, PAUSE, TERM, SearchPlan, Strike
from benchmarks.kills.processes import Marked, send

_LOOK_SECONDS = 0.3
_VICTIM_SECONDS = 20.0
_ORPHAN_SECONDS = 30.0
_SIGNALS = {
    KILL: signal.SIGKILL,
    TERM: signal.SIGTERM,
    GROUP: signal.SIGTERM,
    PAUSE: signal.SIGSTOP,
}


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What happened to one search.

    Attributes:
        kills: In their order.
        unused: Strikes that were left when the search was over, or that met nobody.
        faults: What must not be, in words.
        seconds: From its first start to its end.
    """

    plan: SearchPlan
    fleet: Fleet
    kills: list[Kill] = field(default_factory=list)
    unused: list[Strike] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, *, most_seconds: float, say: Callable[[str], None]) -> None:
        """Strike it as planned, and let it end.

        Args:
            most_seconds: A search that is not over by then hangs.
            say: Told of each kill.
        """
        began = time.monotonic()
        left = deque(self.plan.strikes)
        try:
            while not self.fleet.tend():
                self.seconds = time.monotonic() - began
                if self.fleet.is_stuck or self.seconds > most_seconds:
                    why = "cannot be resumed" if self.fleet.is_stuck else "does not end"
                    self.faults.append(f"{self.plan.name} {why}")
                    break
                if left and not self._strike(left[0], began, say):
                    self.unused.append(left[0])
                if left:
                    left.popleft()
                time.sleep(_LOOK_SECONDS)
            self.seconds = time.monotonic() - began
            self._look_for("outlived its parent", self.fleet.orphans(_ORPHAN_SECONDS))
        finally:
            self._look_for("did not end when told to", self.fleet.stop())
        self.unused += left

    def _look_for(self, what: str, found: list[Marked]) -> None:
        self.faults += [
            f"{self.plan.name}: process {process.pid} {what}: {process.command[:200]}"
            for process in found
        ]

    def _strike(self, strike: Strike, began: float, say: Callable[[str], None]) -> bool:
        """Wait for the right moment and strike; whether somebody was met."""
        is_going_on = self._tended(
            strike.patience_seconds, lambda: bool(self.fleet.running())
        ) and self._tended(strike.seconds, lambda: False)
        if not is_going_on:
            return False
        victims: list[int] = []

        def is_there() -> bool:
            victims[:] = self._victims(strike)
            return bool(victims)

        if not is_there():
            self._tended(_VICTIM_SECONDS, is_there)
        if not victims:
            return False
        pid = random.Random(f"{self.plan.seed} {len(self.kills)}").choice(sorted(victims))
        log = self.fleet.log()
        kill = Kill(
            search=self.plan.name,
            mode=strike.mode,
            kind=strike.kind,
            blow=strike.blow,
            pid=pid,
            sequence=log[-1].sequence if log else 0,
            n_running=len(self.fleet.running()),
            seconds=time.monotonic() - began,
        )
        if not send(pid, _SIGNALS[strike.blow], to_group=strike.blow == GROUP):
            return False
        if strike.blow == PAUSE:
            time.sleep(strike.stop_seconds)
            send(pid, signal.SIGCONT)
        self.kills.append(kill)
        say(
            f"{kill.search} {kill.seconds:5.0f} s: {kill.blow} to {kill.kind} {pid}, "
            f"{kill.n_running} trials running, event {kill.sequence}"
        )
        return True

    def _tended(self, seconds: float, is_enough: Callable[[], bool]) -> bool:
        """Supervise for so long, or until it is enough; False when the search is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not is_enough():
            if self.fleet.tend():
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _victims(self, strike: Strike) -> list[int]:
        if strike.kind in _ROOTS:
            begins = _ROOTS[strike.kind]
            roots = self.fleet.roots.items()
            return [
                root.pid for name, root in roots if name.startswith(begins) and root.poll() is None
            ]
        is_wanted = _OTHERS[strike.kind]
        return [process.pid for process in self.fleet.processes() if is_wanted(process)]


_ROOTS = {"scheduler": "scheduler", "worker parent": "worker-", "coordinator": "search"}
_OTHERS: dict[str, Callable[[Marked], bool]] = {
    "training": lambda process: process.is_training,
    "Dask worker": lambda process: process.is_dask_worker,
}


def wait_for_end(fleet: Fleet, *, most_seconds: float) -> bool:
    """Let a search run that nobody strikes; whether it came to its end."""
    deadline = time.monotonic() + most_seconds
    with contextlib.closing(_Stopping(fleet)):
        while not fleet.tend():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
    return True


class _Stopping:
    """Ends a fleet at the end of a block."""

    def __init__(self, fleet: Fleet) -> None:
        self.close = fleet.stop
