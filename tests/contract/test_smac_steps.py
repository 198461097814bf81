"""No proposal of the model without the model: SMAC's public steps are taken for each of them.

The steps are counted where SMAC declares them, whatever parts a search has.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, get_args

import pytest
from ConfigSpace import Configuration
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.model.abstract_model import AbstractModel
from smac.model.gaussian_process import GaussianProcess

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.engine import Acquisition, EngineSettings, IntensifierName, Model
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac import parts
from frnas_search.optimizers.smac.encoder import AllRungsEncoder
from frnas_search.optimizers.smac.models import per_objective
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from frnas_search.optimizers.smac.past import Past
from frnas_search.optimizers.smac.selector import HistorySelector
from results.objectives import objective
from results.trial import ConfigurationKey, configuration_key
from search_space.definition.space import plain
from tests.smac_toy import LOWEST, toy_costs, toy_space

STEPS = ("transform", "train", "update", "maximize")
OBJECTIVES = [objective(name, n_identities=100) for name in ("error", "worst_group_error")]
RUNGS = Fidelity(min_epochs=3, max_epochs=27)


class Steps:
    """What was called, in order, and which configurations it gave."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[ConfigurationKey]]] = []
        self._inside = threading.local()

    def counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, whose calls from outside any other are noted; parts have parts inside."""

        @functools.wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(self._inside, "any", False):
                return method(*arguments, **options)
            self._inside.any = True
            try:
                found = method(*arguments, **options)
                given = list(found) if name == "maximize" else []
            finally:
                self._inside.any = False
            self.taken.append((name, [configuration_key(plain(each)) for each in given]))
            return iter(given) if name == "maximize" else found

        return call

    def sequences(self) -> list[list[tuple[str, list[ConfigurationKey]]]]:
        """Those that begin with an encoding of the history."""
        found: list[list[tuple[str, list[ConfigurationKey]]]] = []
        for step in self.taken:
            if step[0] == "transform":
                found.append([])
            assert found, f"{step[0]} before any history was encoded"
            found[-1].append(step)
        return found

    def without(self, proposals: list[Proposal]) -> list[Proposal]:
        """Those of the model for which not every step was taken, once and in this order."""
        of_the_model = [each for each in proposals if each.origin == "model"]
        left = self.sequences()
        missing = []
        for proposal in of_the_model:
            key = configuration_key(proposal.configuration)
            own = next((each for each in left if key in each[-1][1]), None)
            if own is None or tuple(name for name, _ in own) != STEPS:
                missing.append(proposal)
            else:
                left.remove(own)
        return missing


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    for owner, name in (
        (AllRungsEncoder, "transform"),
        (AbstractModel, "train"),
        (AbstractAcquisitionFunction, "update"),
        (AbstractAcquisitionMaximizer, "maximize"),
    ):
        monkeypatch.setattr(owner, name, found.counted(name, getattr(owner, name)))
    return found


def proposals_of(
    n: int, *, in_flight: int, engine: EngineSettings | None = None, **more: Any
) -> list[Proposal]:
    """Until there are so many of the model."""
    optimizer = SmacOptimizer(
        toy_space(),
        OBJECTIVES,
        RUNGS,
        seed=0,
        engine=engine or EngineSettings(n_initial=4),
        **more,
    )
    proposals: list[Proposal] = []
    waiting: list[Proposal] = []
    with closing(optimizer):
        while n_of_the_model(proposals) < n:
            proposal = optimizer.ask()
            assert proposal is not None
            proposals.append(proposal)
            waiting.append(proposal)
            if len(waiting) == in_flight:
                told = waiting.pop(0)
                optimizer.tell(told, costs_of(told) if len(proposals) % 7 else None)
            assert len(proposals) < 100
    return proposals


def costs_of(proposal: Proposal) -> dict[str, float]:
    configuration = Configuration(toy_space(), values=dict(proposal.configuration))
    error, time, _ = toy_costs(configuration, LOWEST * 3**proposal.rung).values()
    return {"error": min(1.0, error), "worst_group_error": min(1.0, time)}


def n_of_the_model(proposals: list[Proposal]) -> int:
    return sum(each.origin == "model" for each in proposals)


@pytest.mark.parametrize("in_flight", [1, 4, 20])
def test_every_proposal_of_the_model_has_its_own_steps(steps: Steps, in_flight: int) -> None:
    engine = EngineSettings(n_initial=4, random_share=0.2)
    proposals = proposals_of(25, in_flight=in_flight, engine=engine)
    assert {each.origin for each in proposals} == {"initial", "random", "model", "promoted"}
    assert len(proposals) >= 40
    assert steps.without(proposals) == []


ENGINES = [
    EngineSettings(model=model, acquisition=acquisition, intensifier=intensifier, n_initial=4)
    for model, acquisition, intensifier in itertools.product(
        get_args(Model), get_args(Acquisition), get_args(IntensifierName)
    )
]


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize(
    "engine", ENGINES, ids=lambda each: f"{each.model}-{each.acquisition}-{each.intensifier}"
)
def test_whatever_the_engine_is_made_of(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, engine: EngineSettings, in_flight: int
) -> None:
    # It optimises its kernel eleven times over, which is most of the time of these tests.
    once = functools.partial(GaussianProcess, n_restarts=0)
    monkeypatch.setattr(per_objective, "GaussianProcess", once)
    n = 2 if engine.model == "smac_gp" else 6
    proposals = proposals_of(n, in_flight=in_flight, engine=engine)
    assert steps.without(proposals) == []


@pytest.mark.parametrize("in_flight", [1, 4])
def test_limits_priors_and_wanted_configurations_change_nothing(
    steps: Steps, in_flight: int
) -> None:
    wanted = [{"kind": "wide", "width": 0.5, "rate": 0.01}]
    proposals = proposals_of(6, in_flight=in_flight, enqueued=wanted, max_costs={"error": 0.5})
    assert proposals[0].origin == "enqueued"
    assert steps.without(proposals) == []


class Bypassing(HistorySelector):
    """Draws, and says that the model did."""

    def _promising(self, past: Past, known: list[Configuration]) -> Configuration | None:
        found = self._drawn(past, known)
        if found is not None:
            found.origin = "model"
        return found


class Reusing(HistorySelector):
    """Takes two configurations of one training."""

    _second: Configuration | None = None

    def _promising(self, past: Past, known: list[Configuration]) -> Configuration | None:
        if self._second is not None and self._second not in known:
            return self._second
        first = super()._promising(past, known)
        maximizer = self._acquisition_maximizer
        if first is not None and maximizer is not None:
            self._second = next(iter(maximizer.maximize([*known, first], n_points=1)))
        return first


class Untrained(HistorySelector):
    """Trains every second time."""

    _was_trained = False

    def _promising(self, past: Past, known: list[Configuration]) -> Configuration | None:
        model = self._model
        if model is None or not self._was_trained:
            found = super()._promising(past, known)
            self._was_trained = found is not None
            return found
        self._was_trained = False
        trained, model.train = model.train, lambda *_: model
        try:
            return super()._promising(past, known)
        finally:
            model.train = trained


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("selector", [Bypassing, Reusing, Untrained])
def test_a_selector_that_leaves_steps_out_is_found(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, selector: type[HistorySelector], in_flight: int
) -> None:
    monkeypatch.setattr(parts, "HistorySelector", selector)
    proposals = proposals_of(8, in_flight=in_flight)
    assert len(steps.without(proposals)) >= 3


def test_the_steps_are_found_whatever_is_inside_them() -> None:
    steps = Steps()
    inner = steps.counted("train", lambda: None)
    steps.counted("transform", lambda: None)()
    steps.counted("train", inner)()
    assert [name for name, _ in steps.taken] == ["transform", "train"]
