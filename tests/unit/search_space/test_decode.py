from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from search_space.candidate import (
    Candidate,
    DualPathArchitecture,
    HeadChoice,
    Preset,
    SpaceSettings,
    TimmArchitecture,
)
from search_space.decode import decode, describe, operation_name
from search_space.errors import InvalidConfigurationError
from search_space.families import SHIPPED_FAMILIES
from search_space.space import build_space

PAPER = SpaceSettings()
JOINT = SpaceSettings(preset="joint")
SMAC_301 = {
    "edge1": "3",
    "edge2": "0",
    "edge3": "1",
    "head": "CosFace",
    "optimizer": "SGD",
    "lr_sgd": 0.13828312564892567,
}
RESNET18 = {
    "architecture": "timm",
    "timm.family": "resnet",
    "timm.variant.resnet": "resnet18",
    "head": "MagFace",
    "optimizer": "AdamW",
    "lr_adam": 1e-3,
}


def fault_of(configuration: dict[str, object], settings: SpaceSettings = PAPER) -> str:
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
    candidate = decode(RESNET18, JOINT)
    assert candidate.architecture == TimmArchitecture(family="resnet", variant="resnet18")
    assert (candidate.optimizer, candidate.learning_rate) == ("AdamW", 1e-3)
    without_kind = {k: v for k, v in RESNET18.items() if k != "architecture"}
    assert decode(without_kind, SpaceSettings(preset="timm")) == candidate


@pytest.mark.parametrize("preset", ["paper", "timm", "joint"])
def test_whatever_is_sampled_decodes(preset: Preset) -> None:
    settings = SpaceSettings(preset=preset)
    for configuration in build_space(settings, seed=5).sample_configuration(500):
        plain = dict(configuration)
        candidate = decode(plain, settings)
        assert candidate.head == plain["head"]
        assert candidate.learning_rate in plain.values()
        if isinstance(candidate.architecture, DualPathArchitecture):
            edges = tuple(str(edge) for edge in candidate.architecture.edges)
            assert edges == (plain["edge1"], plain["edge2"], plain["edge3"])
        else:
            assert candidate.architecture.variant in plain.values()
            variants = SHIPPED_FAMILIES[candidate.architecture.family]
            assert candidate.architecture.variant in variants


def test_the_default_configuration_decodes() -> None:
    for preset in ("paper", "timm", "joint"):
        settings = SpaceSettings(preset=preset)
        default = build_space(settings, seed=0).get_default_configuration()
        decode(dict(default), settings)


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
    message = fault_of({**SMAC_301, **RESNET18, "architecture": "dual_path"}, JOINT)
    assert "timm.family is given but counts only with architecture = timm" in message
    assert "timm.variant.resnet is given but counts only with timm.family = resnet" in message


def test_the_variant_of_another_family_is_refused() -> None:
    wrong = {k: v for k, v in RESNET18.items() if k != "timm.variant.resnet"}
    message = fault_of({**wrong, "timm.variant.dpn": "dpn68"}, JOINT)
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


@hypothesis_settings(deadline=None)
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
    assert describe(decode(RESNET18, JOINT)) == "resnet18 · MagFace · AdamW 0.001"


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
