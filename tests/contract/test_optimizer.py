"""What every optimizer keeps, whichever sampler it is."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    LessThanCondition,
    NormalFloatHyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from ConfigSpace import Configuration as SpaceConfiguration

from frnas_search.coordinator.optimizer import Optimizer, Proposal, why_nothing
from frnas_search.errors import ReplayError
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.random import RandomOptimizer
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.objectives import Objective, objective
from search_space.candidate import SpaceSettings, Value
from search_space.definition.decode import decode
from search_space.definition.space import build_space, sample
from tests.fakes import PromotingOptimizer, ScriptedOptimizer

FIDELITY = Fidelity(min_epochs=3, max_epochs=27)
SPACE = SpaceSettings(preset="joint", families={"small": ("resnet10t", "resnet18")})
COSTS = {"error": 0.5, "rank_disparity": 3.0}

# Choices of `search.engine` besides the default ones.
ENGINES: dict[str, dict[str, Any]] = {
    "smac_forest, parego_ei": {"model": "smac_forest", "acquisition": "parego_ei"},
    "hyperband": {"intensifier": "hyperband"},
}

Make: TypeAlias = Callable[..., Optimizer]


def objectives_of(names: Iterable[str]) -> list[Objective]:
    return [objective(name, n_identities=100) for name in names]


def smac(
    space: ConfigurationSpace, seed: int, *, names: Iterable[str] = COSTS, **options: Any
) -> Optimizer:
    common = {"engine": EngineSettings(n_initial=5), **options}
    return SmacOptimizer(space, objectives_of(names), FIDELITY, seed=seed, **common)


def engine(**parts: Any) -> Make:
    def made(
        space: ConfigurationSpace, seed: int, *, names: Iterable[str] = COSTS, **options: Any
    ) -> Optimizer:
        return smac(
            space, seed, names=names, engine=EngineSettings(n_initial=5, **parts), **options
        )

    return made


def at_random(
    space: ConfigurationSpace, seed: int, *, names: Iterable[str] = COSTS, **options: Any
) -> Optimizer:
    return RandomOptimizer(space, FIDELITY, seed=seed, **options)


def by_optuna(kind: str) -> Make:
    def made(
        space: ConfigurationSpace, seed: int, *, names: Iterable[str] = COSTS, **options: Any
    ) -> Optimizer:
        from frnas_search.optimizers.optuna import OptunaOptimizer

        common = {"kind": kind, "n_initial_configurations": 5, "population": 6, **options}
        return OptunaOptimizer(space, objectives_of(names), FIDELITY, seed=seed, **common)

    return made


def promoting(space: ConfigurationSpace, seed: int) -> Optimizer:
    return PromotingOptimizer(space, n_rungs=FIDELITY.n_rungs, seed=seed)


MAKERS: dict[str, Make] = {
    "smac": smac,
    **{f"smac {words}": engine(**parts) for words, parts in ENGINES.items()},
    "random": at_random,
    "nsga2": by_optuna("nsga2"),
    "tpe": by_optuna("tpe"),
    "promoting": promoting,
}
# Optimizers of a run file; the last one is for tests.
SHIPPED = ("smac", "random", "nsga2", "tpe")
# Optimizers that are restored without computing anything again.
REPLAYABLE = ("smac", "random", "nsga2", "tpe")
# Optimizers that propose all that a small space holds.
THOROUGH = (*REPLAYABLE, "promoting")
# Optimizers whose highest rung is the only one.
ONE_RUNG = ("random", "nsga2", "tpe")


@pytest.fixture(params=list(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(space: ConfigurationSpace, seed: int, **options: Any) -> Optimizer:
            optimizer = MAKERS[name](space, seed, **options)
            stack.callback(getattr(optimizer, "close", lambda: None))
            return optimizer

        yield made


@pytest.fixture
def optimizer(make: Make) -> Optimizer:
    return make(build_space(SPACE, seed=0), 0)


def asked(optimizer: Optimizer) -> Proposal:
    proposal = optimizer.ask()
    assert proposal is not None
    return proposal


def some_costs(chance: random.Random) -> dict[str, float] | None:
    if chance.random() < 0.2:
        return None
    return {"error": chance.random(), "rank_disparity": 99 * chance.random()}


def course(optimizer: Optimizer, *, n_asked: int, in_flight: int) -> list[Proposal]:
    """Proposals with several in flight, results in another order, and failures among them."""
    chance = random.Random(7)
    proposals: list[Proposal] = []
    waiting: list[Proposal] = []
    for _ in range(n_asked):
        proposals.append(asked(optimizer))
        waiting.append(proposals[-1])
        if len(waiting) == in_flight:
            optimizer.tell(waiting.pop(chance.randrange(in_flight)), some_costs(chance))
    return proposals


ASKED: dict[str, float] = {}
Events: TypeAlias = list[tuple[Proposal, dict[str, float] | None]]


def history(optimizer: Optimizer, *, n_events: int) -> Events:
    """Proposals, each with `ASKED`, among results, at random and up to six in flight."""
    chance = random.Random(11)
    events: Events = []
    waiting: list[Proposal] = []
    while len(events) < n_events:
        if not waiting or (len(waiting) < 6 and chance.random() < 0.5):
            waiting.append(asked(optimizer))
            events.append((waiting[-1], ASKED))
        else:
            proposal = waiting.pop(chance.randrange(len(waiting)))
            events.append((proposal, some_costs(chance)))
            optimizer.tell(*events[-1])
    return events


def replay_events(optimizer: Optimizer, events: Events) -> None:
    """By way of JSON, as a log is."""
    for proposal, costs in events:
        stored = json.loads(json.dumps(dict(proposal.configuration)))
        again = Proposal(configuration=stored, rung=proposal.rung)
        if costs is ASKED:
            optimizer.restore(again)
        else:
            optimizer.tell(again, costs)


def tiny_space() -> ConfigurationSpace:
    space = ConfigurationSpace(name="tiny", seed=0)
    space.add(CategoricalHyperparameter("head", choices=["CosFace", "ArcFace"]))
    return space


def intricate_space() -> ConfigurationSpace:
    """Every kind of hyperparameter, conditions on conditions, and forbidden pairs."""
    space = ConfigurationSpace(name="intricate", seed=0)
    head = CategoricalHyperparameter("head", ["CosFace", "ArcFace"])
    size = OrdinalHyperparameter("size", ["small", "medium", "large"])
    depth = UniformIntegerHyperparameter("depth", 1, 64, log=True)
    rate = UniformFloatHyperparameter("rate", 1e-4, 1.0, log=True)
    decay = UniformFloatHyperparameter("decay", 0.0, 0.5)
    width = UniformIntegerHyperparameter("width", 2, 9)
    space.add(head, size, depth, rate, decay, width, Constant("source", "joint"))
    space.add(
        NormalFloatHyperparameter("scale", 20.0, 5.0, 10.0, 40.0),
        EqualsCondition(rate, head, "CosFace"),
        GreaterThanCondition(width, size, "small"),
        AndConjunction(
            EqualsCondition(decay, head, "CosFace"), LessThanCondition(decay, rate, 0.1)
        ),
        ForbiddenAndConjunction(
            ForbiddenEqualsClause(head, "ArcFace"), ForbiddenEqualsClause(size, "large")
        ),
    )
    return space


def in_json(proposals: list[Proposal]) -> str:
    return json.dumps([[dict(each.configuration), each.rung] for each in proposals])


def test_proposals_name_networks_and_rungs(optimizer: Optimizer) -> None:
    proposals = course(optimizer, n_asked=20, in_flight=3)
    for proposal in proposals:
        decode(proposal.configuration, SPACE)
    assert {proposal.rung for proposal in proposals} <= set(range(FIDELITY.n_rungs))


@pytest.mark.parametrize("name", sorted(set(MAKERS) - set(ONE_RUNG)), indirect=True)
def test_the_first_proposal_is_of_the_cheapest_rung(optimizer: Optimizer) -> None:
    assert asked(optimizer).rung == 0


@pytest.mark.parametrize("name", ONE_RUNG, indirect=True)
def test_an_optimizer_without_rungs_proposes_the_highest(optimizer: Optimizer) -> None:
    proposals = course(optimizer, n_asked=12, in_flight=2)
    assert {proposal.rung for proposal in proposals} == {FIDELITY.n_rungs - 1}


def test_proposals_are_plain_json_values(optimizer: Optimizer) -> None:
    for proposal in course(optimizer, n_asked=12, in_flight=2):
        assert {type(value) for value in proposal.configuration.values()} <= {str, int, float}
        assert json.loads(json.dumps(dict(proposal.configuration))) == proposal.configuration


def test_nothing_is_proposed_twice_at_a_rung(optimizer: Optimizer) -> None:
    keys = [in_json([each]) for each in course(optimizer, n_asked=22, in_flight=4)]
    assert len(set(keys)) == len(keys)


def test_the_same_calls_give_the_same_proposals(make: Make) -> None:
    first, second = (
        course(make(build_space(SPACE, seed=0), 3), n_asked=20, in_flight=4) for _ in range(2)
    )
    assert first == second


def test_another_seed_gives_other_proposals(make: Make) -> None:
    first, second = (
        course(make(build_space(SPACE, seed=0), seed), n_asked=5, in_flight=6) for seed in (0, 1)
    )
    assert first != second


def test_the_seed_of_the_space_does_not_matter(make: Make) -> None:
    first, second = (
        course(make(build_space(SPACE, seed=seed), 0), n_asked=5, in_flight=6) for seed in (0, 1)
    )
    assert first == second


def test_the_same_calls_give_the_same_proposals_in_a_process_with_another_hash_seed(
    name: str, make: Make
) -> None:
    here = course(make(build_space(SPACE, seed=0), 0), n_asked=20, in_flight=4)
    program = (
        "import runpy, sys\n"
        "test = runpy.run_path(sys.argv[1])\n"
        "space = test['build_space'](test['SPACE'], seed=0)\n"
        "optimizer = test['MAKERS'][sys.argv[2]](space, 0)\n"
        "print(test['in_json'](test['course'](optimizer, n_asked=20, in_flight=4)))\n"
        "getattr(optimizer, 'close', lambda: None)()\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, __file__, name],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1234"},
    )
    assert there.stdout.strip() == in_json(here)


def test_a_proposal_that_was_never_made_cannot_be_told(optimizer: Optimizer) -> None:
    proposal = asked(optimizer)
    higher = Proposal(configuration=proposal.configuration, rung=proposal.rung + 1)
    other = Proposal(configuration={"edge1": "0"}, rung=0)
    for unknown in (higher, other):
        with pytest.raises(KeyError):
            optimizer.tell(unknown, COSTS)
    optimizer.tell(proposal, COSTS)


@pytest.mark.parametrize("costs", [COSTS, None])
def test_a_proposal_cannot_be_told_twice(
    optimizer: Optimizer, costs: dict[str, float] | None
) -> None:
    proposal = asked(optimizer)
    optimizer.tell(proposal, costs)
    with pytest.raises(KeyError):
        optimizer.tell(proposal, costs)


def test_an_equal_proposal_of_ones_own_making_can_be_told(optimizer: Optimizer) -> None:
    proposal = asked(optimizer)
    stored = json.loads(json.dumps(dict(sorted(proposal.configuration.items(), reverse=True))))
    optimizer.tell(Proposal(configuration=stored, rung=proposal.rung), COSTS)


def test_it_goes_on_when_every_trial_fails(optimizer: Optimizer) -> None:
    for _ in range(25):
        optimizer.tell(asked(optimizer), None)


def test_it_goes_on_when_every_trial_costs_the_same(optimizer: Optimizer) -> None:
    for _ in range(25):
        optimizer.tell(asked(optimizer), COSTS)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_costs_may_lie_at_their_bounds(optimizer: Optimizer, share: float) -> None:
    for index in range(20):
        costs = {"error": share, "rank_disparity": 99.0 * share} if index % 2 else COSTS
        optimizer.tell(asked(optimizer), costs)


def test_many_can_be_asked_before_any_is_told(optimizer: Optimizer) -> None:
    proposals = [asked(optimizer) for _ in range(30)]
    for proposal in reversed(proposals):
        optimizer.tell(proposal, COSTS)
    asked(optimizer)


@pytest.mark.parametrize("name", THOROUGH, indirect=True)
@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("costs", [COSTS, None])
def test_a_space_that_runs_out_gives_none_and_goes_on_giving_it(
    make: Make, costs: dict[str, float] | None, in_flight: int
) -> None:
    optimizer = make(tiny_space(), 0)
    waiting: list[Proposal] = []
    seen: list[str] = []
    while (proposal := optimizer.ask()) is not None or waiting:
        if proposal is not None:
            waiting.append(proposal)
            seen.append(in_json([proposal]))
            assert len(seen) <= 2 * FIDELITY.n_rungs
        if proposal is None or len(waiting) == in_flight:
            optimizer.tell(waiting.pop(0), costs)
    assert len(set(seen)) == len(seen) >= 2
    assert [optimizer.ask() for _ in range(3)] == [None] * 3


def test_a_space_runs_out_while_nothing_is_told(make: Make) -> None:
    optimizer = make(tiny_space(), 0)
    n_proposals = 0
    while optimizer.ask() is not None:
        n_proposals += 1
        assert n_proposals <= 2 * FIDELITY.n_rungs
    assert optimizer.ask() is None


@pytest.mark.parametrize("name", SHIPPED, indirect=True)
def test_every_configuration_is_one_of_the_space(make: Make) -> None:
    space = intricate_space()
    for proposal in course(make(space, 0), n_asked=25, in_flight=3):
        SpaceConfiguration(space, values=dict(proposal.configuration))


@pytest.mark.parametrize("name", SHIPPED, indirect=True)
def test_what_is_not_accepted_is_never_proposed(make: Make) -> None:
    def accepts(configuration: Mapping[str, Value]) -> bool:
        return configuration["optimizer"] != "SGD"

    optimizer = make(build_space(SPACE, seed=0), 0, accepts=accepts)
    for proposal in course(optimizer, n_asked=20, in_flight=3):
        assert accepts(proposal.configuration)


def rare_space() -> ConfigurationSpace:
    """Of which `is_rare` accepts one in a thousand, in one branch alone."""
    space = ConfigurationSpace(name="rare", seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b"])
    rate = UniformFloatHyperparameter("rate", 1e-6, 1.0, log=True)
    depth = UniformIntegerHyperparameter("depth", 1, 100)
    width = UniformFloatHyperparameter("width", 0.0, 1.0)
    space.add(kind, rate, depth, width, EqualsCondition(depth, kind, "b"))
    return space


def is_rare(configuration: Mapping[str, Value]) -> bool:
    size = float(configuration.get("depth", 0)) * float(configuration["rate"])
    return configuration["kind"] == "b" and 7.0 < size < 7.5 and configuration["width"] < 0.4


@pytest.mark.parametrize("name", [*SHIPPED, "smac hyperband"], indirect=True)
def test_what_is_rare_is_found_again_and_again(make: Make) -> None:
    optimizer = make(rare_space(), 0, accepts=is_rare)
    proposals = course(optimizer, n_asked=25, in_flight=3)
    assert all(is_rare(proposal.configuration) for proposal in proposals)
    assert len({in_json([proposal]) for proposal in proposals}) == 25


@pytest.mark.parametrize("name", REPLAYABLE, indirect=True)
def test_where_little_is_accepted_a_restored_optimizer_goes_on_as_the_one_before(
    make: Make,
) -> None:
    events = history(make(rare_space(), 5, accepts=is_rare), n_events=36)
    for n_kept in range(0, len(events), 7):
        restored = make(rare_space(), 5, accepts=is_rare)
        replay_events(restored, events[:n_kept])
        for proposal, costs in events[n_kept:]:
            if costs is ASKED:
                assert restored.ask() == proposal, n_kept
                break
            restored.tell(proposal, costs)


@pytest.mark.parametrize("name", SHIPPED, indirect=True)
def test_why_there_is_nothing_is_told_where_it_is_not_that_all_was_proposed(make: Make) -> None:
    space = ConfigurationSpace(seed=0)
    space.add([CategoricalHyperparameter(f"d{i}", list("0123456789")) for i in range(3)])
    wanted = {"d0": "3", "d1": "1"}

    def accepts(configuration: Mapping[str, Value]) -> bool:
        return wanted.items() <= configuration.items() and str(configuration["d2"]) in "45"

    optimizer = make(space, 0, accepts=accepts)
    while (proposal := optimizer.ask()) is not None:
        optimizer.tell(proposal, None)
    assert why_nothing(optimizer) == ""
    refusing = make(space, 0, accepts=lambda _: False)
    assert refusing.ask() is None
    assert why_nothing(refusing).startswith("none of the space's 1,000 configurations keeps")


@pytest.mark.parametrize("name", SHIPPED, indirect=True)
def test_what_is_enqueued_is_proposed_first_and_once(make: Make) -> None:
    wanted = sample(SPACE, 3, seed=8)
    optimizer = make(build_space(SPACE, seed=0), 0, enqueued=[*wanted, wanted[0]])
    proposals = course(optimizer, n_asked=8, in_flight=2)
    assert [each.configuration for each in proposals[:3]] == [
        pytest.approx(each, abs=1e-9) for each in wanted
    ]
    assert len({in_json([each]) for each in proposals}) == 8


@pytest.mark.parametrize("name", SHIPPED, indirect=True)
def test_three_objectives_are_fine(make: Make) -> None:
    names = (*COSTS, "worst_group_error")
    optimizer = make(build_space(SPACE, seed=0), 0, names=names)
    for index in range(16):
        costs = {**COSTS, "error": index / 16, "worst_group_error": 1 - index / 16}
        optimizer.tell(asked(optimizer), costs if index % 5 else None)


@pytest.mark.parametrize("name", THOROUGH, indirect=True)
def test_a_restored_optimizer_goes_on_as_the_one_that_was_asked(make: Make) -> None:
    events = history(make(build_space(SPACE, seed=0), 5), n_events=24)
    restored = make(build_space(SPACE, seed=0), 5)
    replay_events(restored, events)
    asked_again = make(build_space(SPACE, seed=0), 5)
    for proposal, costs in events:
        if costs is ASKED:
            assert asked_again.ask() == proposal
        else:
            asked_again.tell(proposal, costs)
    assert restored.ask() == asked_again.ask()


@pytest.mark.parametrize("name", REPLAYABLE, indirect=True)
def test_whatever_event_a_log_ends_at_the_next_proposal_is_the_same(make: Make) -> None:
    events = history(make(intricate_space(), 5), n_events=40)
    for n_kept in range(len(events)):
        restored = make(intricate_space(), 5)
        replay_events(restored, events[:n_kept])
        for proposal, costs in events[n_kept:]:
            if costs is ASKED:
                assert restored.ask() == proposal, n_kept
                break
            restored.tell(proposal, costs)


@pytest.mark.parametrize("name", REPLAYABLE, indirect=True)
def test_a_proposal_of_another_space_or_rung_or_one_that_was_made_is_not_restored(
    make: Make,
) -> None:
    optimizer = make(tiny_space(), 0)
    made = asked(optimizer)
    foreign = Proposal(configuration={"head": "Softmax"}, rung=made.rung)
    low = Proposal(configuration=made.configuration, rung=FIDELITY.n_rungs)
    for each in (made, foreign, low):
        with pytest.raises(ReplayError, match="the log holds"):
            optimizer.restore(each)
    assert asked(optimizer) != made


def test_it_leaves_the_working_directory_alone(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    course(make(build_space(SPACE, seed=0), 0), n_asked=12, in_flight=2)
    assert list(tmp_path.iterdir()) == []


def test_a_script_is_proposed_in_order_and_keeps_what_it_is_told() -> None:
    script = [Proposal(configuration={"head": head}, rung=0) for head in ("CosFace", "ArcFace")]
    optimizer = ScriptedOptimizer(script)
    assert [optimizer.ask(), optimizer.ask(), optimizer.ask()] == [*script, None]
    optimizer.tell(script[1], None)
    optimizer.tell(script[0], COSTS)
    assert optimizer.told == [(script[1], None), (script[0], COSTS)]
    with pytest.raises(KeyError):
        optimizer.tell(script[0], COSTS)
