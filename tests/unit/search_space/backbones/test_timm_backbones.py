from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from timm.layers.drop import DropPath
from torch import nn

from search_space.backbones.timm_backbones import (
    backbone_recipe,
    build_backbone,
    name_fault,
    try_out,
)
from search_space.errors import InvalidConfigurationError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backbone_recipe.cache_clear()
    yield
    backbone_recipe.cache_clear()


class CountedModels:
    """timm's constructor, counting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built: list[str] = []
        self._create = timm.create_model
        monkeypatch.setattr(timm, "create_model", self)

    def __call__(self, name: str, **options: object) -> nn.Module:
        self.built.append(name)
        return self._create(name, **options)


def drop_paths(module: nn.Module) -> list[float]:
    return [each.drop_prob for each in module.modules() if isinstance(each, DropPath)]


def test_a_record_says_what_is_then_built() -> None:
    found = backbone_recipe("test_resnet", 1, 64)
    module, feature_size = build_backbone("test_resnet", in_channels=1, image_size=64)
    assert found.name == "test_resnet"
    assert found.options == {}
    assert found.feature_size == feature_size
    assert found.parameters == sum(parameter.numel() for parameter in module.parameters())
    with torch.no_grad():
        assert module.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, feature_size)


def test_macs_are_those_of_convolutions_and_matrix_products() -> None:
    module, _ = build_backbone("test_efficientnet", in_channels=3, image_size=32)
    macs = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        macs += output[0].numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, 32, 32))
    assert backbone_recipe("test_efficientnet", 3, 32).macs == macs > 0


def test_a_dry_run_leaves_torchs_random_state_alone() -> None:
    state = torch.get_rng_state()
    assert backbone_recipe("vit_tiny_patch16_224", 3, 64).options == {"img_size": 64}
    assert torch.equal(torch.get_rng_state(), state)


def test_a_dry_run_is_made_once_per_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    models = CountedModels(monkeypatch)
    first = backbone_recipe("test_resnet", 3, 64)
    assert models.built
    models.built.clear()
    backbone_recipe.cache_clear()  # as in another process
    assert backbone_recipe("test_resnet", 3, 64) == first
    assert models.built == []
    backbone_recipe("test_resnet", 1, 64)
    assert models.built


def test_that_a_variant_does_not_work_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    models = CountedModels(monkeypatch)
    for _ in range(2):
        with pytest.raises(InvalidConfigurationError, match="dla34"):
            backbone_recipe("dla34", 3, 112)
    assert len(models.built) == 2  # with and without its size, the first time


@pytest.mark.parametrize("version_of", [timm, torch])
def test_another_version_is_tried_out_anew(
    version_of: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_out("test_resnet", 3, 64)
    models = CountedModels(monkeypatch)
    monkeypatch.setattr(version_of, "__version__", "99.0")
    try_out("test_resnet", 3, 64)
    assert models.built


def test_an_output_that_is_no_vector_is_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match="its output has 3 dimensions"):
        backbone_recipe("deepseek_vit_412m_enc", 3, 112)


class _Strange(nn.Module):
    """Behaves in training as its name says."""

    def __init__(self, strangeness: str) -> None:
        super().__init__()
        self.strangeness = strangeness

    def forward(self, images: torch.Tensor) -> object:
        features = images.flatten(1)[:, :8]
        if not self.training:
            return features
        if self.strangeness == "raises":
            raise RuntimeError("expects more than this")
        return {"pair": (features, features), "longer": images.flatten(1)}[self.strangeness]


@pytest.mark.parametrize(
    ("strangeness", "reason"),
    [
        ("raises", "expects more than this"),
        ("pair", "its output is a tuple, not a tensor"),
        ("longer", "its feature vectors have another length in training"),
    ],
)
def test_a_backbone_must_work_in_training(
    strangeness: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm, "create_model", lambda name, **options: _Strange(strangeness))
    assert try_out("test_resnet", 3, 32) == reason


def test_the_reason_is_about_the_size_and_not_about_how_it_was_told() -> None:
    with pytest.raises(InvalidConfigurationError, match="divisible by window") as refusal:
        backbone_recipe("maxvit_nano_rw_256", 3, 112)
    assert "img_size" not in str(refusal.value)
    with pytest.raises(InvalidConfigurationError) as refusal:
        backbone_recipe("dla34", 3, 112)
    assert "img_size" not in str(refusal.value)


def test_drop_path_reaches_the_network() -> None:
    module, _ = build_backbone("test_resnet", in_channels=3, image_size=64, drop_path=0.2)
    assert max(drop_paths(module)) == pytest.approx(0.2)
    module, _ = build_backbone("test_resnet", in_channels=3, image_size=64)
    assert drop_paths(module) == []


def test_no_drop_path_means_none_even_where_timm_has_some() -> None:
    swin = "swin_tiny_patch4_window7_224"
    assert max(drop_paths(timm.create_model(swin, num_classes=0, device="meta"))) > 0
    assert backbone_recipe(swin, 3, 112).options == {"img_size": 112, "drop_path_rate": 0.0}
    with torch.device("meta"):
        module, _ = build_backbone(swin, in_channels=3, image_size=112)
        dropping, _ = build_backbone(swin, in_channels=3, image_size=112, drop_path=0.3)
    assert not any(drop_paths(module))
    assert max(drop_paths(dropping)) == pytest.approx(0.3)


def test_drop_path_is_refused_where_there_is_nothing_to_drop() -> None:
    assert not backbone_recipe("dpn48b", 3, 64).accepts_drop_path
    with pytest.raises(InvalidConfigurationError, match=r"'dpn48b' has no drop path .*0\.1"):
        build_backbone("dpn48b", in_channels=3, image_size=64, drop_path=0.1)


def test_an_option_that_does_nothing_is_not_drop_path(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def deaf(name: str, **options: object) -> nn.Module:
        return create(name, **{**options, "drop_path_rate": 0.0})

    monkeypatch.setattr(timm, "create_model", deaf)
    assert not backbone_recipe("test_resnet", 3, 64).accepts_drop_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet_18", "knows no model 'resnet_18' (did you mean resnet18"),
        ("resnet18.a1_in1k", "pretrained weights, and networks are trained from scratch"),
        ("xception", "any more; write 'legacy_xception'"),
        ("gluon_xception65", "timm dropped the port"),
        ("hf-hub:timm/resnet18", "knows no model 'hf-hub:timm/resnet18'"),
        ("nothing.like.it", "knows no model 'nothing.like.it'"),
    ],
)
def test_wrong_names_come_with_the_right_one(name: str, words: str) -> None:
    fault = name_fault(name)
    assert fault is not None
    assert words in fault
    with pytest.raises(InvalidConfigurationError, match=re.escape(fault)):
        build_backbone(name, in_channels=3, image_size=64)
