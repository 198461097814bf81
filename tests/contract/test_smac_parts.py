"""Every part of the engine in SMAC's own facades, among SMAC's own parts, run by SMAC's loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario
from smac.acquisition.function import EI
from smac.acquisition.maximizer import LocalAndSortedRandomSearch
from smac.facade.abstract_facade import AbstractFacade
from smac.initial_design import SobolInitialDesign
from smac.intensifier import Hyperband
from smac.main.config_selector import ConfigSelector
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.model.random_forest import RandomForest
from smac.multi_objective import ParEGO
from smac.random_design import CosineAnnealingRandomDesign

from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    NoisyHypervolumeImprovement,
    PriorWeighted,
    WithinLimits,
)
from frnas_search.optimizers.smac.designs import CountedRandom, CoveringDesign
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.facade import FrontFacade
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.handover import FewThenMany, RungProcess
from frnas_search.optimizers.smac.models.per_objective import smac_forest, smac_process
from frnas_search.optimizers.smac.scalarisation import FreshParEGO, Unscalarised
from frnas_search.optimizers.smac.selector import HistorySelector
from tests.smac_toy import QUIET, tiny_space, top_costs, toy_function, toy_scenario, trials

# SMAC's local search takes the mean of no times.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning"),
]

Parts: TypeAlias = dict[str, Any]

LIMITS = np.array([0.6, 0.7])


@dataclass(frozen=True)
class Mix:
    """A facade, its parts by the scenario, and what is particular about the scenario."""

    facade: type[AbstractFacade]
    parts: Callable[[Scenario], Parts]
    scenario: Parts = field(default_factory=dict)


def few(scenario: Scenario) -> Parts:
    """SMAC's parts with fewer candidates and leaves than by default, and a small design."""
    return {
        "model": RandomForest(
            scenario.configspace, n_trees=5, max_leaf_nodes=2**10, log_y=True, seed=scenario.seed
        ),
        "acquisition_maximizer": LocalAndSortedRandomSearch(
            scenario.configspace, challengers=50, local_search_iterations=1, seed=scenario.seed
        ),
        "initial_design": SobolInitialDesign(scenario, n_configs=6),
    }


def hyperband(scenario: Scenario) -> Hyperband:
    return Hyperband(scenario, incumbent_selection="highest_budget")


def unscalarised(scenario: Scenario, **parts: Any) -> Parts:
    """What models with a column for each objective need."""
    return {
        **few(scenario),
        "model": RungForest(scenario.configspace, seed=scenario.seed),
        "runhistory_encoder": AllRungsEncoder(scenario),
        "multi_objective_algorithm": Unscalarised() if scenario.count_objectives() > 1 else None,
        "intensifier": AsynchronousHyperband(scenario),
        "acquisition_function": HypervolumeImprovement(),
        "config_selector": ConfigSelector(scenario, retrain_after=1),
        **parts,
    }


def searching(scenario: Scenario, retrain_after: int) -> Parts:
    return unscalarised(
        scenario,
        acquisition_maximizer=ArrayMaximizer(scenario.configspace, seed=scenario.seed),
        config_selector=ConfigSelector(scenario, retrain_after=retrain_after),
    )


def scalarised(scenario: Scenario, model: Any) -> Parts:
    return {
        **few(scenario),
        "model": model(scenario.configspace, seed=scenario.seed),
        "runhistory_encoder": AllRungsEncoder(scenario, scalarises=True),
        "multi_objective_algorithm": ParEGO(scenario),
        "intensifier": hyperband(scenario),
        "acquisition_function": EI(),
        "config_selector": ConfigSelector(scenario, retrain_after=1),
    }


def log_prior(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The last column, a rate, is believed to be small."""
    return -4.0 * vectors[:, -1]


ONE = {"m": 1, "has_budgets": False}
FULL = {"has_budgets": False}

IN_STOCK_FACADES: dict[str, Mix] = {
    "stock selector": Mix(MultiFidelityFacade, lambda s: searching(s, 1)),
    "stock selector, retrained every eighth": Mix(MultiFidelityFacade, lambda s: searching(s, 8)),
    "stock maximizer": Mix(MultiFidelityFacade, unscalarised),
    "intensifier": Mix(
        MultiFidelityFacade,
        lambda s: {
            **few(s),
            "intensifier": AsynchronousHyperband(s),
            "multi_objective_algorithm": ParEGO(s),
        },
    ),
    "intensifier without budgets": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {**few(s), "intensifier": AsynchronousHyperband(s)},
        ONE,
    ),
    "forest": Mix(MultiFidelityFacade, lambda s: scalarised(s, RungForest)),
    "process": Mix(MultiFidelityFacade, lambda s: scalarised(s, RungProcess)),
    "handover": Mix(MultiFidelityFacade, lambda s: scalarised(s, FewThenMany)),
    "forest for each objective": Mix(MultiFidelityFacade, lambda s: scalarised(s, smac_forest)),
    "process for each objective": Mix(
        MultiFidelityFacade, lambda s: scalarised(s, smac_process), {"n_trials": 14}
    ),
    "model and encoder, one objective": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {
            **few(s),
            "model": FewThenMany(s.configspace),
            "runhistory_encoder": AllRungsEncoder(s),
            "acquisition_function": EI(),
        },
        ONE,
    ),
    "designs": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {
            **few(s),
            "initial_design": CoveringDesign(s, n_configs=6),
            "random_design": CountedRandom(0.2),
        },
        ONE,
    ),
    "maximizer": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {**few(s), "acquisition_maximizer": ArrayMaximizer(s.configspace)},
        ONE,
    ),
    "scalarisation": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {**few(s), "multi_objective_algorithm": FreshParEGO(s)},
        FULL,
    ),
    "selector, the engine, stock Hyperband": Mix(
        MultiFidelityFacade,
        lambda s: {
            **searching(s, 1),
            "intensifier": hyperband(s),
            "config_selector": HistorySelector(s),
        },
    ),
    "selector alone": Mix(
        MultiFidelityFacade,
        lambda s: {
            **few(s),
            "intensifier": hyperband(s),
            "multi_objective_algorithm": ParEGO(s),
            "config_selector": HistorySelector(s),
        },
    ),
    "noisy": Mix(
        MultiFidelityFacade,
        lambda s: unscalarised(s, acquisition_function=NoisyHypervolumeImprovement()),
    ),
    "limits around stock": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {
            **few(s),
            "model": FewThenMany(s.configspace),
            "runhistory_encoder": AllRungsEncoder(s),
            "acquisition_function": WithinLimits(EI(), LIMITS[:1]),
        },
        ONE,
    ),
    "limits": Mix(
        MultiFidelityFacade,
        lambda s: unscalarised(
            s, acquisition_function=WithinLimits(HypervolumeImprovement(), LIMITS)
        ),
    ),
    "prior around stock": Mix(
        HyperparameterOptimizationFacade,
        lambda s: {**few(s), "acquisition_function": PriorWeighted(EI(log=True), log_prior)},
        ONE,
    ),
    "prior around limits": Mix(
        MultiFidelityFacade,
        lambda s: unscalarised(
            s,
            acquisition_function=PriorWeighted(
                WithinLimits(HypervolumeImprovement(), LIMITS), log_prior
            ),
        ),
    ),
}

STOCK_IN_OURS: dict[str, Mix] = {
    "intensifier": Mix(FrontFacade, lambda s: {"intensifier": hyperband(s)}),
    "selector": Mix(FrontFacade, lambda s: {"config_selector": ConfigSelector(s)}),
    "maximizer": Mix(
        FrontFacade, lambda s: {"acquisition_maximizer": few(s)["acquisition_maximizer"]}
    ),
    "initial design": Mix(FrontFacade, lambda s: {"initial_design": few(s)["initial_design"]}),
    "random design": Mix(
        FrontFacade,
        lambda s: {
            "random_design": CosineAnnealingRandomDesign(0.1, 0.3, restart_iteration=9, seed=0)
        },
    ),
    "function and scalarisation": Mix(
        FrontFacade,
        lambda s: {
            "runhistory_encoder": AllRungsEncoder(s, scalarises=True),
            "multi_objective_algorithm": ParEGO(s),
            "acquisition_function": EI(),
        },
    ),
    "model and encoder": Mix(
        FrontFacade,
        lambda s: {
            "model": few(s)["model"],
            "runhistory_encoder": MultiFidelityFacade.get_runhistory_encoder(s),
            "multi_objective_algorithm": ParEGO(s),
            "acquisition_function": EI(log=True),
        },
    ),
}


def made(mix: Mix, folder: Path) -> AbstractFacade:
    scenario = toy_scenario(folder, **{"n_trials": 20, **mix.scenario})
    return mix.facade(scenario, toy_function(scenario), **mix.parts(scenario), **QUIET)


def is_of_the_model(origin: str | None) -> bool:
    """SMAC's origins are sentences, the engine's one word."""
    told = str(origin)
    return told == "model" or told.startswith("Acquisition Function Maximizer")


def searched(mix: Mix, folder: Path) -> AbstractFacade:
    facade = made(mix, folder)
    facade.optimize()
    return facade


@pytest.mark.parametrize("name", IN_STOCK_FACADES)
def test_smac_searches_with_a_part_of_ours(tmp_path: Path, name: str) -> None:
    facade = searched(IN_STOCK_FACADES[name], tmp_path)
    assert facade.runhistory.finished == facade.scenario.n_trials
    assert facade.intensifier.get_incumbents()
    origins = [each.origin for each in facade.runhistory.get_configs()]
    assert any(map(is_of_the_model, origins)), origins


@pytest.mark.parametrize("name", STOCK_IN_OURS)
def test_our_facade_searches_with_a_part_of_smacs(tmp_path: Path, name: str) -> None:
    facade = searched(STOCK_IN_OURS[name], tmp_path)
    assert facade.runhistory.finished == 20
    assert facade.intensifier.get_incumbents()
    origins = [each.origin for each in facade.runhistory.get_configs()]
    assert any(map(is_of_the_model, origins)), origins
    known = trials(facade)
    assert len({str(each) for each in known}) == len(known)


SMALL = [
    *(IN_STOCK_FACADES[name] for name in ("stock selector", "intensifier", "designs")),
    *(STOCK_IN_OURS[name] for name in ("selector", "maximizer", "initial design")),
]


@pytest.mark.parametrize("mix", SMALL)
def test_a_small_space_is_searched_to_its_end(tmp_path: Path, mix: Mix) -> None:
    scenario = {**mix.scenario, "space": tiny_space(), "n_trials": 60}
    facade = made(Mix(mix.facade, mix.parts, scenario), tmp_path)
    try:
        facade.optimize()
    except ConfigurationSpaceExhaustedException:
        assert not isinstance(facade.intensifier, AsynchronousHyperband)
    assert len(top_costs(facade)) == 6
    known = trials(facade)
    assert len({str(each) for each in known}) == len(known)


TOLD_APART: dict[str, Callable[[Scenario], tuple[Any, Any]]] = {
    "forest": lambda s: (RungForest(s.configspace), RungForest(s.configspace, n_trees=5)),
    "process": lambda s: (RungProcess(s.configspace), RungProcess(s.configspace, seed=1)),
    "handover": lambda s: (FewThenMany(s.configspace), FewThenMany(s.configspace, n_trees=5)),
    "for each objective": lambda s: (smac_forest(s.configspace), smac_process(s.configspace)),
    "encoder": lambda s: (AllRungsEncoder(s), AllRungsEncoder(s, uses_all_rungs=False)),
    "function": lambda s: (HypervolumeImprovement(), HypervolumeImprovement(fantasises=False)),
    "limits": lambda s: (WithinLimits(EI(), LIMITS), WithinLimits(EI(), 2 * LIMITS)),
    "maximizer": lambda s: (
        ArrayMaximizer(s.configspace),
        ArrayMaximizer(s.configspace, density_share=0.25),
    ),
    "initial design": lambda s: (CoveringDesign(s), CoveringDesign(s, n_configs=5)),
    "random design": lambda s: (CountedRandom(0.1), CountedRandom(0.2)),
    "intensifier": lambda s: (AsynchronousHyperband(s), AsynchronousHyperband(s, eta=2)),
    "scalarisation": lambda s: (FreshParEGO(s), FreshParEGO(s, seed=1)),
}


@pytest.mark.parametrize("name", TOLD_APART)
def test_smac_is_told_what_a_part_was_made_with(tmp_path: Path, name: str) -> None:
    one, other = TOLD_APART[name](toy_scenario(tmp_path))
    again, _ = TOLD_APART[name](toy_scenario(tmp_path))
    assert str(one.meta) == str(again.meta)
    assert str(one.meta) != str(other.meta)
