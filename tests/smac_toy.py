"""A search problem in SMAC's own words: a conditional space, up to three objectives, budgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    EqualsCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import Scenario
from smac.facade.abstract_facade import AbstractFacade
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

NAMES = ("error", "time", "gap")
LOWEST, HIGHEST = 3, 27

Costs: TypeAlias = "float | dict[str, float]"

QUIET: dict[str, Any] = {"logging_level": False, "overwrite": True}


def toy_space() -> ConfigurationSpace:
    """Deep networks have layers, wide ones a width."""
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["deep", "wide", "odd"])
    layers = UniformIntegerHyperparameter("layers", 1, 9)
    width = UniformFloatHyperparameter("width", 0.0, 1.0)
    rate = UniformFloatHyperparameter("rate", 1e-4, 1.0, log=True)
    space.add(kind, layers, width, rate)
    space.add(EqualsCondition(layers, kind, "deep"), EqualsCondition(width, kind, "wide"))
    return space


def tiny_space() -> ConfigurationSpace:
    """Six configurations."""
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["wide", "odd"])
    space.add(kind, CategoricalHyperparameter("rate", [1e-3, 1e-2, 1e-1]))
    return space


def toy_costs(configuration: Configuration, budget: float = HIGHEST) -> dict[str, float]:
    """What size gains in error it costs in time; a rate of 0.01 is the best for all."""
    values = dict(configuration)
    size = values["layers"] / 9 if values["kind"] == "deep" else values.get("width", 0.5)
    penalty = 0.1 * abs(float(np.log10(values["rate"])) + 2) + 0.3 * (values["kind"] == "odd")
    penalty += 0.2 * (1 - np.log(budget / LOWEST) / np.log(HIGHEST / LOWEST))
    gains = (float((1 - size) ** 2), float(size), float(abs(size - 0.3)))
    return {name: gain + penalty for name, gain in zip(NAMES, gains, strict=True)}


def toy_scenario(folder: Path, *, m: int = 2, has_budgets: bool = True, **more: Any) -> Scenario:
    """With `m` objectives, 30 trials and the files in the folder."""
    budgets = {"min_budget": LOWEST, "max_budget": HIGHEST} if has_budgets else {}
    common = {"n_trials": 30, "seed": 0, "deterministic": True, "output_directory": folder}
    space = more.pop("space", None) or toy_space()
    objectives = NAMES[0] if m == 1 else list(NAMES[:m])
    return Scenario(space, objectives=objectives, **{**common, **budgets, **more})


def toy_function(scenario: Scenario) -> Callable[..., Costs]:
    """What SMAC calls: with a budget where the scenario has any."""
    names = scenario.objectives

    def costs(configuration: Configuration, budget: float) -> Costs:
        all_costs = toy_costs(configuration, budget)
        return all_costs[names] if isinstance(names, str) else {n: all_costs[n] for n in names}

    def with_budget(config: Configuration, seed: int, budget: float) -> Costs:
        return costs(config, budget)

    def without(config: Configuration, seed: int) -> Costs:
        return costs(config, HIGHEST)

    return without if scenario.max_budget is None else with_budget


def toy_value(info: TrialInfo, m: int = 2) -> TrialValue:
    """What a worker tells of a trial."""
    costs = list(toy_costs(info.config, info.budget or HIGHEST).values())[:m]
    return TrialValue(cost=costs if m > 1 else costs[0])


def course(facade: AbstractFacade, n: int, *, in_flight: int = 1) -> list[TrialInfo]:
    """Ask for `n` trials, with so many of them told later."""
    asked: list[TrialInfo] = []
    for number in range(n):
        asked.append(facade.ask())
        if number >= in_flight - 1:
            info = asked[number - in_flight + 1]
            facade.tell(info, toy_value(info), save=False)
    return asked


def trials(facade: AbstractFacade) -> list[tuple[dict[str, Any], float | None]]:
    """Configurations and budgets in their order."""
    history = facade.runhistory
    return [(dict(history.get_config(key.config_id)), key.budget) for key in history]


def top_costs(facade: AbstractFacade) -> list[tuple[float, ...]]:
    """Of the successes at the highest budget."""
    return [
        tuple(np.atleast_1d(value.cost).tolist())
        for key, value in facade.runhistory.items()
        if key.budget in {None, HIGHEST} and value.status == StatusType.SUCCESS
    ]


def non_dominated_costs(costs: list[tuple[float, ...]]) -> set[tuple[float, ...]]:
    """By comparing each with each."""
    return {
        one
        for one in costs
        if not any(other != one and all(map(float.__le__, other, one)) for other in costs)
    }
