"""The proof that a worker can do a job, asked for before anything of the job is done.

What fails here is the worker's place and not the configuration: another worker may do it.
"""

from __future__ import annotations

from importlib.util import find_spec

from workers.artefacts.registry import open_store
from workers.data.packs.stored import pack_of
from workers.data.pictures import choose_device
from workers.errors import DataError
from workers.trials.function import Requirements


def prove(requirements: Requirements) -> None:
    """Find out whether this worker has all that a trial function requires.

    A library that is broken, or without which this module cannot be loaded, is told by the
    training process's own end.

    Raises:
        DataError: A library, the device or the pack is not there, or the pack is another one; no
            store is of the kind that is named.
    """
    missing = [name for name in requirements.libraries if find_spec(name) is None]
    if missing:
        raise DataError(
            f"this worker has no {', no '.join(missing)}; install the same frnas here as where "
            "the search was started"
        )
    choose_device(requirements.device)
    pack_of(requirements.data)
    open_store(requirements.artefacts)
