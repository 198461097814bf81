"""SMAC as shipped, under the rules of optimizers as far as it can keep them.

Apart from the contract of all optimizers: SMAC takes a second for a proposal, and a search with it
is restored by asking again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, get_args

import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
    NormalFloatHyperparameter,
    UniformFloatHyperparameter,
)

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.stock import StockOptimizer
from results.objectives import objective
from results.trial import Origin

FIDELITY = Fidelity(min_epochs=3, max_epochs=27)
NAMES = ("error", "rank_disparity")

Make = Callable[..., StockOptimizer]
Event = tuple[Proposal, Mapping[str, float] | None] | Proposal


def space() -> ConfigurationSpace:
    made = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b", "c"])
    x, y = UniformFloatHyperparameter("x", 0.0, 1.0), UniformFloatHyperparameter("y", 0.0, 1.0)
    made.add(kind, x, y, NormalFloatHyperparameter("z", 0.5, 0.2, 0.0, 1.0))
    made.add(EqualsCondition(y, kind, "a"))
    return made


def stock(names: tuple[str, ...] = NAMES, **options: Any) -> StockOptimizer:
    objectives = [objective(name, n_identities=100) for name in names]
    return StockOptimizer(space(), objectives, FIDELITY, **{"seed": 0, "n_initial": 5, **options})


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def made(**options: Any) -> StockOptimizer:
            optimizer = stock(**options)
            stack.callback(optimizer.close)
            return optimizer

        yield made


def costs(proposal: Proposal, chance: random.Random) -> dict[str, float] | None:
    if chance.random() < 0.15:
        return None
    x = float(proposal.configuration["x"])
    return {"error": x, "rank_disparity": 50 * (1 - x) + chance.random()}


def course(optimizer: StockOptimizer, n: int, in_flight: int = 3) -> list[Event]:
    """What a log would hold."""
    chance, waiting, log = random.Random(3), [], []
    for _ in range(n):
        proposal = optimizer.ask()
        assert proposal is not None
        log.append(proposal)
        waiting.append(proposal)
        if len(waiting) == in_flight:
            done = waiting.pop(chance.randrange(in_flight))
            log.append((done, costs(done, chance)))
            optimizer.tell(*log[-1])
    return log


def in_json(log: list[Event]) -> str:
    asked = [each for each in log if isinstance(each, Proposal)]
    return json.dumps([[dict(each.configuration), each.rung] for each in asked])


def test_it_searches_over_all_rungs_and_tells_why(make: Make) -> None:
    asked = [each for each in course(make(), 40) if isinstance(each, Proposal)]
    assert {each.rung for each in asked} == {0, 1, 2}
    origins = {each.origin for each in asked}
    assert {"initial", "model", "promoted"} <= origins <= set(get_args(Origin))
    assert len({in_json([each]) for each in asked}) == 40


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_another_process_proposes_the_same(make: Make, hash_seed: str) -> None:
    here = in_json(course(make(), 24))
    program = (
        "import runpy, sys\n"
        "test = runpy.run_path(sys.argv[1])\n"
        "print(test['in_json'](test['course'](test['stock'](), 24)))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, __file__],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert there.stdout.strip() == here


@pytest.mark.parametrize("n_events", [1, 9, 25, 33])
def test_a_restored_search_goes_on_as_the_one_that_was_asked(make: Make, n_events: int) -> None:
    log = course(make(), 24)
    fresh = make()
    for event in log[:n_events]:
        fresh.restore(event) if isinstance(event, Proposal) else fresh.tell(*event)
    for event in log[n_events:]:
        if isinstance(event, Proposal):
            assert fresh.ask() == event
        else:
            fresh.tell(*event)


def test_a_log_of_something_else_is_refused_in_one_sentence(make: Make) -> None:
    other = course(make(seed=1), 1)[0]
    assert isinstance(other, Proposal)
    with pytest.raises(ReplayError, match=r"SMAC proposes something else after the same results"):
        make().restore(other)


def test_what_is_enqueued_comes_first_and_what_is_not_accepted_never(make: Make) -> None:
    wanted = [{"kind": "b", "x": 0.25, "z": 0.5}, {"kind": "a", "x": 0.5, "y": 0.5, "z": 0.25}]
    optimizer = make(enqueued=[*wanted, wanted[0]], accepts=lambda values: values["x"] < 0.8)
    asked = [each for each in course(optimizer, 20) if isinstance(each, Proposal)]
    assert [dict(each.configuration) for each in asked[:2]] == wanted
    assert [each.origin for each in asked[:2]] == ["enqueued", "enqueued"]
    assert all(float(each.configuration["x"]) < 0.8 for each in asked)


@pytest.mark.parametrize("names", [("error",), (*NAMES, "worst_group_error")])
def test_one_and_three_objectives_are_fine(make: Make, names: tuple[str, ...]) -> None:
    optimizer = make(names=names)
    for number in range(16):
        proposal = optimizer.ask()
        assert proposal is not None
        optimizer.tell(proposal, dict.fromkeys(names, 0.1 + number / 100))


def test_it_goes_on_when_everything_fails(make: Make) -> None:
    optimizer = make()
    for _ in range(16):
        proposal = optimizer.ask()
        assert proposal is not None
        optimizer.tell(proposal, None)


def test_nothing_accepted_is_nothing_proposed(make: Make) -> None:
    assert make(accepts=lambda _: False).ask() is None
