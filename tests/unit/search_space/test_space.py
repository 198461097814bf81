from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from ConfigSpace import ConfigurationSpace

from search_space.candidate import OPTIMIZERS, PAPER_HEADS, Preset, SpaceSettings
from search_space.errors import EmptySpaceError
from search_space.families import SHIPPED_FAMILIES, families_in_use
from search_space.space import (
    build_space,
    fingerprint,
    size_of_discrete_part,
    space_faults,
)

PRESETS: tuple[Preset, ...] = ("paper", "timm", "joint")
TWO_FAMILIES = {"small": ("resnet10t", "resnet18"), "big": ("dpn92",)}
N_SHIPPED = sum(len(variants) for variants in SHIPPED_FAMILIES.values())


def test_the_paper_space_is_the_predecessors() -> None:
    space = build_space(SpaceSettings(), seed=0)
    assert list(space) == ["edge1", "edge2", "edge3", "head", "optimizer", "lr_adam", "lr_sgd"]
    for name, default in zip(("edge1", "edge2", "edge3"), "201", strict=True):
        assert space[name].choices == tuple("012345678")
        assert space[name].default_value == default
    assert space["head"].choices == PAPER_HEADS
    assert space["head"].default_value == "CosFace"
    assert space["optimizer"].choices == OPTIMIZERS
    assert space["optimizer"].default_value == "Adam"
    adam, sgd = space["lr_adam"], space["lr_sgd"]
    assert (adam.lower, adam.upper, adam.default_value, adam.log) == (1e-5, 1e-2, 1e-3, True)
    assert (sgd.lower, sgd.upper, sgd.default_value, sgd.log) == (0.09, 0.8, 0.1, True)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_learning_rate_belongs_to_the_optimizer(preset: Preset) -> None:
    for configuration in build_space(SpaceSettings(preset=preset), seed=1).sample_configuration(
        60
    ):
        is_sgd = configuration["optimizer"] == "SGD"
        assert ("lr_sgd" in configuration) == is_sgd
        assert ("lr_adam" in configuration) == (not is_sgd)


def test_a_joint_configuration_is_either_a_cell_or_a_backbone() -> None:
    settings = SpaceSettings(preset="joint", families=TWO_FAMILIES)
    kinds = set()
    for configuration in build_space(settings, seed=2).sample_configuration(100):
        names = {name for name in dict(configuration) if name.startswith(("edge", "timm"))}
        if configuration["architecture"] == "dual_path":
            assert names == {"edge1", "edge2", "edge3"}
            kinds.add("dual_path")
        else:
            family = configuration["timm.family"]
            assert names == {"timm.family", f"timm.variant.{family}"}
            kinds.add(family)
    assert kinds == {"dual_path", "small", "big"}


def test_variants_keep_their_order_and_the_smallest_is_the_default() -> None:
    space = build_space(SpaceSettings(preset="timm"), seed=0)
    for family, variants in SHIPPED_FAMILIES.items():
        assert space[f"timm.variant.{family}"].choices == variants
        assert space[f"timm.variant.{family}"].default_value == variants[0]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_seed_decides_the_samples(preset: Preset) -> None:
    settings = SpaceSettings(preset=preset)

    def samples(seed: int) -> list[dict[str, object]]:
        space = build_space(settings, seed=seed)
        return [dict(configuration) for configuration in space.sample_configuration(5)]

    assert samples(3) == samples(3)
    assert samples(3) != samples(4)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_space_survives_json(preset: Preset) -> None:
    space = build_space(SpaceSettings(preset=preset), seed=0)
    text = json.dumps(space.to_serialized_dict())
    assert ConfigurationSpace.from_serialized_dict(json.loads(text)) == space


def test_the_paper_space_has_6561_discrete_combinations() -> None:
    assert size_of_discrete_part(SpaceSettings()) == 9**3 * 3 * 3 == 6561


def test_discrete_combinations_of_backbones_add_up() -> None:
    assert size_of_discrete_part(SpaceSettings(preset="timm")) == N_SHIPPED * 9
    assert size_of_discrete_part(SpaceSettings(preset="joint")) == (729 + N_SHIPPED) * 9
    three = SpaceSettings(preset="timm", families=TWO_FAMILIES)
    assert size_of_discrete_part(three) == 3 * 9


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    program = (
        "from search_space.candidate import SpaceSettings\n"
        "from search_space.space import fingerprint\n"
        "print(fingerprint(SpaceSettings(preset='joint', width=0.5)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == fingerprint(SpaceSettings(preset="joint", width=0.5))
    assert len(printed) == 64
    assert set(printed) <= set("0123456789abcdef")


def test_every_setting_that_matters_changes_the_fingerprint() -> None:
    joint = SpaceSettings(preset="joint", families=TWO_FAMILIES)
    spaces = [
        SpaceSettings(),
        SpaceSettings(preset="timm"),
        joint,
        replace(joint, width=0.5),
        replace(joint, blocks_per_stage=2),
        replace(joint, embedding_size=128),
        replace(joint, families={"small": ("resnet18", "resnet10t"), "big": ("dpn92",)}),
        replace(joint, families={"little": ("resnet10t", "resnet18"), "big": ("dpn92",)}),
    ]
    for one, other in itertools.combinations(spaces, 2):
        assert fingerprint(one) != fingerprint(other)


def test_settings_that_mean_the_same_have_the_same_fingerprint() -> None:
    timm = SpaceSettings(preset="timm")
    assert fingerprint(timm) == fingerprint(replace(timm, families=dict(SHIPPED_FAMILIES)))
    assert fingerprint(timm) == fingerprint(replace(timm, width=0.5, blocks_per_stage=3))
    assert fingerprint(SpaceSettings(width=1)) == fingerprint(SpaceSettings(width=1.0))
    assert fingerprint(SpaceSettings()) == fingerprint(SpaceSettings(families=TWO_FAMILIES))


def test_the_order_of_families_does_not_matter() -> None:
    backwards = dict(reversed(TWO_FAMILIES.items()))
    one = SpaceSettings(preset="timm", families=TWO_FAMILIES)
    other = SpaceSettings(preset="timm", families=backwards)
    assert fingerprint(one) == fingerprint(other)
    assert build_space(one, seed=0) == build_space(other, seed=0)


def test_sound_settings_have_no_faults() -> None:
    for preset in PRESETS:
        assert space_faults(SpaceSettings(preset=preset)) == []
        small = SpaceSettings(preset=preset, width=0.02, blocks_per_stage=8, embedding_size=8)
        assert space_faults(small) == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            SpaceSettings(preset="joint", families={"dpn": ()}),
            "space.families.dpn: has no variants; name at least one timm model",
        ),
        (
            SpaceSettings(preset="timm", families={"a": ("resnet18", "resnet18")}),
            "space.families.a: names resnet18 2 times; name it once",
        ),
        (
            SpaceSettings(preset="timm", families={"": ("resnet18",)}),
            "space.families: a family has an empty name; name it",
        ),
        (SpaceSettings(width=0.01), "space.width: 0.01 is outside 0.02 to 4; "),
        (SpaceSettings(width=4.5), "space.width: 4.5 is outside 0.02 to 4; "),
        (SpaceSettings(width=float("nan")), "space.width: nan is outside 0.02 to 4; "),
        (SpaceSettings(blocks_per_stage=0), "space.blocks_per_stage: 0 is outside 1 to 8"),
        (SpaceSettings(blocks_per_stage=9), "space.blocks_per_stage: 9 is outside 1 to 8"),
        (SpaceSettings(embedding_size=7), "space.embedding_size: 7 is outside 8 to 16384"),
        (
            SpaceSettings(embedding_size=10**12),
            "space.embedding_size: 1000000000000 is outside 8 to 16384",
        ),
        (
            SpaceSettings(preset="darts"),  # type: ignore[arg-type]
            "space.preset: 'darts' is not known; choose from paper, timm, joint",
        ),
    ],
)
def test_each_fault_names_its_field(settings: SpaceSettings, fault: str) -> None:
    faults = space_faults(settings)
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_all_faults_are_reported_together() -> None:
    settings = SpaceSettings(
        preset="timm",
        width=9.0,
        blocks_per_stage=0,
        embedding_size=1,
        families={"a": (), "b": (), "c": ("resnet18",)},
    )
    fields = [fault.split(":")[0] for fault in space_faults(settings)]
    assert fields == [
        "space.width",
        "space.blocks_per_stage",
        "space.embedding_size",
        "space.families.a",
        "space.families.b",
    ]


def test_families_do_not_matter_to_the_paper_space() -> None:
    settings = SpaceSettings(families={"dpn": ()})
    assert space_faults(settings) == []
    assert families_in_use(settings) == {}


def test_a_space_without_configurations_is_refused() -> None:
    settings = SpaceSettings(preset="timm", families={"dpn": ()})
    for use in (fingerprint, size_of_discrete_part, lambda s: build_space(s, seed=0)):
        with pytest.raises(EmptySpaceError, match=r"space\.families\.dpn: has no variants"):
            use(settings)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("space", ("torch", "timm")),
        ("decode", ("torch", "timm", "ConfigSpace", "numpy")),
        ("families", ("torch", "timm", "ConfigSpace", "numpy")),
        ("candidate", ("torch", "timm", "ConfigSpace", "numpy")),
    ],
)
def test_what_the_coordinator_loads_is_light(module: str, absent: tuple[str, ...]) -> None:
    program = (
        f"import sys, search_space.{module}; print([m for m in {absent} if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == "[]"
