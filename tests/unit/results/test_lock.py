from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest

from results.errors import RunDirectoryError, RunLockedError
from results.lock import is_locked, lock_path, run_lock

HOLDER = """
import sys
from pathlib import Path
from results.lock import run_lock

with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_locked_while_the_block_runs(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_second_writer_is_turned_away_with_the_first_ones_process_id(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path),
        pytest.raises(RunLockedError, match=f"process {os.getpid()} is writing"),
        run_lock(tmp_path, patience_seconds=0),
    ):
        pass
    with run_lock(tmp_path, patience_seconds=0):
        pass


def test_an_error_in_the_block_lets_go_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), run_lock(tmp_path):
        raise ValueError("boom")
    assert not is_locked(tmp_path)


def test_the_lock_of_another_process_is_seen_and_ends_when_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        with (
            pytest.raises(RunLockedError, match=f"process {holder.pid} "),
            run_lock(tmp_path, patience_seconds=0),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not is_locked(tmp_path)


def test_a_reader_that_looks_at_the_wrong_moment_does_not_turn_a_writer_away(
    tmp_path: Path,
) -> None:
    lock_path(tmp_path).touch()
    reader = os.open(lock_path(tmp_path), os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    assert not is_locked(tmp_path)  # readers do not see each other

    Timer(0.1, os.close, (reader,)).start()
    with run_lock(tmp_path):
        assert is_locked(tmp_path)


def test_looking_at_a_run_that_was_never_locked_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_a_lock_that_is_no_file_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(lock_path(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"lock: .*; (it is a folder.*)?remove it"):
        is_locked(tmp_path)
    with pytest.raises(RunDirectoryError, match="remove it"), run_lock(tmp_path):
        pass
