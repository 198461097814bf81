"""Scheduler and worker as Dask has them, with fewer doors: no web pages, and one address each."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from distributed import Scheduler, Worker

_LOOPBACK = "127.0.0.1"


class QuietWorker(Worker):
    """A worker without the HTTP port that Dask opens also where no page is wanted."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Nothing is served."""


class QuietScheduler(Scheduler):
    """A scheduler without the HTTP port that Dask opens also where no page is wanted."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Nothing is served."""


def host_towards(address: str) -> str:
    """The address of this machine by which whoever runs at `address` reaches it.

    Loopback for loopback, else that of the one interface that leads there; so a worker listens on
    no other.

    Args:
        address: Of a scheduler, such as tcp://node1:8786.

    Raises:
        OSError: Its name is not known, or nothing leads there.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or _LOOPBACK, parts.port or 9
    family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(place)  # sends nothing; the kernel chooses the way
        return str(probe.getsockname()[0])
