"""timm backbones: found by name, tried out without memory, built with fresh weights.

With `workers.training.optimization` the only module that knows timm. Never downloads anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.drop import DropPath
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.backbones.cache import (
    CacheKey,
    Outcome,
    cache_outcomes,
    cached_outcomes,
    default_folder,
)
from search_space.definition.families import PREDECESSOR_GONE
from search_space.definition.suggestions import near_names
from search_space.definition.variants import VariantRecord
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


def build_backbone(
    variant: str, *, in_channels: int, image_size: int, drop_path: float = 0.0
) -> tuple[nn.Module, int]:
    """A backbone of timm's with fresh weights, and the length of its feature vectors.

    Weights are drawn from torch's global generator; the caller seeds it.

    Args:
        variant: Name in timm, without a tag.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
        drop_path: Largest probability of leaving out a block's residual, 0 to below 1; 0 means
            none, also for the few that timm gives some of its own accord.

    Raises:
        InvalidConfigurationError: timm does not know the variant, it does not turn pictures of
            this size into feature vectors, or it has no drop path although some is wanted.
    """
    recipe = backbone_recipe(variant, in_channels, image_size)
    options = dict(recipe.options)
    if drop_path > 0:
        if not recipe.accepts_drop_path:
            raise InvalidConfigurationError(
                f"timm model {variant!r} has no drop path and cannot take {drop_path:g} of it; "
                "choose 0 or another model"
            )
        options["drop_path_rate"] = drop_path
    return _create(variant, in_channels, options), recipe.feature_size


@lru_cache(maxsize=4096)
def backbone_recipe(
    variant: str, in_channels: int, image_size: int, folder: Path | None = None
) -> VariantRecord:
    """How to build the variant for such pictures, and what it is then.

    Found by a dry run on the meta device, in training and in evaluation, and kept on disk. Leaves
    torch's random state as it was.

    Args:
        variant: Name in timm, without a tag.
        in_channels: 1 for grey, 3 for colour pictures.
        image_size: Side of the square pictures in pixels.
        folder: Where dry runs are kept; the user's cache folder if None.

    Raises:
        InvalidConfigurationError: timm does not know the variant, or it does not turn pictures of
            this size into feature vectors.
    """
    fault = name_fault(variant)
    if fault is not None:
        raise InvalidConfigurationError(fault)
    outcome = try_out(variant, in_channels, image_size, folder)
    if isinstance(outcome, str):
        raise InvalidConfigurationError(
            f"{misfit(variant, in_channels, image_size, outcome)}; choose another model or size"
        )
    return outcome


def try_out(
    variant: str, in_channels: int, image_size: int, folder: Path | None = None
) -> Outcome:
    """As `backbone_recipe`, for a variant that timm knows: its record, or why it does not work."""
    key = CacheKey(
        timm=timm_version(),
        torch=str(torch.__version__),
        in_channels=in_channels,
        image_size=image_size,
    )
    folder = folder or default_folder()
    outcome = cached_outcomes(folder, key).get(variant)
    if outcome is None:
        outcome = _dry_run_either_way(variant, in_channels, image_size)
        cache_outcomes(folder, key, {variant: outcome})
    return outcome


def timm_version() -> str:
    """Version of the timm that is installed."""
    return str(timm.__version__)


@lru_cache(maxsize=1)
def known_models() -> tuple[str, ...]:
    """The names of timm's architectures, without those it only keeps for old times' sake."""
    return tuple(timm.list_models())


def name_fault(name: str) -> str | None:
    """Why timm has no architecture of exactly this name; None if it has."""
    if name in known_models():
        return None
    unknown = f"timm {timm_version()} knows no model {name!r}"
    architecture = name.split(".")[0]
    if architecture != name and architecture in known_models():
        return (
            f"{name!r} asks for pretrained weights, and networks are trained from scratch here; "
            f"write {architecture!r}"
        )
    if name in PREDECESSOR_GONE:
        return f"{unknown}: {PREDECESSOR_GONE[name]}"
    if architecture == name and timm.is_model(name):
        return f"{unknown} any more; write {_current_name(name)!r}"
    return f"{unknown}{suggestion(name, known_models())}; see timm.list_models() for all"


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant, to be put behind a name; empty if nothing known is close."""
    close = near_names(name, known)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def misfit(name: str, in_channels: int, image_size: int, reason: str) -> str:
    """What does not work, and why."""
    return (
        f"timm model {name!r} cannot embed pictures of {image_size} pixels with {in_channels} "
        f"channels ({reason})"
    )


def _current_name(deprecated: str) -> str:
    """What timm calls a model that it still builds under its former name, with a warning."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.device("meta"):
        warnings.simplefilter("ignore")
        configuration: Any = timm.create_model(deprecated, pretrained=False).pretrained_cfg
    return str(configuration["architecture"])


def _dry_run_either_way(variant: str, in_channels: int, image_size: int) -> Outcome:
    reasons = []
    # Models whose layout depends on the size want to be told it; the others refuse the argument.
    for options in ({}, {"img_size": image_size}):
        try:
            return _dry_run(variant, in_channels, image_size, options)
        except _MISFITS as error:
            reasons.append(str(error).strip().split("\n")[0] or type(error).__name__)
    untold, told = reasons
    return untold if "img_size" in told else told


def _dry_run(
    variant: str, in_channels: int, image_size: int, options: Mapping[str, int]
) -> VariantRecord:
    """Build and use the variant without memory for its weights.

    Raises:
        One of `_MISFITS`: It cannot be built or used so, or gives no vectors.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        backbone = _create(variant, in_channels, options).eval()
        with FlopCounterMode(display=False) as counter:
            features = backbone(torch.zeros(1, in_channels, image_size, image_size))
        trained = backbone.train()(torch.zeros(2, in_channels, image_size, image_size))
        accepts_drop_path = _accepts_drop_path(variant, in_channels, options)
    for output in (features, trained):
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"its output is a {type(output).__name__}, not a tensor")
        if output.ndim != 2:
            raise ValueError(f"its output has {output.ndim} dimensions, a feature vector has 2")
    if features.shape[1] != trained.shape[1]:
        raise ValueError("its feature vectors have another length in training")
    # timm gives some models drop path of its own accord; here there is as much as is asked for.
    unasked = {"drop_path_rate": 0.0} if _drops_paths(backbone) else {}
    return VariantRecord(
        name=variant,
        feature_size=features.shape[1],
        options={**options, **unasked},
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        macs=counter.get_total_flops() // 2,
        accepts_drop_path=accepts_drop_path,
    )


def _accepts_drop_path(variant: str, in_channels: int, options: Mapping[str, int]) -> bool:
    """Whether the option is known and does anything: some take it and have nothing to drop."""
    try:
        return _drops_paths(_create(variant, in_channels, {**options, "drop_path_rate": 0.1}))
    except TypeError:
        return False


def _drops_paths(backbone: nn.Module) -> bool:
    return any(
        isinstance(module, DropPath) and module.drop_prob > 0 for module in backbone.modules()
    )


def _create(variant: str, in_channels: int, options: Mapping[str, Any]) -> nn.Module:
    backbone: nn.Module = timm.create_model(
        variant, pretrained=False, num_classes=0, in_chans=in_channels, **options
    )
    return backbone
