"""Configurations with a name: what the predecessor's search found. Values as its code has them.

The learning rates have all published digits. A name is exact, case included.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_space.candidate import SpaceSettings, Value
from search_space.definition.hyperparameters import ARCHITECTURE, hyperparameters

PUBLISHED: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "SMAC_301": {
            "edge1": "3",
            "edge2": "0",
            "edge3": "1",
            "head": "CosFace",
            "optimizer": "SGD",
            "lr_sgd": 0.13828312564892567,
        },
        "SMAC_000": {
            "edge1": "0",
            "edge2": "0",
            "edge3": "0",
            "head": "CosFace",
            "optimizer": "SGD",
            "lr_sgd": 0.2813375341651194,
        },
        "SMAC_010": {
            "edge1": "0",
            "edge2": "1",
            "edge3": "0",
            "head": "CosFace",
            "optimizer": "SGD",
            "lr_sgd": 0.32348738788346576,
        },
        "SMAC_680": {
            "edge1": "6",
            "edge2": "8",
            "edge3": "0",
            "head": "CosFace",
            "optimizer": "Adam",
            "lr_adam": 0.0006048015915653069,
        },
    }
)
"""`SMAC_301` won on VGGFace2, the others on CelebA."""

# What all four were trained with, for spaces in which it is searched.
_RECIPE: Mapping[str, Value] = MappingProxyType(
    {
        "scale": 64.0,
        "margin.CosFace": 0.35,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "label_smoothing": 0.0,
        "embedding_size": 512,
        "drop_path": 0.0,
        "mitigation": "none",
    }
)


def published_configuration(name: str, settings: SpaceSettings) -> dict[str, Value]:
    """The configuration of this name, with what the space searches beyond the published one.

    Whether it is in the space is for `decode.configuration_faults` to say.

    Raises:
        KeyError: There is none of this name.
    """
    configuration = dict(PUBLISHED[name])
    known = {parameter.name for parameter in hyperparameters(settings)}
    if ARCHITECTURE in known:
        configuration[ARCHITECTURE] = "dual_path"
    recipe = {key: value for key, value in _RECIPE.items() if key in known}
    if configuration["optimizer"] != "SGD":
        recipe.pop("momentum", None)
    return {**recipe, **configuration}
