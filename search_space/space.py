"""The search space as ConfigSpace wants it, and the checks of its settings.

The only module of the package that knows ConfigSpace. Must not import torch: the coordinator
loads it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from typing import Any, get_args

from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
)

from search_space.candidate import Preset, SpaceSettings
from search_space.errors import EmptySpaceError
from search_space.families import families_in_use
from search_space.hyperparameters import (
    Choice,
    Hyperparameter,
    hyperparameters,
    n_discrete_combinations,
)

# The grouped edge of the cell has 50 groups at width 1: this is one group.
SMALLEST_WIDTH = 0.02
LARGEST_WIDTH = 4.0
MOST_BLOCKS_PER_STAGE = 8
SMALLEST_EMBEDDING = 8
LARGEST_EMBEDDING = 16_384


def build_space(settings: SpaceSettings, seed: int) -> ConfigurationSpace:
    """The space that the settings describe; samples are drawn from `seed`.

    Raises:
        EmptySpaceError: The settings have a fault, so that configurations without a network would
            be drawn, or none at all; the message lists what `space_faults` found.
    """
    _refuse_faults(settings)
    space = ConfigurationSpace(name=f"frnas-{settings.preset}", seed=seed)
    parameters = hyperparameters(settings)
    space.add([_to_config_space(parameter) for parameter in parameters])
    space.add(
        [
            InCondition(space[p.name], space[p.condition.parent], list(p.condition.values))
            for p in parameters
            if p.condition is not None
        ]
    )
    return space


def size_of_discrete_part(settings: SpaceSettings) -> int:
    """Different combinations of all that is not a learning rate; 6561 for `paper`.

    Raises:
        EmptySpaceError: The settings have a fault.
    """
    _refuse_faults(settings)
    return n_discrete_combinations(hyperparameters(settings))


def fingerprint(settings: SpaceSettings) -> str:
    """SHA-256, in hex, of everything that decides what a configuration means.

    The same in every process and for every seed. Settings that the preset does not use (the width
    of a `timm` space, the families of `paper`) do not count; no families and the shipped families
    written out are the same space.

    Raises:
        EmptySpaceError: The settings have a fault.
    """
    _refuse_faults(settings)
    content: dict[str, Any] = {
        "hyperparameters": [asdict(parameter) for parameter in hyperparameters(settings)],
        "embedding_size": settings.embedding_size,
    }
    if settings.preset != "timm":
        content["width"] = float(settings.width)
        content["blocks_per_stage"] = settings.blocks_per_stage
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def space_faults(settings: SpaceSettings) -> list[str]:
    """Every reason why the settings describe no space: one sentence each, the field first.

    Whether timm knows the variants and can build them is not seen here; `build.check_buildable`
    finds that out.
    """
    faults = []
    if settings.preset not in get_args(Preset):
        known = ", ".join(get_args(Preset))
        faults.append(f"space.preset: {settings.preset!r} is not known; choose from {known}")
    if not SMALLEST_WIDTH <= settings.width <= LARGEST_WIDTH:
        faults.append(
            f"space.width: {settings.width} is outside {SMALLEST_WIDTH} to {LARGEST_WIDTH:g}; "
            "below it no channels are left, above it no network fits in memory"
        )
    if not 1 <= settings.blocks_per_stage <= MOST_BLOCKS_PER_STAGE:
        faults.append(
            f"space.blocks_per_stage: {settings.blocks_per_stage} is outside 1 to "
            f"{MOST_BLOCKS_PER_STAGE}"
        )
    if not SMALLEST_EMBEDDING <= settings.embedding_size <= LARGEST_EMBEDDING:
        faults.append(
            f"space.embedding_size: {settings.embedding_size} is outside {SMALLEST_EMBEDDING} to "
            f"{LARGEST_EMBEDDING}"
        )
    return [*faults, *_family_faults(settings)]


def _family_faults(settings: SpaceSettings) -> list[str]:
    faults = []
    for family, variants in families_in_use(settings).items():
        field = f"space.families.{family}"
        if not family:
            faults.append("space.families: a family has an empty name; name it")
        if not variants:
            faults.append(f"{field}: has no variants; name at least one timm model")
        for variant, times in Counter(variants).items():
            if times > 1:
                faults.append(f"{field}: names {variant} {times} times; name it once")
    return faults


def _refuse_faults(settings: SpaceSettings) -> None:
    faults = space_faults(settings)
    if faults:
        raise EmptySpaceError("; ".join(faults))


def _to_config_space(
    parameter: Hyperparameter,
) -> CategoricalHyperparameter | UniformFloatHyperparameter:
    if isinstance(parameter, Choice):
        return CategoricalHyperparameter(
            parameter.name, choices=list(parameter.choices), default_value=parameter.default
        )
    return UniformFloatHyperparameter(
        parameter.name,
        lower=parameter.lower,
        upper=parameter.upper,
        default_value=parameter.default,
        log=True,
    )
