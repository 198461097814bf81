"""Trial functions by name: what they measure, what they need, and that they are there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from results.objectives import NEEDS, OBJECTIVE_NAMES
from results.trial import FailureKind
from tests.fakes import doomed_job
from workers.settings import EvaluationSettings, job_from_json, job_to_json
from workers.trials.registry import TRIAL_FUNCTIONS, load, trial_function
from workers.trials.run import run_trial


@pytest.mark.parametrize("name", TRIAL_FUNCTIONS)
def test_each_can_be_loaded_and_says_what_a_worker_must_prove(name: str) -> None:
    function = trial_function(name)
    assert callable(load(function))
    job = doomed_job(1)
    needed = function.requirements(job.training.device, job.data, job.artefacts)
    assert (needed.data, needed.artefacts, needed.device) == (job.data, "/nowhere", "cpu")
    assert "torch" in needed.libraries


def test_the_face_network_measures_what_its_evaluation_is_asked_for() -> None:
    costs = trial_function("face_network").costs
    always = [name for name in OBJECTIVE_NAMES if name not in NEEDS]
    assert list(costs(EvaluationSettings())) == always
    everything = EvaluationSettings(verification=True, open_set=True)
    assert costs(everything) == OBJECTIVE_NAMES


def test_a_function_that_is_not_there_is_a_failure_that_names_those_that_are() -> None:
    job = replace(doomed_job(1), function="dream")
    outcome = run_trial(job_from_json(job_to_json(job)))
    assert outcome.failure is FailureKind.CRASHED
    assert "no trial function 'dream'; choose from face_network" in outcome.detail
