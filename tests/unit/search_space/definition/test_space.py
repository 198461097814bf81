from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from search_space.candidate import (
    OPTIMIZERS,
    TUNABLES,
    DagSettings,
    Preset,
    SpaceSettings,
    Value,
)
from search_space.cell import OPERATIONS
from search_space.definition.decode import complete, decode
from search_space.definition.families import SHIPPED_FAMILIES
from search_space.definition.hyperparameters import hyperparameters
from search_space.definition.space import (
    build_space,
    definition_faults,
    fingerprint,
    plain,
    read_definition,
    sample,
    size_of_discrete_part,
    to_json_text,
)
from search_space.errors import EmptySpaceError
from search_space.heads.specs import HEADS, PUBLISHED_HEADS

PRESETS: tuple[Preset, ...] = get_args(Preset)
TWO_FAMILIES = {"small": ("resnet10t", "resnet18"), "big": ("dpn92",)}
N_SHIPPED = sum(len(variants) for variants in SHIPPED_FAMILIES.values())


def test_the_paper_space_is_the_predecessors() -> None:
    space = build_space(SpaceSettings(), seed=0)
    assert list(space) == ["edge1", "edge2", "edge3", "head", "optimizer", "lr_adam", "lr_sgd"]
    for name, default in zip(("edge1", "edge2", "edge3"), "201", strict=True):
        assert space[name].choices == tuple("012345678")
        assert space[name].default_value == default
    assert space["head"].choices == PUBLISHED_HEADS
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
    settings = SpaceSettings(preset="joint", sources=("dual_path", "timm"), families=TWO_FAMILIES)
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
    n_heads, n_optimizers = len(HEADS), len(OPTIMIZERS)
    timm = SpaceSettings(preset="timm")
    assert size_of_discrete_part(timm) == N_SHIPPED * n_heads * n_optimizers
    both = SpaceSettings(preset="joint", sources=("timm", "dual_path"), tune=())
    assert size_of_discrete_part(both) == (729 + N_SHIPPED) * n_heads * n_optimizers
    three = SpaceSettings(preset="timm", families=TWO_FAMILIES)
    assert size_of_discrete_part(three) == 3 * n_heads * n_optimizers


def test_discrete_combinations_of_graphs_multiply() -> None:
    dag = DagSettings(nodes=4, blocks=(1, 3), widths=(0.5, 1.0), tails=("plain", "residual"))
    settings = SpaceSettings(preset="dag", dag=dag)
    n_cells = (len(OPERATIONS) + 1) ** 6 * 2**2 * 2
    assert size_of_discrete_part(settings) == n_cells * 2 * 3**4 * len(HEADS) * len(OPTIMIZERS)


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    program = (
        "from search_space.candidate import SpaceSettings\n"
        "from search_space.definition.space import fingerprint\n"
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
        replace(joint, tune=()),
        replace(joint, tune=(), embedding_size=128),
        replace(joint, sources=("dag", "timm")),
        replace(joint, dag=DagSettings(nodes=5)),
        replace(joint, dag=DagSettings(blocks=(1, 2))),
        replace(joint, groups=("f", "m")),
        replace(joint, fix={"head": "CosFace"}),
        replace(joint, limit={"scale": (10, 20)}),
        replace(joint, priors={"scale": {"center": 20.0, "spread": 2.0}}),
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


def test_the_joint_space_has_everything_below_its_root() -> None:
    settings = SpaceSettings(preset="joint", groups=("f", "m"))
    names = set(build_space(settings, seed=0))
    assert {"architecture", "edge1", "dag.op.0->1", "dag.join.3", "timm.family"} <= names
    assert {f"margin.{head}" for head in HEADS} <= names
    assert {"scale", "weight_decay", "momentum", "label_smoothing", "embedding_size"} <= names
    assert {"augmentation", "drop_path", "mitigation", "mitigation.margin.f"} <= names
    assert {"lr_adam", "lr_sgd", "head", "optimizer", "sub_centers"} <= names


def test_the_paper_space_is_the_joint_one_narrowed() -> None:
    narrowed = SpaceSettings(
        preset="joint",
        sources=("dual_path",),
        tune=(),
        limit={"head": PUBLISHED_HEADS},
    )
    assert hyperparameters(narrowed) == hyperparameters(SpaceSettings())


@pytest.mark.parametrize("name", TUNABLES)
def test_each_tunable_adds_hyperparameters_of_its_own(name: str) -> None:
    plain_space = set(build_space(SpaceSettings(preset="dual_path"), seed=0))
    tuned = SpaceSettings(preset="dual_path", tune=(name,))  # type: ignore[arg-type]
    added = set(build_space(tuned, seed=0)) - plain_space
    assert added
    for configuration in sample(tuned, 50, seed=0):
        decode(configuration, tuned)


def test_drop_path_exists_only_where_there_is_a_path_to_drop() -> None:
    settings = SpaceSettings(
        preset="joint",
        families={"small": ("resnet10t",), "vgg": ("vgg11",)},
        drop_path_families=("small",),
    )
    seen = set()
    for each in sample(settings, 300, seed=0):
        source = each["architecture"]
        detail = each.get("dag.tail", each.get("timm.family", ""))
        has_path = source == "dual_path" or detail in ("residual", "dual_path", "small")
        assert ("drop_path" in each) == has_path, each
        seen.add((source, detail))
    assert len(seen) == 1 + 3 + 2


def test_fixed_values_are_constants_and_what_they_exclude_is_gone() -> None:
    settings = SpaceSettings(
        preset="joint",
        fix={"architecture": "dual_path", "optimizer": "SGD", "edge1": 3, "lr_sgd": "1e-1"},
    )
    space = build_space(settings, seed=0)
    assert not [name for name in space if name.startswith(("dag.", "timm.")) or name == "lr_adam"]
    for each in sample(settings, 20, seed=0):
        assert each["edge1"] == "3"
        assert each["lr_sgd"] == 0.1
        assert decode(each, settings).learning_rate == 0.1
        assert 0.8 <= float(each["momentum"]) <= 0.98


def test_limits_narrow_choices_and_ranges() -> None:
    settings = SpaceSettings(
        preset="dual_path",
        limit={"head": ("AdaFace", "ArcFace"), "lr_sgd": (0.3, 0.4), "edge1": (0, 8)},
    )
    samples = sample(settings, 200, seed=0)
    assert {each["head"] for each in samples} == {"AdaFace", "ArcFace"}
    assert {each["edge1"] for each in samples} == {"0", "8"}
    assert all(0.3 <= float(each["lr_sgd"]) <= 0.4 for each in samples if "lr_sgd" in each)
    assert complete({}, settings)["head"] == "ArcFace"  # in the preset's order


def test_priors_pull_samples_to_where_the_user_wants_them() -> None:
    settings = SpaceSettings(
        preset="dual_path",
        tune=("augmentation", "margin", "scale"),
        fix={"head": "SubCenterArcFace", "optimizer": "SGD"},
        priors={
            "edge2": {"3": 50.0},
            "lr_sgd": {"center": 0.2, "spread": 1.2},
            "scale": {"center": 32.0, "spread": 1.3},
            "augmentation": {"center": 0.8, "spread": 0.05},
            "sub_centers": {"center": 4, "spread": 0.5},
        },
    )
    samples = sample(settings, 400, seed=0)
    assert sum(each["edge2"] == "3" for each in samples) / 400 == pytest.approx(50 / 58, abs=0.06)
    rates = np.log([float(each["lr_sgd"]) for each in samples])
    assert np.exp(rates.mean()) == pytest.approx(0.2, rel=0.03)
    assert rates.std() == pytest.approx(np.log(1.2), rel=0.15)
    scales = np.log([float(each["scale"]) for each in samples])
    assert np.exp(scales.mean()) == pytest.approx(32.0, rel=0.05)
    assert scales.std() == pytest.approx(np.log(1.3), rel=0.15)
    strengths = [float(each["augmentation"]) for each in samples]
    assert np.mean(strengths) == pytest.approx(0.8, abs=0.02)
    assert np.median([int(each["sub_centers"]) for each in samples]) == 4
    for each in samples:
        decode(each, settings)


def definition_of(settings: SpaceSettings, tmp_path: Path) -> str:
    path = tmp_path / "space.json"
    path.write_text(to_json_text(settings))
    return read_definition(path)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_exported_space_comes_back_as_a_space_of_the_users_own(
    preset: Preset, tmp_path: Path
) -> None:
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    own = replace(settings, definition=definition_of(settings, tmp_path))
    assert definition_faults(own) == []
    assert build_space(own, seed=3) == build_space(settings, seed=3)
    assert sample(own, 20, seed=3) == sample(settings, 20, seed=3)
    assert fingerprint(own) != fingerprint(settings)


def test_a_users_space_may_leave_out_what_then_has_its_default(tmp_path: Path) -> None:
    space = ConfigurationSpace(
        {"edge1": ["0", "3"], "lr_sgd": (0.1, 0.2), "optimizer": ["SGD"], "scale": (10.0, 20.0)}
    )
    path = tmp_path / "space.yaml"
    space.to_yaml(path)
    settings = SpaceSettings(preset="joint", definition=read_definition(path))
    assert definition_faults(settings) == []
    for configuration in sample(settings, 20, seed=0):
        candidate = decode(configuration, settings)
        assert candidate.head.name == "CosFace"
        assert candidate.head.scale == configuration["scale"]
        assert candidate.learning_rate == configuration["lr_sgd"]


def test_priors_beside_a_users_space_are_a_fault(tmp_path: Path) -> None:
    definition = definition_of(SpaceSettings(), tmp_path)
    settings = SpaceSettings(definition=definition, priors={"optimizer": {"SGD": 3.0}})
    (fault,) = definition_faults(settings)
    assert str(fault).startswith("space.priors: never count beside space.file")


def test_a_users_space_is_held_to_names_values_and_conditions(tmp_path: Path) -> None:
    def faults_of(content: dict[str, object]) -> list[str]:
        path = tmp_path / "space.json"
        ConfigurationSpace(content).to_json(path)
        settings = SpaceSettings(definition=read_definition(path))
        return [str(fault) for fault in definition_faults(settings)]

    assert faults_of({"edge1": ["3", "9"], "lr_sgd": (0.05, 0.2), "hed": (0, 1)}) == [
        "space.file: edge1 may be '9'; give one of the strings 0, 1, 2, 3, 4, 5, 6, 7, 8",
        "space.file: hed is not a hyperparameter of the preset; did you mean head?",
        "space.file: lr_sgd may be 0.05; give a number from 0.09 to 0.8",
    ]
    both = faults_of({"lr_sgd": (0.1, 0.2), "lr_adam": (1e-4, 1e-3), "optimizer": ["SGD", "Adam"]})
    assert sorted(both) == [
        "space.file: its conditions are not the preset's: lr_adam is given but counts only with "
        "optimizer = Adam or AdamW; leave it out",
        "space.file: its conditions are not the preset's: lr_sgd is given but counts only with "
        "optimizer = SGD; leave it out",
    ]


def test_a_number_beyond_any_float_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    content = json.loads(to_json_text(SpaceSettings()))
    (ranged, *_) = [entry for entry in content["hyperparameters"] if "upper" in entry]
    ranged["upper"] = 10**400
    path.write_text(json.dumps(content))
    with pytest.raises(EmptySpaceError, match=f"{path} is not a ConfigSpace file"):
        read_definition(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"hyperparameters": 3}', "a: [1", "\0"])
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_file_that_is_no_space_is_refused_with_its_name(
    content: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"space{suffix}"
    path.write_text(content)
    with pytest.raises(EmptySpaceError, match=f"{path} is not a ConfigSpace file"):
        read_definition(path)


def test_a_file_without_hyperparameters_is_no_space(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    ConfigurationSpace().to_json(path)
    (fault,) = definition_faults(SpaceSettings(definition=read_definition(path)))
    assert str(fault).startswith("space.file: has no hyperparameters")


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/")])
def test_what_is_no_file_is_not_read(path: Path) -> None:
    with pytest.raises(EmptySpaceError, match=f"{path} is no file, or larger than 10 MB"):
        read_definition(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(EmptySpaceError, match=r"space\.file: .+none\.json cannot be read"):
        read_definition(tmp_path / "none.json")


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_fingerprints_of_all_presets_are_the_same_in_another_process(hash_seed: str) -> None:
    program = (
        "from search_space.candidate import SpaceSettings\n"
        "from search_space.definition.space import fingerprint, sample\n"
        f"for preset in {PRESETS!r}:\n"
        "    settings = SpaceSettings(preset=preset, groups=('f', 'm'))\n"
        "    print(fingerprint(settings), sample(settings, 3, seed=1))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd())},
    ).stdout
    spaces = [SpaceSettings(preset=preset, groups=("f", "m")) for preset in PRESETS]
    assert printed.splitlines() == [
        f"{fingerprint(space)} {sample(space, 3, seed=1)}" for space in spaces
    ]


def test_a_plain_configuration_has_no_value_of_numpys() -> None:
    values: set[type[Value]] = set()
    for configuration in build_space(SpaceSettings(preset="joint"), seed=0).sample_configuration(
        50
    ):
        values |= {type(value) for value in plain(configuration).values()}
    assert values == {str, int, float}
