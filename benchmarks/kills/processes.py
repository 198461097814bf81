"""Processes that carry the mark of one search in their environment: those that it has started.

Nothing else is ever signalled. Linux only: all is read from /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "FRNAS_CHAOS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A process of ours that is alive."""

    pid: int
    parent: int
    command: str

    @property
    def is_training(self) -> bool:
        """Whether it is a worker's training process."""
        return "workers.processes.child" in self.command

    @property
    def is_dask_worker(self) -> bool:
        """Whether it is the worker process behind a nanny."""
        return "spawn_main" in self.command and "resource_tracker" not in self.command


def marked(mark: str) -> list[Marked]:
    """All processes with the mark in the environment that they were started with."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state, parent = _status((folder / "stat").read_text())
            if state != "Z" and command:
                found.append(Marked(pid=int(folder.name), parent=parent, command=command))
    return found


def _status(line: str) -> tuple[str, int]:
    """State and parent of a line of /proc/PID/stat; a command may hold anything, also brackets."""
    fields = line.rpartition(")")[2].split()
    return fields[0], int(fields[1])


def orphans(found: Iterable[Marked], roots: Iterable[int]) -> list[Marked]:
    """Those of which no living root is an ancestor."""
    parents = {process.pid: process.parent for process in found}
    kept = set(roots)

    def is_kept(pid: int) -> bool:
        while pid in parents and pid not in kept:
            pid = parents[pid]
        return pid in kept

    return [process for process in found if not is_kept(process.pid)]


def send(pid: int, number: signal.Signals, *, to_group: bool = False) -> bool:
    """Whether the signal went to somebody."""
    try:
        if to_group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
