"""A small space with everything in it, and searches of it that are asked and told by hand."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import Scenario
from smac.runhistory import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, vectors_of
from frnas_search.optimizers.smac.encoder import Observations
from frnas_search.optimizers.smac.evidence import Evidence
from frnas_search.optimizers.smac.facade import FrontFacade
from frnas_search.optimizers.smac.parts import Setting, facade_of
from frnas_search.optimizers.smac.selector import HistorySelector
from results.pareto import FloatArray

Costs = tuple[float, ...] | None
Objective = Callable[[Mapping[str, Any]], Costs]
Accepts = Callable[[Mapping[str, Any]], bool]

NAMES = ("error", "disparity", "size")


def small_space() -> ConfigurationSpace:
    """A choice with what it decides, numbers, a constant and a forbidden pair."""
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b", "c"], default_value="a")
    x = UniformFloatHyperparameter("x", 0.0, 1.0)
    y = UniformFloatHyperparameter("y", 0.0, 1.0)
    n = UniformIntegerHyperparameter("n", 1, 8)
    space.add(kind, x, y, n, Constant("fixed", "one"))
    space.add(EqualsCondition(y, kind, "a"))
    space.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "b"), ForbiddenEqualsClause(n, 8))
    )
    return space


def square() -> ConfigurationSpace:
    """Two numbers."""
    space = ConfigurationSpace(seed=0)
    space.add(*(UniformFloatHyperparameter(name, 0.0, 1.0) for name in ("x", "y")))
    return space


def tiny_space() -> ConfigurationSpace:
    """Five configurations."""
    space = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"], default_value="x")
    n = UniformIntegerHyperparameter("n", 1, 3)
    space.add(a, n, Constant("fixed", 5))
    space.add(EqualsCondition(n, a, "x"))
    return space


def by_x(values: Mapping[str, Any]) -> tuple[float, float]:
    """Two costs whose front is x between 0.2 and 0.4, for one kind and one number alone."""
    away = (
        (values["kind"] != "a") * 0.2 + abs(values["n"] - 4) * 0.05 + abs(values.get("y", 1) - 0.7)
    )
    return (
        min(1.0, abs(values["x"] - 0.2) + 0.3 * away),
        min(1.0, abs(values["x"] - 0.4) + 0.3 * away),
    )


def scenario_of(
    space: ConfigurationSpace,
    *,
    n_objectives: int = 2,
    budgets: tuple[float, float] | None = None,
    seed: int = 0,
    folder: Path | None = None,
) -> Scenario:
    """A scenario; a facade of it writes, so that one needs a folder."""
    low, high = budgets or (None, None)
    return Scenario(
        space,
        name="test",
        output_directory=folder or Path(tempfile.gettempdir()) / "frnas-never-written",
        objectives=list(NAMES[:n_objectives]) if n_objectives > 1 else NAMES[0],
        crash_cost=[1.0] * n_objectives if n_objectives > 1 else 1.0,
        deterministic=True,
        min_budget=low,
        max_budget=high,
        n_trials=10**6,
        seed=seed,
    )


def evidence_of(
    vectors: FloatArray,
    measured: FloatArray,
    *,
    number: int | None = None,
    pending: FloatArray | None = None,
) -> Evidence:
    """What is known after so many proposals, all of them with a result."""
    return Evidence(
        number=len(vectors) if number is None else number,
        vectors=vectors,
        measured=measured,
        pending=np.empty((0, vectors.shape[1])) if pending is None else pending,
    )


def add(
    history: RunHistory,
    configuration: Configuration,
    cost: Sequence[float] | float | None,
    *,
    budget: float | None = None,
    status: StatusType | None = None,
) -> None:
    """One row of a run history; None is a failure."""
    if status is None:
        status = StatusType.CRASHED if cost is None else StatusType.SUCCESS
    told: Any = 1.0 if cost is None else cost
    if cost is None and history._n_objectives > 1:
        told = [1.0] * history._n_objectives
    history.add(configuration, told, status=status, seed=0, budget=budget, force_update=True)


@dataclass
class Asked:
    """A facade that is asked and told one after the other."""

    facade: FrontFacade
    n_objectives: int
    folder: tempfile.TemporaryDirectory[str]
    proposed: list[Configuration] = field(default_factory=list)
    infos: list[TrialInfo] = field(default_factory=list)

    @property
    def history(self) -> RunHistory:
        return self.facade.runhistory

    @property
    def selector(self) -> HistorySelector:
        assert isinstance(self.facade.selector, HistorySelector)
        return self.facade.selector

    def ask(self) -> TrialInfo | None:
        try:
            info = self.facade.ask()
        except StopIteration:
            return None
        self.infos.append(info)
        self.proposed.append(info.config)
        return info

    def tell(self, info: TrialInfo, costs: Costs) -> None:
        if costs is None:
            value = TrialValue(
                cost=self._told((1.0,) * self.n_objectives), status=StatusType.CRASHED
            )
        else:
            value = TrialValue(cost=self._told(costs), status=StatusType.SUCCESS)
        self.facade.tell(info, value, save=False)

    def search(self, n: int, costs: Objective) -> list[Configuration]:
        """At most `n` proposals, each told before the next; those of this call."""
        before = len(self.proposed)
        for _ in range(n):
            info = self.ask()
            if info is None:
                break
            self.tell(info, costs(dict(info.config)))
        return self.proposed[before:]

    def next(self) -> Configuration | None:
        """What would be proposed as new now, made where all are; changes nothing."""
        selector = self.selector
        thread = selector._queue._started()
        return thread.submit(selector._propose, selector._now()).result()

    def close(self) -> None:
        self.facade.close()
        self.folder.cleanup()

    def vectors(self) -> FloatArray:
        return vectors_of(self.proposed, len(self.facade.scenario.configspace))

    def _told(self, costs: tuple[float, ...]) -> Any:
        return list(costs) if self.n_objectives > 1 else costs[0]


def search_of(
    engine: EngineSettings | None = None,
    space: ConfigurationSpace | None = None,
    *,
    vectors: VectorSpace | None = None,
    n_objectives: int = 2,
    budgets: tuple[float, float] | None = None,
    seed: int = 0,
    limits: Sequence[float] | None = None,
    enqueued: Sequence[Configuration] = (),
    earlier: Observations | None = None,
    accepts: Accepts | None = None,
) -> Asked:
    """A search with the parts that are named, of one rung where there are no budgets."""
    space = vectors.space if vectors is not None else space or small_space()
    folder = tempfile.TemporaryDirectory(prefix="frnas-test-")
    setting = Setting(
        scenario=scenario_of(
            space,
            n_objectives=n_objectives,
            budgets=budgets or (5.0, 9.0),
            seed=seed,
            folder=Path(folder.name),
        ),
        engine=engine or EngineSettings(n_initial=6, n_trees=5),
        candidates=Candidates(vectors or VectorSpace(space), accepts),
        eta=3,
        limits=np.array(limits if limits is not None else [math.inf] * n_objectives),
        enqueued=enqueued,
        earlier=earlier,
    )
    return Asked(facade_of(setting), n_objectives, folder)


Make = Callable[..., Asked]


@pytest.fixture
def searches() -> Iterator[Make]:
    """Makes searches as `search_of` does, and closes them."""
    made: list[Asked] = []

    def make(*arguments: Any, **options: Any) -> Asked:
        made.append(search_of(*arguments, **options))
        return made[-1]

    yield make
    for search in made:
        search.close()
