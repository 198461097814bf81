"""Margin heads: from a choice to a head with its class weights, ready to train."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.candidate import HeadChoice
from search_space.heads.core import HeadOutput, MarginHead
from search_space.heads.specs import HEAD_SPECS, HEADS, LARGEST_MARGIN, HeadSpec

__all__ = ["HeadOutput", "MarginHead", "build_head", "default_scale"]

SMALLEST_SCALE = 8.0


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
        choice: What is None or left out is the head's own (`heads.specs`), but for a scale that
            the head does not have: it is `default_scale`.
        embedding_size: Length of an embedding.
        n_classes: Identities trained on, 2 or more.
        generator: Draws the class weights; None is a generator of its own with seed 0.

    Raises:
        ValueError: The name is not known, there are fewer than two classes, the scale is not
            above 0, the margin is not between 0 and 1.57, or a number of the head's own is too
            small, or another's.
    """
    spec = HEAD_SPECS.get(choice.name)
    if spec is None:
        raise ValueError(f"unknown head {choice.name!r}; choose from {', '.join(HEADS)}")
    if n_classes < 2:
        raise ValueError(f"a head of {n_classes} classes learns nothing; give 2 or more")
    scale, margin = _scale_of(choice, spec, n_classes), _margin_of(choice, spec)
    numbers = spec.values_of(choice.numbers)
    n_rows = n_classes * spec.weights_per_class(choice.numbers)
    weight = _unit_rows(n_rows, embedding_size, generator)
    return head_class(spec)(weight, scale=scale, margin=margin, **numbers)


def head_class(spec: HeadSpec) -> Callable[..., MarginHead]:
    """The class that the record names."""
    module = importlib.import_module(spec.module)
    return cast(Callable[..., MarginHead], getattr(module, spec.name))


def _scale_of(choice: HeadChoice, spec: HeadSpec, n_classes: int) -> float:
    if choice.scale is None:
        return default_scale(n_classes) if spec.scale is None else spec.scale
    if not 0.0 < choice.scale < math.inf:
        raise ValueError(
            f"the scale of {choice.name} is {choice.scale}; give a finite number above 0"
        )
    return choice.scale


def _margin_of(choice: HeadChoice, spec: HeadSpec) -> float:
    if choice.margin is None:
        return spec.margin
    if not 0.0 <= choice.margin <= LARGEST_MARGIN:
        raise ValueError(
            f"the margin of {choice.name} is {choice.margin}; "
            f"give a number from 0 to {LARGEST_MARGIN}"
        )
    return choice.margin


def _unit_rows(n_rows: int, n_columns: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(n_rows, n_columns, generator=generator))
