from __future__ import annotations

import json
from pathlib import Path

import pytest

from frnas_search.coordinator.jobs import JobTemplate
from results.run_directory import RunDirectory
from results.trial import TrialRequest
from search_space.candidate import SpaceSettings
from workers.settings import (
    DataSettings,
    EvaluationSettings,
    TrainingSettings,
    job_from_json,
    job_to_json,
)

REQUEST = TrialRequest(
    trial_id="t0003",
    config_id="c0002",
    configuration={"head": "CosFace"},
    rung=1,
    epochs=9,
    seed=5,
)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobTemplate:
    monkeypatch.chdir(tmp_path)
    return JobTemplate(
        artefacts=RunDirectory(Path("runs/x")).artefacts,
        data=DataSettings(pack="/p", digest="d", group="g"),
        space=SpaceSettings(families={"a": ("b",)}),
        training=TrainingSettings(),
        evaluation=EvaluationSettings(),
        objectives=("error", "rank_disparity"),
        max_epochs=27,
        constraints={"max_parameters": 1e6},
        provenance={"run": "x"},
    )


def test_a_search_job_trains_towards_the_runs_maximal_epochs_and_never_sees_the_test_split(
    template: JobTemplate, tmp_path: Path
) -> None:
    job = template.search_job(REQUEST)
    assert (job.max_epochs, job.split, job.model) == (27, "val", None)
    assert job.artefacts == str(tmp_path / "runs/x")
    assert job.checkpoints == "checkpoints/c0002"
    assert job.constraints == {"max_parameters": 1e6}


def test_a_retraining_has_its_own_length_checkpoints_and_model(template: JobTemplate) -> None:
    job = template.retrain_job(REQUEST)
    assert (job.max_epochs, job.split) == (9, "test")
    assert job.checkpoints == "checkpoints/c0002-s5-e9"
    assert job.model == "models/c0002-s5"
    assert job.constraints == {}, "what is chosen by hand is trained whatever it costs"


def test_a_job_survives_json_text(template: JobTemplate) -> None:
    job = template.retrain_job(REQUEST)
    assert job_from_json(json.loads(json.dumps(job_to_json(job)))) == job
