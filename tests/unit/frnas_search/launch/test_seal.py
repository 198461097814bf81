"""What a run is made of stands in its log, and what its files say later is compared to that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frnas_search.config.reading import parse_run_config
from frnas_search.config.run_config import RunConfig
from frnas_search.launch import seal as seals
from frnas_search.launch.seal import (
    broken_manifest,
    broken_settings,
    sealed_manifest,
    sealed_settings,
)

RAW: dict[str, Any] = {
    "name": "x",
    "data": {"synthetic": {"size": 32}},
    "space": {"fix": {"head": "CosFace"}},
    "search": {"enqueue": ["SMAC_301"]},
    "constraints": {"max_cost": {"error": 0.5}},
}
MANIFEST = {
    "started": "2026-01-01T00:00:00Z",
    "seed": 0,
    "versions": {"torch": "2"},
    "data": {"pack": "/a"},
}


def config(**sections: Any) -> RunConfig:
    return parse_run_config(RAW | sections, where="f")


def sealed(**sections: Any) -> dict[str, Any]:
    """As it comes back from the log."""
    settings = sealed_settings(config(**sections))
    return {"run_file": json.loads(json.dumps(settings))}


def test_the_same_run_file_breaks_no_seal() -> None:
    assert broken_settings(sealed(), sealed_settings(config())) == []


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"seed": 3}, "seed was 0 and is 3"),
        ({"training": {"batch_size": 32}}, "training.batch_size was 64 and is 32"),
        ({"training": {"weight_decay": 0.1}}, "training.weight_decay was 0.0001 and is 0.1"),
        ({"evaluation": {"flip": False}}, "evaluation.flip was True and is False"),
        ({"fidelity": {"eta": 2}}, "fidelity.eta was 3 and is 2"),
        ({"space": {}}, "space.fix.head was 'CosFace' and is not given"),
        (
            {"space": RAW["space"] | {"priors": {"optimizer": {"SGD": 2.0}}}},
            "space.priors.optimizer.SGD was not given and is 2.0",
        ),
        ({"data": {"synthetic": {"size": 48}}}, "data.synthetic.size was 32 and is 48"),
        (
            {"search": {"enqueue": [], "sampler": "random"}},
            "search.sampler was 'smac' and is 'random'; search.enqueue was ['SMAC_301'] and is []",
        ),
        ({"search": RAW["search"] | {"engine": {"model": "forest"}}}, "search.engine.model was "),
        ({"constraints": {}}, "constraints.max_cost.error was 0.5 and is not given"),
        ({"objectives": ["error", "disparity"]}, "objectives was ['error', 'rank_disparity'] "),
    ],
)
def test_what_decides_results_is_named_with_both_values(
    section: dict[str, Any], told: str
) -> None:
    broken = broken_settings(sealed(), sealed_settings(config(**section)))
    assert "; ".join(broken).startswith(told)
    assert len(broken) == told.count(" was ")


def test_limits_workers_and_places_are_not_sealed() -> None:
    before = sealed(data={"pack": "a.pack"})
    changed = config(
        name="y",
        data={"pack": "/elsewhere/a.pack"},
        stop={"trials": 9},
        failures={"first": 2},
        workers={"local": 4},
        training={"checkpoint_seconds": 5},
    )
    assert broken_settings(before, sealed_settings(changed)) == []


def test_every_other_key_of_the_run_file_is_sealed() -> None:
    sections = set(RunConfig.model_fields) - {"schema_version", "name"}
    sealed_sections = {name.split(".")[0] for name in sealed_settings(config())}
    assert sealed_sections == sections - {"stop", "failures", "workers"}


def test_another_method_of_evaluation_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sealed()
    monkeypatch.setattr(seals, "EVALUATION_METHOD", 99)
    assert broken_settings(before, sealed_settings(config())) == [
        f"evaluation.method was {before['run_file']['evaluation.method']} and is 99"
    ]


def test_a_key_that_is_newer_than_the_run_stands_at_its_default() -> None:
    before = sealed()
    del before["run_file"]["evaluation.fpir"]
    assert broken_settings(before, sealed_settings(config())) == []
    changed = config(evaluation={"fpir": 0.2})
    assert broken_settings(before, sealed_settings(changed)) == [
        "evaluation.fpir was 0.01 and is 0.2"
    ]


def test_a_log_without_a_seal_says_nothing() -> None:
    assert broken_settings({}, sealed_settings(config(seed=5))) == []
    assert broken_manifest({}, MANIFEST) == []


def test_a_manifest_that_was_edited_is_named() -> None:
    seal = {"manifest": sealed_manifest(MANIFEST)}
    assert broken_manifest(seal, MANIFEST | {"note": "mine", "started": "?"}) == []
    assert broken_manifest(seal, None) == []
    edited = MANIFEST | {"versions": {"torch": "1"}, "data": {"pack": "/b"}}
    assert broken_manifest(seal, edited) == ["versions.torch was '2' and is '1'"]
    assert broken_manifest(seal, {"versions": 3}) == [
        "seed was 0 and is not given",
        "versions.torch was '2' and is not given",
    ]
