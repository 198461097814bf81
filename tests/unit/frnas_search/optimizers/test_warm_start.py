from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.encoder import Observations, observations
from frnas_search.optimizers.smac.history import Snapshot
from frnas_search.optimizers.smac.maximizer import Proposer, ProposerSettings
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from frnas_search.optimizers.warm_start import (
    describe_warm_start,
    earlier_results,
    read_earlier_runs,
)
from results.events import Asked, RunOpened, Told, WarmStarted
from results.objectives import objective
from results.run_directory import RunDirectory
from results.sqlite_store import SqliteStore
from results.trial import EarlierResult, FailureKind, TrialOutcome, TrialRequest
from search_space.candidate import SpaceSettings
from search_space.definition.space import sample
from tests.unit.frnas_search.conftest import OPENED

COSTS = {"error": 0.2, "rank_disparity": 3.0}
SPACE = SpaceSettings()
OBJECTIVES = [objective(name, n_identities=100) for name in COSTS]
FIDELITY = Fidelity(min_epochs=1, max_epochs=9)

Costs = Mapping[str, float]
WriteRun = Callable[..., RunDirectory]
Make = Callable[..., SmacOptimizer]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes the log of a run in which each configuration was trained once, to 3 epochs."""

    def write(
        name: str,
        configurations: Sequence[Mapping[str, Any]],
        *,
        costs: Costs | None = COSTS,
        opened: RunOpened = OPENED,
    ) -> RunDirectory:
        run = RunDirectory(tmp_path / "runs" / name)
        run.path.mkdir(parents=True)
        with SqliteStore.create(run.events) as store:
            store.append(opened, time=OPENED.at)
            for number, configuration in enumerate(configurations):
                request = TrialRequest(
                    trial_id=f"t{number}",
                    config_id=f"c{number}",
                    configuration=configuration,
                    rung=1,
                    epochs=3,
                    seed=0,
                )
                failure = FailureKind.COLLAPSED if costs is None else None
                outcome = TrialOutcome(
                    trial_id=request.trial_id, attempt=1, costs=costs, failure=failure
                )
                store.append(Asked(request=request), time=OPENED.at)
                store.append(Told(outcome=outcome), time=OPENED.at)
        return run

    return write


def gathered(*runs: str, folder: Path, space: SpaceSettings = SPACE) -> WarmStarted:
    earlier = read_earlier_runs(dict(enumerate(runs)), folder / "runs")
    assert earlier.faults == ()
    return earlier_results(earlier, objectives=tuple(COSTS), space=space)


def test_finished_successes_of_other_runs_are_taken_whole(
    write_run: WriteRun, tmp_path: Path
) -> None:
    legal = sample(SPACE, 3, seed=0)
    write_run("lfw", legal[:2], costs={**COSTS, "disparity": 0.1})
    other = write_run("rfw", legal[2:])
    write_run("failed", legal, costs=None)

    found = gathered("lfw", str(other.path), "failed", folder=tmp_path)
    assert [each.configuration for each in found.results] == legal
    assert [each.run for each in found.results] == ["lfw", "lfw", "rfw"]
    assert found.results[0] == EarlierResult(
        run="lfw", trial_id="t0", configuration=legal[0], epochs=3, costs=COSTS
    )
    assert found.left_out == {}
    assert describe_warm_start(found) == "3 earlier results of lfw, rfw"


def test_what_says_nothing_here_is_left_out_counted_and_told(
    write_run: WriteRun, tmp_path: Path
) -> None:
    (legal,) = sample(SPACE, 1, seed=0)
    incomplete = {name: value for name, value in legal.items() if name != "head"}
    illegal = [incomplete, {**legal, "dropout": 0.5}, {**legal, "head": "ButterFace"}]
    write_run("lfw", [*illegal, legal])
    opened = replace(OPENED, objectives=OPENED.objectives[:1])
    write_run("narrow", [legal, legal], costs={"error": 0.1}, opened=opened)

    found = gathered("lfw", "narrow", folder=tmp_path)
    assert [(each.run, each.trial_id) for each in found.results] == [("lfw", "t3")]
    assert describe_warm_start(found) == (
        "1 earlier results of lfw; left out: 3 with a configuration that is not of this space, "
        "2 without rank_disparity"
    )


def test_a_run_that_is_named_twice_counts_once(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("lfw", sample(SPACE, 2, seed=0))
    assert len(gathered("lfw", str(run.path), "lfw", folder=tmp_path).results) == 2


def test_every_run_that_is_not_there_is_a_fault(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("lfw", [])
    with SqliteStore.create(tmp_path / "events.sqlite"):
        pass
    earlier = read_earlier_runs({0: "lwf", 1: "lfw", 2: str(tmp_path)}, tmp_path / "runs")
    assert [name for name, _ in earlier.views] == ["lfw"]
    first, second = map(str, earlier.faults)
    assert first.startswith("search.warm_start.0: there is no run 'lwf'; ")
    assert first.endswith("holds lfw")
    assert second.startswith("search.warm_start.2: ")
    assert "never started" in second


# What an optimizer makes of them.

GOAL = np.array([0.3, 0.8])


def plane() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add([Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0))])
    return space


def distance(configuration: Mapping[str, Any]) -> float:
    return float(np.hypot(configuration["x"] - GOAL[0], configuration["y"] - GOAL[1]))


def costs_of(configuration: Mapping[str, Any]) -> dict[str, float]:
    return {"error": distance(configuration) / 2, "rank_disparity": 20 * configuration["x"] ** 2}


def results(n: int, *, epochs: int = 9) -> list[EarlierResult]:
    chance = random.Random(5)
    found = []
    for number in range(n):
        configuration = {"x": chance.random(), "y": chance.random()}
        costs = {
            "error": distance(configuration) / 2,
            "rank_disparity": 60 * distance(configuration),
        }
        found.append(
            EarlierResult(
                run="lfw",
                trial_id=f"t{number}",
                configuration=configuration,
                epochs=epochs,
                costs=costs,
            )
        )
    return found


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def made(earlier: Sequence[EarlierResult] = (), **options: Any) -> SmacOptimizer:
            optimizer = SmacOptimizer(
                plane(),
                OBJECTIVES,
                FIDELITY,
                seed=1,
                **({"n_initial_configurations": 6} | options),
                earlier=earlier,
            )
            stack.callback(optimizer.close)
            return optimizer

        yield made


def asked(optimizer: SmacOptimizer, n: int) -> list[Proposal]:
    found = [optimizer.ask() for _ in range(n)]
    return [each for each in found if each is not None]


def test_with_good_earlier_results_the_first_proposals_are_near_them(make: Make) -> None:
    cold = [distance(each.configuration) for each in asked(make(), 6)]
    warm = [distance(each.configuration) for each in asked(make(results(40)), 6)]
    assert warm[0] < 0.15
    assert np.median(warm) < 0.15 < np.median(cold)


def test_cheap_earlier_results_inform_as_well(make: Make) -> None:
    warm = [distance(each.configuration) for each in asked(make(results(40, epochs=3)), 6)]
    assert np.median(warm) < 0.2


def test_with_fewer_than_the_initial_configurations_those_come_first(make: Make) -> None:
    cold, few, enough = make(), make(results(5)), make(results(6))
    first = asked(cold, 6)
    assert asked(few, 6) == first
    assert asked(enough, 1) != first[:1]


def test_what_is_enqueued_still_comes_first(make: Make) -> None:
    optimizer = make(results(40), enqueued=[{"x": 0.9, "y": 0.1}])
    assert asked(optimizer, 1)[0].configuration == {"x": 0.9, "y": 0.1}


def test_a_failure_before_any_success_counts_as_the_worst_earlier_cost(make: Make) -> None:
    optimizer = make(results(10))
    for _ in range(4):
        (proposal,) = asked(optimizer, 1)
        optimizer.tell(proposal, None)
    assert len(asked(optimizer, 3)) == 3


Course = list[tuple[Proposal, dict[str, float] | None]]


def course(optimizer: SmacOptimizer, n_events: int) -> Course:
    """Asks, each with an empty mapping, among tells, with up to three in flight."""
    chance = random.Random(3)
    events: Course = []
    waiting: list[Proposal] = []
    while len(events) < n_events:
        if not waiting or (len(waiting) < 3 and chance.random() < 0.5):
            waiting += asked(optimizer, 1)
            events.append((waiting[-1], {}))
        else:
            proposal = waiting.pop(chance.randrange(len(waiting)))
            costs = None if chance.random() < 0.2 else costs_of(proposal.configuration)
            optimizer.tell(proposal, costs)
            events.append((proposal, costs))
    return events


@pytest.mark.timeout(60)
def test_a_restored_optimizer_goes_on_alike_from_every_event(make: Make) -> None:
    earlier = results(8)
    events = course(make(earlier), 24)
    for index, (proposal, costs) in enumerate(events):
        if costs != {}:
            continue
        restored = make(earlier)
        for before, known in events[:index]:
            if known == {}:
                restored.restore(before)
            else:
                restored.tell(before, known)
        assert restored.ask() == proposal, index
        restored.close()


# Parts.


def observations_of(n: int) -> Observations:
    generator = np.random.default_rng(0)
    return Observations(
        vectors=generator.random((n, 2)), fidelities=np.ones(n), costs=generator.random((n, 2))
    )


def snapshot() -> Snapshot:
    """Twelve results, the fourth a failure."""
    generator = np.random.default_rng(1)
    costs = generator.random((12, 2))
    costs[3] = np.nan
    return Snapshot(
        vectors=generator.random((12, 2)),
        indices=np.arange(12),
        rungs=np.arange(12) % 3,
        costs=costs,
        pending=(),
    )


def proposer(
    earlier: Observations | None,
    accepts: Callable[[Any], bool] = lambda _: True,
    **settings: Any,
) -> Proposer:
    return Proposer(
        VectorSpace(plane()),
        n_rungs=3,
        settings=ProposerSettings(n_initial=4, **settings),
        seed=2,
        limits=np.array([np.inf, np.inf]),
        earlier=earlier,
        accepts=accepts,
    )


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_no_earlier_results_change_nothing(density_share: float) -> None:
    known = snapshot()
    without = proposer(None, density_share=density_share).propose(known)
    empty = proposer(observations_of(0), density_share=density_share).propose(known)
    some = proposer(observations_of(9), density_share=density_share).propose(known)
    assert without is not None
    np.testing.assert_array_equal(without, empty)
    assert some is not None
    assert not np.array_equal(without, some)


def test_an_earlier_configuration_may_be_proposed_again() -> None:
    earlier = observations_of(30)
    known = Snapshot(
        vectors=np.empty((0, 2)),
        indices=np.empty(0, np.int64),
        rungs=np.empty(0, np.int64),
        costs=np.empty((0, 2)),
        pending=(),
    )
    best = earlier.vectors[earlier.costs.sum(axis=1).argmin()]
    made = proposer(
        earlier,
        accepts=lambda vector: np.allclose(vector, best, atol=1e-8),  # values are rounded
        density_share=0.0,
        random_share=0.0,
    ).propose(known)
    assert made is not None
    np.testing.assert_allclose(made, best, atol=1e-8)


def test_earlier_observations_lie_beside_the_runs_own() -> None:
    known, earlier = snapshot(), observations_of(5)
    own, both = observations(known, n_rungs=3), observations(known, n_rungs=3, earlier=earlier)
    assert both.vectors.shape == (17, 2)
    np.testing.assert_array_equal(both.fidelities, [*own.fidelities, *earlier.fidelities])
    np.testing.assert_array_equal(both.costs[12:], earlier.costs)
    worst = np.vstack([known.costs[known.is_success], earlier.costs]).max(axis=0)
    np.testing.assert_array_equal(both.costs[3], worst)

    highest = observations(known, n_rungs=3, uses_all_rungs=False, earlier=earlier)
    assert (highest.fidelities == 1.0).all()
    assert len(highest.fidelities) == 4 + 5


def test_a_single_rung_is_the_highest() -> None:
    known = snapshot()
    flat = replace(known, rungs=np.zeros(12, np.int64))
    assert (observations(flat, n_rungs=1).fidelities == 1.0).all()
