from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from results.events import Retrained
from results.retraining import retrained_document
from results.schema import schema
from results.trial import FailureKind, TrialOutcome
from tests.unit.results.conftest import RunBuilder


def retrained(config_id: str, seed: int, error: float | None, *, epochs: int = 27) -> Retrained:
    name = f"{config_id}-s{seed}"
    if error is None:
        outcome = TrialOutcome(trial_id=name, attempt=1, failure=FailureKind.DIVERGED, detail="x")
    else:
        outcome = TrialOutcome(
            trial_id=name,
            attempt=1,
            costs={"error": error, "rank_disparity": 2 * error},
            interval95={"error": (0.0, 1.0)},
        )
    model = None if error is None else f"models/{name}"
    return Retrained(config_id=config_id, seed=seed, epochs=epochs, outcome=outcome, model=model)


def test_means_over_seeds_come_with_students_interval(run: RunBuilder) -> None:
    for seed, error in ((1, 0.1), (2, 0.2), (3, 0.3)):
        run.log(retrained("c0001", seed, error))
    document = retrained_document(run.view, run="lfw")
    Draft202012Validator(schema("retrained")).validate(document)
    (entry,) = document["models"]
    assert entry["costs"]["error"]["mean"] == pytest.approx(0.2)
    # t(0.975, 2) = 4.302653, standard error 0.1 / sqrt(3)
    assert entry["costs"]["error"]["interval95"] == pytest.approx(
        [0.0, 0.2 + 0.248414], abs=1e-5
    ), "an error is never below 0"
    assert entry["costs"]["rank_disparity"]["mean"] == pytest.approx(0.4)


def test_a_seed_that_was_trained_again_replaces_its_older_result(run: RunBuilder) -> None:
    run.log(retrained("c0001", 1, None))
    run.log(retrained("c0001", 1, 0.5))
    (entry,) = retrained_document(run.view, run="lfw")["models"]
    assert [seed["costs"]["error"] for seed in entry["seeds"]] == [0.5]


def test_a_model_that_was_overwritten_by_another_length_is_not_named_any_more(
    run: RunBuilder,
) -> None:
    run.log(retrained("c0001", 1, 0.5, epochs=9))
    run.log(retrained("c0001", 1, 0.4, epochs=27))
    document = retrained_document(run.view, run="lfw")
    Draft202012Validator(schema("retrained")).validate(document)
    models = [(entry["epochs"], entry["seeds"][0]["model"]) for entry in document["models"]]
    assert models == [(9, None), (27, "models/c0001-s1")]


def test_a_configuration_that_always_failed_has_no_costs(run: RunBuilder) -> None:
    run.log(retrained("c0001", 1, None))
    document = retrained_document(run.view, run="lfw")
    Draft202012Validator(schema("retrained")).validate(document)
    assert document["models"][0]["costs"] is None
    assert document["models"][0]["seeds"][0]["failure"] == "diverged"
