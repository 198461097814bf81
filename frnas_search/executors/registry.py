"""Which executors there are: the one that a run asks for, opened."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from frnas_search.executors.cluster import (
    connect,
    local_cluster,
    present_gpus,
    resolve_scheduler,
    worker_slots,
)
from frnas_search.executors.dask import DaskExecutor

if TYPE_CHECKING:
    from frnas_search.coordinator.executor import Executor
    from workers.settings import Device
    from workers.trials.messages import ProofRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """The workers of a run.

    Attributes:
        executor: How they are reached, one of `EXECUTORS`.
        scheduler: Address or scheduler file, where they attach to one.
        n_local: How many are started here, where they are.
        device: What trials train on.
    """

    executor: Literal["local", "scheduler"]
    scheduler: str = ""
    n_local: int = 1
    device: Device = "auto"


@contextlib.contextmanager
def _at_scheduler(pool: WorkerPool, proof: ProofRequest | None) -> Iterator[Executor]:
    """The workers that are attached to a scheduler, and those that will be."""
    # A scheduler that was restarted may have written another address into its file.
    find = functools.partial(resolve_scheduler, pool.scheduler)
    with contextlib.closing(DaskExecutor(connect(find()), find, proof=proof)) as executor:
        yield executor


@contextlib.contextmanager
def _started_here(pool: WorkerPool, proof: ProofRequest | None) -> Iterator[Executor]:
    """Workers on this machine, for as long as the block runs."""
    gpus = [] if pool.device == "cpu" else present_gpus()
    slots = worker_slots(gpus=gpus[: pool.n_local], n_cpu_workers=pool.n_local)
    if len(slots) < pool.n_local:
        logger.warning(
            "workers.local is %d and there are %d GPUs; one worker for each GPU is started",
            pool.n_local,
            len(slots),
        )
    with (
        local_cluster(slots) as (client, address),
        contextlib.closing(DaskExecutor(client, lambda: address, proof=proof)) as executor,
    ):
        yield executor


EXECUTORS: Mapping[
    str, Callable[[WorkerPool, ProofRequest | None], AbstractContextManager[Executor]]
] = MappingProxyType({"local": _started_here, "scheduler": _at_scheduler})
"""Name -> what opens it; held to the contract by `tests/integration/test_dask_contract.py`."""


def open_executor(
    pool: WorkerPool, proof: ProofRequest | None = None
) -> AbstractContextManager[Executor]:
    """The pool's executor, closed when the block ends.

    Args:
        pool: The workers.
        proof: What each must show before it gets a trial; None takes all.

    Raises:
        SchedulerUnreachableError: No scheduler answers at the address.
    """
    return EXECUTORS[pool.executor](pool, proof)
