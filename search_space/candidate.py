"""A candidate: one configuration, decoded into what it means. Knows no heavy library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Preset: TypeAlias = Literal["paper", "timm", "joint"]
HeadName: TypeAlias = Literal["CosFace", "ArcFace", "MagFace"]
OptimizerName: TypeAlias = Literal["Adam", "AdamW", "SGD"]

HEADS: tuple[HeadName, ...] = ("CosFace", "ArcFace", "MagFace")
OPTIMIZERS: tuple[OptimizerName, ...] = ("Adam", "AdamW", "SGD")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSettings:
    """Which space is searched, and how large its networks are.

    Attributes:
        width: Multiplies every channel count of the dual-path network; 1.0 is the predecessor's.
        blocks_per_stage: Dual-path blocks in each of the four stages; 1 is the predecessor's.
        families: For `timm` and `joint`, family name -> timm model names, smallest first;
            empty means the shipped list.
        embedding_size: Numbers in an embedding, whatever the backbone.
    """

    preset: Preset = "paper"
    width: float = 1.0
    blocks_per_stage: int = 1
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embedding_size: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class DualPathArchitecture:
    """The predecessor's cell: three edges, each an index into the nine operations."""

    edges: tuple[int, int, int]
    width: float
    blocks_per_stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmArchitecture:
    """A backbone of timm's, by its timm name, without pretrained weights."""

    family: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Everything a configuration says: the network, its head and how it is optimised."""

    architecture: DualPathArchitecture | TimmArchitecture
    embedding_size: int
    head: HeadName
    optimizer: OptimizerName
    learning_rate: float
