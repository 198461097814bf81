"""What is done with an answer before it counts: is what it says that it left really there?

A result counts when the coordinator has seen its files, and a lost attempt counts as one that
went on when it left a later checkpoint.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frnas_search.coordinator.state import Finished
from results.trial import FailureKind, Fault
from workers.artefacts.checkpoint_names import Moment, newest_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from results.trial import TrialOutcome
    from workers.artefacts.store import ArtefactStore
    from workers.settings import TrialJob

logger = logging.getLogger(__name__)

_TRIES = 6
_PAUSE_SECONDS = 0.5
"""File systems that several machines share may show a new file a little late."""


@dataclass(slots=True, kw_only=True)
class Reception:
    """The files of trials, as the coordinator sees them.

    Attributes:
        artefacts: Where the run's checkpoints and models are kept.
        pause: Waits so many seconds.
    """

    artefacts: ArtefactStore
    pause: Callable[[float], None] = time.sleep
    _begun: dict[str, tuple[str, Moment]] = field(default_factory=dict)
    _left: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def remember(self, outcomes: Iterable[tuple[str, TrialOutcome]]) -> None:
        """Take down what earlier trials left.

        Args:
            outcomes: Configurations, or whatever a training is known by, with what came of it.
        """
        for name, outcome in outcomes:
            self._keep(name, outcome)

    def sent(self, job: TrialJob) -> TrialJob:
        """The job as it is to be sent: with the checkpoint that is known to be there for it."""
        request = job.request
        moment = newest_moment(self.artefacts, job.checkpoints)
        self._begun[request.trial_id] = (job.checkpoints, moment)
        known = self._left.get(request.config_id, {})
        named = {
            key: digest
            for key, digest in known.items()
            if key.startswith(f"{job.checkpoints}/") and self._digest(key) == digest
        }
        return replace(job, resume_from=named)

    def answered(self, config_id: str, event: Finished) -> Finished:
        """The answer as it counts; a result without its files is none."""
        outcome = event.outcome
        if outcome.costs is not None:
            missing = self._missing(outcome.artefacts)
            if missing is None:
                self._keep(config_id, outcome)
                return event
            return Finished(_unseen(outcome, self.artefacts.describe(missing)))
        begun = self._begun.get(outcome.trial_id)
        if begun is None:
            return event
        folder, moment = begun
        return replace(event, progressed=newest_moment(self.artefacts, folder) > moment)

    def _keep(self, config_id: str, outcome: TrialOutcome) -> None:
        key = outcome.checkpoint
        if key is not None and key in outcome.artefacts:
            self._left[config_id] = {key: outcome.artefacts[key]}

    def _missing(self, artefacts: Mapping[str, str]) -> str | None:
        """A file that is not here as it was written; None when all are."""
        missing = None
        for number in range(_TRIES):
            missing = next(
                (key for key, digest in artefacts.items() if self._digest(key) != digest), None
            )
            if missing is None or number == _TRIES - 1:
                break
            self.pause(_PAUSE_SECONDS)
        return missing

    def _digest(self, key: str) -> str | None:
        try:
            return self.artefacts.digest(key)
        except OSError as error:
            logger.warning("%s: cannot be read (%s)", self.artefacts.describe(key), error.strerror)
            return None


def _unseen(outcome: TrialOutcome, place: str) -> TrialOutcome:
    return replace(
        outcome,
        costs=None,
        interval95={},
        failure=FailureKind.DATA_ERROR,
        fault=Fault.WORKER,
        detail=f"{place}: is not here as the worker says that it wrote it, so the worker sees "
        "another folder there; mount the same one on both",
    )
