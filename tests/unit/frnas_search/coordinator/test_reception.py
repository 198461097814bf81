from __future__ import annotations

from frnas_search.coordinator.reception import Reception
from results.trial import TrialOutcome
from tests.fakes import InMemoryArtefacts, doomed_job


class Unreadable(InMemoryArtefacts):
    """A place whose files are there and cannot be read."""

    def digest(self, key: str) -> str | None:
        raise PermissionError(13, "Permission denied", key)


def test_a_checkpoint_that_cannot_be_read_here_is_not_named_and_ends_no_search() -> None:
    job = doomed_job(1)
    key = f"{job.checkpoints}/epochs-0001.pt"
    outcome = TrialOutcome(
        trial_id="t1", attempt=1, costs={"error": 0.5}, checkpoint=key, artefacts={key: "sha256:1"}
    )
    reception = Reception(artefacts=Unreadable(), pause=lambda _: None)
    reception.remember([(job.request.config_id, outcome)])
    assert reception.sent(job).resume_from == {}
