"""timm backbones: found by name, tried out without memory, built without pretrained weights.

The only module that knows timm. Never downloads anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import nn

from search_space.errors import InvalidConfigurationError

# What timm's constructors and forward passes raise about sizes that do not fit.
_MISFITS = (
    RuntimeError,
    AssertionError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRecipe:
    """How a backbone is built for pictures of one size.

    Attributes:
        feature_size: Length of its feature vectors, measured; timm's own record is wrong for a
            tenth of its models.
        options: Arguments of `timm.create_model` beside those that all backbones get.
    """

    feature_size: int
    options: dict[str, Any] = field(default_factory=dict)


def build_backbone(variant: str, *, in_channels: int, image_size: int) -> tuple[nn.Module, int]:
    """A backbone of timm's with fresh weights, and the length of its feature vectors.

    Weights are drawn from torch's global generator; the caller seeds it.

    Raises:
        InvalidConfigurationError: timm does not know the variant, or it does not turn pictures of
            this size into feature vectors.
    """
    recipe = backbone_recipe(variant, in_channels, image_size)
    return _create(variant, in_channels, recipe.options), recipe.feature_size


@lru_cache(maxsize=4096)
def backbone_recipe(variant: str, in_channels: int, image_size: int) -> BackboneRecipe:
    """How to build the variant for such pictures, found by a dry run on the meta device.

    Leaves torch's random state as it was.

    Raises:
        InvalidConfigurationError: As in `build_backbone`.
    """
    if not timm.is_model(variant):
        raise InvalidConfigurationError(
            f"timm {timm.__version__} knows no model {variant!r}; "
            "see timm.list_models() for those it knows"
        )
    reasons = []
    # Models whose layout depends on the size want to be told it; the others refuse the argument.
    for options in ({}, {"img_size": image_size}):
        try:
            shape = _dry_run(variant, in_channels, image_size, options)
        except _MISFITS as error:
            reasons.append(str(error).strip().split("\n")[0] or type(error).__name__)
            continue
        if len(shape) == 2:
            return BackboneRecipe(feature_size=shape[1], options=options)
        reasons.append(f"its output has {len(shape)} dimensions, a feature vector has 2")
    raise InvalidConfigurationError(
        f"timm model {variant!r} cannot embed pictures of {image_size} pixels with "
        f"{in_channels} channels ({reasons[0]}); choose another model or size"
    )


def _dry_run(
    variant: str, in_channels: int, image_size: int, options: dict[str, Any]
) -> tuple[int, ...]:
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        backbone = _create(variant, in_channels, options).eval()
        features = backbone(torch.zeros(2, in_channels, image_size, image_size))
    return tuple(features.shape)


def _create(variant: str, in_channels: int, options: dict[str, Any]) -> nn.Module:
    backbone: nn.Module = timm.create_model(
        variant, pretrained=False, num_classes=0, in_chans=in_channels, **options
    )
    return backbone
