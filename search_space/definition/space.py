"""The search space as ConfigSpace wants it. Must not import torch: the coordinator loads it.

The only module of the package that knows ConfigSpace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    InCondition,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
    OrConjunction,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from ConfigSpace.hyperparameters import Hyperparameter as _ConfigSpaceHyperparameter

from search_space.candidate import SpaceSettings, Value
from search_space.definition.decode import complete, configuration_faults
from search_space.definition.faults import space_faults
from search_space.definition.hyperparameters import hyperparameters
from search_space.definition.records import (
    Hyperparameter,
    Range,
    accepted,
    accepts,
    n_discrete_combinations,
)
from search_space.definition.suggestions import suggestion
from search_space.errors import EmptySpaceError, InvalidConfigurationError, UnreadableSpaceError
from search_space.fault import Fault

SpaceHyperparameter: TypeAlias = _ConfigSpaceHyperparameter[Any, Any]

_FILE = ("space", "file")
_TRIED_SAMPLES = 1000
_SHOWN_FAULTS = 8
_MOST_BYTES = 10**7
# What ConfigSpace raises about a file that is not one of its own.
_MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def build_space(settings: SpaceSettings, seed: int) -> ConfigurationSpace:
    """The space that the settings describe; samples are drawn from `seed`.

    Raises:
        EmptySpaceError: The settings have a fault, so that configurations without a network would
            be drawn, or none at all; the message lists what `space_faults` found.
    """
    _refuse_faults(settings)
    if settings.definition:
        space = _parsed(settings.definition)
        space.seed(seed)
        return space
    return _to_config_space(settings, seed)


def sample(settings: SpaceSettings, n: int, *, seed: int) -> list[dict[str, Value]]:
    """Configurations drawn from the space and its priors, as plain values.

    Raises:
        EmptySpaceError: The settings have a fault.
    """
    space = build_space(settings, seed)
    # ConfigSpace gives no list for one.
    drawn = space.sample_configuration(size=n) if n > 1 else [space.sample_configuration()] * n
    return [plain(configuration) for configuration in drawn]


def plain(configuration: Configuration) -> dict[str, Value]:
    """The configuration as plain Python values; numpy's scalars are not JSON."""
    return {name: as_plain(value) for name, value in dict(configuration).items()}


def as_plain(value: Any) -> Value:
    """A value of a hyperparameter as a plain Python value."""
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]


def to_json_text(settings: SpaceSettings) -> str:
    """The space in ConfigSpace's own JSON format.

    Raises:
        EmptySpaceError: The settings have a fault.
    """
    return _to_text(build_space(settings, seed=0))


def read_definition(path: Path) -> str:
    """A user's ConfigSpace file, .json, .yaml or .yml, as one JSON text.

    Raises:
        UnreadableSpaceError: The file cannot be read or is not a ConfigSpace.
    """
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= _MOST_BYTES):
            raise _unreadable(
                f"{path} is no file, or larger than {_MOST_BYTES // 10**6} MB; give a "
                "ConfigSpace file"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise _unreadable(f"{path} is not text in UTF-8; give a ConfigSpace file") from error
    is_yaml = path.suffix in (".yaml", ".yml")
    try:
        content = yaml.safe_load(text) if is_yaml else json.loads(text)
        return _to_text(ConfigurationSpace.from_serialized_dict(content))
    except (*_MALFORMED, yaml.YAMLError) as error:
        raise _unreadable(
            f"{path} is not a ConfigSpace file ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); write it with ConfigurationSpace.to_json, or start "
            "from `frnas space export`"
        ) from error


def definition_faults(settings: SpaceSettings) -> list[Fault]:
    """Every reason why the user's own space is not a sub-space of the preset's.

    Names, choices and bounds are compared, then configurations are drawn from it: its conditions
    must activate what the preset's conditions activate.

    Args:
        settings: With a definition, otherwise without faults.
    """
    if not settings.definition:
        return []
    space = _parsed(settings.definition)
    if not space:
        return [
            Fault(
                _FILE,
                "has no hyperparameters, so there is nothing to search; start from "
                "`frnas space export`",
            )
        ]
    known = {parameter.name: parameter for parameter in hyperparameters(settings)}
    faults = [
        Fault(_FILE, message) for theirs in space.values() for message in _foreign(theirs, known)
    ]
    if settings.priors:
        faults.append(
            Fault(
                ("space", "priors"),
                "never count beside space.file, whose own distributions are drawn from; "
                "write them into the file (`frnas space export` does)",
            )
        )
    return faults or [Fault(_FILE, message) for message in _sampled_faults(space, settings)]


def as_defined(configuration: Mapping[str, Value], settings: SpaceSettings) -> dict[str, Value]:
    """A complete configuration as samples of the space have it.

    Of a space of the user's own that is without the hyperparameters that it leaves out.

    Raises:
        InvalidConfigurationError: The user's own space has no such configuration, although it is
            one of the preset's.
    """
    if not settings.definition:
        return dict(configuration)
    space = _parsed(settings.definition)
    own = {name: value for name, value in configuration.items() if name in space}
    try:
        Configuration(space, values=own)
    except ValueError as error:
        raise InvalidConfigurationError(
            f"space.file has no such configuration: {' '.join(str(error).split())}"
        ) from error
    default = complete(own, settings)
    other = [name for name, value in configuration.items() if default.get(name) != value]
    if other:
        raise InvalidConfigurationError(
            f"space.file leaves out {', '.join(other)}, so only the default is in it: "
            f"{', '.join(str(default.get(name)) for name in other)}"
        )
    return own


def size_of_discrete_part(settings: SpaceSettings) -> int:
    """Different combinations of all that is not a range of real numbers; 6561 for `paper`.

    Of a space of the user's own, the preset's that it is part of.

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
    sources = settings.sources_in_use
    content: dict[str, Any] = {
        "hyperparameters": [asdict(parameter) for parameter in hyperparameters(settings)],
        "sources": sources,
        "embedding_size": settings.embedding_size,
        "priors": {name: dict(prior) for name, prior in settings.priors.items()},
    }
    if sources != ("timm",):
        content["width"] = float(settings.width)
    if "dual_path" in sources:
        content["blocks_per_stage"] = settings.blocks_per_stage
    if "dag" in sources:
        content["dag"] = [settings.dag.nodes, settings.dag.blocks]
    if settings.definition:
        content["definition"] = json.loads(settings.definition)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_faults(settings: SpaceSettings) -> None:
    faults = space_faults(settings)
    if faults:
        raise EmptySpaceError("; ".join(str(fault) for fault in faults))


def _unreadable(message: str) -> UnreadableSpaceError:
    return UnreadableSpaceError(Fault(_FILE, message))


def _to_config_space(settings: SpaceSettings, seed: int) -> ConfigurationSpace:
    space = ConfigurationSpace(name=f"frnas-{settings.preset}", seed=seed)
    parameters = hyperparameters(settings)
    space.add([_converted(own, settings.priors.get(own.name)) for own in parameters])
    for parameter in parameters:
        conditions = [
            InCondition(space[parameter.name], space[condition.parent], list(condition.values))
            for condition in parameter.conditions
        ]
        if conditions:
            space.add(conditions[0] if len(conditions) == 1 else OrConjunction(*conditions))
    return space


def _converted(
    parameter: Hyperparameter, prior: Mapping[str, float] | None
) -> SpaceHyperparameter:
    if isinstance(parameter, Range):
        return _converted_range(parameter, prior)
    if len(parameter.choices) == 1:
        return Constant(parameter.name, parameter.default)
    weights = None
    if prior is not None:
        weights = [prior.get(str(choice), 1.0) for choice in parameter.choices]
    return CategoricalHyperparameter(
        parameter.name,
        choices=list(parameter.choices),
        weights=weights,
        default_value=parameter.default,
    )


def _converted_range(parameter: Range, prior: Mapping[str, float] | None) -> SpaceHyperparameter:
    """A truncated normal where there is a prior; its spread is a factor on a log scale."""
    bounds: tuple[float, float] = (parameter.lower, parameter.upper)
    if parameter.is_integer:
        bounds = (int(parameter.lower), int(parameter.upper))
    common: dict[str, Any] = {
        "name": parameter.name,
        "lower": bounds[0],
        "upper": bounds[1],
        "log": parameter.is_log,
    }
    if prior is None:
        default = type(bounds[0])(parameter.default)
        uniform = (
            UniformIntegerHyperparameter if parameter.is_integer else UniformFloatHyperparameter
        )
        return uniform(**common, default_value=default)
    normal = NormalIntegerHyperparameter if parameter.is_integer else NormalFloatHyperparameter
    center = type(bounds[0])(prior["center"])
    # ConfigSpace 1.2 takes log(lower + sigma) for the deviation on a log scale; the factor itself
    # is what it should take the logarithm of.
    sigma = prior["spread"] - parameter.lower if parameter.is_log else prior["spread"]
    return normal(**common, mu=center, sigma=sigma, default_value=center)


def _to_text(space: ConfigurationSpace) -> str:
    return json.dumps(space.to_serialized_dict(), indent=1, allow_nan=False)


def _parsed(definition: str) -> ConfigurationSpace:
    return ConfigurationSpace.from_serialized_dict(json.loads(definition))


def _foreign(theirs: SpaceHyperparameter, known: Mapping[str, Hyperparameter]) -> list[str]:
    """What the hyperparameter of a user's space has that the preset's has not."""
    name = theirs.name
    ours = known.get(name)
    if ours is None:
        return [f"{name} is not a hyperparameter of the preset; {suggestion(name, known)}"]
    outside = [value for value in _extremes(theirs) if not accepts(ours, value)]
    return [f"{name} may be {value!r}; give {accepted(ours)}" for value in outside[:_SHOWN_FAULTS]]


def _extremes(theirs: SpaceHyperparameter) -> Sequence[Value]:
    """All values of a hyperparameter with few, the bounds of any other."""
    if isinstance(theirs, Constant):
        return [theirs.value]
    for name in ("choices", "sequence"):
        if hasattr(theirs, name):
            return [as_plain(value) for value in getattr(theirs, name)]
    return [as_plain(getattr(theirs, bound)) for bound in ("lower", "upper")]


def _sampled_faults(space: ConfigurationSpace, settings: SpaceSettings) -> list[str]:
    space.seed(0)
    found: dict[str, None] = {}
    for configuration in space.sample_configuration(size=_TRIED_SAMPLES):
        completed = complete(plain(configuration), settings)
        found.update(dict.fromkeys(configuration_faults(completed, settings)))
    messages = [f"its conditions are not the preset's: {message}" for message in found]
    return messages[:_SHOWN_FAULTS]
