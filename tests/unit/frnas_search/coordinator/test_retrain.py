from __future__ import annotations

import itertools

import pytest

from frnas_search.coordinator.coordinator import StopSignal
from frnas_search.coordinator.executor import InlineExecutor
from frnas_search.coordinator.reception import Reception
from frnas_search.coordinator.retrain import Retraining, chosen_configurations, retrain_requests
from results.errors import SelectionError
from results.events import Retrained
from results.retraining import retrained_document
from results.trial import FailureKind, TrialOutcome, TrialRequest
from results.view import RunView, fold
from search_space.candidate import SpaceSettings
from search_space.definition.published import published_configuration
from tests.fakes import InMemoryArtefacts
from tests.unit.frnas_search.conftest import SearchBuilder, fail, job_of, proposal, succeed
from workers.settings import TrialJob


@pytest.fixture
def search(new_search: type[SearchBuilder]) -> SearchBuilder:
    """A finished search of three configurations."""
    built = new_search([proposal(i) for i in range(3)])
    built.coordinator.run()
    return built


def retraining_of(search: SearchBuilder, run_job: object = succeed) -> Retraining:
    return Retraining(
        executor=InlineExecutor(run_job),  # type: ignore[arg-type]
        store=search.store,
        reception=Reception(artefacts=InMemoryArtefacts(), pause=lambda _: None),
        view=fold(search.store.read()),
        space=SpaceSettings(),
        make_job=job_of,
        max_attempts=3,
        stop_signal=StopSignal(),
        utc_now=lambda: "2026-01-02T00:00:00Z",
        clock=itertools.count().__next__,
    )


def requests_for(
    view: RunView, ids: list[str], *, n_seeds: int, epochs: int, overwrite: bool = False
) -> list[TrialRequest]:
    chosen = chosen_configurations(view, ",".join(ids), SpaceSettings())
    return retrain_requests(view, chosen, n_seeds=n_seeds, epochs=epochs, overwrite=overwrite)


def test_a_published_configuration_is_chosen_by_name(search: SearchBuilder) -> None:
    job = retraining_of(search)
    requests = requests_for(job.view, ["SMAC_301", "c0001"], n_seeds=1, epochs=9)
    assert [request.config_id for request in requests] == ["c0001", "SMAC_301"]
    assert requests[1].configuration == published_configuration("SMAC_301", SpaceSettings())
    assert job.run(requests)
    assert [event.model for event in job.view.retrained] == [
        "models/c0001-s8",
        "models/SMAC_301-s8",
    ]
    models = retrained_document(job.view, run="test")["models"]
    assert [entry["config_id"] for entry in models] == ["c0001", "SMAC_301"]


def test_a_published_configuration_of_another_space_is_refused(search: SearchBuilder) -> None:
    view = search.coordinator.view
    with pytest.raises(SelectionError, match="SMAC_301 is not in this run's space: edge1 is not"):
        chosen_configurations(view, "SMAC_301", SpaceSettings(preset="timm"))
    with pytest.raises(SelectionError, match="the run has no SMAC_999"):
        chosen_configurations(view, "SMAC_999", SpaceSettings())
    with pytest.raises(SelectionError, match="nothing is selected"):
        chosen_configurations(view, "", SpaceSettings())


def test_each_configuration_gets_one_request_per_seed_and_none_is_the_searchs_own_seed(
    search: SearchBuilder,
) -> None:
    view = search.coordinator.view
    requests = requests_for(view, ["c0002", "c0001"], n_seeds=2, epochs=27)
    assert [(r.config_id, r.seed, r.epochs) for r in requests] == [
        ("c0002", 8, 27),
        ("c0002", 9, 27),
        ("c0001", 8, 27),
        ("c0001", 9, 27),
    ]
    assert requests[0].configuration == proposal(1).configuration
    assert len({request.trial_id for request in requests}) == 4


def test_results_go_into_the_log_and_what_is_done_is_not_done_again(
    search: SearchBuilder,
) -> None:
    job = retraining_of(search)
    requests = requests_for(job.view, ["c0001"], n_seeds=2, epochs=9)
    assert job.run(requests)
    logged = [each.event for each in search.store.read() if isinstance(each.event, Retrained)]
    assert [(event.seed, event.model) for event in logged] == [
        (8, "models/c0001-s8"),
        (9, "models/c0001-s9"),
    ]
    assert requests_for(job.view, ["c0001"], n_seeds=2, epochs=9) == []
    assert len(requests_for(job.view, ["c0001"], n_seeds=3, epochs=9)) == 1


def test_a_model_of_another_length_is_overwritten_only_when_told_to(
    search: SearchBuilder,
) -> None:
    job = retraining_of(search)
    assert job.run(requests_for(job.view, ["c0001"], n_seeds=2, epochs=9))
    with pytest.raises(SelectionError, match=r"models/c0001-s8 was trained for 9 .*--overwrite"):
        requests_for(job.view, ["c0001"], n_seeds=2, epochs=27)
    longer = requests_for(job.view, ["c0001"], n_seeds=2, epochs=27, overwrite=True)
    assert len(longer) == 2
    assert job.run(longer)
    assert requests_for(job.view, ["c0001"], n_seeds=2, epochs=27) == []
    again = requests_for(job.view, ["c0001"], n_seeds=2, epochs=9, overwrite=True)
    assert len(again) == 2, "the shorter ones are gone"


def test_a_failed_seed_has_no_model_and_is_tried_again_next_time(search: SearchBuilder) -> None:
    def fail_at_nine(job: TrialJob) -> TrialOutcome:
        return fail(job) if job.request.seed == 9 else succeed(job)

    job = retraining_of(search, fail_at_nine)
    assert job.run(requests_for(job.view, ["c0001"], n_seeds=2, epochs=9))
    assert job.n_failed == 1
    again = requests_for(job.view, ["c0001"], n_seeds=2, epochs=9)
    assert [request.seed for request in again] == [9]
    (entry,) = retrained_document(job.view, run="test")["models"]
    assert [seed["failure"] for seed in entry["seeds"]] == [None, "collapsed"]
    assert entry["costs"]["error"]["n_seeds"] == 1
    assert entry["costs"]["error"]["interval95"] is None


def test_checkpoints_go_when_the_model_is_there(search: SearchBuilder) -> None:
    job = retraining_of(search)
    job.reception.artefacts.write("c/epochs-0009.pt", b"")
    job.reception.artefacts.write("d/epochs-0009.pt", b"")
    assert job.run(requests_for(job.view, ["c0001"], n_seeds=1, epochs=9))
    assert list(job.reception.artefacts.sizes("")) == ["d/epochs-0009.pt"]


def test_a_lost_worker_is_retried(search: SearchBuilder) -> None:
    attempts: list[int] = []

    def lose_once(job: TrialJob) -> TrialOutcome:
        attempts.append(job.request.attempt)
        return fail(job, FailureKind.WORKER_LOST) if len(attempts) == 1 else succeed(job)

    job = retraining_of(search, lose_once)
    assert job.run(requests_for(job.view, ["c0001"], n_seeds=1, epochs=9))
    assert attempts == [1, 2]
    assert len(job.view.retrained) == 1


def test_a_request_to_stop_ends_it_with_what_is_done_kept(search: SearchBuilder) -> None:
    job = retraining_of(search)

    def stop_first(each: TrialJob) -> TrialOutcome:
        job.stop_signal.request()
        return succeed(each)

    job.executor = InlineExecutor(stop_first)
    assert not job.run(requests_for(job.view, ["c0001"], n_seeds=3, epochs=9))
    assert len(job.view.retrained) == 1


def test_nothing_to_do_is_done(search: SearchBuilder) -> None:
    assert retraining_of(search).run([])
