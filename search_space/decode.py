"""From a configuration to a candidate: checks every name and value, then says what it means.

Takes plain mappings; knows neither ConfigSpace nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from search_space.candidate import (
    Candidate,
    DualPathArchitecture,
    HeadChoice,
    HeadName,
    OptimizerName,
    SpaceSettings,
    TimmArchitecture,
    Value,
)
from search_space.errors import InvalidConfigurationError
from search_space.hyperparameters import (
    ARCHITECTURE,
    EDGES,
    FAMILY,
    HEAD,
    LEARNING_RATE_ADAM,
    LEARNING_RATE_SGD,
    OPERATION_NAMES,
    OPTIMIZER,
    Choice,
    Hyperparameter,
    hyperparameters,
    variant_name,
)

# A sampler that works in log space may land a rounding error outside its bounds.
_BOUND_TOLERANCE = 1e-9


def decode(configuration: Mapping[str, Value], settings: SpaceSettings) -> Candidate:
    """What the configuration says, in the space that the settings describe.

    Args:
        configuration: A value for each active hyperparameter and for no other.
        settings: Settings without faults (see `space.space_faults`).

    Raises:
        InvalidConfigurationError: A hyperparameter is missing, unknown, out of range, or given
            although it is inactive; the message names all such faults.
    """
    faults = _faults(configuration, settings)
    if faults:
        raise InvalidConfigurationError(f"invalid configuration: {'; '.join(faults)}")
    optimizer = cast(OptimizerName, str(configuration[OPTIMIZER]))
    learning_rate = LEARNING_RATE_SGD if optimizer == "SGD" else LEARNING_RATE_ADAM
    return Candidate(
        architecture=_architecture(configuration, settings),
        embedding_size=settings.embedding_size,
        head=HeadChoice(name=cast(HeadName, str(configuration[HEAD]))),
        optimizer=optimizer,
        learning_rate=float(configuration[learning_rate]),
    )


def describe(candidate: Candidate) -> str:
    """The candidate in one short line, such as `dual_path 3-0-1 · CosFace · SGD 0.138`."""
    architecture = candidate.architecture
    if isinstance(architecture, DualPathArchitecture):
        name = f"dual_path {'-'.join(str(edge) for edge in architecture.edges)}"
    elif isinstance(architecture, TimmArchitecture):
        name = architecture.variant
    else:
        name = f"dag {architecture.cell.hash()[:8]}"
    optimisation = f"{candidate.optimizer} {candidate.learning_rate:.3g}"
    return f"{name} · {candidate.head.name} · {optimisation}"


def operation_name(index: int) -> str:
    """The name of an edge's operation, such as `Conv3x3` for 3.

    Raises:
        InvalidConfigurationError: The index is not one of the nine.
    """
    if not 0 <= index < len(OPERATION_NAMES):
        raise InvalidConfigurationError(
            f"there is no operation {index}; choose from 0 to {len(OPERATION_NAMES) - 1}"
        )
    return OPERATION_NAMES[index]


def _architecture(
    configuration: Mapping[str, Value], settings: SpaceSettings
) -> DualPathArchitecture | TimmArchitecture:
    kind = "dual_path" if settings.preset == "paper" else settings.preset
    if configuration.get(ARCHITECTURE, kind) == "dual_path":
        first, second, third = (int(configuration[name]) for name in EDGES)
        return DualPathArchitecture(
            edges=(first, second, third),
            width=settings.width,
            blocks_per_stage=settings.blocks_per_stage,
        )
    family = str(configuration[FAMILY])
    return TimmArchitecture(family=family, variant=str(configuration[variant_name(family)]))


def _faults(configuration: Mapping[str, Value], settings: SpaceSettings) -> list[str]:
    expected = hyperparameters(settings)
    known = {parameter.name for parameter in expected}
    faults = [
        f"{name} is not a hyperparameter of the {settings.preset} space; leave it out"
        for name in sorted(set(configuration) - known)
    ]
    active: set[str] = set()
    undecided: set[str] = set()  # whether these are active hangs on a value that is missing or bad
    for parameter in expected:
        name, parent = parameter.name, parameter.condition and parameter.condition.parent
        if parent in undecided:
            undecided.add(name)
        elif not _is_active(parameter, configuration, active):
            faults += _faults_of_inactive(parameter, configuration)
        elif name in configuration and _is_accepted(parameter, configuration[name]):
            active.add(name)
        else:
            undecided.add(name)
            found = f"is {configuration[name]!r}" if name in configuration else "is missing"
            faults.append(f"{name} {found}; give {_accepted(parameter)}")
    return faults


def _is_active(
    parameter: Hyperparameter, configuration: Mapping[str, Value], active: set[str]
) -> bool:
    condition = parameter.condition
    if condition is None:
        return True
    return condition.parent in active and configuration[condition.parent] in condition.values


def _faults_of_inactive(
    parameter: Hyperparameter, configuration: Mapping[str, Value]
) -> list[str]:
    condition = parameter.condition
    if condition is None or parameter.name not in configuration:
        return []
    return [
        f"{parameter.name} is given but counts only with {condition.parent} = "
        f"{' or '.join(condition.values)}; leave it out"
    ]


def _accepted(parameter: Hyperparameter) -> str:
    if isinstance(parameter, Choice):
        return f"one of the strings {', '.join(parameter.choices)}"
    return f"a number from {parameter.lower:g} to {parameter.upper:g}"


def _is_accepted(parameter: Hyperparameter, value: Value) -> bool:
    if isinstance(parameter, Choice):
        return isinstance(value, str) and value in parameter.choices
    if isinstance(value, bool | str) or not math.isfinite(value):
        return False
    slack = 1.0 + _BOUND_TOLERANCE
    return parameter.lower / slack <= value <= parameter.upper * slack
