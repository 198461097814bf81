from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from frnas_search.config.reading import parse_run_file
from frnas_search.config.requests import preparation_request
from frnas_search.config.run_file import override
from frnas_search.launch import space_preparation
from frnas_search.launch.data_preparation import Pictures
from frnas_search.launch.space_preparation import (
    PreparedSpace,
    SpaceFindings,
    describe_left_out,
    prepare_space,
)
from search_space.candidate import SpaceSettings
from search_space.definition.published import PUBLISHED, published_configuration
from search_space.definition.space import fingerprint, to_json_text
from search_space.definition.variants import LeftOut, Resolution, VariantRecord
from search_space.fault import Fault

MINIMAL: dict[str, Any] = {"name": "faces", "data": {"synthetic": {}}}


def record(name: str, parameters: int) -> VariantRecord:
    return VariantRecord(
        name=name,
        feature_size=64,
        options={},
        parameters=parameters,
        macs=10 * parameters,
        accepts_drop_path=name == "drops",
    )


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, tuple[str, ...]]]:
    """Stands in for the process that knows timm; notes what it was asked."""
    asked: list[dict[str, tuple[str, ...]]] = []

    def resolved(
        requested: dict[str, tuple[str, ...]], *, in_channels: int, image_size: int
    ) -> Resolution:
        asked.append(dict(requested))
        bad = Fault(("space", "families", "bad"), "is unknown")
        return Resolution(
            timm="9.9",
            in_channels=in_channels,
            image_size=image_size,
            families={"mine": (record("drops", 1000), record("large", 10**8))},
            drop_path_families=(),
            left_out=(LeftOut(family="mine", name="hrnet_w64", reason="it is odd", works_at=128),),
            faults=(bad,) if "bad" in requested else (),
        )

    monkeypatch.setattr(space_preparation, "resolved_families", resolved)
    return asked


PICTURES = Pictures(image_size=112, in_channels=3, groups=("f", "m"))


def findings(*overrides: str, pictures: Pictures | None = PICTURES) -> SpaceFindings:
    run_file = parse_run_file(override(MINIMAL, overrides), where="f")
    return prepare_space(preparation_request(run_file).space, pictures)


def prepared(*overrides: str) -> PreparedSpace:
    found = findings(*overrides)
    assert found.faults == ()
    assert found.prepared is not None
    return found.prepared


def faults(*overrides: str, pictures: Pictures | None = PICTURES) -> list[str]:
    return [str(fault) for fault in findings(*overrides, pictures=pictures).faults]


def test_a_space_without_backbones_asks_nobody(timm: list[dict[str, tuple[str, ...]]]) -> None:
    found = prepared()
    assert timm == []
    assert (found.left_out, found.timm) == ((), None)
    assert fingerprint(found.settings) == fingerprint(SpaceSettings())


def test_families_become_the_variants_that_were_found(
    timm: list[dict[str, tuple[str, ...]]],
) -> None:
    found = prepared("space={preset: timm, families: {mine: 'l*'}, tune: [drop_path, scale]}")
    assert timm == [{"mine": ("l*",)}]
    assert found.settings.families == {"mine": ("drops", "large")}
    assert found.settings.drop_path_families == ()
    assert found.costs.backbones["large"].parameters == 10**8
    assert found.timm == "9.9"
    assert describe_left_out(found.left_out[0], 112) == (
        "hrnet_w64 is left out at 112 pixels (it is odd); it works at 128 pixels"
    )


def test_groups_count_where_mitigation_is_searched(
    timm: list[dict[str, tuple[str, ...]]],
) -> None:
    assert prepared("space.preset=joint").settings.groups == ("f", "m")
    assert prepared("space.preset=dag").settings.groups == ()
    assert prepared("space={preset: dag, tune: [mitigation]}").settings.groups == ("f", "m")


@pytest.mark.parametrize(
    "space",
    [
        "{preset: dag, tune: [mitigation], fix: {mitigation: group_margin}}",
        "{preset: dag, tune: [mitigation], limit: {mitigation.margin.f: [0, 0.1]}}",
        "{preset: dag, tune: [mitigation], priors: {mitigation: {group_margin: 3}}}",
        "{preset: timm, families: {mine: 'l*'}, limit: {timm.variant.mine: [drops, large]}}",
    ],
)
def test_what_only_the_data_tell_can_be_narrowed(
    space: str, timm: list[dict[str, tuple[str, ...]]]
) -> None:
    assert faults(f"space={space}") == []


def test_what_narrows_nothing_is_found_when_the_data_are_known(
    timm: list[dict[str, tuple[str, ...]]],
) -> None:
    assert faults(
        "space={preset: joint, sources: [dag], fix: {mitigation: magic},"
        " limit: {mitigation.margin.x: [0, 0.1]}}"
    ) == [
        "space.fix.mitigation: 'magic' is not one of the strings none, balanced_sampling, "
        "reweighting, group_dro, group_margin",
        "space.limit.mitigation.margin.x: is not a hyperparameter of this joint space; did you "
        "mean mitigation.margin.m or mitigation.margin.f or mitigation?",
    ]
    narrowed = "tune: [drop_path], limit: {drop_path: [0, 0.1]}"
    (fault,) = faults(f"space={{preset: timm, families: {{mine: 'l*'}}, {narrowed}}}")
    assert fault.startswith("space.limit.drop_path: never counts")


def test_what_is_enqueued_is_completed(timm: list[dict[str, tuple[str, ...]]]) -> None:
    found = prepared("search.enqueue=[SMAC_301, {edge1: 3, lr_sgd: 2e-1}]")
    assert found.enqueued[0] == published_configuration("SMAC_301", SpaceSettings())
    assert found.enqueued[1]["edge1"] == "3"
    assert found.enqueued[1]["lr_sgd"] == 0.2
    assert found.enqueued[1]["optimizer"] == "SGD"


def test_faults_of_what_is_enqueued_come_at_once(timm: list[dict[str, tuple[str, ...]]]) -> None:
    assert faults(
        "search.enqueue=[SMAC_302, {edge1: 9}, SMAC_000, {lr_sgd: 0.1, lr_adam: 1e-3}]",
        "constraints.max_parameters=50e6",
    ) == [
        "search.enqueue.0: there is no configuration 'SMAC_302'; did you mean SMAC_301 or "
        f"SMAC_680 or SMAC_010? Known: {', '.join(PUBLISHED)}",
        "search.enqueue.1: edge1 is 9; give one of the strings 0, 1, 2, 3, 4, 5, 6, 7, 8",
        "search.enqueue.2: parameters 71,441,488 exceeds max_parameters 50,000,000",
        "search.enqueue.3: lr_adam is given but counts only with optimizer = Adam or AdamW; "
        "leave it out",
    ]


def test_faults_of_backbones_are_reported(timm: list[dict[str, tuple[str, ...]]]) -> None:
    assert faults("space={preset: timm, families: {bad: [resnet1000]}}") == [
        "space.families.bad: is unknown"
    ]


def test_a_space_of_the_users_own_is_read_and_checked(
    timm: list[dict[str, tuple[str, ...]]], tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(to_json_text(SpaceSettings(limit={"edge1": ("3", "4")})))
    found = prepared(f"space.file={path}")
    assert json.loads(found.settings.definition)["hyperparameters"]
    (fault,) = faults(f"space.file={path}", "search.enqueue=[SMAC_301, SMAC_000]")
    assert fault.startswith("search.enqueue.1: space.file has no such configuration: ")
    path.write_text(to_json_text(SpaceSettings(preset="dag")))
    wider = faults(f"space.file={path}")
    assert any("dag.op.0->1 is not a hyperparameter" in fault for fault in wider)
    (missing,) = faults(f"space.file={tmp_path}/none.json")
    assert missing.startswith("space.file: ")
    assert "none.json cannot be read" in missing


def test_what_is_enqueued_is_one_of_the_users_own_space(
    timm: list[dict[str, tuple[str, ...]]], tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(to_json_text(SpaceSettings(limit={"edge1": ("3", "4")})))
    space = f"space={{preset: dual_path, tune: [momentum], file: {path}}}"
    found = prepared(space, "search.enqueue=[SMAC_301]")
    assert found.enqueued == (published_configuration("SMAC_301", SpaceSettings()),)
    assert faults(space, "search.enqueue=[{edge1: 3, momentum: 0.95}]") == [
        "search.enqueue.0: space.file leaves out momentum, so only the default is in it: 0.9"
    ]
