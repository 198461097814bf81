"""Which trial functions there are, by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from results.objectives import NEEDS, OBJECTIVE_NAMES
from workers.settings import FACE_NETWORK, DataSettings, Device, EvaluationSettings
from workers.trials.function import Requirements, TrialFunction

if TYPE_CHECKING:
    from workers.trials.function import Run


def _measured_on_faces(evaluation: EvaluationSettings) -> tuple[str, ...]:
    return tuple(
        name for name in OBJECTIVE_NAMES if name not in NEEDS or getattr(evaluation, NEEDS[name])
    )


def _needed_on_faces(device: Device, data: DataSettings, artefacts: str) -> Requirements:
    return Requirements(
        libraries=("torch", "torchvision", "timm"), device=device, data=data, artefacts=artefacts
    )


TRIAL_FUNCTIONS: Mapping[str, TrialFunction] = MappingProxyType(
    {
        function.name: function
        for function in (
            TrialFunction(
                name=FACE_NETWORK,
                costs=_measured_on_faces,
                requirements=_needed_on_faces,
                module="workers.trials.face_network",
            ),
        )
    }
)


def trial_function(name: str) -> TrialFunction:
    """The trial function of this name.

    Raises:
        ValueError: There is none.
    """
    if name not in TRIAL_FUNCTIONS:
        known = ", ".join(TRIAL_FUNCTIONS)
        raise ValueError(f"there is no trial function {name!r}; choose from {known}")
    return TRIAL_FUNCTIONS[name]


def load(function: TrialFunction) -> Run:
    """What the function does, with the libraries that it needs."""
    return cast("Run", importlib.import_module(function.module).run)
