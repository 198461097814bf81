"""A ConfigSpace as Optuna's parameters, defined by run: only what is active is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import IntegerHyperparameter
from ConfigSpace.types import NotSet
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_space.definition.space import as_plain

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from results.trial import Configuration, ConfigurationValue
    from search_space.definition.space import SpaceHyperparameter

Suggest: TypeAlias = Callable[[str, BaseDistribution], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One hyperparameter and how Optuna has it.

    Attributes:
        values: Of a choice, in their order; Optuna's own value is the place among them.
        distribution: None for a constant.
    """

    name: str
    distribution: BaseDistribution | None
    values: tuple[ConfigurationValue, ...] = ()

    def value(self, own: Any) -> ConfigurationValue:
        """Optuna's value as the space has it."""
        return self.values[own] if self.values else as_plain(own)

    def own(self, value: ConfigurationValue) -> Any:
        """The space's value as Optuna has it."""
        return self.values.index(value) if self.values else value


class Parameters:
    """All hyperparameters of a space, parents before what their values activate."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self._parameters = {each.name: _parameter(each) for each in space.values()}
        self._conditions = {name: space.parent_conditions_of[name] for name in self._parameters}

    def suggested(self, suggest: Suggest) -> Configuration:
        """A configuration of active hyperparameters; may be one that the space forbids.

        Args:
            suggest: Optuna's value for a name and a distribution.
        """
        values: dict[str, Any] = dict.fromkeys(self._parameters, NotSet)
        for name, parameter in self._parameters.items():
            if all(each.satisfied_by_value(values) for each in self._conditions[name]):
                distribution = parameter.distribution
                own = 0 if distribution is None else suggest(name, distribution)
                values[name] = parameter.value(own)
        return {name: value for name, value in values.items() if value is not NotSet}

    def own(self, configuration: Configuration) -> dict[str, Any]:
        """Optuna's values of a configuration, without constants."""
        return {
            name: self._parameters[name].own(value)
            for name, value in configuration.items()
            if self._parameters[name].distribution is not None
        }

    def distributions(self, names: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Optuna's distributions of hyperparameters that are no constants."""
        found = {name: self._parameters[name].distribution for name in names}
        return {name: distribution for name, distribution in found.items() if distribution}


def _parameter(hyperparameter: SpaceHyperparameter) -> Parameter:
    name = hyperparameter.name
    if isinstance(hyperparameter, Constant):
        return Parameter(name=name, distribution=None, values=(as_plain(hyperparameter.value),))
    if isinstance(hyperparameter, CategoricalHyperparameter):
        values = tuple(map(as_plain, hyperparameter.choices))
        own = CategoricalDistribution(range(len(values)))
        return Parameter(name=name, distribution=own, values=values)
    if isinstance(hyperparameter, OrdinalHyperparameter):
        values = tuple(map(as_plain, hyperparameter.sequence))
        return Parameter(
            name=name, distribution=IntDistribution(0, len(values) - 1), values=values
        )
    return Parameter(name=name, distribution=_range(hyperparameter))


def _range(hyperparameter: Any) -> BaseDistribution:
    """Bounds and scale; Optuna has no place for priors."""
    low, high, log = hyperparameter.lower, hyperparameter.upper, hyperparameter.log
    if isinstance(hyperparameter, IntegerHyperparameter):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)
