"""What every optimizer keeps, whether it is SMAC or a stand-in."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from frnas_search.optimizer import Optimizer, Proposal
from frnas_search.schedule import Fidelity
from frnas_search.smac_optimizer import SmacOptimizer
from results.objectives import objective
from search_space.candidate import SpaceSettings
from search_space.decode import decode
from search_space.space import build_space
from tests.fakes import RandomOptimizer, ScriptedOptimizer

FIDELITY = Fidelity(min_epochs=3, max_epochs=27)
SPACE = SpaceSettings(preset="joint", families={"small": ("resnet10t", "resnet18")})
COSTS = {"error": 0.5, "rank_disparity": 3.0}

Make: TypeAlias = Callable[[ConfigurationSpace, int], Optimizer]


def smac(space: ConfigurationSpace, seed: int) -> SmacOptimizer:
    return SmacOptimizer(
        space,
        [objective(name, n_identities=100) for name in COSTS],
        FIDELITY,
        seed=seed,
        n_initial_configurations=5,
    )


def at_random(space: ConfigurationSpace, seed: int) -> RandomOptimizer:
    return RandomOptimizer(space, n_rungs=FIDELITY.n_rungs, seed=seed)


MAKERS: dict[str, Make] = {"smac": smac, "random": at_random}


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(space: ConfigurationSpace, seed: int) -> Optimizer:
            optimizer = MAKERS[name](space, seed)
            if isinstance(optimizer, SmacOptimizer):
                stack.callback(optimizer.close)
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


def in_json(proposals: list[Proposal]) -> str:
    return json.dumps([[dict(each.configuration), each.rung] for each in proposals])


def test_proposals_name_networks_and_rungs(optimizer: Optimizer) -> None:
    proposals = course(optimizer, n_asked=20, in_flight=3)
    for proposal in proposals:
        decode(proposal.configuration, SPACE)
    assert {proposal.rung for proposal in proposals} <= set(range(FIDELITY.n_rungs))
    assert proposals[0].rung == 0


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


@pytest.mark.parametrize("is_told", [True, False])
def test_a_space_that_runs_out_gives_none_and_goes_on_giving_it(make: Make, is_told: bool) -> None:
    space = ConfigurationSpace(name="tiny", seed=0)
    space.add(CategoricalHyperparameter("head", choices=["CosFace", "ArcFace"]))
    optimizer = make(space, 0)
    n_proposals = 0
    while (proposal := optimizer.ask()) is not None:
        n_proposals += 1
        assert n_proposals <= 2 * FIDELITY.n_rungs
        if is_told:
            optimizer.tell(proposal, COSTS)
    assert optimizer.ask() is None


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
