"""From a candidate to a network, and what that network costs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.backbones import backbone_recipe, build_backbone
from search_space.candidate import (
    Candidate,
    DualPathArchitecture,
    SpaceSettings,
    TimmArchitecture,
)
from search_space.dual_path import DualPathNetwork
from search_space.errors import InvalidConfigurationError
from search_space.families import families_in_use
from search_space.network import FaceNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """What a network is and how large, its head left aside.

    Attributes:
        family: `dual_path` or the timm family.
        hash: First 12 hex digits of the SHA-256 of the architecture; equal for equal backbones.
        parameters: Trainable numbers of backbone and neck.
        macs: Multiply-accumulates of convolutions and matrix products for one picture.
    """

    family: str
    hash: str
    parameters: int
    macs: int


def build_network(
    candidate: Candidate, *, in_channels: int, image_size: int, seed: int
) -> FaceNetwork:
    """The candidate's network on the CPU, in training mode; its weights depend only on `seed`.

    Leaves torch's random state as it was.

    Args:
        candidate: What `decode` returned.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
        seed: 0 or more.

    Raises:
        InvalidConfigurationError: timm does not know the backbone, or it does not work at this
            size.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that one seeds the accelerators too, which nobody would restore.
        torch.default_generator.manual_seed(seed)
        return _assemble(candidate, in_channels=in_channels, image_size=image_size)


def network_cost(candidate: Candidate, *, in_channels: int, image_size: int) -> NetworkCost:
    """Family, hash and size of the candidate's network; takes no memory for its weights.

    Raises:
        InvalidConfigurationError: As in `build_network`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        network = _assemble(candidate, in_channels=in_channels, image_size=image_size).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.zeros(1, in_channels, image_size, image_size))
    architecture = candidate.architecture
    return NetworkCost(
        family=(
            architecture.family if isinstance(architecture, TimmArchitecture) else "dual_path"
        ),
        hash=_architecture_hash(candidate),
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        macs=counter.get_total_flops() // 2,
    )


def check_buildable(settings: SpaceSettings, *, in_channels: int, image_size: int) -> list[str]:
    """Every timm variant of the space that does not work at this size: one sentence each.

    Tries each variant once without memory for its weights, a fraction of a second per model.
    """
    faults = []
    for family, variants in families_in_use(settings).items():
        for variant in variants:
            try:
                backbone_recipe(variant, in_channels, image_size)
            except InvalidConfigurationError as error:
                faults.append(f"space.families.{family}: {error}")
    return faults


def _assemble(candidate: Candidate, *, in_channels: int, image_size: int) -> FaceNetwork:
    architecture = candidate.architecture
    backbone: nn.Module
    if isinstance(architecture, DualPathArchitecture):
        backbone = DualPathNetwork(architecture, in_channels)
        feature_size = backbone.feature_size
    elif not isinstance(architecture, TimmArchitecture):
        raise NotImplementedError
    else:
        backbone, feature_size = build_backbone(
            architecture.variant, in_channels=in_channels, image_size=image_size
        )
    return FaceNetwork(
        backbone, feature_size=feature_size, embedding_size=candidate.embedding_size
    )


def _architecture_hash(candidate: Candidate) -> str:
    architecture = candidate.architecture
    if isinstance(architecture, DualPathArchitecture):
        # float(): 1 and 1.0 are the same width and must not differ in JSON.
        content = {**asdict(architecture), "width": float(architecture.width)}
    elif isinstance(architecture, TimmArchitecture):
        content = {"variant": architecture.variant}
    else:
        raise NotImplementedError
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
