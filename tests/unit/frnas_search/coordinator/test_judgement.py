"""Whose fault a failure is, told by who else fails."""

from __future__ import annotations

import pytest

from frnas_search.coordinator.judgement import Bench, Judgement
from results.trial import FailureKind, Fault, TrialOutcome


def failed(number: int, *, fault: Fault | None = None, worker: str = "sick") -> TrialOutcome:
    return TrialOutcome(
        trial_id=f"t{number:04d}",
        attempt=1,
        failure=FailureKind.WORKER_LOST,
        fault=fault,
        worker=worker,
    )


def test_a_worker_that_fails_one_trial_after_the_other_is_benched_where_others_do_well() -> None:
    judgement = Judgement()
    judgement.done("t0009", "sound")
    found = [judgement.failed(failed(number)) for number in (1, 2, 3)]
    assert found[:2] == [[], []]
    assert found[2] == [Bench("sick", "it failed 3 trials in a row, and other workers do well")]


@pytest.mark.parametrize("fault", [Fault.CLUSTER, Fault.USER])
def test_what_is_nobodys_fault_benches_no_worker(fault: Fault) -> None:
    judgement = Judgement()
    judgement.done("t0009", "sound")
    for number in range(1, 6):
        assert judgement.failed(failed(number, fault=fault)) == []
        assert judgement.done(f"t{number:04d}", "sound") == []
    assert not judgement.benched
