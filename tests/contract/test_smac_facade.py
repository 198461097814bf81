"""The facade as SMAC's own loop runs it: no part of ours asks, tells or counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration
from smac.runhistory.dataclasses import TrialInfo
from smac.runhistory.enumerations import StatusType

from frnas_search.optimizers.smac.facade import FrontFacade
from tests.smac_toy import (
    HIGHEST,
    QUIET,
    Costs,
    course,
    non_dominated_costs,
    tiny_space,
    top_costs,
    toy_costs,
    toy_function,
    toy_scenario,
    toy_space,
    toy_value,
    trials,
)


def facade_of(folder: Path, **more: Any) -> FrontFacade:
    scenario = toy_scenario(folder, **more)
    return FrontFacade(scenario, toy_function(scenario), **QUIET)


def costs_of(found: Any, facade: FrontFacade) -> set[tuple[float, ...]]:
    """Of what a search returned, at the highest budget."""
    configurations = found if isinstance(found, list) else [found]
    m = facade.scenario.count_objectives()
    return {tuple(list(toy_costs(each).values())[:m]) for each in configurations}


@pytest.mark.parametrize("has_budgets", [True, False])
@pytest.mark.parametrize(("m", "n"), [(1, 30), (2, 30), (3, 16)])
def test_smacs_loop_goes_to_the_last_trial_and_returns_the_front_of_the_highest_budget(
    tmp_path: Path, m: int, n: int, has_budgets: bool
) -> None:
    facade = facade_of(tmp_path, m=m, has_budgets=has_budgets, n_trials=n)
    found = facade.optimize()
    assert (facade.runhistory.submitted, facade.runhistory.finished) == (n, n)
    assert isinstance(found, list) == (m > 1)
    assert len(top_costs(facade)) >= 2
    assert costs_of(found, facade) == non_dominated_costs(top_costs(facade))
    budgets = {budget for _, budget in trials(facade)}
    assert budgets == ({3, 9, 27} if has_budgets else {None})


@pytest.mark.parametrize("has_budgets", [True, False])
def test_equal_seeds_give_equal_searches_and_others_do_not(
    tmp_path: Path, has_budgets: bool
) -> None:
    first, second, other = (
        facade_of(tmp_path / str(number), seed=seed, has_budgets=has_budgets, n_trials=20)
        for number, seed in enumerate((1, 1, 2))
    )
    for facade in (first, second, other):
        facade.optimize()
    assert trials(first) == trials(second)
    assert trials(first) != trials(other)


def test_the_model_finds_more_than_draws_do(tmp_path: Path) -> None:
    def distance(folder: Path, seed: int, *, probability: float) -> float:
        """From the best sum of both costs that there is."""
        scenario = toy_scenario(folder, seed=seed, has_budgets=False, n_trials=20)
        design = FrontFacade.get_random_design(scenario, probability=probability)
        facade = FrontFacade(scenario, toy_function(scenario), random_design=design, **QUIET)
        facade.optimize()
        return min(map(sum, top_costs(facade))) - 0.75

    by_model, at_random = (
        [distance(tmp_path / f"{p}-{seed}", seed, probability=p) for seed in range(4)]
        for p in (0.05, 1.0)
    )
    assert np.mean(by_model) < np.mean(at_random) / 2


def test_trials_that_raise_are_failures_and_never_on_the_front(tmp_path: Path) -> None:
    def fails_when_deep(config: Configuration, seed: int, budget: float) -> Costs:
        if config["kind"] == "deep":
            raise RuntimeError("out of memory")
        return dict(list(toy_costs(config, budget).items())[:2])

    facade = FrontFacade(toy_scenario(tmp_path), fails_when_deep, **QUIET)
    found = facade.optimize()
    statuses = [value.status for value in facade.runhistory.values()]
    assert len(statuses) == facade.runhistory.finished == 30
    assert statuses.count(StatusType.CRASHED) >= 2
    assert found
    assert all(each["kind"] != "deep" for each in found)
    assert costs_of(found, facade) == non_dominated_costs(top_costs(facade))


def test_a_search_of_failures_alone_goes_to_its_end(tmp_path: Path) -> None:
    def fails(config: Configuration, seed: int, budget: float) -> Costs:
        raise RuntimeError("no data")

    facade = FrontFacade(toy_scenario(tmp_path), fails, **QUIET)
    assert facade.optimize() == []
    assert facade.runhistory.finished == 30


def test_a_small_space_ends_the_search_when_all_of_it_is_known(tmp_path: Path) -> None:
    facade = facade_of(tmp_path, space=tiny_space(), n_trials=100)
    found = facade.optimize()
    assert len(top_costs(facade)) == 6
    assert costs_of(found, facade) == non_dominated_costs(top_costs(facade))


def again(folder: Path, **more: Any) -> FrontFacade:
    """A facade that goes on where the last one in the folder ended."""
    scenario = toy_scenario(folder, **more)
    return FrontFacade(scenario, toy_function(scenario), logging_level=False, overwrite=False)


@pytest.mark.parametrize("m", [1, 2])
def test_a_finished_search_that_is_run_again_gives_the_same_front(tmp_path: Path, m: int) -> None:
    first = again(tmp_path, m=m)
    found = first.optimize()
    second = again(tmp_path, m=m)
    assert second.optimize() == found
    assert trials(second) == trials(first)


def test_a_search_that_was_interrupted_goes_on_with_what_was_running(tmp_path: Path) -> None:
    first = again(tmp_path)
    asked = course(first, 24, in_flight=4)
    first.optimizer.save()
    first.close()
    running = asked[-3:]
    second = again(tmp_path)
    more = [second.ask() for _ in range(3)]
    assert [(each.config, each.budget) for each in more] == [
        (each.config, each.budget) for each in running
    ]
    for info in more:
        second.tell(info, toy_value(info), save=False)
    found = second.optimize()
    assert (second.runhistory.submitted, second.runhistory.finished) == (30, 30)
    assert costs_of(found, second) == non_dominated_costs(top_costs(second))


def test_a_promotion_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    first = again(tmp_path, n_trials=1000)
    known: list[Configuration] = []
    while (info := first.ask()).config not in known:
        known.append(info.config)
        first.tell(info, toy_value(info), save=False)
    first.optimizer.save()
    first.close()
    second = again(tmp_path, n_trials=1000)
    asked = [second.ask() for _ in range(3)]
    second.close()
    assert (asked[0].config, asked[0].budget) == (info.config, info.budget)
    assert not {each.config for each in asked[1:]} & set(known)


def test_nothing_that_is_known_is_trained_again_after_an_interruption(tmp_path: Path) -> None:
    first = again(tmp_path, n_trials=1000)
    done = [(each.config, each.budget) for each in course(first, 24)]
    first.optimizer.save()
    first.close()
    second = again(tmp_path, n_trials=1000)
    asked = [(each.config, each.budget) for each in course(second, 12)]
    second.close()
    assert not set(done) & set(asked)


def test_wanted_configurations_come_first_and_a_search_with_some_goes_on(tmp_path: Path) -> None:
    wanted = [
        Configuration(toy_space(), values={"kind": "deep", "layers": 4, "rate": 0.01}),
        Configuration(toy_space(), values={"kind": "wide", "width": 0.25, "rate": 0.01}),
    ]

    def made() -> FrontFacade:
        scenario = toy_scenario(tmp_path, n_trials=16)
        design = FrontFacade.get_initial_design(scenario, n_configs=4, additional_configs=wanted)
        return FrontFacade(
            scenario, toy_function(scenario), initial_design=design, logging_level=False
        )

    first = made()
    found = first.optimize()
    assert first.runhistory.get_configs()[:2] == wanted
    assert made().optimize() == found


@pytest.mark.parametrize("in_flight", [1, 4, 20])
def test_who_asks_and_tells_has_as_many_trials_in_flight_as_workers(
    tmp_path: Path, in_flight: int
) -> None:
    def searched(folder: Path) -> list[TrialInfo]:
        facade = facade_of(folder, n_trials=1000)
        try:
            return course(facade, 40, in_flight=in_flight)
        finally:
            facade.close()

    first, second = searched(tmp_path / "1"), searched(tmp_path / "2")
    asked = [(each.config, each.budget) for each in first]
    assert asked == [(each.config, each.budget) for each in second]
    assert len({(str(config), budget) for config, budget in asked}) == 40


def test_a_configuration_is_validated_at_the_highest_budget(tmp_path: Path) -> None:
    facade = facade_of(tmp_path, n_trials=12)
    best = facade.optimize()[0]
    assert facade.validate(best).tolist() == list(toy_costs(best, HIGHEST).values())[:2]


@pytest.mark.parametrize(
    "budgets",
    [{"min_budget": 0}, {"min_budget": 28}, {"min_budget": None}, {"max_budget": None}],
)
def test_budgets_that_are_none_are_refused(tmp_path: Path, budgets: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="both are wanted, above 0"):
        facade_of(tmp_path, **budgets)


def test_instances_are_refused_and_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="instances are not trained"):
        facade_of(tmp_path, instances=["a", "b"], instance_features={"a": [0.0], "b": [1.0]})
