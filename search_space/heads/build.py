"""Margin heads: from a choice to a head with its class weights, ready to train."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.candidate import HEADS, HeadChoice, HeadName
from search_space.heads.core import HeadOutput, MarginHead
from search_space.heads.margins import LARGEST_MARGIN, PUBLISHED_MARGINS
from search_space.heads.softmax import (
    AdaFace,
    ArcFace,
    CosFace,
    CurricularFace,
    ElasticFace,
    MagFace,
    SubCenterArcFace,
)
from search_space.heads.sphereface2 import SPHEREFACE2_SCALE, SphereFace2

__all__ = ["PUBLISHED_MARGINS", "HeadOutput", "MarginHead", "build_head", "default_scale"]

SMALLEST_SCALE = 8.0

_PLAIN_HEADS: Mapping[HeadName, Callable[..., MarginHead]] = {
    "CosFace": CosFace,
    "ArcFace": ArcFace,
    "SphereFace2": SphereFace2,
    "AdaFace": AdaFace,
    "CurricularFace": CurricularFace,
    "ElasticFace": ElasticFace,
}


def default_scale(n_classes: int) -> float:
    """The logit scale for this many classes, at least 8.

    References:
        Zhang et al., "AdaCos", CVPR 2019, the fixed scale: sqrt(2) * ln(n_classes - 1).
    """
    return max(SMALLEST_SCALE, math.sqrt(2.0) * math.log(max(n_classes - 1, 1)))


def build_head(
    choice: HeadChoice,
    *,
    embedding_size: int,
    n_classes: int,
    generator: torch.Generator | None = None,
) -> MarginHead:
    """The head of this choice, on the CPU, with class weights of length 1.

    Args:
        choice: A margin of None takes `PUBLISHED_MARGINS`. A scale of None takes
            `default_scale`; but SphereFace2 takes its published 40, for `default_scale` is about
            a softmax, in which the other classes' logits add up, and SphereFace2 asks about each
            class alone: their number enters by its bias.
        embedding_size: Length of an embedding.
        n_classes: Identities trained on, 2 or more.
        generator: Draws the class weights; None is a generator of its own with seed 0.

    Raises:
        ValueError: The name is not known, there are fewer than two classes, the scale is not
            above 0, the margin is not between 0 and 1.57, or a number of SubCenterArcFace or
            MagFace is below 1.
    """
    if choice.name not in HEADS:
        raise ValueError(f"unknown head {choice.name!r}; choose from {', '.join(HEADS)}")
    if n_classes < 2:
        raise ValueError(f"a head of {n_classes} classes learns nothing; give 2 or more")
    scale, margin = _scale_of(choice, n_classes), _margin_of(choice)
    if choice.name == "MagFace":
        factor = _regulariser_factor_of(choice)
        weight = _unit_rows(n_classes, embedding_size, generator)
        return MagFace(weight, scale=scale, margin=margin, regulariser_factor=factor)
    if choice.name == "SubCenterArcFace":
        sub_centers = _sub_centers_of(choice)
        weight = _unit_rows(n_classes * sub_centers, embedding_size, generator)
        return SubCenterArcFace(weight, scale=scale, margin=margin, sub_centers=sub_centers)
    weight = _unit_rows(n_classes, embedding_size, generator)
    return _PLAIN_HEADS[choice.name](weight, scale=scale, margin=margin)


def _scale_of(choice: HeadChoice, n_classes: int) -> float:
    if choice.scale is None:
        return SPHEREFACE2_SCALE if choice.name == "SphereFace2" else default_scale(n_classes)
    if not 0.0 < choice.scale < math.inf:
        raise ValueError(
            f"the scale of {choice.name} is {choice.scale}; give a finite number above 0"
        )
    return choice.scale


def _margin_of(choice: HeadChoice) -> float:
    if choice.margin is None:
        return PUBLISHED_MARGINS[choice.name]
    if not 0.0 <= choice.margin <= LARGEST_MARGIN:
        raise ValueError(
            f"the margin of {choice.name} is {choice.margin}; "
            f"give a number from 0 to {LARGEST_MARGIN}"
        )
    return choice.margin


def _regulariser_factor_of(choice: HeadChoice) -> float:
    if not 1.0 <= choice.regulariser_factor < math.inf:
        raise ValueError(
            f"the regulariser factor of {choice.name} is {choice.regulariser_factor}; "
            "give a finite number of 1 or more, for below 1 it does not work"
        )
    return choice.regulariser_factor


def _sub_centers_of(choice: HeadChoice) -> int:
    if choice.sub_centers < 1:
        raise ValueError(
            f"{choice.name} with {choice.sub_centers} weights per class cannot tell classes "
            "apart; give 1 or more"
        )
    return choice.sub_centers


def _unit_rows(n_rows: int, n_columns: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(n_rows, n_columns, generator=generator))
