"""Its parts; that SMAC searches with them is in the contract tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace
from smac import Scenario
from smac.runhistory import TrialValue

from frnas_search.optimizers.smac.acquisition_functions import (
    HypervolumeImprovement,
    PriorWeighted,
)
from frnas_search.optimizers.smac.designs import CountedRandom, CoveringDesign
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.facade import FrontFacade
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.maximizer import ArrayMaximizer
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.handover import FewThenMany
from frnas_search.optimizers.smac.scalarisation import Unscalarised
from frnas_search.optimizers.smac.selector import HistorySelector
from tests.unit.frnas_search.optimizers.smac.conftest import by_x, scenario_of, small_space


@contextmanager
def facade_of(scenario: Scenario, **parts: Any) -> Iterator[FrontFacade]:
    made = FrontFacade(scenario, logging_level=False, overwrite=True, **parts)
    yield made
    made.close()


def scenario(folder: Path, **options: Any) -> Scenario:
    return scenario_of(small_space(), budgets=(1.0, 9.0), folder=folder, **options)


def test_it_is_made_of_our_parts_where_no_other_is_given(tmp_path: Path) -> None:
    with facade_of(scenario(tmp_path)) as made:
        parts = {
            FewThenMany: made._model,
            HypervolumeImprovement: made._acquisition_function,
            ArrayMaximizer: made._acquisition_maximizer,
            AsynchronousHyperband: made.intensifier,
            CoveringDesign: made._initial_design,
            CountedRandom: made._random_design,
            AllRungsEncoder: made._runhistory_encoder,
            Unscalarised: made._multi_objective_algorithm,
            HistorySelector: made.selector,
        }
    assert [type(part) for part in parts.values()] == list(parts)


def test_each_part_can_be_exchanged_and_is_listed(tmp_path: Path) -> None:
    known = scenario(tmp_path)
    forest = RungForest(known.configspace)
    with facade_of(known, model=forest) as made:
        assert made._model is forest
        assert made.selector._model is forest
        assert made.meta["model"]["name"] == "RungForest"


def test_a_space_with_a_prior_is_searched_with_it(tmp_path: Path) -> None:
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("head", ["a", "b"], weights=[3, 1]))
    with facade_of(scenario_of(space, folder=tmp_path)) as made:
        assert isinstance(made._acquisition_function, PriorWeighted)


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_it_is_asked_and_told_past_its_initial_design(tmp_path: Path, n_objectives: int) -> None:
    known = scenario(tmp_path, n_objectives=n_objectives)
    design = FrontFacade.get_initial_design(known, n_configs=4)
    with facade_of(known, initial_design=design) as made:
        origins = []
        for _ in range(14):
            info = made.ask()
            origins.append(info.config.origin)
            costs = list(by_x(dict(info.config)))[:n_objectives]
            made.tell(info, TrialValue(cost=costs if n_objectives > 1 else costs[0]), save=False)
        assert "model" in origins
        incumbents = made.intensifier.get_incumbents()
        assert len(incumbents) >= 1


def test_closing_ends_its_thread_and_asking_begins_another(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with facade_of(scenario(tmp_path)) as made:
        made.ask()
        assert set(threading.enumerate()) > before
        made.close()
        assert set(threading.enumerate()) == before
        made.ask()
    assert set(threading.enumerate()) == before
