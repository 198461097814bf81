from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from frnas_search.errors import AddressError, SchedulerUnreachableError
from frnas_search.executors.cluster import (
    absent_gpus,
    interrupts_held,
    present_gpus,
    require_protocol,
    resolve_scheduler,
    worker_slots,
)


def test_each_gpu_has_a_worker_that_sees_no_other() -> None:
    slots = worker_slots(gpus=["0", "3"], n_cpu_workers=5, n_threads=2)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["0", "3"]
    assert [slot.resources for slot in slots] == [{"GPU": 1}, {"GPU": 1}]
    assert slots[0].environment["OMP_NUM_THREADS"] == "2"


def test_without_gpus_workers_share_the_cores_and_see_no_gpu() -> None:
    n_cores = len(os.sched_getaffinity(0))
    slots = worker_slots(gpus=[], n_cpu_workers=2)
    assert [slot.resources for slot in slots] == [{"CPU_SLOT": 1}] * 2
    assert {slot.n_threads for slot in slots} == {max(1, n_cores // 2)}
    assert slots[0].environment["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("variable", "names"),
    [("0,2", ["0", "2"]), ("", []), ("-1", []), ("GPU-8932f937 ", ["GPU-8932f937"])],
)
def test_the_environment_says_which_gpus_may_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert present_gpus() == names


@pytest.mark.parametrize(
    ("answer", "exit_code", "names"),
    [("0, GPU-1a\n1, GPU-2b\n", 0, ["0", "1"]), ("no devices", 9, [])],
)
def test_else_the_driver_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, exit_code: int, names: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pretend_driver(monkeypatch, tmp_path, answer, exit_code)
    assert present_gpus() == names


def pretend_driver(
    monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str, exit_code: int = 0
) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\nexit {exit_code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_gpus_that_the_driver_does_not_know_are_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_driver(monkeypatch, tmp_path, "0, GPU-1a\n1, GPU-2b\n")
    known = ["0", "1", "GPU-1a", "GPU-2", "MIG-7"]
    assert absent_gpus([*known, "2", "-1", "x", "GPU-3"]) == ["2", "-1", "x", "GPU-3"]


@pytest.mark.parametrize("text", ["", "node1", "127.0.0.1", "http://node1:8786", "a b:1", "x:"])
def test_what_is_no_address_is_refused_before_anything_connects(text: str) -> None:
    with pytest.raises(AddressError, match="write it as host:port"):
        resolve_scheduler(text)


def test_a_machine_without_a_driver_has_no_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert present_gpus() == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("node1:8786", "tcp://node1:8786"),
        ("tcp://node1:8786", "tcp://node1:8786"),
        ("tls://node1:8786", "tls://node1:8786"),
    ],
)
def test_an_address_may_leave_out_its_protocol(text: str, address: str) -> None:
    assert resolve_scheduler(text) == address


def test_a_scheduler_file_names_the_address(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://10.0.0.1:8786", "id": "x"}')
    assert resolve_scheduler(str(file)) == "tcp://10.0.0.1:8786"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "x"])
def test_a_file_that_names_none_is_refused_with_what_to_do(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SchedulerUnreachableError, match="frnas scheduler --scheduler-file"):
        resolve_scheduler(str(file))


def test_ctrl_c_waits_until_what_is_started_stands() -> None:
    done = []

    def start() -> None:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            # As a worker, a process of its own that a terminal's Ctrl-C reaches as well.
            script = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('lives')"
            child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
            done.append(child.stdout.strip())

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["lives"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_without_ctrl_c_nothing_is_held_back() -> None:
    with interrupts_held():
        pass
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("tls://node:8786", "tls needs certificates, and none are configured"),
        ("wss://node:8786", "wss needs certificates, and none are configured"),
        ("nope://node:8786", "nope cannot be used here"),
    ],
)
def test_a_protocol_that_cannot_be_spoken_is_refused(address: str, sentence: str) -> None:
    with pytest.raises(AddressError, match=sentence):
        require_protocol(address)


def test_plain_addresses_may_be_spoken_to() -> None:
    require_protocol("tcp://node:8786")
