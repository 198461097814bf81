"""What the workers of a search must show before they get a trial, and the mark they look for."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from frnas_search.launch.provenance import library_versions
from workers.artefacts.registry import open_store
from workers.trials.messages import MARKER, ProofRequest

if TYPE_CHECKING:
    from frnas_search.coordinator.jobs import JobTemplate

_LEAST_DISK_BYTES = 50 * 10**6
"""A checkpoint of a small network, twice; what a larger one lacks is told when it is written."""


def proof_request(jobs: JobTemplate) -> ProofRequest:
    """What a worker must show, with a mark of its own for this session; writes nothing."""
    return ProofRequest(
        requirements=jobs.requirements(),
        marker=uuid.uuid4().hex,
        versions=library_versions(),
        disk_bytes=_LEAST_DISK_BYTES,
    )


def mark(request: ProofRequest) -> None:
    """Leave the mark in the run directory, where every worker must find it.

    Raises:
        OSError: It cannot be written.
    """
    content = json.dumps({"schema": "frnas.marker/1", "marker": request.marker}).encode()
    open_store(request.requirements.artefacts).write(MARKER, content)
