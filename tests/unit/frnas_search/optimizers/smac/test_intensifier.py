from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace, UniformFloatHyperparameter
from hypothesis import given, settings
from hypothesis import strategies as st
from smac import Scenario
from smac.runhistory import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import scenario_of

SPACE = ConfigurationSpace(seed=0)
SPACE.add(UniformFloatHyperparameter("x", 0.0, 1.0))
CONFIGURATIONS = [Configuration(SPACE, values={"x": number / 200}) for number in range(200)]
NINE = (1.0, 9.0)

Costs = tuple[float, ...] | None


def number_of(info: TrialInfo) -> int:
    return round(200 * info.config["x"])


class Driven:
    """An intensifier as SMAC drives it, with configurations in a row instead of a selector."""

    def __init__(
        self,
        *,
        n_objectives: int = 2,
        budgets: tuple[float, float] | None = NINE,
        limits: Sequence[float] | None = None,
        history: RunHistory | None = None,
        configurations: Sequence[Configuration] = CONFIGURATIONS,
    ) -> None:
        self.scenario: Scenario = scenario_of(SPACE, n_objectives=n_objectives, budgets=budgets)
        self.n_objectives = n_objectives
        bounds = None if limits is None else np.array(limits)
        self.intensifier = AsynchronousHyperband(self.scenario, limits=bounds)
        self.history = history or RunHistory(n_objectives=n_objectives)
        self.intensifier.runhistory = self.history
        new = [each for each in configurations if each not in self.history.config_ids]
        self.intensifier.config_selector = new  # type: ignore[assignment]
        self.trials = iter(self.intensifier)

    def ask(self) -> TrialInfo:
        info = next(self.trials)
        self.history.add_running_trial(info)
        return info

    def rung(self, info: TrialInfo) -> int:
        return self.intensifier._rungs.rung(info.budget)

    def asked(self) -> tuple[int, int]:
        info = self.ask()
        return number_of(info), self.rung(info)

    def up_to(self, n: int) -> list[TrialInfo]:
        """Asked without any result, those that start at the cheapest rung."""
        started: list[TrialInfo] = []
        while len(started) < n:
            info = self.ask()
            started += [info] if self.rung(info) == 0 else []
        return started

    def tell(self, info: TrialInfo, costs: Costs) -> None:
        told: Any = list(costs or (1.0,) * self.n_objectives)
        told = told if self.n_objectives > 1 else told[0]
        status = StatusType.CRASHED if costs is None else StatusType.SUCCESS
        value = TrialValue(cost=told, status=status)
        self.history.add(
            info.config,
            told,
            status=status,
            seed=info.seed,
            budget=info.budget,
            force_update=True,
        )
        self.intensifier.get_callback().on_tell_end(None, info, value)

    def trial(self, number: int, rung: int) -> TrialInfo:
        """One that was never asked."""
        budget = self.intensifier._rungs.budget(rung)
        return TrialInfo(CONFIGURATIONS[number], seed=0, budget=budget)

    def incumbents(self) -> list[int]:
        return [round(200 * each["x"]) for each in self.intensifier.get_incumbents()]


def test_new_configurations_start_at_the_rungs_in_hyperbands_shares() -> None:
    driven = Driven()
    rungs = [driven.asked()[1] for _ in range(17)]
    assert [rungs.count(rung) for rung in range(3)] == [9, 5, 3]
    assert rungs[0] == 0


def test_the_best_third_goes_on_to_the_next_rung() -> None:
    driven = Driven()
    first = driven.up_to(9)
    best = {1: (0.1, 0.8), 4: (0.2, 0.4), 7: (0.3, 0.2)}
    for index, info in enumerate(first):
        driven.tell(info, best.get(index, (0.9, 0.9)))
    second = [driven.ask() for _ in range(3)]
    assert [driven.rung(info) for info in second] == [1, 1, 1]
    assert {number_of(info) for info in second} == {number_of(first[index]) for index in best}
    for info in second:
        is_best = info.config == first[4].config
        driven.tell(info, (0.1, 0.1) if is_best else (0.2, 0.2))
    assert driven.asked() == (number_of(first[4]), 2)


def test_nobody_waits_for_the_last_trial_of_a_rung() -> None:
    driven = Driven()
    first = driven.up_to(9)
    for index, info in enumerate(first[:3]):
        driven.tell(info, (0.1 + index, 0.1))
    assert driven.asked() == (number_of(first[0]), 1)
    assert driven.asked()[0] not in {number_of(info) for info in first}


@pytest.mark.parametrize("bad", [None, (math.nan, 0.1)])
def test_a_failure_does_not_go_on_before_a_success(bad: Costs) -> None:
    driven = Driven()
    first = driven.up_to(9)
    for index, info in enumerate(first):
        driven.tell(info, (0.99, 0.98) if index in (2, 3, 8) else bad)
    promoted = {driven.asked() for _ in range(3)}
    assert promoted == {(number_of(first[index]), 1) for index in (2, 3, 8)}


def test_one_within_the_limits_goes_on_before_better_ones_that_are_not() -> None:
    driven = Driven(limits=(0.5, math.inf))
    first = driven.up_to(3)
    for info, costs in zip(first, [(0.6, 0.0), (0.5, 0.9), (0.7, 0.0)], strict=True):
        driven.tell(info, costs)
    assert driven.asked() == (number_of(first[1]), 1)


def test_when_no_configuration_is_left_the_best_go_on_and_then_there_is_nothing_now() -> None:
    driven = Driven(configurations=CONFIGURATIONS[:3], n_objectives=1)
    infos = [driven.ask() for _ in range(3)]
    for _ in range(2):
        with pytest.raises(StopIteration):
            driven.ask()
    for cost, info in enumerate(infos):
        driven.tell(info, (cost / 10,))
    trials = set()
    while True:
        try:
            info = driven.ask()
        except StopIteration:
            break
        trials.add((number_of(info), driven.rung(info)))
        driven.tell(info, (0.1 * number_of(info),))
    started = {number_of(info): driven.rung(info) for info in infos}
    assert trials == {(n, rung) for n, first in started.items() for rung in range(first + 1, 3)}


def test_without_budgets_each_configuration_is_trained_once() -> None:
    driven = Driven(budgets=None, n_objectives=1, configurations=CONFIGURATIONS[:5])
    assert not driven.intensifier.uses_budgets
    for number in range(5):
        info = driven.ask()
        assert (number_of(info), info.budget) == (number, None)
        driven.tell(info, (abs(number - 3.2),))
    with pytest.raises(StopIteration):
        driven.ask()
    assert driven.incumbents() == [3]
    assert driven.intensifier.get_incumbent() == CONFIGURATIONS[3]


def test_what_may_be_taken_is_new_or_the_next_rung_of_a_success() -> None:
    driven = Driven()
    may_take, trial = driven.intensifier.may_take, driven.trial
    assert all(may_take(CONFIGURATIONS[0], rung) for rung in range(3))
    assert not any(may_take(CONFIGURATIONS[0], rung) for rung in (-1, 3))
    driven.intensifier.take(CONFIGURATIONS[0], 0)
    assert not any(may_take(CONFIGURATIONS[0], rung) for rung in range(3))
    driven.tell(trial(0, 0), (0.5, 0.5))
    assert [may_take(CONFIGURATIONS[0], rung) for rung in range(3)] == [False, True, False]
    driven.intensifier.take(CONFIGURATIONS[0], 1)
    assert not may_take(CONFIGURATIONS[0], 1)
    driven.tell(trial(0, 1), None)
    assert not may_take(CONFIGURATIONS[0], 2)


def test_trials_that_were_taken_count_as_those_that_were_asked() -> None:
    chance, one, other = random.Random(3), Driven(), Driven()
    waiting = []
    for _ in range(80):
        info = one.ask()
        waiting.append(info)
        assert other.intensifier.may_take(info.config, one.rung(info))
        taken = other.intensifier.take(info.config, one.rung(info))
        assert taken == info
        other.history.add_running_trial(taken)
        if len(waiting) == 5:
            told = waiting.pop(chance.randrange(5))
            costs = None if chance.random() < 0.2 else (chance.random(), chance.random())
            one.tell(told, costs)
            other.tell(told, costs)
    other.intensifier.config_selector = CONFIGURATIONS[len(other.history.config_ids) :]
    assert one.ask() == other.ask()


def test_a_result_of_a_trial_that_was_never_asked_counts() -> None:
    driven = Driven(configurations=CONFIGURATIONS[100:], n_objectives=1)
    for number in range(3):
        driven.tell(driven.trial(number, 0), (number / 10,))
    assert driven.asked() == (0, 1)
    driven.tell(driven.trial(50, 2), (0.7,))
    assert driven.incumbents() == [50]
    rungs = [driven.asked()[1] for _ in range(13)]  # four have started: three below, one on top
    assert [rungs.count(rung) for rung in range(3)] == [6, 5, 2]


def test_a_promotion_that_was_told_and_never_asked_is_not_made_again() -> None:
    driven = Driven(configurations=CONFIGURATIONS[100:], n_objectives=1)
    for number in range(5):
        driven.tell(driven.trial(number, 0), (number / 10,))
    driven.tell(driven.trial(0, 1), (0.05,))
    asked = [driven.asked() for _ in range(5)]
    assert (0, 1) not in asked
    driven.tell(driven.trial(5, 0), (0.5,))
    assert driven.asked() == (1, 1)


def rows(history: RunHistory) -> list[tuple[int, float | None, StatusType]]:
    return [(key.config_id, key.budget, value.status) for key, value in history.items()]


def saved_and_loaded(history: RunHistory, folder: Path) -> RunHistory:
    history.save(folder / "history.json")
    loaded = RunHistory(n_objectives=1)
    loaded.load(folder / "history.json", SPACE)
    return loaded


def searched(n: int, seed: int, width: int) -> Driven:
    """A search with one objective that was left with trials in flight."""
    driven, chance = Driven(n_objectives=1), random.Random(seed)
    waiting: list[TrialInfo] = []
    for _ in range(n):
        waiting.append(driven.ask())
        if len(waiting) >= width:
            info = waiting.pop(chance.randrange(len(waiting)))
            driven.tell(info, None if chance.random() < 0.15 else (chance.random(),))
    return driven


@pytest.mark.parametrize("seed", range(6))
def test_a_loaded_history_is_taken_over_and_what_was_running_is_handed_out_again(
    seed: int, tmp_path: Path
) -> None:
    before = searched(40, seed, 6)
    running = before.history.get_running_trials()
    again = Driven(n_objectives=1, history=saved_and_loaded(before.history, tmp_path))
    assert rows(again.history) == rows(before.history)
    handed_out = [again.ask() for _ in running]
    expected = [(number_of(info), info.budget) for info in running]
    assert sorted((number_of(info), info.budget) for info in handed_out) == sorted(expected)
    assert len(again.history) == len(before.history)
    for _ in range(20):
        one, other = before.ask(), again.ask()
        assert (number_of(one), one.budget) == (number_of(other), other.budget)
        cost = (0.001 + number_of(one) / 300,)
        before.tell(one, cost)
        again.tell(other, cost)


def test_forgetting_everything_begins_anew() -> None:
    driven = searched(20, 0, 3)
    driven.intensifier.reset()
    driven.history.reset()
    driven.intensifier.config_selector = CONFIGURATIONS  # type: ignore[assignment]
    fresh = Driven(n_objectives=1)
    assert [driven.asked() for _ in range(9)] == [fresh.asked() for _ in range(9)]
    assert driven.incumbents() == []


def best_at_the_top(
    told: Sequence[tuple[int, int, Costs]], limits: FloatArray | None
) -> set[tuple[float, ...]]:
    """By the definition: costs at the highest rung, within limits, that nobody dominates."""
    top = {number: costs for number, rung, costs in told if rung == 2 and costs is not None}
    kept = [
        costs
        for costs in top.values()
        if limits is None or all(c <= b for c, b in zip(costs, limits, strict=True))
    ]
    return {
        one
        for one in kept
        if not any(all(a <= b for a, b in zip(o, one, strict=True)) and o != one for o in kept)
    }


@st.composite
def results(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, Costs]], list[float] | None]:
    """Results with ties, at any rung, each trial once."""
    m = draw(st.integers(1, 3))
    costs = st.none() | st.tuples(*[st.integers(0, 4).map(lambda n: n / 4)] * m)
    trials = draw(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 2, 2, 2])), unique=True)
    )
    told = [(number, rung, draw(costs)) for number, rung in trials]
    bounds = st.lists(st.sampled_from([0.25, 0.5, math.inf]), min_size=m, max_size=m)
    return m, told, draw(st.none() | bounds)


@settings(max_examples=60)
@given(results())
def test_incumbents_are_the_front_at_the_highest_rung_within_limits(
    case: tuple[int, list[tuple[int, int, Costs]], list[float] | None],
) -> None:
    m, told, limits = case
    driven = Driven(n_objectives=m, limits=limits)
    by_number: dict[int, Costs] = {}
    for number, rung, costs in told:
        driven.tell(driven.trial(number, rung), costs)
        if rung == 2:
            by_number[number] = costs
    found = [by_number[number] for number in driven.incumbents()]
    expected = best_at_the_top(told, None if limits is None else np.array(limits))
    assert len(found) == len(set(found))
    assert set(found) == expected
    if m == 1:
        best = driven.intensifier.get_incumbent()
        assert (best is None) == (expected == set())


def test_of_equal_incumbents_the_first_stays() -> None:
    driven = Driven()
    for number in (7, 3, 9):
        driven.tell(driven.trial(number, 2), (0.5, 0.5))
    assert driven.incumbents() == [7]
    assert driven.intensifier.incumbents_changed == 1


def test_more_than_ten_incumbents_are_kept() -> None:
    driven = Driven()
    for number in range(25):
        driven.tell(driven.trial(number, 2), (number / 25, 1.0 - number / 25))
    assert sorted(driven.incumbents()) == list(range(25))
    assert len(driven.intensifier.trajectory) == 25


def test_its_arguments_are_listed() -> None:
    listed = Driven(limits=(0.5, math.inf)).intensifier.meta
    assert listed["name"] == "AsynchronousHyperband"
    assert (listed["eta"], listed["limits"]) == (3, [0.5, math.inf])
    assert Driven().intensifier.meta["limits"] is None
    driven = Driven()
    assert driven.intensifier.uses_budgets
    assert driven.intensifier.uses_seeds
    assert not driven.intensifier.uses_instances
    assert not driven.intensifier.uses_cutoffs
