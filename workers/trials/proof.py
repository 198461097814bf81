"""The proof that a worker can do a job, asked for before anything of the job is done.

What fails here is the worker's place and not the configuration: another worker may do it.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

from workers.artefacts.registry import open_store
from workers.artefacts.store import ArtefactStore
from workers.data.packs.stored import pack_of
from workers.data.pictures import choose_device
from workers.errors import DataError, UnfitWorkerError
from workers.training.memory import free_host_bytes
from workers.trials.function import Requirements
from workers.trials.messages import MARKER, PROTOCOL, Hello, ProofRequest

_SAME = ("frnas", "torch")
"""Libraries of which another version gives other results, or speaks another language."""

_PROBE = b"written by a worker that shows that it can"


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


def shown(request: ProofRequest) -> Hello:
    """What this worker has to show for itself; why it is unfit, where it is, in one sentence."""
    hello = Hello(versions=_versions(), n_threads=torch.get_num_threads())
    try:
        _require_versions(request, hello.versions)
        prove(request.requirements)
        store = open_store(request.requirements.artefacts)
        _require_same_place(store, request.marker)
        _require_writable(store)
        disk_bytes = _require_disk(store, request.disk_bytes)
    except (DataError, UnfitWorkerError) as error:
        return Hello(unfit=" ".join(str(error).split()), versions=hello.versions)
    device = choose_device(request.requirements.device)
    return Hello(
        versions=hello.versions,
        device=_device_name(device),
        n_threads=hello.n_threads,
        memory_bytes=_free_memory(device),
        disk_bytes=disk_bytes,
        data=request.requirements.data.digest,
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in _SAME:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    # What is imported counts, wherever it came from.
    return versions | {"torch": str(torch.__version__)}


def _require_versions(request: ProofRequest, versions: Mapping[str, str]) -> None:
    if request.protocol != PROTOCOL:
        raise UnfitWorkerError(
            f"speaks version {PROTOCOL} of the protocol of trials and the search speaks "
            f"{request.protocol}; install the same frnas on both"
        )
    for name in _SAME:
        wanted, found = request.versions.get(name), versions[name]
        # A build for another device, as in 2.9.1+cpu, is the same version.
        if wanted and wanted.partition("+")[0] != found.partition("+")[0]:
            raise UnfitWorkerError(
                f"has {name} {found} and the search was started with {wanted}; install the same "
                "version on both"
            )


def _require_same_place(store: ArtefactStore, marker: str) -> None:
    try:
        found = json.loads(store.read(MARKER)).get("marker")
    except FileNotFoundError:
        found = None
    except (OSError, ValueError, AttributeError) as error:
        raise UnfitWorkerError(f"{store.describe(MARKER)}: cannot be read ({error})") from error
    if found != marker:
        raise UnfitWorkerError(
            f"{store.describe(MARKER)}: is not the file that the search has written, so this "
            "worker sees another folder under the run's path; mount the same one here"
        )


def _require_writable(store: ArtefactStore) -> None:
    key = f"probe-{uuid.uuid4().hex}"
    try:
        store.write(key, _PROBE)
        found = store.read(key)
    except OSError as error:
        raise UnfitWorkerError(
            f"{store.describe('')}: cannot be written to ({error.strerror or error}); free some "
            "space or mend the permissions there"
        ) from error
    finally:
        store.remove(key)
    if found != _PROBE:
        raise UnfitWorkerError(
            f"{store.describe('')}: does not hold what was written to it; mend that file system"
        )


def _require_disk(store: ArtefactStore, least_bytes: int) -> int:
    """Bytes that are free where artefacts are kept; 0 where nobody can tell."""
    folder = Path(store.describe(""))
    if not folder.is_dir():
        return 0
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise UnfitWorkerError(
            f"{folder}: has {free / 1e6:.0f} MB left, and checkpoints need "
            f"{least_bytes / 1e6:.0f} MB; free some space"
        )
    return free


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_bytes()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
