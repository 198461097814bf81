"""Without the threads of joblib and BLAS, for arrays that are too small for them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Whatever is computed in the block is computed by the thread that is in it.

    On arrays as small as a search's, threads wait for each other most of the time; and how many
    there are would change the last bits of a model, which another machine could not replay.
    """
    with joblib.parallel_config(backend="sequential"), _blas().limit(limits=1):
        yield


@functools.cache
def _blas() -> ThreadpoolController:
    """Looked for once, when all of them are loaded."""
    return ThreadpoolController()
