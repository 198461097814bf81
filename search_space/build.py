"""From a candidate to a network, and what that network costs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.activation_memory import saved_activation_bytes
from search_space.backbones.timm_backbones import build_backbone
from search_space.candidate import (
    Architecture,
    Candidate,
    DagArchitecture,
    DualPathArchitecture,
    TimmArchitecture,
)
from search_space.cells.network import CellNetwork
from search_space.cells.stages import as_dag
from search_space.network import FaceNetwork

_MEASURED_PICTURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """What a network is and how large, its head left aside.

    Attributes:
        family: `dual_path`, `dag` or the timm family.
        hash: First 12 hex digits of the SHA-256 of the architecture; equal for equal backbones,
            so the published cell has one whether it came as such or as a graph.
        parameters: Trainable numbers of backbone and neck.
        macs: Multiply-accumulates of convolutions and matrix products for one picture.
        activation_bytes: What a training step keeps for its backward pass, for each picture, in
            float32.
    """

    family: str
    hash: str
    parameters: int
    macs: int
    activation_bytes: int


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


def build_on_meta(candidate: Candidate, *, in_channels: int, image_size: int) -> FaceNetwork:
    """The candidate's network without memory for its weights, in training mode.

    Leaves torch's random state as it was.

    Raises:
        InvalidConfigurationError: As in `build_network`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return _assemble(candidate, in_channels=in_channels, image_size=image_size)


def network_cost(candidate: Candidate, *, in_channels: int, image_size: int) -> NetworkCost:
    """Family, hash and size of the candidate's network; takes no memory for its weights.

    Raises:
        InvalidConfigurationError: As in `build_network`.
    """
    network = build_on_meta(candidate, in_channels=in_channels, image_size=image_size)
    shape = (_MEASURED_PICTURES, in_channels, image_size, image_size)
    with FlopCounterMode(display=False) as counter:
        saved = saved_activation_bytes(network, torch.zeros(shape, device="meta"))
    return NetworkCost(
        family=family_of(candidate.architecture),
        hash=architecture_hash(candidate.architecture),
        parameters=sum(
            parameter.numel() for parameter in network.parameters() if parameter.requires_grad
        ),
        # The counter takes a multiply-accumulate for two operations.
        macs=counter.get_total_flops() // (2 * _MEASURED_PICTURES),
        activation_bytes=-(-saved // _MEASURED_PICTURES),
    )


def family_of(architecture: Architecture) -> str:
    """`dual_path`, `dag` or the timm family."""
    match architecture:
        case DualPathArchitecture():
            return "dual_path"
        case DagArchitecture():
            return "dag"
        case TimmArchitecture():
            return architecture.family


def architecture_hash(architecture: Architecture) -> str:
    """First 12 hex digits of a SHA-256, equal for equal backbones."""
    content: dict[str, object]
    if isinstance(architecture, TimmArchitecture):
        content = {"variant": architecture.variant}
    else:
        dag = as_dag(architecture)
        # float(): 1 and 1.0 are the same width and must not differ in JSON.
        content = {"cell": dag.cell.hash(), "width": float(dag.width), "blocks": dag.blocks}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _assemble(candidate: Candidate, *, in_channels: int, image_size: int) -> FaceNetwork:
    architecture, drop_path = candidate.architecture, candidate.drop_path
    backbone: nn.Module
    if isinstance(architecture, TimmArchitecture):
        backbone, feature_size = build_backbone(
            architecture.variant,
            in_channels=in_channels,
            image_size=image_size,
            drop_path=drop_path,
        )
    else:
        cells = CellNetwork(as_dag(architecture), in_channels, drop_path=drop_path)
        backbone, feature_size = cells, cells.feature_size
    return FaceNetwork(
        backbone, feature_size=feature_size, embedding_size=candidate.embedding_size
    )
