"""Scheduler and workers as processes: started here for one search, or alone for a whole cluster.

One worker is one process with one thread and one slot; a worker on a GPU sees that GPU only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.comm.registry import get_backend
from distributed.security import Security

from frnas_search.errors import AddressError, PortInUseError, SchedulerUnreachableError
from frnas_search.executors.dask_preload import LOG_VARIABLE
from frnas_search.executors.nodes import QuietScheduler, QuietWorker, host_towards
from frnas_search.telemetry import is_logging_json, quiet_libraries

logger = logging.getLogger(__name__)

_STOP_SECONDS = 10.0
_LEAVE_SECONDS = 25.0
_RETRY_SECONDS = 5.0
_ADDRESS = re.compile(r"((?P<protocol>tcp|tls|ws|wss|ucx|ucxx)://)?[^\s:/]+(:[^\s:/]+)*:\d{1,5}")
_ENCRYPTED = ("tls", "wss")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CONFIGURATION = {
    # Losing a worker is the state machine's business; Dask must not try again behind its back.
    "distributed.scheduler.allowed-failures": 0,
    # Memory is the training process's, which Dask cannot see.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "10s",
    # A worker that is stopped, and not only its training, is lost within a minute.
    "distributed.scheduler.worker-ttl": "40s",
    # Dask configures its loggers while it is imported, from what the environment says by then.
    "distributed.nanny.pre-spawn-environ": {"DASK_LOGGING__DISTRIBUTED": "critical"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSlot:
    """Where one worker trains.

    Attributes:
        gpu: As in CUDA_VISIBLE_DEVICES, an index or a UUID; None trains on the CPU.
        n_threads: CPU threads of its training process.
    """

    gpu: str | None = None
    n_threads: int = 1

    @property
    def resources(self) -> dict[str, float]:
        """What the worker declares to the scheduler."""
        return {"CPU_SLOT": 1} if self.gpu is None else {"GPU": 1}

    @property
    def environment(self) -> dict[str, str]:
        """What the worker's processes find in their environment."""
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self.n_threads))
        return threads | {"CUDA_VISIBLE_DEVICES": "" if self.gpu is None else self.gpu}


def present_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; often empty."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1")]
    return [index for index, _ in _driver_gpus()]


def absent_gpus(names: Sequence[str]) -> list[str]:
    """Which of the names are none that this machine's driver knows; MIG slices are not looked up.

    Args:
        names: Indices, or UUIDs or the beginnings of some, as in CUDA_VISIBLE_DEVICES.
    """
    known = [name for gpu in _driver_gpus() for name in gpu]
    return [
        name
        for name in names
        if not name.startswith("MIG-")
        and name not in known
        and not (name.startswith("GPU-") and any(uuid.startswith(name) for uuid in known))
    ]


def _driver_gpus() -> list[tuple[str, str]]:
    """Index and UUID of each GPU that nvidia-smi lists; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run(  # noqa: S603 - the driver's own program
        (program, "--query-gpu=index,uuid", "--format=csv,noheader"),
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        return []
    rows = (line.partition(",") for line in listed.stdout.splitlines())
    return [(index.strip(), uuid.strip()) for index, _, uuid in rows]


def worker_slots(
    *, gpus: Sequence[str], n_cpu_workers: int, n_threads: int | None = None
) -> list[WorkerSlot]:
    """One slot for each GPU, or without any so many on the CPU.

    Args:
        gpus: As in CUDA_VISIBLE_DEVICES.
        n_cpu_workers: Workers when there is no GPU.
        n_threads: CPU threads of each; None divides the cores among them.
    """
    names: list[str | None] = [*gpus] or [None] * n_cpu_workers
    shared = max(1, len(os.sched_getaffinity(0)) // max(1, len(names)))
    return [WorkerSlot(gpu=name, n_threads=n_threads or shared) for name in names]


def resolve_scheduler(text: str) -> str:
    """The address that `text` means: an address, or a file that a scheduler wrote.

    Raises:
        AddressError: It is neither.
        SchedulerUnreachableError: The file is not there, or holds no address.
    """
    path = Path(text)
    if path.suffix == ".json" or path.is_file():
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError):
            raise SchedulerUnreachableError(
                f"{text}: no scheduler file; start one with "
                f"`frnas scheduler --scheduler-file {text}`"
            ) from None
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise AddressError(
            f"{text!r}: no address of a scheduler; write it as host:port, or name a scheduler file"
        )
    return text if found["protocol"] else f"tcp://{text}"


def require_protocol(address: str) -> None:
    """Refuse an address that this machine cannot speak to, before the libraries fail at it.

    Args:
        address: From `resolve_scheduler`.

    Raises:
        AddressError: Its protocol is not there, or needs certificates that are not configured.
    """
    protocol = address.partition("://")[0]
    try:
        get_backend(protocol).get_connector()
        security = Security().get_connection_args("client")
    except (ImportError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise AddressError(
            f"{address}: {protocol} cannot be used here ({error}); give the address as "
            "tcp://host:port"
        ) from error
    if protocol in _ENCRYPTED and security.get("ssl_context") is None:
        raise AddressError(
            f"{address}: {protocol} needs certificates, and none are configured; name them in "
            "Dask's configuration (distributed.comm.tls), or give the address as tcp://host:port"
        )


def connect(address: str, *, timeout_seconds: float = 10.0) -> Client:
    """A client of the scheduler at `address`.

    Raises:
        AddressError: Its protocol cannot be used.
        SchedulerUnreachableError: None answers in time.
    """
    quiet_libraries()
    require_protocol(address)
    try:
        with dask.config.set(_CONFIGURATION):
            return Client(address, timeout=timeout_seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SchedulerUnreachableError(
            f"{address}: no scheduler answers within {timeout_seconds:g} s; start one with "
            "`frnas scheduler` or check the address"
        ) from error


@contextlib.contextmanager
def local_cluster(slots: Sequence[WorkerSlot]) -> Iterator[tuple[Client, str]]:
    """A scheduler in this process and its workers beside it, on loopback, while the block runs.

    Gives a client and the scheduler's address.
    """
    quiet_libraries()
    scheduler = {
        "cls": QuietScheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard": False},
    }
    log = "json-warnings" if is_logging_json() else ""
    workers = {
        f"local-{number}": {
            "cls": Nanny,
            "options": _nanny_options(slot, host="127.0.0.1", log=log),
        }
        for number, slot in enumerate(slots)
    }
    with dask.config.set(_CONFIGURATION), contextlib.ExitStack() as stack:
        with interrupts_held():
            cluster = stack.enter_context(
                SpecCluster(scheduler=scheduler, workers=workers, silence_logs=False)
            )
            client = stack.enter_context(Client(cluster, set_as_default=False))
        yield client, str(cluster.scheduler_address)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends: what is interrupted half started cannot be ended well.

    Processes and threads that are started in the block never see it: a terminal sends it to all of
    them, and it is this process that ends them. In another thread than the main one nothing is
    held, for signals never arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python's own process for this unblocks the signal in whichever thread it starts it.
    resource_tracker.ensure_running()
    held: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    # The mask is what processes inherit; the handler is for threads that are there already.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.default_int_handler if handler is None else handler)
    if held:
        signal.raise_signal(signal.SIGINT)


def serve_scheduler(
    *, host: str, port: int, scheduler_file: Path | None, dashboard: str | None
) -> None:
    """Run a scheduler until it is told to end (SIGINT or SIGTERM).

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        scheduler_file: Where to write the address, for workers on a shared file system.
        dashboard: Address of Dask's own web page; None leaves it out.

    Raises:
        PortInUseError: It cannot listen there.
    """
    quiet_libraries()
    asyncio.run(_scheduler(host, port, scheduler_file, dashboard))


async def _scheduler(
    host: str, port: int, scheduler_file: Path | None, dashboard: str | None
) -> None:
    with dask.config.set(_CONFIGURATION):
        stop = _stop_event()
        try:
            scheduler = (QuietScheduler if dashboard is None else Scheduler)(
                host=host,
                port=port,
                scheduler_file=None if scheduler_file is None else str(scheduler_file),
                dashboard=dashboard is not None,
                dashboard_address=dashboard,
            )
            await scheduler
        except (OSError, RuntimeError) as error:  # Dask wraps what it could not start with
            cause = error.__cause__ or error
            reason = getattr(cause, "strerror", None) or cause
            if scheduler_file is not None and getattr(cause, "filename", None):
                raise PortInUseError(
                    f"{scheduler_file}: cannot be written ({reason}); name another file"
                ) from error
            places = f"{host}:{port}" + (f" or {dashboard} (--dashboard)" if dashboard else "")
            raise PortInUseError(
                f"{places}: cannot listen there ({reason}); choose another --port or --host"
            ) from error
        logger.info(
            "scheduler at %s; workers: frnas worker --scheduler %s", *[scheduler.address] * 2
        )
        await stop.wait()
        logger.info("scheduler ends")
        await scheduler.close(reason="frnas-scheduler-stop")


def serve_workers(scheduler: str, slots: Sequence[WorkerSlot], *, patience_seconds: float) -> None:
    """Run one worker for each slot until told to end (SIGINT or SIGTERM).

    When the scheduler goes away they wait for it to come back. A trial that is running when they
    are told to end saves itself first, and goes on elsewhere.

    Args:
        scheduler: An address or a scheduler file, see `resolve_scheduler`.
        slots: Where to train.
        patience_seconds: How long to wait for a scheduler that does not answer.

    Raises:
        SchedulerUnreachableError: None answered for that long.
    """
    quiet_libraries()
    asyncio.run(_workers(scheduler, slots, patience_seconds))


async def _workers(scheduler: str, slots: Sequence[WorkerSlot], patience_seconds: float) -> None:
    stop = _stop_event()
    with dask.config.set(_CONFIGURATION):
        await asyncio.gather(*(_worker(scheduler, slot, stop, patience_seconds) for slot in slots))
    logger.info("workers end")


async def _worker(
    scheduler: str, slot: WorkerSlot, stop: asyncio.Event, patience_seconds: float
) -> None:
    """Attach one worker again and again until told to end."""
    where = "the CPU" if slot.gpu is None else f"GPU {slot.gpu}"
    while True:
        address = await _answering_scheduler(scheduler, stop, patience_seconds)
        if address is None:
            return
        log = "json" if is_logging_json() else "text"
        nanny = Nanny(address, **_nanny_options(slot, host=host_towards(address), log=log))
        try:
            await nanny
            logger.info("worker on %s attached to %s", where, address)
            await _first_of(stop.wait(), nanny.finished())
            if stop.is_set():
                await _told_to_end(nanny)
        except (OSError, TimeoutError, RuntimeError) as error:
            logger.warning("the worker on %s could not start (%s); trying again", where, error)
        finally:
            await nanny.close(timeout=_STOP_SECONDS)
        if not stop.is_set():
            logger.warning("the worker on %s lost its scheduler; attaching again", where)
            await _first_of(stop.wait(), asyncio.sleep(_RETRY_SECONDS))


async def _told_to_end(nanny: Nanny) -> None:
    """Tell the worker to end, and wait while its trial saves itself."""
    if nanny.pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(nanny.pid, signal.SIGTERM)
    await _first_of(nanny.finished(), asyncio.sleep(_LEAVE_SECONDS))


async def _answering_scheduler(
    scheduler: str, stop: asyncio.Event, patience_seconds: float
) -> str | None:
    """Wait until a scheduler answers; its address, or None when told to end meanwhile."""
    loop = asyncio.get_running_loop()
    deadline, is_first = loop.time() + patience_seconds, True
    while not stop.is_set():
        try:
            address = resolve_scheduler(scheduler)
            require_protocol(address)
            async with Client(
                address, asynchronous=True, timeout=_RETRY_SECONDS, set_as_default=False
            ):
                return address
        except (OSError, TimeoutError, ValueError) as error:
            if loop.time() >= deadline:
                raise SchedulerUnreachableError(
                    f"{scheduler}: no scheduler answered for {patience_seconds:g} s; start one "
                    "with `frnas scheduler` or check the address"
                ) from error
            if is_first:
                logger.info("no scheduler answers at %s yet; waiting for it", scheduler)
                is_first = False
            await _first_of(stop.wait(), asyncio.sleep(_RETRY_SECONDS))
    return None


async def _first_of(*awaitables: Any) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _nanny_options(slot: WorkerSlot, *, host: str, log: str) -> dict[str, Any]:
    """What a worker is started with.

    Args:
        slot: Where it trains.
        host: Address that it listens on.
        log: See `frnas_search.executors.dask_preload.LOG_VARIABLE`.
    """
    return {
        "worker_class": QuietWorker,
        "host": host,
        "nthreads": 1,
        "memory_limit": None,
        "resources": slot.resources,
        "env": slot.environment | {LOG_VARIABLE: log},
        "preload": ["frnas_search.executors.dask_preload"],
    }
