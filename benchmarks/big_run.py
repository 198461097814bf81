"""Looking at a run of 10,000 trials: the command line, and the API with 40 readers at once.

python benchmarks/big_run.py [--quick] [--json FILE] [--trials N] [--code FOLDER]

The run is made up: its events are those of a search, its costs are drawn. The command line is
started anew for each figure, interpreter included: without a snapshot of the fold beside the log,
and with one. Then `frnas serve` answers readers that ask again as soon as they have an answer,
while somebody asks for /healthz twenty times a second; an answer that takes longer than the limit
counts as that limit. `--code` measures the packages of another checkout with the same run.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.atomic import write_json_atomically
from results.events import Asked, Ended, RunOpened, Submitted, Told
from results.objectives import objective
from results.trial import Architecture, FailureKind, TrialOutcome, TrialRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("error", "rank_disparity")
RUNGS = (3, 9, 27)
AT = "2026-01-01T00:00:00Z"
N_READERS = 40
PATHS = ("status", "pareto", "trials")
STATUS_SECONDS = 0.5
COLD_SECONDS = 1.0
HEALTH_SECONDS = 0.2
SNAPSHOT = "snapshot*"


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 trials, 8 readers, 5 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the readers read")
    parser.add_argument("--limit", type=float, default=120.0, help="longest wait for an answer")
    parser.add_argument("--code", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    n_trials, n_readers, seconds = arguments.trials, N_READERS, arguments.seconds
    if arguments.quick:
        n_trials, n_readers, seconds = 1_000, 8, 5.0
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        make_run(runs / "big", n_trials)
        size = (runs / "big" / "events.sqlite").stat().st_size
        print(f"{n_trials} trials, a log of {size / 1e6:.0f} MB, {os.cpu_count()} cores")
        rows = command_line(arguments.code, runs)
        rows += readers(
            arguments.code, runs, n_readers=n_readers, seconds=seconds, limit=arguments.limit
        )
    for line in rows:
        print(_text(line))
    if arguments.json:
        write_json_atomically(arguments.json, rows)


def make_run(folder: Path, n_trials: int) -> None:
    """A finished run of so many trials, 5 % of which failed; its log alone."""
    from results.sqlite_store import SqliteStore

    chance = random.Random(0)
    folder.mkdir(parents=True)
    # Events are written as the store writes them, then all at once: one sync in place of 30,000.
    with SqliteStore.create(folder / "events.sqlite") as store:
        connection = store._connection
        connection.execute("BEGIN")
        for event in _events(n_trials, chance):
            store.append(event, time=AT)
        connection.execute("COMMIT")


def _events(n_trials: int, chance: random.Random) -> Iterator[Any]:
    yield RunOpened(
        run="big",
        objectives=tuple(objective(name, n_identities=500) for name in NAMES),
        rungs=RUNGS,
        data={"digest": "d", "split": "val", "group": "g", "groups": {"g": ["a", "b"]}},
        space={"preset": "paper", "fingerprint": "f"},
        seed=0,
        versions={},
        at=AT,
    )
    for number in range(n_trials):
        request = _request(number, chance)
        yield Asked(request=request)
        yield Submitted(trial_id=request.trial_id, attempt=1)
        yield Told(outcome=_outcome(request, chance))
    yield Ended(state="finished", reason="made up")


def _request(number: int, chance: random.Random) -> TrialRequest:
    rung = chance.choices((0, 1, 2), (6, 3, 3))[0]
    return TrialRequest(
        trial_id=f"t{number:05d}",
        config_id=f"c{number:05d}",
        configuration={
            **{f"edge{edge}": chance.randrange(9) for edge in range(1, 4)},
            "head": chance.choice(["CosFace", "ArcFace", "MagFace"]),
            "optimizer": chance.choice(["SGD", "AdamW"]),
            "lr_sgd": chance.random(),
            "weight_decay": chance.random(),
            "label_smoothing": chance.random(),
            "margin": chance.random(),
            "mitigation": "none",
        },
        rung=rung,
        epochs=RUNGS[rung],
        seed=0,
        origin="model",
    )


def _outcome(request: TrialRequest, chance: random.Random) -> TrialOutcome:
    if chance.random() < 0.05:
        return TrialOutcome(
            trial_id=request.trial_id,
            attempt=1,
            failure=FailureKind.COLLAPSED,
            detail="all embeddings are equal",
            seconds=5.0,
            epochs_trained=1,
            log=tuple(f"epoch {epoch}: loss {chance.random()}" for epoch in range(10)),
        )
    costs = {"error": chance.random(), "rank_disparity": chance.random() * 3}
    return TrialOutcome(
        trial_id=request.trial_id,
        attempt=1,
        costs=costs,
        interval95={name: (cost * 0.9, cost * 1.1) for name, cost in costs.items()},
        metrics={**_rates(chance), "groups": {label: _rates(chance) for label in "ab"}},
        architecture=Architecture(family="dual_path", hash="abc", parameters=1000, macs=2000),
        seconds=10.0,
        epochs_trained=request.epochs,
        checkpoint=f"checkpoints/{request.config_id}/epochs-0027.pt",
        worker="tcp://127.0.0.1:40000",
        device="cpu",
    )


def _rates(chance: random.Random) -> dict[str, float]:
    names = ("error", "mean_rank", "fnmr", "fmr", "intra_degrees", "inter_degrees", "n_probes")
    return {name: chance.random() for name in names}


def command_line(code: Path, runs: Path) -> list[dict[str, Any]]:
    """Each command without a snapshot, then with the one that was left."""
    rows = []
    for words in (("status",), ("pareto",), ("pareto", "--at", "15000"), ("trials", "--json")):
        name = " ".join(("frnas", *words))
        for snapshot in (False, True):
            if not snapshot:
                for path in (runs / "big").glob(SNAPSHOT):
                    path.unlink()
            elif not any((runs / "big").glob(SNAPSHOT)):
                continue
            figures = [_command(code, runs, words) for _ in range(5 if snapshot else 1)]
            seconds, cpu_seconds, n_bytes = min(figures)
            wanted = STATUS_SECONDS if words == ("status",) and snapshot else None
            with_ = "with a snapshot" if snapshot else "without a snapshot"
            rows.append(_row(f"{name}, {with_}", seconds, "s", wanted))
            rows.append(_row(f"{name}, {with_}, CPU time", cpu_seconds, "s", None))
            rows.append(_row(f"{name}, {with_}, peak memory", n_bytes / 1e6, "MB", None))
    return rows


def _command(code: Path, runs: Path, words: tuple[str, ...]) -> tuple[float, float, int]:
    """Seconds of wall time, of CPU time, and peak bytes of one call."""
    command = [sys.executable, "-m", "frnas_search.cli.main", words[0], "big", *words[1:]]
    begin = time.perf_counter()
    # In the folder of the code: Python looks for packages there first.
    process = subprocess.Popen(
        [*command, "--runs", str(runs)],
        cwd=code,
        env=_environment(code),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def readers(
    code: Path, runs: Path, *, n_readers: int, seconds: float, limit: float
) -> list[dict[str, Any]]:
    """The API under readers that ask for status, front and trials."""
    with _served(code, runs) as (port, pid):
        begin = time.perf_counter()
        _get(port, "/runs/big/status", limit=limit)
        first = time.perf_counter() - begin
        waits = _readings(port, n_readers=n_readers, seconds=seconds, limit=limit)
        peak = _peak_bytes(pid)
    rows = [_row("GET /status, the first of a server", first, "s", COLD_SECONDS)]
    for path, figures in sorted(waits.items()):
        name = f"GET /{path}, {n_readers} readers, {len(figures)} answers"
        wanted = HEALTH_SECONDS if path == "healthz" else None
        rows.append(_row(f"{name}, median", _quantile(figures, 0.5), "s", None))
        rows.append(_row(f"{name}, 99 %", _quantile(figures, 0.99), "s", wanted))
    rows.append(_row(f"server, {n_readers} readers, peak memory", peak / 1e6, "MB", None))
    return rows


def _readings(
    port: int, *, n_readers: int, seconds: float, limit: float
) -> dict[str, list[float]]:
    waits: dict[str, list[float]] = defaultdict(list)
    end = time.perf_counter() + seconds

    def read(path: str, pause: float) -> None:
        name = path.rpartition("/")[2]
        while time.perf_counter() < end:
            begin = time.perf_counter()
            try:
                _get(port, path, limit=limit)
            except TimeoutError:
                waits[name].append(limit)
            else:
                waits[name].append(time.perf_counter() - begin)
            time.sleep(pause)

    paths = [f"/runs/big/{PATHS[number % len(PATHS)]}" for number in range(n_readers)]
    threads = [threading.Thread(target=read, args=(path, 0.0)) for path in paths]
    threads.append(threading.Thread(target=read, args=("/healthz", 0.05)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def _get(port: int, path: str, *, limit: float) -> int:
    """Bytes of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
    return len(body)


@contextmanager
def _served(code: Path, runs: Path) -> Iterator[tuple[int, int]]:
    """`frnas serve` on a free port; gives the port and the process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "frnas_search.cli.main", "serve", str(runs)]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=code,
        env=_environment(code),
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port, server.pid
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            _get(port, "/healthz", limit=5.0)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"nobody answers on port {port}")


def _peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _environment(code: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(code)}


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def _row(name: str, value: float, unit: str, wanted: float | None) -> dict[str, Any]:
    met = None if wanted is None else value < wanted
    return {"name": name, "value": value, "unit": unit, "target": wanted, "met": met}


def _text(line: dict[str, Any]) -> str:
    text = f"{line['name']:64} {line['value']:9.3f} {line['unit']}"
    if line["target"] is None:
        return text
    return f"{text}  target {line['target']:g}  {'met' if line['met'] else 'NOT MET'}"


if __name__ == "__main__":
    main()
