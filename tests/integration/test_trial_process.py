"""The training process behind a worker: real processes, killed, hung, noisy and orphaned."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from results.trial import Configuration, FailureKind, Fault, TrialOutcome, TrialRequest
from search_space.candidate import SpaceSettings
from workers.artefacts.checkpoint_names import moment_of
from workers.artefacts.directory import DirectoryStore
from workers.data.synthetic import SyntheticSettings, write_synthetic
from workers.processes.trial_process import TrialProcess
from workers.settings import (
    DataSettings,
    EvaluationSettings,
    TrainingSettings,
    TrialJob,
    job_to_json,
)
from workers.trials.function import Requirements
from workers.trials.messages import MARKER, Heartbeat, ProofRequest

DEADLINE_SECONDS = 60.0
ANSWER = """
import json, sys
def answer(line):
    request = json.loads(line)["job"]["request"]
    outcome = {"trial_id": request["trial_id"], "attempt": request["attempt"]}
    print(json.dumps({"outcome": outcome | {"costs": {"error": 0.5}}}), flush=True)
"""
FIRST_LINE_THEN = f"{ANSWER}\nimport os, signal, time\nline = sys.stdin.readline()\n"

Start = Callable[[str], TrialProcess]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    path = tmp_path_factory.mktemp("packs") / "drawn.pack"
    settings = SyntheticSettings(
        train_identities=8, val_identities=8, test_identities=4, images_per_identity=4
    )
    digest = write_synthetic(settings, path)
    return DataSettings(pack=str(path), digest=digest, group="group")


@pytest.fixture
def job(data: DataSettings, tmp_path: Path) -> TrialJob:
    configuration: Configuration = {
        "edge1": "3",
        "edge2": "0",
        "edge3": "1",
        "head": "CosFace",
        "optimizer": "AdamW",
        "lr_adam": 0.005,
    }
    return TrialJob(
        request=TrialRequest(
            trial_id="t1", config_id="c1", configuration=configuration, rung=0, epochs=2, seed=0
        ),
        data=data,
        space=SpaceSettings(width=0.02, embedding_size=16),
        training=TrainingSettings(batch_size=16, device="cpu", augmentation=0.0),
        evaluation=EvaluationSettings(n_replicates=50),
        objectives=("error", "rank_disparity"),
        max_epochs=4,
        split="val",
        artefacts=str(tmp_path),
        checkpoints="checkpoints/c1",
    )


@pytest.fixture
def endless(job: TrialJob) -> TrialJob:
    """A training that would take days and saves itself after every epoch."""
    return replace(
        job,
        request=replace(job.request, epochs=10**6),
        training=replace(job.training, checkpoint_seconds=0.0),
        max_epochs=10**6,
        checkpoints="checkpoints/endless",
    )


@pytest.fixture(scope="module")
def trainer() -> Iterator[TrialProcess]:
    process = TrialProcess()
    yield process
    process.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a stand-in for the training process from a short program."""
    processes = []

    def start(program: str) -> TrialProcess:
        processes.append(TrialProcess((sys.executable, "-c", program)))
        return processes[-1]

    yield start
    for process in processes:
        process.close()


def child_of(process: TrialProcess) -> int:
    assert process._child is not None
    return process._child.pid


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)


def has_begun(job: TrialJob) -> bool:
    return any((Path(job.artefacts) / job.checkpoints).glob("*.pt"))


def test_one_child_trains_trial_after_trial(trainer: TrialProcess, job: TrialJob) -> None:
    first = trainer.run(job)
    pid = child_of(trainer)
    promoted = replace(job, request=replace(job.request, trial_id="t2", rung=1, epochs=4))
    second = trainer.run(promoted)

    assert (first.failure, second.failure) == (None, None), first.detail + second.detail
    assert [outcome.trial_id for outcome in (first, second)] == ["t1", "t2"]
    assert second.epochs_trained == 2
    assert set(second.costs or {}) == {"error", "rank_disparity"}
    assert child_of(trainer) == pid
    assert pid != os.getpid()


def test_a_failure_in_training_is_an_outcome_and_the_child_lives_on(
    trainer: TrialProcess, job: TrialJob
) -> None:
    trainer.run(job)
    pid = child_of(trainer)
    missing = replace(job, data=replace(job.data, pack="/nowhere/none.pack"))
    outcome = trainer.run(missing)
    assert outcome.failure is FailureKind.DATA_ERROR
    assert "none.pack" in outcome.detail
    assert child_of(trainer) == pid


def test_a_failure_has_the_last_lines_that_were_logged_on_its_trial(
    trainer: TrialProcess, job: TrialJob, capfd: pytest.CaptureFixture[str]
) -> None:
    assert trainer.run(job).log == ()
    missing = trainer.run(replace(job, data=replace(job.data, pack="/nowhere/none.pack")))
    assert missing.log == (), "it was over before anything was logged"
    unknown = ("error", "no_such_metric")
    crash = trainer.run(replace(job, objectives=unknown, checkpoints="checkpoints/2"))
    assert crash.failure is FailureKind.CRASHED
    assert [line for line in crash.log if "2 of 2 epochs, loss" in line]
    assert "epochs, loss" not in capfd.readouterr().err, "it is for the record only"


def test_a_child_that_is_killed_in_training_is_a_lost_worker_and_the_next_trial_has_a_new_one(
    trainer: TrialProcess, job: TrialJob, endless: TrialJob
) -> None:
    def kill_when_begun() -> bool:
        if has_begun(endless):
            os.kill(child_of(trainer), signal.SIGKILL)
        return time.monotonic() < deadline

    deadline = time.monotonic() + DEADLINE_SECONDS
    lost = trainer.run(endless, is_wanted=kill_when_begun)
    assert lost.failure is FailureKind.WORKER_LOST
    assert "SIGKILL" in lost.detail
    assert lost.seconds > 0.0
    assert trainer.run(job).failure is None


def test_a_trial_that_nobody_wants_any_more_saves_itself_and_goes_on_from_there(
    trainer: TrialProcess, endless: TrialJob
) -> None:
    outcome = trainer.run(endless, is_wanted=lambda: not has_begun(endless))
    assert (outcome.failure, outcome.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
    saved = re.match(r"told to end; saved after (\d+) of 1000000 epochs", outcome.detail)
    assert saved is not None, outcome.detail
    assert outcome.checkpoint is not None
    assert moment_of(outcome.checkpoint)[0] == int(saved[1])
    enough = replace(endless.request, epochs=int(saved[1]) + 1)
    again = trainer.run(replace(endless, request=enough))
    assert again.failure is not FailureKind.WORKER_LOST, again.detail
    assert again.epochs_trained == 1


def test_one_that_does_not_save_itself_in_time_is_ended(
    start: Start, job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.processes.trial_process._GRACE_SECONDS", 0.5)
    process = start(f"{FIRST_LINE_THEN}time.sleep(600)")
    outcome = process.run(job, is_wanted=lambda: False)
    assert (outcome.failure, outcome.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
    assert "did not save itself within 0.5 s" in outcome.detail


def test_sigterm_to_the_training_itself_lets_it_save_itself(
    trainer: TrialProcess, endless: TrialJob
) -> None:
    told: list[int] = []

    def tell_when_begun() -> bool:
        if has_begun(endless) and not told:
            told.append(child_of(trainer))
            os.kill(told[0], signal.SIGTERM)
        return True

    outcome = trainer.run(endless, is_wanted=tell_when_begun)
    assert (outcome.failure, outcome.blamed) == (FailureKind.WORKER_LOST, Fault.CLUSTER)
    assert "told to end; saved after" in outcome.detail


def test_a_training_says_how_far_it_is_and_of_each_epoch_once(
    trainer: TrialProcess, job: TrialJob
) -> None:
    heard: list[Heartbeat] = []
    outcome = trainer.run(job, hear=heard.append)
    assert outcome.failure is None, outcome.detail
    assert {beat.trial_id for beat in heard} == {"t1"}
    last = heard[-1]
    assert (last.phase, last.epoch, last.n_epochs) == ("evaluating", 2, 2)
    reports = [report for beat in heard for report in beat.reports]
    assert [report.epoch for report in reports] == [1, 2]
    assert [report.loss for report in reports] == outcome.metrics["training"]["loss_by_epoch"]


def test_costs_on_the_way_are_told_and_change_no_result(
    trainer: TrialProcess, job: TrialJob
) -> None:
    def trained(every: int | None, folder: str) -> tuple[TrialOutcome, list[Heartbeat]]:
        heard: list[Heartbeat] = []
        evaluation = replace(job.evaluation, every_epochs=every)
        longer = replace(job.request, epochs=4)
        asked = replace(job, request=longer, evaluation=evaluation, checkpoints=folder)
        return trainer.run(asked, hear=heard.append), heard

    plain, _ = trained(None, "plain")
    watched, heard = trained(2, "watched")
    costs = {report.epoch: report.costs for beat in heard for report in beat.reports}
    assert set(costs[2]) == {"error", "rank_disparity"}
    assert (costs[1], costs[3], costs[4]) == ({}, {}, {})
    assert (watched.costs, watched.metrics) == (plain.costs, plain.metrics)


def test_a_training_that_is_stopped_is_stalled(trainer: TrialProcess, endless: TrialJob) -> None:
    stopped: list[int] = []

    def stop_when_begun() -> bool:
        if has_begun(endless) and not stopped:
            stopped.append(child_of(trainer))
            os.kill(stopped[0], signal.SIGSTOP)
        return True

    outcome = trainer.run(replace(endless, stall_seconds=10.0), is_wanted=stop_when_begun)
    assert (outcome.failure, outcome.blamed) == (FailureKind.STALLED, Fault.WORKER)
    assert "has said nothing for 1" in outcome.detail
    assert not is_alive(stopped[0])


def test_a_training_that_lives_and_stands_still_is_stalled(start: Start, job: TrialJob) -> None:
    beat = {"heartbeat": {"trial_id": "t1", "attempt": 1, "phase": "training"}}
    program = (
        f"{FIRST_LINE_THEN}beat = {beat!r}\n"
        "for still in range(60):\n"
        "    beat['heartbeat']['still_seconds'] = float(still)\n"
        "    print(json.dumps(beat), flush=True)\n"
        "    time.sleep(0.05)\n"
    )
    outcome = start(program).run(replace(job, stall_seconds=30.0))
    assert outcome.failure is FailureKind.STALLED
    assert outcome.detail == (
        "its training process is alive and has stood still for 31 s while training "
        "(workers.stall_seconds)"
    )


def test_a_worker_shows_what_it_has_and_why_it_is_unfit(
    trainer: TrialProcess, job: TrialJob, start: Start
) -> None:
    artefacts = DirectoryStore(Path(job.artefacts))
    artefacts.write(MARKER, b'{"marker": "this one"}')
    requirements = Requirements(
        libraries=("torch",), device="cpu", data=job.data, artefacts=job.artefacts
    )
    request = ProofRequest(requirements=requirements, marker="this one", versions={})
    hello = trainer.prove(request)
    assert (hello.unfit, hello.data, hello.device) == ("", job.data.digest, "cpu")
    assert hello.memory_bytes > 0
    for change, why in (
        ({"marker": "another"}, "sees another folder under the run's path"),
        ({"protocol": 0}, "install the same frnas on both"),
        ({"versions": {"torch": "0.1"}}, "and the search was started with 0.1"),
        ({"disk_bytes": 10**18}, "free some space"),
    ):
        assert why in trainer.prove(replace(request, **change)).unfit  # type: ignore[arg-type]
    broken = start("import sys; sys.exit('libcudart.so.12: cannot open')").prove(request)
    assert "exit code 1: libcudart.so.12: cannot open" in broken.unfit


def test_what_libraries_print_does_not_pass_for_an_answer(
    job: TrialJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "print('welcome')\n"
        "def chatter():\n"
        "    while True:\n"
        "        os.write(1, b'[1, 2]\\n')\n"
        "        time.sleep(0.001)\n"
        "threading.Thread(target=chatter, daemon=True).start()\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(noisy))
    process = TrialProcess()
    try:
        outcome = process.run(job)
    finally:
        process.close()
    assert outcome.failure is None, outcome.detail
    assert outcome.trial_id == "t1"


def test_when_the_worker_is_killed_its_training_ends(endless: TrialJob, tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from workers.settings import job_from_json\n"
        "from workers.processes.trial_process import TrialProcess\n"
        "process = TrialProcess()\n"
        "def say_pid():\n"
        "    print(process._child.pid, flush=True)\n"
        "    return True\n"
        "process.run(job_from_json(json.loads(sys.argv[1])), is_wanted=say_pid)\n"
    )
    worker = subprocess.Popen(
        (sys.executable, "-c", program, json.dumps(job_to_json(endless))), stdout=subprocess.PIPE
    )
    with worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        try:
            wait_until(lambda: has_begun(endless), "the training has begun")
            assert is_alive(pid)
        finally:
            worker.kill()
    wait_until(lambda: not is_alive(pid), "the training process is gone")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_a_kill_from_outside_is_a_lost_worker(start: Start, job: TrialJob, name: str) -> None:
    # Tests that run in the background of a shell have SIGINT ignored, and so would the child.
    ready = "" if name == "SIGKILL" else f"signal.signal(signal.{name}, signal.SIG_DFL); "
    kill = f"{ready}os.kill(os.getpid(), signal.{name}); time.sleep(60)"
    outcome = start(f"{FIRST_LINE_THEN}{kill}").run(job)
    assert outcome.failure is FailureKind.WORKER_LOST
    assert outcome.blamed is (Fault.WORKER if name == "SIGKILL" else Fault.CLUSTER)
    assert name in outcome.detail


def test_a_fault_of_the_child_is_a_crash_with_its_signal(start: Start, job: TrialJob) -> None:
    outcome = start(f"{FIRST_LINE_THEN}os.kill(os.getpid(), signal.SIGSEGV)").run(job)
    assert outcome.failure is FailureKind.CRASHED
    assert "signal SIGSEGV" in outcome.detail


def test_a_child_that_exits_is_a_crash_with_the_last_lines_it_logged(
    start: Start, job: TrialJob, capfd: pytest.CaptureFixture[str]
) -> None:
    program = f"{FIRST_LINE_THEN}[print('line', i, file=sys.stderr) for i in range(30)]; exit(3)"
    outcome = start(program).run(job)
    assert outcome.failure is FailureKind.CRASHED
    lines = outcome.detail.splitlines()
    assert lines[0] == "the training process ended with exit code 3"
    assert lines[1:] == [f"line {i}" for i in range(10, 30)]
    assert outcome.log == tuple(f"line {i}" for i in range(10, 30))
    assert "line 0\n" in capfd.readouterr().err


def test_the_record_of_a_log_is_bounded(start: Start, job: TrialJob) -> None:
    outcome = start(
        f"{FIRST_LINE_THEN}[print('x' * 9999, file=sys.stderr) for i in range(99)]"
    ).run(job)
    assert [len(line) for line in outcome.log] == [500] * 20


def test_a_child_that_cannot_start_is_a_crash(start: Start, job: TrialJob) -> None:
    outcome = start("import no_such_module").run(job)
    assert outcome.failure is FailureKind.CRASHED
    assert "ModuleNotFoundError: No module named 'no_such_module'" in outcome.detail


def test_a_trial_that_takes_too_long_is_timed_out_and_its_child_is_gone(
    start: Start, job: TrialJob
) -> None:
    process = start(f"{FIRST_LINE_THEN}time.sleep(600)")
    children = []

    def is_wanted() -> bool:
        children.append(child_of(process))
        return True

    hasty = replace(job, training=replace(job.training, timeout_seconds=0.5))
    outcome = process.run(hasty, is_wanted=is_wanted)
    assert outcome.failure is FailureKind.TIMED_OUT
    assert outcome.detail == "ran longer than 0.5 s (training.timeout_seconds)"
    assert outcome.seconds >= 0.5
    assert not is_alive(children[-1])


def test_after_a_timeout_or_a_crash_the_next_trial_has_a_new_child(
    start: Start, job: TrialJob, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    process = start(
        f"{FIRST_LINE_THEN}from pathlib import Path\nflag = Path({str(flag)!r})\n"
        "if flag.exists(): answer(line)\nelse: flag.touch(); sys.exit(1)"
    )
    assert process.run(job).failure is FailureKind.CRASHED
    assert process.run(job).costs == {"error": 0.5}


def test_a_child_that_dies_between_two_trials_is_replaced(start: Start, job: TrialJob) -> None:
    process = start(f"{FIRST_LINE_THEN}answer(line)")
    for _ in range(2):
        assert process.run(job).costs == {"error": 0.5}
        pid = child_of(process)
        wait_until(lambda pid=pid: not is_alive(pid), "the child has ended")  # type: ignore[misc]


def test_an_error_of_the_asker_ends_the_child(start: Start, job: TrialJob) -> None:
    process = start(f"{FIRST_LINE_THEN}time.sleep(600)")
    children = []

    def is_wanted() -> bool:
        children.append(child_of(process))
        raise ConnectionError("no scheduler")

    with pytest.raises(ConnectionError, match="no scheduler"):
        process.run(job, is_wanted=is_wanted)
    assert not is_alive(children[-1])


def test_lines_that_are_no_answer_to_this_trial_are_passed_over(
    start: Start, job: TrialJob
) -> None:
    noise = ("", "tqdm 50%", "{", "[]", "null", '{"trial_id": "t0", "attempt": 1, "costs": {}}')
    program = (
        f"{FIRST_LINE_THEN}[print(each) for each in {noise!r}]\nanswer(line)\nsys.stdin.read()"
    )
    assert start(program).run(job).costs == {"error": 0.5}


def test_a_flood_on_standard_error_that_is_not_even_text_holds_nothing_up(
    start: Start, job: TrialJob, capfd: pytest.CaptureFixture[str]
) -> None:
    program = f"{FIRST_LINE_THEN}os.write(2, (b'\\xff' * 200 + b'\\n') * 1000)\nanswer(line)"
    hasty = replace(job, training=replace(job.training, timeout_seconds=DEADLINE_SECONDS))
    process = start(program)
    assert process.run(hasty).costs == {"error": 0.5}
    process.close()
    assert "\N{REPLACEMENT CHARACTER}" * 200 in capfd.readouterr().err


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(start: Start, job: TrialJob) -> None:
    process = start(f"{ANSWER}\nfor line in sys.stdin: answer(line)")
    process.run(job)
    assert os.getpgid(child_of(process)) != os.getpgid(0)


def test_the_time_is_measured_by_the_given_clock(start: Start, job: TrialJob) -> None:
    seconds = iter([10.0])
    process = start(f"{FIRST_LINE_THEN}sys.exit(1)")
    outcome: TrialOutcome = process.run(job, clock=lambda: next(seconds, 13.5))
    assert outcome.seconds == 3.5


def test_closing_ends_the_child_and_may_be_repeated(start: Start, job: TrialJob) -> None:
    process = start(f"{ANSWER}\nfor line in sys.stdin: answer(line)")
    process.close()
    process.run(job)
    pid = child_of(process)
    process.close()
    process.close()
    assert not is_alive(pid)
