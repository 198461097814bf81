from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from search_space import prediction
from search_space.backbones import timm_backbones
from search_space.build import architecture_hash, build_network, build_on_meta, network_cost
from search_space.candidate import (
    Candidate,
    DagArchitecture,
    DualPathArchitecture,
    HeadChoice,
    TimmArchitecture,
)
from search_space.cell import Edge, canonical_cell
from search_space.cells.stages import as_dag
from search_space.definition.families import SHIPPED_FAMILIES
from search_space.errors import InvalidConfigurationError

# The smallest of some families; benchmarks/spaces.py goes through all variants of all families.
SOME_SHIPPED = [
    (family, SHIPPED_FAMILIES[family][0])
    for family in np.random.default_rng(3).choice(list(SHIPPED_FAMILIES), 5, replace=False)
]
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
    timm_backbones.backbone_recipe.cache_clear()
    yield
    timm_backbones.backbone_recipe.cache_clear()


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


@pytest.mark.parametrize(("family", "variant"), SOME_SHIPPED)
def test_some_shipped_backbones_train_on_faces(family: str, variant: str) -> None:
    network = build_network(backbone(variant, family), in_channels=3, image_size=64, seed=0)
    embeddings = network(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    embeddings.square().mean().backward()
    assert embeddings.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


GRAPH = replace(
    CELL,
    architecture=DagArchitecture(
        cell=canonical_cell(
            4,
            [
                Edge(0, 1, "SepConv3x3"),
                Edge(0, 2, "Skip"),
                Edge(1, 2, "MaxPool3x3"),
                Edge(1, 3, "DilConv5x5"),
                Edge(2, 3, "AvgPool3x3"),
            ],
            {2: "concat", 3: "add"},
            "residual",
        ),
        width=0.1,
        blocks=(1, 2, 1, 1),
    ),
)


def test_the_cost_is_counted_and_not_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the two can be held against each other."""
    counted = network_cost(CELL, in_channels=3, image_size=32)
    wrong = prediction.Cost(parameters=1, macs=1)
    monkeypatch.setattr(prediction, "cell_network_cost", lambda *_, **__: wrong)
    assert network_cost(CELL, in_channels=3, image_size=32) == counted


@pytest.mark.parametrize(
    "candidate", [CELL, GRAPH, backbone("test_byobnet")], ids=["cell", "graph", "timm"]
)
def test_the_cost_is_that_of_the_network_built(candidate: Candidate) -> None:
    cost = network_cost(candidate, in_channels=3, image_size=32)
    network = build_network(candidate, in_channels=3, image_size=32, seed=0).eval()
    trainable = [p for p in network.parameters() if p.requires_grad]
    assert cost.parameters == sum(p.numel() for p in trainable)

    assert cost.activation_bytes > 0
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
    assert network_cost(GRAPH, in_channels=1, image_size=32).family == "dag"
    tiny = backbone("test_resnet", family="tiny")
    assert network_cost(tiny, in_channels=1, image_size=32).family == "tiny"


def test_the_published_cell_has_one_hash_however_it_came() -> None:
    published = CELL.architecture
    assert isinstance(published, DualPathArchitecture)
    assert architecture_hash(published) == architecture_hash(as_dag(published))
    assert architecture_hash(published) != architecture_hash(GRAPH.architecture)


def test_drop_path_reaches_the_network() -> None:
    for candidate in (CELL, GRAPH, backbone("mobilenetv3_small_050")):
        network = build_network(
            replace(candidate, drop_path=0.4), in_channels=3, image_size=32, seed=0
        )
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(1)
            one, other = network.backbone(images), network.backbone(images)
        assert not torch.equal(one, other)


def test_a_network_on_meta_has_the_shape_of_the_real_one() -> None:
    for candidate in (CELL, GRAPH, backbone("test_resnet")):
        real = build_network(candidate, in_channels=1, image_size=32, seed=0)
        meta = build_on_meta(candidate, in_channels=1, image_size=32)
        assert meta.training
        shapes = [{n: p.shape for n, p in m.state_dict().items()} for m in (real, meta)]
        assert shapes[0] == shapes[1]


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
    assert timm_backbones.backbone_recipe("vit_tiny_patch16_224", 1, 64).options == {
        "img_size": 64
    }
    candidate = backbone("vit_tiny_patch16_224")
    network = build_network(candidate, in_channels=1, image_size=64, seed=0).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 32)


def test_the_feature_size_is_measured() -> None:
    recipe = timm_backbones.backbone_recipe("mobilenetv3_small_050", 3, 64)
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
