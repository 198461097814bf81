from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space.candidate import (
    Candidate,
    DagArchitecture,
    DagSettings,
    DualPathArchitecture,
    HeadChoice,
    Mitigation,
    MitigationName,
    Preset,
    SpaceSettings,
    TimmArchitecture,
    Value,
)
from search_space.cell import Edge, canonical_cell
from search_space.definition.decode import complete, decode, describe, operation_name
from search_space.definition.families import SHIPPED_FAMILIES
from search_space.definition.space import build_space, plain, sample
from search_space.errors import InvalidConfigurationError
from search_space.heads.specs import HEAD_SPECS

PAPER = SpaceSettings()
JOINT = SpaceSettings(preset="joint")
PLAIN_JOINT = SpaceSettings(preset="joint", tune=())
SMAC_301: dict[str, Value] = {
    "edge1": "3",
    "edge2": "0",
    "edge3": "1",
    "head": "CosFace",
    "optimizer": "SGD",
    "lr_sgd": 0.13828312564892567,
}
RESNET18: dict[str, Value] = {
    "architecture": "timm",
    "timm.family": "resnet",
    "timm.variant.resnet": "resnet18",
    "head": "MagFace",
    "optimizer": "AdamW",
    "lr_adam": 1e-3,
}


def fault_of(configuration: Mapping[str, object], settings: SpaceSettings = PAPER) -> str:
    with pytest.raises(InvalidConfigurationError) as raised:
        decode(configuration, settings)  # type: ignore[arg-type]
    return str(raised.value)


def test_the_published_winner_decodes() -> None:
    settings = SpaceSettings(width=0.5, blocks_per_stage=2, embedding_size=64)
    assert decode(SMAC_301, settings) == Candidate(
        architecture=DualPathArchitecture(edges=(3, 0, 1), width=0.5, blocks_per_stage=2),
        embedding_size=64,
        head=HeadChoice(name="CosFace"),
        optimizer="SGD",
        learning_rate=0.13828312564892567,
    )


def test_a_backbone_decodes() -> None:
    candidate = decode(RESNET18, PLAIN_JOINT)
    assert candidate.architecture == TimmArchitecture(family="resnet", variant="resnet18")
    assert (candidate.optimizer, candidate.learning_rate) == ("AdamW", 1e-3)
    without_kind = {k: v for k, v in RESNET18.items() if k != "architecture"}
    assert decode(without_kind, SpaceSettings(preset="timm")) == candidate


@pytest.mark.parametrize("preset", get_args(Preset))
def test_whatever_is_sampled_decodes_to_what_it_says(preset: Preset) -> None:
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    for configuration in sample(settings, 500, seed=5):
        candidate = decode(configuration, settings)
        assert candidate.head.name == configuration["head"]
        assert candidate.learning_rate in configuration.values()
        architecture = candidate.architecture
        if isinstance(architecture, DualPathArchitecture):
            edges = tuple(str(edge) for edge in architecture.edges)
            assert edges == tuple(configuration[f"edge{number}"] for number in (1, 2, 3))
        elif isinstance(architecture, TimmArchitecture):
            assert architecture.variant in configuration.values()
            assert architecture.variant in SHIPPED_FAMILIES[architecture.family]
        else:
            assert architecture.width == configuration["dag.width"]
            assert architecture.cell.tail == configuration["dag.tail"]
            assert architecture.blocks == tuple(
                configuration[f"dag.blocks.{stage}"] for stage in (1, 2, 3, 4)
            )


@pytest.mark.parametrize("preset", get_args(Preset))
def test_ten_thousand_samples_are_valid_and_survive_json(preset: Preset) -> None:
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    for configuration in sample(settings, 10_000, seed=6):
        assert json.loads(json.dumps(configuration)) == configuration
        decode(configuration, settings)


@pytest.mark.parametrize("preset", get_args(Preset))
def test_the_default_configuration_decodes(preset: Preset) -> None:
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    default = plain(build_space(settings, seed=0).get_default_configuration())
    assert complete({}, settings) == default
    decode(default, settings)


def test_a_cell_as_a_graph_decodes() -> None:
    settings = SpaceSettings(preset="dag", width=0.5, dag=DagSettings(nodes=3, blocks=(1, 2)))
    configuration: dict[str, Value] = {
        "dag.op.0->1": "Conv3x3",
        "dag.op.0->2": "Skip",
        "dag.op.1->2": "MaxPool3x3",
        "dag.join.2": "concat",
        "dag.tail": "residual",
        "dag.width": 0.75,
        "dag.blocks.1": 1,
        "dag.blocks.2": 2,
        "dag.blocks.3": 1,
        "dag.blocks.4": 2,
        "head": "CosFace",
        "optimizer": "SGD",
        "lr_sgd": 0.1,
    }
    edges = [Edge(0, 1, "Conv3x3"), Edge(0, 2, "Skip"), Edge(1, 2, "MaxPool3x3")]
    assert decode(configuration, settings).architecture == DagArchitecture(
        cell=canonical_cell(3, edges, {2: "concat"}, "residual"), width=0.375, blocks=(1, 2, 1, 2)
    )


def test_a_recipe_decodes_to_what_it_says() -> None:
    settings = SpaceSettings(preset="joint", groups=("f", "m"))
    configuration = complete(
        {
            **SMAC_301,
            "head": "MagFace",
            "margin.MagFace": 0.3,
            "magface.regulariser": 2.0,
            "scale": 20.0,
            "weight_decay": 1e-3,
            "momentum": 0.85,
            "label_smoothing": 0.1,
            "embedding_size": 128,
            "augmentation": 0.7,
            "drop_path": 0.2,
            "mitigation": "group_margin",
            "mitigation.margin.f": 0.1,
            "mitigation.margin.m": -0.05,
        },
        settings,
    )
    assert decode(configuration, settings) == Candidate(
        architecture=DualPathArchitecture(edges=(3, 0, 1), width=1.0, blocks_per_stage=1),
        embedding_size=128,
        head=HeadChoice(
            name="MagFace", margin=0.3, scale=20.0, numbers=(("regulariser_factor", 2.0),)
        ),
        optimizer="SGD",
        learning_rate=0.13828312564892567,
        weight_decay=1e-3,
        momentum=0.85,
        label_smoothing=0.1,
        augmentation=0.7,
        drop_path=0.2,
        mitigation=Mitigation(name="group_margin", margins=(("f", 0.1), ("m", -0.05))),
    )


@pytest.mark.parametrize(
    ("name", "strength", "value"),
    [
        ("balanced_sampling", "mitigation.sampling_balance", 0.5),
        ("reweighting", "mitigation.loss_balance", 0.25),
        ("group_dro", "mitigation.dro_step", 0.1),
    ],
)
def test_each_mitigation_has_a_strength_of_its_own(
    name: MitigationName, strength: str, value: float
) -> None:
    configuration = complete({"mitigation": name, strength: value}, JOINT)
    assert decode(configuration, JOINT).mitigation == Mitigation(name=name, strength=value)
    others = {"mitigation.sampling_balance", "mitigation.loss_balance", "mitigation.dro_step"}
    assert not (others - {strength}) & set(configuration)


def test_mitigation_is_off_unless_it_is_asked_for() -> None:
    assert decode(complete({}, JOINT), JOINT).mitigation == Mitigation()
    assert decode(SMAC_301, PAPER).mitigation == Mitigation()


def test_the_paper_space_lies_in_the_joint_one() -> None:
    """With the recipe fixed at what the run's training settings have, candidates are equal."""
    recipe: dict[str, Value] = {
        "architecture": "dual_path",
        "scale": 64.0,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "label_smoothing": 0.0,
        "embedding_size": 512,
        "augmentation": 0.5,
        "drop_path": 0.0,
        "mitigation": "none",
    }
    joint = replace(JOINT, fix=recipe)
    for configuration in sample(PAPER, 300, seed=3):
        wide = decode(complete(configuration, joint), joint)
        small = decode(configuration, PAPER)
        assert wide.architecture == small.architecture
        assert wide.head == replace(
            small.head, margin=HEAD_SPECS[small.head.name].margin, scale=64.0
        )
        assert (wide.optimizer, wide.learning_rate) == (small.optimizer, small.learning_rate)
        assert (wide.embedding_size, wide.mitigation) == (small.embedding_size, Mitigation())


def test_what_is_left_out_is_completed_from_below_and_from_defaults() -> None:
    backbone = complete({"timm.variant.resnet": "resnet34"}, JOINT)
    assert (backbone["architecture"], backbone["timm.family"]) == ("timm", "resnet")
    sgd = complete({"lr_sgd": 0.2}, PAPER)
    assert sgd == {
        "edge1": "2",
        "edge2": "0",
        "edge3": "1",
        "head": "CosFace",
        "optimizer": "SGD",
        "lr_sgd": 0.2,
    }
    assert complete({"edge1": 3, "lr_adam": "1e-4"}, PAPER)["edge1"] == "3"
    assert complete({"edge1": 3, "lr_adam": "1e-4"}, PAPER)["lr_adam"] == 1e-4
    assert complete({"nonsense": 1}, PAPER)["nonsense"] == 1


def test_settings_that_are_equal_share_a_space_and_others_do_not() -> None:
    for width in (0.5, 1.0):
        settings = SpaceSettings(width=width)
        architecture = decode(SMAC_301, settings).architecture
        assert isinstance(architecture, DualPathArchitecture)
        assert architecture.width == width
    with pytest.raises(InvalidConfigurationError):
        decode(SMAC_301, SpaceSettings(fix={"edge1": "0"}))


def test_bounds_count_as_inside_and_survive_rounding() -> None:
    for rate in (0.09, 0.8, float(np.nextafter(0.8, 1.0)), float(np.nextafter(0.09, 0.0))):
        assert decode({**SMAC_301, "lr_sgd": rate}, PAPER).learning_rate == rate


@pytest.mark.parametrize("rate", [0.0899, 0.801, -0.1, float("nan"), float("inf"), True, "0.1"])
def test_a_learning_rate_out_of_range_is_refused(rate: object) -> None:
    message = f"lr_sgd is {rate!r}; give a number from 0.09 to 0.8"
    assert message in fault_of({**SMAC_301, "lr_sgd": rate})


@pytest.mark.parametrize("edge", ["9", "-1", "", 3, 3.0, True])
def test_an_edge_is_one_of_nine_strings(edge: object) -> None:
    message = f"edge2 is {edge!r}; give one of the strings 0, 1, 2, 3, 4, 5, 6, 7, 8"
    assert message in fault_of({**SMAC_301, "edge2": edge})


@pytest.mark.parametrize("name", list(SMAC_301))
def test_each_missing_hyperparameter_is_named(name: str) -> None:
    incomplete = {k: v for k, v in SMAC_301.items() if k != name}
    assert f"{name} is missing; give " in fault_of(incomplete)


def test_the_inactive_learning_rate_is_refused() -> None:
    message = "lr_adam is given but counts only with optimizer = Adam or AdamW; leave it out"
    assert message in fault_of({**SMAC_301, "lr_adam": 1e-3})


def test_a_cell_with_a_backbone_is_refused_for_each_of_its_keys() -> None:
    message = fault_of({**SMAC_301, **RESNET18, "architecture": "dual_path"}, PLAIN_JOINT)
    assert "timm.family is given but counts only with architecture = timm" in message
    assert "timm.variant.resnet is given but counts only with timm.family = resnet" in message


def test_the_variant_of_another_family_is_refused() -> None:
    wrong = {k: v for k, v in RESNET18.items() if k != "timm.variant.resnet"}
    message = fault_of({**wrong, "timm.variant.dpn": "dpn68"}, PLAIN_JOINT)
    assert "timm.variant.dpn is given but counts only with timm.family = dpn" in message
    assert "timm.variant.resnet is missing; give one of the strings resnet10t, " in message


def test_unknown_hyperparameters_are_refused() -> None:
    message = fault_of({**SMAC_301, "momentum": 0.9})
    assert "momentum is not a hyperparameter of the paper space; leave it out" in message


def test_all_faults_are_named_at_once_without_echoes() -> None:
    message = fault_of({"edge1": "x", "edge2": "0", "edge3": "1", "head": "CosFace", "z": 1})
    listed = message.removeprefix("invalid configuration: ").split("; ")
    assert [fault.split(" ")[0] for fault in listed[::2]] == ["z", "edge1", "optimizer"]
    assert "lr_" not in message  # whether they are needed hangs on the missing optimizer


@given(
    st.dictionaries(
        st.sampled_from([*SMAC_301, "lr_adam", "other"]),
        st.one_of(
            st.sampled_from(["0", "8", "9", "SGD", "Adam", "CosFace"]), st.floats(), st.booleans()
        ),
    )
)
def test_any_mapping_is_decoded_or_refused_in_words(
    configuration: dict[str, bool | float | str],
) -> None:
    message = ""
    try:
        candidate = decode(configuration, PAPER)
    except InvalidConfigurationError as error:
        message = str(error)
    else:
        assert len(configuration) == 6
        assert 1e-5 <= candidate.learning_rate <= 0.8
    assert not message or re.match(r"invalid configuration: \w+ is ", message)


def test_descriptions_are_short_and_say_what_matters() -> None:
    assert describe(decode(SMAC_301, PAPER)) == "dual_path 3-0-1 · CosFace · SGD 0.138"
    assert describe(decode(RESNET18, PLAIN_JOINT)) == "resnet18 · MagFace · AdamW 0.001"


def test_operations_are_named_in_the_order_of_their_kernels_3_1_5() -> None:
    assert [operation_name(index) for index in range(9)] == [
        "BnActConv3x3",
        "BnActConv1x1",
        "BnActConv5x5",
        "Conv3x3",
        "Conv1x1",
        "Conv5x5",
        "ConvBnAct3x3",
        "ConvBnAct1x1",
        "ConvBnAct5x5",
    ]
    for index in (-1, 9):
        with pytest.raises(InvalidConfigurationError, match="choose from 0 to 8"):
            operation_name(index)
