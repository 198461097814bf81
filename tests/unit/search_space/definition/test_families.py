from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path

import pytest
import timm

from search_space.backbones.timm_backbones import try_out
from search_space.candidate import SpaceSettings
from search_space.definition.families import (
    DROP_PATH_FAMILIES,
    NAMED_FAMILIES,
    PREDECESSOR_BACKBONES,
    PREDECESSOR_GONE,
    SHIPPED_FAMILIES,
    drop_path_families_in_use,
    families_in_use,
)
from search_space.definition.variants import VariantRecord

SHIPPED = [variant for variants in SHIPPED_FAMILIES.values() for variant in variants]
LARGEST_PARAMETERS = 120_000_000

# All of them at all sizes take minutes, which is a benchmark's job.
SAMPLE = random.Random(0).sample([*product(SHIPPED, (64, 112), (1, 3))], 12)

DEPRECATED = sorted(
    name
    for name in PREDECESSOR_BACKBONES
    if timm.is_model(name) and name not in timm.list_models()
)


def record(variant: str, folder: Path, *, in_channels: int = 3, size: int = 112) -> VariantRecord:
    outcome = try_out(variant, in_channels, size, folder)
    assert not isinstance(outcome, str), f"{variant}: {outcome}"
    return outcome


@pytest.fixture(scope="module")
def dry_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dry-runs")


def test_every_name_is_one_of_timms() -> None:
    known = set(timm.list_models())
    assert known.issuperset(SHIPPED)
    assert known.issuperset(PREDECESSOR_BACKBONES.values())


def test_no_variant_is_in_two_shipped_families() -> None:
    assert len(SHIPPED) == len(set(SHIPPED))


@pytest.mark.parametrize(("variant", "size", "in_channels"), SAMPLE)
def test_shipped_backbones_embed_faces(
    variant: str, size: int, in_channels: int, dry_runs: Path
) -> None:
    found = record(variant, dry_runs, in_channels=in_channels, size=size)
    assert found.feature_size >= 64
    assert 0 < found.parameters <= LARGEST_PARAMETERS
    assert found.macs > 0


@pytest.mark.parametrize("family", random.Random(0).sample(sorted(SHIPPED_FAMILIES), 3))
def test_variants_are_ordered_by_size_and_drop_path_is_known(family: str, dry_runs: Path) -> None:
    records = [record(variant, dry_runs) for variant in SHIPPED_FAMILIES[family]]
    assert all(one.parameters < next_.parameters for one, next_ in pairwise(records))
    assert all(each.accepts_drop_path for each in records) == (family in DROP_PATH_FAMILIES)


def test_all_29_backbones_of_the_predecessor_are_accounted_for() -> None:
    assert len(PREDECESSOR_BACKBONES) + len(PREDECESSOR_GONE) == 29
    assert not set(PREDECESSOR_BACKBONES) & set(PREDECESSOR_GONE)
    for name in PREDECESSOR_GONE:
        assert not timm.is_model(name)


@pytest.mark.parametrize("old", DEPRECATED)
def test_new_names_are_those_timm_itself_gives(old: str) -> None:
    with pytest.warns(UserWarning, match=f"to current {PREDECESSOR_BACKBONES[old]}"):
        timm.create_model(old, num_classes=0, device="meta")


@pytest.mark.parametrize("variant", random.Random(0).sample(sorted(PREDECESSOR_BACKBONES), 3))
def test_backbones_of_the_predecessor_work_at_their_own_size(variant: str, dry_runs: Path) -> None:
    assert record(PREDECESSOR_BACKBONES[variant], dry_runs, size=224).feature_size > 0


def test_the_predecessor_is_asked_for_by_name() -> None:
    assert "predecessor" not in SHIPPED_FAMILIES
    settings = SpaceSettings(preset="timm", families={"predecessor": ()})
    assert families_in_use(settings) == {"predecessor": NAMED_FAMILIES["predecessor"]}
    assert len(NAMED_FAMILIES["predecessor"]) == len(PREDECESSOR_BACKBONES)


@pytest.mark.parametrize(
    "settings",
    [
        SpaceSettings(),
        SpaceSettings(preset="dag"),
        SpaceSettings(preset="joint", sources=("dual_path", "dag")),
    ],
)
def test_families_are_used_only_where_timm_is_a_source(settings: SpaceSettings) -> None:
    assert families_in_use(settings) == {}
    assert drop_path_families_in_use(settings) == ()


def test_families_in_use_are_sorted_and_filled_in() -> None:
    families = {"resnet": (), "mine": ("resnet18",), "unknown": ()}
    settings = SpaceSettings(preset="joint", families=families)
    assert list(families_in_use(settings).items()) == [
        ("mine", ("resnet18",)),
        ("resnet", SHIPPED_FAMILIES["resnet"]),
        ("unknown", ()),
    ]
    assert families_in_use(SpaceSettings(preset="timm")) == SHIPPED_FAMILIES


def test_drop_path_is_claimed_only_where_it_is_known() -> None:
    assert drop_path_families_in_use(SpaceSettings(preset="timm")) == DROP_PATH_FAMILIES
    families = {"resnet": ("resnet18",), "vit": ("vit_huge_patch14_224",), "dpn": ()}
    settings = SpaceSettings(preset="timm", families=families)
    assert drop_path_families_in_use(settings) == ("resnet",)
    told = SpaceSettings(preset="timm", families=families, drop_path_families=("vit", "absent"))
    assert drop_path_families_in_use(told) == ("vit",)


def test_the_names_are_known_without_torch() -> None:
    code = (
        "import sys, search_space.definition.families, search_space.definition.variants; "
        "import search_space.backbones.cache; "
        "sys.exit(bool({'torch', 'timm'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
