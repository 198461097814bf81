from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any, get_args

import pytest

from frnas_search.config.run_config import SearchSection
from frnas_search.errors import RunFileError
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.random import RandomOptimizer
from frnas_search.optimizers.registry import Problem, Sampler, open_optimizer, sampler_faults
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.objectives import objective
from search_space.candidate import SpaceSettings
from search_space.definition.space import build_space, sample


@pytest.fixture
def problem() -> Problem:
    return Problem(
        space=build_space(SpaceSettings(), seed=0),
        objectives=[objective(name, n_identities=9) for name in ("error", "rank_disparity")],
        fidelity=Fidelity(min_epochs=1, max_epochs=9),
        seed=0,
        n_initial_configurations=3,
        accepts=lambda configuration: configuration["head"] == "CosFace",
    )


@pytest.mark.parametrize(
    ("sampler", "kind"), [("smac", SmacOptimizer), ("random", RandomOptimizer)]
)
def test_each_sampler_of_a_run_file_has_its_optimizer(
    problem: Problem, sampler: Sampler, kind: type
) -> None:
    with open_optimizer(sampler, problem) as optimizer:
        assert isinstance(optimizer, kind)
        proposal = optimizer.ask()
    assert proposal is not None
    assert proposal.configuration["head"] == "CosFace"


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_every_sampler_takes_largest_costs_and_smac_heeds_them(
    problem: Problem, sampler: Sampler
) -> None:
    limited = replace(problem, accepts=None, max_costs={"error": 0.5})
    with open_optimizer(sampler, limited) as optimizer:
        asked = [optimizer.ask() for _ in range(9)]
        for number, proposal in enumerate(asked):
            assert proposal is not None
            within = number == 4
            costs = {"error": 0.4 if within else 0.6, "rank_disparity": 7.0 if within else 1.0}
            optimizer.tell(proposal, costs)
        following = optimizer.ask()
    assert following is not None
    if sampler == "smac":
        started = [each for each in asked if each is not None and each.rung == 0]
        assert asked[4] in started
        assert (following.configuration, following.rung) == (asked[4].configuration, 1)


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_optunas_samplers_are_opened_where_it_is_installed(
    problem: Problem, sampler: Sampler
) -> None:
    assert sampler_faults(sampler) == []
    with open_optimizer(sampler, problem) as optimizer:
        assert optimizer.ask() is not None


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_without_optuna_the_fault_names_the_extra(
    problem: Problem, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "optuna" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with (
        pytest.raises(RunFileError, match=rf"{sampler} needs Optuna.*pip install 'frnas\[optuna"),
        open_optimizer(sampler, problem),
    ):
        pass


def test_smac_is_the_default_and_needs_nothing() -> None:
    assert sampler_faults(SearchSection().sampler) == sampler_faults("random") == []
    assert SearchSection().sampler == "smac"


def test_a_problem_names_the_engines_parts_and_the_initial_configurations_of_all(
    problem: Problem,
) -> None:
    named = replace(problem, engine=EngineSettings(n_initial=99, model="forest"))
    with open_optimizer("smac", named) as optimizer:
        assert isinstance(optimizer, SmacOptimizer)
        assert isinstance(optimizer._facade._model, RungForest)
        assert len(optimizer._selector._initial_design_configs) == 3


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_samplers_say_why_they_propose(problem: Problem, sampler: Sampler) -> None:
    wanted = sample(SpaceSettings(), 1, seed=0)
    with open_optimizer(sampler, replace(problem, accepts=None, enqueued=wanted)) as optimizer:
        origins = []
        for number in range(53):  # NSGA-II begins with fifty
            proposal = optimizer.ask()
            assert proposal is not None
            origins.append(proposal.origin)
            optimizer.tell(proposal, {"error": 0.01 * number, "rank_disparity": 1.0})
    assert origins[:3] == ["enqueued", "random", "random"]
    assert origins[-1] == ("random" if sampler == "random" else "model")
