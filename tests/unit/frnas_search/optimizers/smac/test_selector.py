from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration
from smac import Callback
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.initial_design import AbstractInitialDesign
from smac.model.abstract_model import AbstractModel
from smac.multi_objective import AbstractMultiObjectiveAlgorithm
from smac.random_design.abstract_random_design import AbstractRandomDesign
from smac.runhistory import TrialInfo
from smac.runhistory.encoder import AbstractRunHistoryEncoder, RunHistoryEncoder
from smac.runhistory.runhistory import RunHistory
from threadpoolctl import threadpool_info

from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, keys, vectors_of
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.evidence import Evidence
from frnas_search.optimizers.smac.selector import HistorySelector
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import (
    Accepts,
    Make,
    add,
    by_x,
    scenario_of,
    square,
)

SPACE = square()
DRAWS = [Configuration(SPACE, values={"x": n / 50, "y": 0.25}) for n in range(50)]


@dataclass
class Log:
    """What is called of the parts, in its order."""

    calls: list[str] = field(default_factory=list)
    told: list[Evidence] = field(default_factory=list)


class Encoder(AllRungsEncoder):
    """Ours, which keeps its calls."""

    def __init__(self, log: Log, n_objectives: int) -> None:
        super().__init__(scenario_of(SPACE, n_objectives=n_objectives))
        self.log = log

    def transform(self, budget_subset: list[Any] | None = None) -> tuple[FloatArray, FloatArray]:
        self.log.calls.append("transform")
        return super().transform(budget_subset)


class Algorithm(AbstractMultiObjectiveAlgorithm):  # type: ignore[misc]
    def __init__(self, log: Log) -> None:
        self.log = log

    def update_on_iteration_start(self) -> None:
        self.log.calls.append("weights")

    def __call__(self, values: list[float]) -> float:
        raise AssertionError


class Model(AbstractModel):  # type: ignore[misc]
    """Expects the first number as every cost."""

    def __init__(self, log: Log, n_objectives: int) -> None:
        super().__init__(SPACE, instance_features={"rung": [1.0]}, pca_components=None)
        self.log, self.n_objectives = log, n_objectives

    def inform(self, evidence: Evidence) -> None:
        self.log.told.append(evidence)

    def _train(self, X: FloatArray, Y: FloatArray) -> Model:  # noqa: N803 - SMAC's names
        self.log.calls.append(f"train {len(X)}")
        return self

    def predict_marginalized(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:  # noqa: N803
        means = np.repeat(X[:, :1], self.n_objectives, axis=1)
        return means, np.ones_like(means)


class Function(AbstractAcquisitionFunction):  # type: ignore[misc]
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log
        self.told: dict[str, Any] = {}

    def _update(self, **kwargs: Any) -> None:
        self.log.calls.append("update")
        self.told = kwargs


class Maximizer(AbstractAcquisitionMaximizer):  # type: ignore[misc]
    """The next one of a list that was not proposed before."""

    def __init__(self, log: Log, *, finds: bool = True) -> None:
        super().__init__(SPACE, None, 4, 0)
        self.log, self.finds = log, finds

    def _maximize(
        self, previous_configs: list[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        self.log.calls.append(f"maximize {len(previous_configs)}")
        new = [each for each in DRAWS if each not in previous_configs]
        return [(0.0, each) for each in new[:n_points]] if self.finds else []


class Chance(AbstractRandomDesign):  # type: ignore[misc]
    def __init__(self, log: Log, *, is_random: bool = False) -> None:
        super().__init__()
        self.log, self.is_random = log, is_random

    def check(self, iteration: int) -> bool:
        self.log.calls.append(f"check {iteration}")
        return self.is_random


class Initial(AbstractInitialDesign):  # type: ignore[misc]
    def __init__(self, configurations: list[Configuration]) -> None:
        super().__init__(scenario_of(SPACE), n_configs=0)
        self.configurations = configurations

    def select_configurations(self) -> list[Configuration]:
        return self.configurations


@dataclass
class Bench:
    """A selector among parts that keep what is called."""

    n_objectives: int = 2
    n_initial: int = 0
    finds: bool = True
    is_random: bool = False
    accepts: Accepts | None = None
    encoder: AbstractRunHistoryEncoder | None = None
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        self.history = RunHistory(n_objectives=self.n_objectives)
        self.function = Function(self.log)
        self.initial = [Configuration(SPACE, values={"x": n / 9, "y": 0.75}) for n in range(9)]
        encoder = self.encoder or Encoder(self.log, self.n_objectives)
        encoder.multi_objective_algorithm = Algorithm(self.log)
        encoder.runhistory = self.history
        self.selector = HistorySelector(
            scenario_of(SPACE, n_objectives=self.n_objectives),
            candidates=Candidates(VectorSpace(SPACE), self.accepts),
        )
        maximizer = Maximizer(self.log, finds=self.finds)
        maximizer.acquisition_function = self.function
        self.selector._set_components(
            initial_design=Initial(self.initial[: self.n_initial]),
            runhistory=self.history,
            runhistory_encoder=encoder,
            model=Model(self.log, self.n_objectives),
            acquisition_maximizer=maximizer,
            acquisition_function=self.function,
            random_design=Chance(self.log, is_random=self.is_random),
        )

    def trained(self, n: int) -> Bench:
        """With so many results before."""
        for number in range(n):
            costs = [number / 9] * self.n_objectives
            add(self.history, DRAWS[number], costs if self.n_objectives > 1 else costs[0])
        return self

    def next(self) -> Configuration:
        return next(self.selector)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def bench() -> Iterator[type[Bench]]:
    made: list[Bench] = []

    class Closed(Bench):
        def __post_init__(self) -> None:
            super().__post_init__()
            made.append(self)

    yield Closed
    for each in made:
        each.selector.close()


ORDER = ["weights", "transform", "check 4", "train 4", "update", "maximize 4"]


def test_a_proposal_is_encoded_then_trained_updated_and_maximised(bench: type[Bench]) -> None:
    made = bench().trained(4)
    assert made.next() == DRAWS[4]
    assert made.log.calls == ORDER


def test_each_proposal_is_made_anew(bench: type[Bench]) -> None:
    made = bench().trained(4)
    made.next()
    made.trained(5)
    made.log.calls.clear()
    made.next()
    assert made.log.calls == [each.replace("4", "5") for each in ORDER]


def test_the_parts_are_told_the_evidence_before_they_are_used(bench: type[Bench]) -> None:
    made = bench().trained(4)
    made.history.add_running_trial(TrialInfo(DRAWS[30], seed=0))
    made.next()
    evidence = made.log.told[-1]
    assert evidence.number == 5
    assert evidence.vectors.tolist() == vectors_of(DRAWS[:4], 2).tolist()
    assert evidence.pending.tolist() == vectors_of(DRAWS[30:31], 2).tolist()


def test_the_function_is_told_the_configurations_and_what_is_known(bench: type[Bench]) -> None:
    made = bench().trained(4)
    made.next()
    told = made.function.told
    assert told["X"].tolist() == vectors_of(DRAWS[:4], 2).tolist()
    assert told["num_data"] == 4
    assert (told["eta"], told["incumbent_array"]) == (None, None)


def test_with_one_cost_the_function_is_told_the_best_that_is_expected(bench: type[Bench]) -> None:
    made = bench(n_objectives=1).trained(4)
    made.next()
    told = made.function.told
    expected = vectors_of(DRAWS[:4], 2)[:, 0]
    assert told["eta"] == pytest.approx(expected.min())
    assert told["incumbent_array"].tolist() == vectors_of(DRAWS[:4], 2)[expected.argmin()].tolist()


def test_before_three_results_proposals_are_drawn(bench: type[Bench]) -> None:
    made = bench().trained(2)
    drawn = made.next()
    assert drawn.origin == "random"
    assert made.log.calls == ["weights", "transform"]


@pytest.mark.parametrize("options", [{"is_random": True}, {"finds": False}])
def test_at_random_and_when_nothing_is_found_proposals_are_drawn(
    bench: type[Bench], options: dict[str, bool]
) -> None:
    made = bench(**options).trained(4)
    first = made.next()
    assert first.origin == "random"
    assert first not in DRAWS[:4]
    assert ("train 4" in made.log.calls) == ("finds" in options)


def test_draws_are_those_of_the_number_of_the_proposal(bench: type[Bench]) -> None:
    one, other, later = (bench(is_random=True).trained(n) for n in (4, 4, 5))
    first = dict(one.next())
    assert first == dict(other.next())
    assert first != dict(later.next())


def test_the_initial_design_comes_first_whatever_is_known(bench: type[Bench]) -> None:
    made = bench(n_initial=3)
    found = []
    for number in range(3):
        found.append(made.next())
        add(made.history, found[-1], [number / 3, 0.5])
    assert found == made.initial[:3]
    assert made.log.calls == []
    assert made.next() == DRAWS[0]


def test_what_was_told_before_does_not_come_again(bench: type[Bench]) -> None:
    made = bench(n_initial=3)
    add(made.history, made.initial[1], [0.5, 0.5])
    assert made.next() == made.initial[0]


def test_nothing_is_left_when_nothing_is_accepted(bench: type[Bench]) -> None:
    made = bench(finds=False, accepts=lambda _: False).trained(4)
    for _ in range(2):
        with pytest.raises(StopIteration):
            made.next()


def test_one_that_takes_many_in_a_row_gets_distinct_ones(bench: type[Bench]) -> None:
    """As SMAC's Hyperband takes a bracket before any of it is trained."""
    for options in ({}, {"is_random": True}, {"n_initial": 5}):
        made = bench(**options).trained(4)
        found = [made.next() for _ in range(12)]
        assert len({*keys(vectors_of(found, 2))}) == 12
        assert not set(found) & set(DRAWS[:4])


def test_what_was_handed_out_and_is_not_trained_yet_is_pending(bench: type[Bench]) -> None:
    made = bench().trained(4)
    handed_out = [made.next() for _ in range(3)]
    made.next()
    assert made.log.told[-1].pending.tolist() == vectors_of(handed_out, 2).tolist()
    add(made.history, handed_out[0], [0.5, 0.5])
    made.next()
    assert len(made.log.told[-1].pending) == 3


class _Heard(Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_next_configurations_start(self, config_selector: Any) -> None:
        self.heard.append("start")

    def on_next_configurations_end(self, config_selector: Any, config: Configuration) -> None:
        self.heard.append(config)


def test_callbacks_of_selectors_are_called(bench: type[Bench]) -> None:
    made, callback = bench().trained(4), _Heard()
    made.selector._callbacks.append(callback)
    first = made.next()
    assert callback.heard == ["start", first]


def test_the_model_is_trained_on_one_thread_of_blas(bench: type[Bench]) -> None:
    threads: list[int] = []

    class Watching(Function):
        def _update(self, **kwargs: Any) -> None:
            threads.extend(each["num_threads"] for each in threadpool_info())

    made = bench().trained(4)
    made.selector._acquisition_function = Watching(made.log)
    made.next()
    assert set(threads) <= {1}


def names(made: Any) -> list[bytes]:
    return keys(made.vectors())


@pytest.mark.parametrize("width", [1, 2, 12])
@pytest.mark.parametrize("n_before", [9, 14])
def test_what_is_made_ahead_of_need_is_made_again_in_a_replay(
    searches: Make, width: int, n_before: int
) -> None:
    """Where asked is what the log holds instead of what the selector makes."""
    engine = EngineSettings(n_initial=6, n_trees=3, model="forest")
    search, again = searches(engine), searches(engine)
    log: list[TrialInfo | tuple[TrialInfo, tuple[float, float]]] = []
    waiting: list[TrialInfo] = []
    for number in range(20):
        info = search.ask()
        assert info is not None
        log.append(info)
        waiting.append(info)
        while len(waiting) >= width:
            ended = waiting.pop(number % len(waiting))
            search.tell(ended, by_x(dict(ended.config)))
            log.append((ended, by_x(dict(ended.config))))
    for event in log[:n_before]:
        if isinstance(event, TrialInfo):
            again.facade.intensifier.take(event.config, 0)
            again.history.add_running_trial(event)
            again.selector.asked(event.config)
        else:
            again.tell(*event)
    for event in log[n_before:]:
        if isinstance(event, TrialInfo):
            made = again.ask()
            assert made is not None
            assert dict(made.config) == dict(event.config)
        else:
            again.tell(*event)


def test_with_an_encoder_of_smacs_nothing_is_made_ahead(bench: type[Bench]) -> None:
    made = bench(encoder=RunHistoryEncoder(scenario_of(SPACE, n_objectives=1)), n_objectives=1)
    made.trained(4)
    for each in DRAWS[20:45]:
        made.history.add_running_trial(TrialInfo(each, seed=0))
        made.selector.asked(each)
    assert len(made.selector._queue._queue) == 0
