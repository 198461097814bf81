"""The contract of executors, kept on a cluster: its tests again, with Dask's executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from distributed import Client

from frnas_search.coordinator.executor import Executor
from frnas_search.executors.cluster import local_cluster, worker_slots
from frnas_search.executors.dask import DaskExecutor
from tests.contract.test_executor import *  # noqa: F403 - every test of the contract, also new ones


@pytest.fixture(scope="module")
def new_executor() -> Iterator[Callable[[], Executor]]:
    with local_cluster(worker_slots(gpus=[], n_cpu_workers=2)) as (_, address):
        yield lambda: DaskExecutor(Client(address, set_as_default=False), lambda: address)
