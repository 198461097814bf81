"""From the event log back to the optimizer that wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frnas_search.coordinator.optimizer import proposal_of
from frnas_search.errors import ReplayError
from results.events import Asked, Told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frnas_search.coordinator.optimizer import Optimizer
    from results.events import LoggedEvent
    from results.trial import TrialRequest


def replay(optimizer: Optimizer, log: Iterable[LoggedEvent]) -> None:
    """Bring a fresh optimizer to where the log ends: the same proposals and results in order.

    Args:
        optimizer: As it was when the run began: same space, objectives, fidelity and seed.
        log: All events in order.

    Raises:
        ReplayError: The log holds a proposal that the optimizer cannot have made, as one of
            another version may.
    """
    open_requests: dict[str, TrialRequest] = {}
    for logged in log:
        event = logged.event
        if isinstance(event, Asked):
            _restore(optimizer, event.request, logged.sequence)
            open_requests[event.request.trial_id] = event.request
        elif isinstance(event, Told):
            request = open_requests.pop(event.outcome.trial_id, None)
            if request is not None:
                optimizer.tell(proposal_of(request), event.outcome.costs)


def _restore(optimizer: Optimizer, request: TrialRequest, sequence: int) -> None:
    try:
        optimizer.restore(proposal_of(request))
    except ReplayError as error:
        raise ReplayError(
            f"event {sequence}: {error}; resume with the versions named in the run's "
            "manifest.json, or start a new run"
        ) from error
