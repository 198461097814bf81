"""Loaders against known figures of the data; skipped where the data are not at hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.problems.boxes import STORED, box_of
from benchmarks.problems.catalogue import PROBLEMS
from benchmarks.problems.problem import Box, Problem
from benchmarks.problems.vgg_table import VggTable
from results.pareto import non_dominated
from search_space.definition.space import plain
from tests.places import SHARED


def load(name: str) -> Problem:
    if not (SHARED / "bench").exists():
        pytest.skip("needs ../shared/bench, which is not in the repository")
    return PROBLEMS[name](SHARED)


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest) -> Problem:
    return load(request.param)


def random_costs(problem: Problem, n: int) -> np.ndarray:
    problem.space.seed(0)
    last = len(problem.rungs) - 1
    drawn = [plain(each) for each in problem.space.sample_configuration(n)]
    return np.array([list(problem.cost(each, last).values()) for each in drawn])


def test_a_share_is_of_the_fronts_own_volume() -> None:
    box = Box(ideal=(0.0, 10.0), nadir=(1.0, 20.0), volume=0.5)
    assert box.share(np.array([[0.6, 16.0], [2.0, 10.0]])) == pytest.approx(0.25 / 0.5)
    assert box.share(np.empty((0, 2))) == 0.0


def test_every_problem_has_a_box_and_no_box_is_left_over() -> None:
    assert list(json.loads(STORED.read_text())) == list(PROBLEMS)
    for name in PROBLEMS:
        box = box_of(name)
        assert all(low < high for low, high in zip(box.ideal, box.nadir, strict=True))


def test_costs_are_named_finite_and_the_same_each_time(problem: Problem) -> None:
    names = [each.name for each in problem.objectives]
    problem.space.seed(1)
    for drawn in problem.space.sample_configuration(20):
        for rung in range(len(problem.rungs)):
            costs = problem.cost(plain(drawn), rung)
            assert list(costs) == names
            assert np.isfinite(list(costs.values())).all()
            assert problem.cost(plain(drawn), rung) == costs


def test_costs_keep_within_the_objectives_bounds(problem: Problem) -> None:
    costs = random_costs(problem, 200)
    bounds = np.array([each.bound for each in problem.objectives])
    assert (costs >= -1e-6).all()
    assert (costs <= bounds + 1e-6).all()


@pytest.mark.parametrize(
    ("name", "rungs"),
    [
        ("fair_super-31", (1 / 9, 1 / 3, 1)),
        ("lcbench-189873", (6 / 52, 17 / 52, 1)),
        ("vgg_table", (1,)),
    ],
)
def test_rungs_are_fractions_of_a_full_evaluation(name: str, rungs: tuple[float, ...]) -> None:
    assert load(name).rungs == pytest.approx(rungs)


@pytest.mark.parametrize(
    ("name", "share"),
    [("fair_super-31", 0.62), ("fair_super-317599", 0.58)],
)
def test_random_search_reaches_the_known_share_after_100_evaluations(
    name: str, share: float
) -> None:
    problem = load(name)
    costs = random_costs(problem, 2000).reshape(20, 100, 2)
    found = [problem.box.share(each) for each in costs]
    assert np.mean(found) == pytest.approx(share, abs=0.05)


def test_the_exact_front_of_the_cells_has_all_of_its_volume() -> None:
    problem = load("nas_bench_201-cifar100")
    costs = np.array([list(each.values()) for each in problem.table.values()])  # type: ignore[attr-defined]
    assert len(costs) == 5**6
    assert non_dominated(costs).sum() == 31
    assert problem.box.share(costs) == pytest.approx(1)


def test_a_training_that_collapsed_is_no_compromise() -> None:
    problem = load("vgg_table")
    assert isinstance(problem, VggTable)
    collapsed = {
        "backbone": "twins_svt_large",
        "head": "CosFace",
        "optimizer": "SGD",
        "schedule": "cosine",
    }
    assert problem.cost(collapsed, 0) == {"error": 1.0, "rank_disparity": 399.0}
    best = {**collapsed, "backbone": "dpn107"}
    assert problem.cost(best, 0)["error"] == pytest.approx(0.02245098)
    assert len(problem.table) == 285
