from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space.candidate import TUNABLES, DagSettings, SpaceSettings
from search_space.definition.faults import space_faults
from search_space.definition.hyperparameters import unrestricted
from search_space.definition.soundness import (
    has_meaning,
    only_narrows,
    sound_settings,
    widened,
)
from search_space.definition.space import sample

SOUND = SpaceSettings(
    preset="joint",
    width=0.5,
    dag=DagSettings(nodes=5, widths=(0.5, 2.0), joins=("add",)),
    families={"one": ("m1",), "two": ("m2", "m3")},
    drop_path_families=("one",),
    tune=("scale", "drop_path", "momentum"),
    fix={"scale": 30.0, "dag.width": 2.0},
    limit={"lr_sgd": (0.1, 0.2), "timm.variant.two": ("m2",)},
    priors={"timm.family": {"one": 2.0}, "momentum": {"center": 0.9, "spread": 0.05}},
)
WRONG: dict[tuple[str, ...], dict[str, Any]] = {
    ("width",): {"width": 9.0},
    ("blocks_per_stage",): {"blocks_per_stage": 0},
    ("embedding_size",): {"embedding_size": 1},
    ("tune",): {"tune": ("beauty",)},
    ("dag", "nodes"): {"nodes": 9},
    ("dag", "widths"): {"widths": (0.5, 2.0, 90.0)},
    ("dag", "blocks"): {"blocks": (3, 2)},
    ("dag", "joins"): {"joins": ()},
    ("dag", "operations"): {"operations": ("Conv9x9",)},
    ("families", "one"): {"families": {"one": (), "two": ("m2", "m3")}},
    ("fix", "scale"): {"fix": {"scale": 900.0, "dag.width": 2.0}},
    ("limit", "lr_sgd"): {"limit": {"lr_sgd": (9.0,), "timm.variant.two": ("m2",)}},
    ("priors", "timm.family"): {"priors": {"timm.family": {"three": 2.0}}},
}


def with_faults(places: list[tuple[str, ...]]) -> SpaceSettings:
    wrong = SOUND
    for place in places:
        if place[0] == "dag":
            wrong = replace(wrong, dag=replace(wrong.dag, **WRONG[place]))
        else:
            wrong = replace(wrong, **WRONG[place])
    return wrong


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(WRONG)), unique=True, max_size=5))
def test_the_faults_of_settings_are_those_that_were_made_and_no_more(
    places: list[tuple[str, ...]],
) -> None:
    found = {fault.path[1:3] for fault in space_faults(with_faults(places))}
    hidden = {("dag", "widths")} if ("width",) in places else set()  # they are multiples of it
    assert found == set(places) - hidden


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(WRONG)), unique=True, max_size=5))
def test_what_is_left_without_the_faults_has_none(places: list[tuple[str, ...]]) -> None:
    wrong = with_faults(places)
    sound = sound_settings(wrong, {fault.path for fault in space_faults(wrong)})
    assert sound is not None
    assert space_faults(sound) == []
    assert len(sample(sound, 3, seed=0)) == 3


def test_settings_without_a_fault_stay_as_they_are() -> None:
    assert sound_settings(SOUND, ()) == SOUND


@pytest.mark.parametrize("part", [("preset",), ("sources",), ()])
def test_without_preset_and_sources_the_rest_means_nothing(part: tuple[str, ...]) -> None:
    broken = {("space", *part)}
    assert not has_meaning(broken)
    assert sound_settings(SOUND, broken) is None
    assert widened(SpaceSettings(preset="paper"), broken).sources_in_use == (
        "dual_path",
        "dag",
        "timm",
    )


def test_families_that_all_have_a_fault_do_not_become_those_that_ship() -> None:
    broken = {("space", "families", name) for name in SOUND.families}
    assert sound_settings(SOUND, broken) is None
    paper = SpaceSettings(families={"one": ()})
    assert sound_settings(paper, {("space", "families", "one")}) is not None


def test_a_wider_space_knows_every_name_that_may_be_meant() -> None:
    broken = {("space", "dag", "nodes"), ("space", "tune"), ("space", "families", "three")}
    names = {parameter.name for parameter in unrestricted(widened(SOUND, broken))}
    everything = replace(SOUND, tune=TUNABLES)
    assert {"dag.op.3->4", "timm.variant.three"} <= names
    assert {parameter.name for parameter in unrestricted(everything)} <= names


def test_only_what_narrows_changes_no_network() -> None:
    assert only_narrows({("space", "fix", "edge1"), ("space", "file"), ("stop", "trials")})
    assert not only_narrows({("space", "fix", "edge1"), ("space", "width")})
    assert not only_narrows({("space",)})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        # A number of nodes that is unknown may be any, and so may widths, families and tunables.
        (
            SpaceSettings(preset="dag", fix={"dag.op.0->4": "Skip"}),
            ("space", "dag", "nodes"),
        ),
        (SpaceSettings(preset="dag", fix={"dag.width": 3.0}), ("space", "dag", "widths")),
        (SpaceSettings(preset="timm", fix={"timm.family": "a"}), ("space", "families")),
        (SpaceSettings(preset="dag", fix={"momentum": 0.9}), ("space", "tune")),
        (SpaceSettings(fix={"dag.tail": "plain"}, tune=("scale",)), ("space", "preset")),
        (SpaceSettings(sources=("dag",)), ("space", "preset")),
        (SpaceSettings(preset="dag", dag=DagSettings(widths=(5.0,))), ("space", "width")),
    ],
)
def test_what_hangs_on_a_fault_that_is_told_is_not_judged(
    wrong: SpaceSettings, told: tuple[str, ...]
) -> None:
    assert space_faults(wrong) != []
    assert space_faults(wrong, told={told}) == []


def test_a_name_that_no_space_knows_is_a_fault_whatever_the_preset() -> None:
    (fault,) = space_faults(SpaceSettings(fix={"edg1": "3"}), told={("space", "preset")})
    assert str(fault) == (
        "space.fix.edg1: is not a hyperparameter of any space; did you mean edge1 or edge3 or "
        "edge2?"
    )


def test_what_a_broken_value_fixes_cannot_be_limited_as_well() -> None:
    limited = SpaceSettings(limit={"head": ("CosFace",)})
    (fault,) = space_faults(limited, told={("space", "fix", "head")})
    assert str(fault) == "space.limit.head: is fixed by space.fix as well; give one of the two"
