from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import timm
import torch

from search_space import backbones
from search_space.build import build_network, check_buildable, network_cost
from search_space.candidate import (
    Candidate,
    DualPathArchitecture,
    HeadChoice,
    SpaceSettings,
    TimmArchitecture,
)
from search_space.errors import InvalidConfigurationError
from search_space.families import SHIPPED_FAMILIES

SHIPPED = [(family, v) for family, variants in SHIPPED_FAMILIES.items() for v in variants]
CELL = Candidate(
    architecture=DualPathArchitecture(edges=(0, 1, 3), width=0.1, blocks_per_stage=1),
    embedding_size=32,
    head=HeadChoice(name="CosFace"),
    optimizer="SGD",
    learning_rate=0.1,
)


def backbone(variant: str, family: str = "test") -> Candidate:
    return replace(CELL, architecture=TimmArchitecture(family=family, variant=variant))


@pytest.fixture(autouse=True)
def fresh_recipes() -> Iterator[None]:
    backbones.backbone_recipe.cache_clear()
    yield
    backbones.backbone_recipe.cache_clear()


@pytest.mark.parametrize("candidate", [CELL, backbone("test_resnet")], ids=["cell", "timm"])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_network_embeds_and_trains(candidate: Candidate, in_channels: int) -> None:
    network = build_network(candidate, in_channels=in_channels, image_size=32, seed=0)
    assert network.training
    images = torch.randn(4, in_channels, 32, 32, generator=torch.Generator().manual_seed(0))
    embeddings = network(images)
    assert embeddings.shape == (4, 32)
    embeddings.square().mean().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("candidate", [CELL, backbone("test_efficientnet")], ids=["cell", "timm"])
def test_weights_depend_on_the_seed_alone(candidate: Candidate) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(3)  # whatever was drawn before does not matter
        network = build_network(candidate, in_channels=3, image_size=32, seed=seed)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("candidate", [CELL, backbone("test_efficientnet")], ids=["cell", "timm"])
def test_building_leaves_torchs_random_state_alone(candidate: Candidate) -> None:
    state = torch.get_rng_state()
    build_network(candidate, in_channels=3, image_size=32, seed=1)
    network_cost(candidate, in_channels=3, image_size=32)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("image_size", [64, 112])
@pytest.mark.parametrize(("family", "variant"), SHIPPED)
def test_every_shipped_backbone_embeds(family: str, variant: str, image_size: int) -> None:
    for in_channels in (1, 3):
        recipe = backbones.backbone_recipe(variant, in_channels, image_size)
        assert recipe.feature_size >= 64
        assert recipe.options == {}


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("variants", SHIPPED_FAMILIES.values(), ids=list(SHIPPED_FAMILIES))
def test_the_smallest_of_each_family_embeds_faces_on_a_cpu(
    variants: tuple[str, ...], in_channels: int
) -> None:
    network = build_network(
        backbone(variants[0]), in_channels=in_channels, image_size=64, seed=0
    ).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, in_channels, 64, 64)).isfinite().all()


@pytest.mark.parametrize("variants", SHIPPED_FAMILIES.values(), ids=list(SHIPPED_FAMILIES))
def test_variants_are_ordered_by_size(variants: tuple[str, ...]) -> None:
    with torch.device("meta"):
        models = [timm.create_model(variant, num_classes=0) for variant in variants]
    sizes = [sum(p.numel() for p in model.parameters()) for model in models]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("candidate", [CELL, backbone("test_byobnet")], ids=["cell", "timm"])
def test_the_cost_is_that_of_the_network_built(candidate: Candidate) -> None:
    cost = network_cost(candidate, in_channels=3, image_size=32)
    network = build_network(candidate, in_channels=3, image_size=32, seed=0).eval()
    trainable = [p for p in network.parameters() if p.requires_grad]
    assert cost.parameters == sum(p.numel() for p in trainable)

    macs = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
        macs += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, 32, 32))
    assert cost.macs == macs > 0


def test_equal_architectures_have_equal_hashes() -> None:
    def hash_of(candidate: Candidate) -> str:
        return network_cost(candidate, in_channels=1, image_size=32).hash

    hashes = [
        hash_of(CELL),
        hash_of(
            replace(
                CELL,
                architecture=DualPathArchitecture(edges=(0, 1, 4), width=0.1, blocks_per_stage=1),
            )
        ),
        hash_of(
            replace(
                CELL,
                architecture=DualPathArchitecture(edges=(0, 1, 3), width=0.2, blocks_per_stage=1),
            )
        ),
        hash_of(
            replace(
                CELL,
                architecture=DualPathArchitecture(edges=(0, 1, 3), width=0.1, blocks_per_stage=2),
            )
        ),
        hash_of(backbone("test_resnet")),
        hash_of(backbone("test_byobnet")),
    ]
    assert len(set(hashes)) == len(hashes)
    assert {len(h) for h in hashes} == {12}
    assert hash_of(replace(CELL, head=HeadChoice(name="ArcFace"), learning_rate=0.2)) == hashes[0]
    assert hash_of(backbone("test_resnet", family="other")) == hashes[4]


def test_costs_name_the_family() -> None:
    assert network_cost(CELL, in_channels=1, image_size=32).family == "dual_path"
    tiny = backbone("test_resnet", family="tiny")
    assert network_cost(tiny, in_channels=1, image_size=32).family == "tiny"


def test_an_unknown_backbone_is_refused_by_name() -> None:
    for use in (
        lambda c: build_network(c, in_channels=3, image_size=64, seed=0),
        lambda c: network_cost(c, in_channels=3, image_size=64),
    ):
        with pytest.raises(InvalidConfigurationError, match="knows no model 'resnet1000'"):
            use(backbone("resnet1000"))


def test_names_that_would_reach_for_the_network_are_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match="knows no model"):
        build_network(backbone("hf-hub:timm/resnet18"), in_channels=3, image_size=64, seed=0)


def test_a_backbone_that_wants_to_know_the_size_is_told() -> None:
    assert backbones.backbone_recipe("vit_tiny_patch16_224", 1, 64).options == {"img_size": 64}
    candidate = backbone("vit_tiny_patch16_224")
    network = build_network(candidate, in_channels=1, image_size=64, seed=0).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 32)


def test_the_feature_size_is_measured() -> None:
    recipe = backbones.backbone_recipe("mobilenetv3_small_050", 3, 64)
    assert recipe.feature_size == 1024
    with torch.device("meta"):
        model = timm.create_model("mobilenetv3_small_050", num_classes=0)
    assert model.num_features == 288  # what one would have read off


def test_a_backbone_that_does_not_fit_is_refused_with_the_reason() -> None:
    with pytest.raises(
        InvalidConfigurationError,
        match=r"timm model 'hrnet_w18_small' cannot embed pictures of 112 pixels with 3 channels "
        r"\(.+\); choose another model or size",
    ):
        build_network(backbone("hrnet_w18_small"), in_channels=3, image_size=112, seed=0)


def test_variants_that_cannot_be_built_are_reported_together() -> None:
    settings = SpaceSettings(
        preset="joint",
        families={
            "good": ("test_resnet",),
            "bad": ("test_byobnet", "resnet1000", "hrnet_w18_small"),
        },
    )
    faults = check_buildable(settings, in_channels=3, image_size=112)
    assert len(faults) == 2
    assert faults[0].startswith("space.families.bad: timm ")
    assert "knows no model 'resnet1000'" in faults[0]
    assert faults[1].startswith("space.families.bad: timm model 'hrnet_w18_small' cannot embed")


def test_the_paper_space_has_no_backbones_to_check() -> None:
    settings = SpaceSettings(families={"bad": ("resnet1000",)})
    assert check_buildable(settings, in_channels=3, image_size=112) == []
