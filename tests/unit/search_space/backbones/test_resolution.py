from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm

from search_space.backbones import resolution, timm_backbones
from search_space.backbones.resolution import resolve_families
from search_space.definition.families import DROP_PATH_FAMILIES, SHIPPED_FAMILIES
from search_space.definition.variants import (
    LeftOut,
    Resolution,
    VariantRecord,
    resolution_from_json,
    resolution_to_json,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dry-runs")


def resolve(folder: Path, size: int = 112, **requested: tuple[str, ...]) -> Resolution:
    return resolve_families(requested, in_channels=3, image_size=size, folder=folder)


def invented(variant: str, parameters: int = 1, *, drop_path: bool = True) -> VariantRecord:
    return VariantRecord(
        name=variant,
        feature_size=8,
        options={},
        parameters=parameters,
        macs=1,
        accepts_drop_path=drop_path,
    )


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks invented for speed: those with an `s` in their name need 128 pixels."""

    def try_out(
        variant: str, in_channels: int, size: int, folder: Path | None
    ) -> VariantRecord | str:
        return "too small" if "s" in variant and size < 128 else invented(variant)

    monkeypatch.setattr(resolution, "try_out", try_out)


def test_names_and_patterns_are_found_once_and_ordered_by_size(folder: Path) -> None:
    found = resolve(folder, mine=("test_resnet", "test_*esnet", "test_byob*", "test_resnet"))
    assert found.faults == ()
    assert found.names == {"mine": ("test_byobnet", "test_resnet")}
    sizes = [variant.parameters for variant in found.families["mine"]]
    assert sizes == sorted(sizes)
    assert found.timm == timm.__version__


def test_a_family_without_names_is_the_one_that_is_known_by_its_name(folder: Path) -> None:
    found = resolve(folder, test=(), mine=("test_resnet",))
    assert found.names == {"mine": ("test_resnet",), "test": SHIPPED_FAMILIES["test"]}
    assert found.drop_path_families == ("mine", "test")


def test_no_family_at_all_means_the_shipped_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {
        name: index for names in SHIPPED_FAMILIES.values() for index, name in enumerate(names)
    }
    drops = {
        name: family in DROP_PATH_FAMILIES
        for family, names in SHIPPED_FAMILIES.items()
        for name in names
    }
    monkeypatch.setattr(
        resolution,
        "try_out",
        lambda variant, *_: invented(variant, order[variant], drop_path=drops[variant]),
    )
    found = resolve(folder)
    assert found.names == SHIPPED_FAMILIES
    assert found.drop_path_families == DROP_PATH_FAMILIES
    assert (found.left_out, found.faults) == ((), ())


def test_what_only_a_pattern_matched_is_left_out_with_a_size_that_would_do(folder: Path) -> None:
    found = resolve(folder, mine=("dla34*", "test_resnet"))
    assert found.faults == ()
    assert found.names == {"mine": ("test_resnet",)}
    assert found.left_out == (
        LeftOut(family="mine", name="dla34", reason=found.left_out[0].reason, works_at=128),
    )
    assert "broadcast" in found.left_out[0].reason


def test_all_faults_are_found_at_once(folder: Path) -> None:
    found = resolve(
        folder,
        a=("resnet_18", "test_resnet", "zzz*", "test_resnet.r160_in1k", "test_resnet.*"),
        b=("dla34",),
        c=("dla34*",),
        swim=(),
    )
    assert [".".join(fault.path) for fault in found.faults] == [
        *["space.families.a"] * 4,
        "space.families.b",
        "space.families.c",
        "space.families.swim",
    ]
    expected = [
        "knows no model 'resnet_18' (did you mean resnet18 or ",
        "matches 'zzz*'",
        "write 'test_resnet'",
        "matches 'test_resnet.*' (what follows the dot names pretrained weights",
        "'dla34' cannot embed pictures of 112 pixels with 3 channels (",
        "none of its models can embed pictures of 112 pixels with 3 channels; 128 pixels would do",
        "no family of this name is known (did you mean swin?)",
    ]
    for fault, words in zip(found.faults, expected, strict=True):
        assert words in fault.message
    assert found.faults[4].message.endswith(
        "; 128 pixels would do: choose another model or make a pack of that size"
    )
    assert found.names == {"a": ("test_resnet",)}


@pytest.mark.usefixtures("picky")
def test_a_name_in_full_outweighs_a_pattern(folder: Path) -> None:
    for entries in (("resnet1*", "resnet18"), ("resnet18", "resnet1*")):
        found = resolve(folder, mine=entries)
        assert len(found.faults) == 1
        assert "'resnet18' cannot embed" in found.faults[0].message
        assert "resnet18" not in {left.name for left in found.left_out}


@pytest.mark.usefixtures("picky")
def test_a_shipped_family_that_does_not_fit_is_missed_only_by_who_named_it(folder: Path) -> None:
    by_default = resolve(folder)
    assert by_default.faults == ()
    assert "resnet" not in by_default.names
    assert {left.name for left in by_default.left_out} >= set(SHIPPED_FAMILIES["resnet"])
    by_name = resolve(folder, resnet=())
    assert [str(fault) for fault in by_name.faults] == [
        "space.families.resnet: none of its models can embed pictures of 112 pixels with 3 "
        "channels; 128 pixels would do: choose another model or make a pack of that size",
    ]


def test_nothing_that_fits_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "try_out", lambda *_: "never fits")
    (fault,) = resolve(folder).faults
    assert str(fault).startswith(
        "space.families: none of the shipped families works with pictures of"
    )
    (fault,) = resolve(folder, mine=("resnet18",)).faults
    assert fault.message.endswith("no size from 64 to 256 would do either: choose another model")


@pytest.mark.parametrize(("size", "nearest"), [(112, 128), (120, 128), (150, 160), (300, 256)])
def test_of_two_sizes_as_near_the_larger_is_proposed(
    folder: Path, size: int, nearest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def try_out(variant: str, channels: int, pixels: int, folder: Path) -> VariantRecord | str:
        return "too odd" if pixels == size else invented(variant)

    monkeypatch.setattr(resolution, "try_out", try_out)
    found = resolve(folder, size, mine=("resnet1*",))
    assert {left.works_at for left in found.left_out} == {nearest}


def test_a_resolution_is_the_same_after_a_trip_through_json(folder: Path) -> None:
    found = resolve(folder, mine=("test_vit", "dla34*"), other=("nothing*",))
    assert resolution_from_json(json.loads(json.dumps(resolution_to_json(found)))) == found


def test_a_second_resolution_builds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(folder, mine=("test_vit", "dla34*"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was built although its dry run is known")

    monkeypatch.setattr(timm_backbones.timm, "create_model", refuse)
    assert resolve(folder, mine=("test_vit", "dla34*")) == first
