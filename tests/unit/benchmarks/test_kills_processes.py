"""Whose processes are ours, and which have outlived their parents."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid

from benchmarks.kills.processes import MARK, Marked, _status, marked, orphans, send


def test_only_processes_with_the_mark_are_found_and_struck() -> None:
    mark = uuid.uuid4().hex
    child = subprocess.Popen(
        (sys.executable, "-S", "-c", "input()"), stdin=subprocess.PIPE, env={MARK: mark}
    )
    try:
        found = marked(mark)
        assert [process.pid for process in found] == [child.pid]
        assert not found[0].is_training
        assert not found[0].is_dask_worker
        assert marked(f"{mark}0") == []
        assert send(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert marked(mark) == []
    assert not send(child.pid, signal.SIGTERM)


def test_a_process_without_a_living_root_is_an_orphan() -> None:
    found = [
        Marked(pid=2, parent=1, command="root"),
        Marked(pid=3, parent=2, command="worker"),
        Marked(pid=4, parent=3, command="training"),
        Marked(pid=9, parent=1, command="left"),
        Marked(pid=10, parent=9, command="left as well"),
    ]
    assert [process.pid for process in orphans(found, [2])] == [9, 10]


def test_a_status_line_is_read_whatever_the_command_holds() -> None:
    assert _status("7 (a) R (b) S 42 7 7") == ("S", 42)
