from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from frnas_search.cli.run_tables import (
    describe_configuration,
    failures_table,
    groups_table,
    importance_table,
    pareto_table,
    retrained_table,
    status_table,
    trials_table,
)
from frnas_search.coordinator.limits import Limits
from results.documents import pareto_document, status_document, trials_document
from results.trial import TrialOutcome
from tests.unit.frnas_search.conftest import SearchBuilder, fail, succeed
from workers.settings import TrialJob


def text_of(table: Table) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


PAPER = {
    "edge1": "3",
    "edge2": "0",
    "edge3": "1",
    "head": "CosFace",
    "optimizer": "SGD",
    "lr_sgd": 0.13828,
}


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (PAPER, "301 (Conv3x3-BnActConv3x3-BnActConv1x1) CosFace SGD 0.138"),
        (
            {**PAPER, "architecture": "dual_path"},
            "301 (Conv3x3-BnActConv3x3-BnActConv1x1) CosFace SGD 0.138",
        ),
        (
            {
                "timm.family": "resnet",
                "timm.variant.resnet": "resnet18",
                "head": "ArcFace",
                "optimizer": "Adam",
                "lr_adam": 1e-3,
            },
            "resnet18 ArcFace Adam 0.001",
        ),
    ],
)
def test_a_configuration_is_one_short_line(configuration: dict[str, object], words: str) -> None:
    assert describe_configuration(configuration) == words


def run_job(job: TrialJob) -> TrialOutcome:
    if job.request.trial_id == "t0002":
        return fail(job)
    outcome = succeed(job)
    return TrialOutcome(
        trial_id=outcome.trial_id,
        attempt=1,
        costs=outcome.costs,
        interval95={"error": (0.5, 1.0)},
        metrics={
            "groups": {"f": {"error": 0.25, "mean_rank": 1.5, "n_probes": 40, "n_identities": 10}}
        },
    )


@pytest.fixture
def search(new_search: type[SearchBuilder]) -> SearchBuilder:
    from frnas_search.coordinator.optimizer import Proposal

    proposals = [Proposal(configuration={**PAPER, "lr_sgd": rate}, rung=2) for rate in (0.2, 0.3)]
    built = new_search(proposals, run_job=run_job, limits=Limits(trials=2))
    built.coordinator.run()
    return built


def test_the_front_shows_costs_with_intervals(search: SearchBuilder) -> None:
    document = pareto_document(search.coordinator.view, run="test", state="finished")
    text = text_of(pareto_table(document))
    assert "front of 1" in text
    assert "1 trials finished, 1 failed (finished)" in text
    assert "0.8000 [0.500, 1.000]" in text
    assert "Conv3x3-BnActConv3x3" in text
    assert "0.2500" in text_of(groups_table(document))


def test_an_empty_front_is_a_table_too(new_search: type[SearchBuilder]) -> None:
    document = pareto_document(new_search().coordinator.view, run="test", state="running")
    assert "front of 0" in text_of(pareto_table(document))
    assert "by group" in text_of(groups_table(document))


def test_the_status_names_failures_and_limits(search: SearchBuilder) -> None:
    document = status_document(
        search.coordinator.view, run="test", state="finished", limits={"trials": 2, "epochs": None}
    )
    text = text_of(status_table(document))
    assert "collapsed 1" in text
    assert "trials 2" in text
    assert "2 trials are done" in text


def test_trials_show_costs_or_the_reason(search: SearchBuilder) -> None:
    text = text_of(trials_table(trials_document(search.coordinator.view, run="test")))
    assert "so it is" in text
    assert "error 0.8" in text


def test_retrained_models_show_means_and_where_they_are() -> None:
    seeds = [
        {"seed": 1, "model": "models/c1-s1", "costs": {"error": 0.5}},
        {"seed": 2, "model": None, "costs": None},
    ]
    summary = {"mean": 0.5, "interval95": None, "n_seeds": 1}
    document = {
        "run": "test",
        "models": [
            {"config_id": "c1", "epochs": 9, "costs": {"error": summary}, "seeds": seeds},
            {"config_id": "c2", "epochs": 9, "costs": None, "seeds": seeds[1:]},
        ],
    }
    text = text_of(retrained_table(document))
    assert "1 of 2" in text
    assert "0.5000" in text
    assert "models/c1-s1" in text
    assert "0 of 1" in text


def test_failed_trials_are_shown_with_worker_attempt_and_last_lines() -> None:
    loss = {
        "attempt": 1,
        "failure": "data_error",
        "detail": "no pack",
        "worker": "tcp://a",
        "seconds": 2.0,
        "log": [],
    }
    trial = {
        "trial_id": "t0007",
        "epochs": 9,
        "attempts": 2,
        "seconds": 4.0,
        "failure": "crashed",
        "worker": "tcp://b",
        "detail": "it broke\nline 1",
        "log": ["line 1", "", "INFO epoch 3, loss 2.1"],
        "losses": [loss],
    }
    document = {"run": "lfw", "trials": [trial, {**trial, "failure": None}]}
    text = text_of(failures_table(document))
    assert "lfw: 1 failed trials" in text
    for words in ("data_error", "no pack", "tcp://a", "crashed", "it broke", "tcp://b"):
        assert words in text
    assert "| INFO epoch 3, loss 2.1" in text
    assert "| line 1" not in text, "the message has it already"


def test_importance_is_shown_by_objective_with_what_is_explained() -> None:
    share = {"name": "head", "share": 0.625, "deviation": 0.05, "active": 1.0}
    each = {
        "name": "error",
        "explained": 0.91,
        "rung": 0.2,
        "interactions": 0.375,
        "hyperparameters": [share, {**share, "name": "edge1", "share": 0.01}],
    }
    text = text_of(importance_table({"run": "lfw", "trials": 30, "objectives": [each]}, most=1))
    for words in ("head", "62.5%", "5.0%", "100%", "37.5%", "R² 0.91, the rung 20%"):
        assert words in text
    assert "edge1" not in text


def test_a_page_says_which_trials_it_shows() -> None:
    document = {"run": "lfw", "trials": [], "total": 9, "offset": 0}

    assert "lfw: 0 trials" in text_of(trials_table(document))
    trial = {
        "trial_id": "t1",
        "config_id": "c1",
        "epochs": 1,
        "failure": None,
        "state": "finished",
        "attempts": 1,
        "seconds": 1.0,
        "costs": {"error": 0.5},
    }
    page = document | {"trials": [trial, trial], "offset": 4}
    assert "lfw: trials 5 to 6 of 9" in text_of(trials_table(page))
    assert "lfw: 2 trials" in text_of(trials_table(page | {"offset": 0, "total": 2}))
