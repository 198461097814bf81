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
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity
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

        def made(
            earlier: Sequence[EarlierResult] = (), n_initial: int = 6, **options: Any
        ) -> SmacOptimizer:
            named = ("enqueued", "accepts")
            engine = {name: value for name, value in options.items() if name not in named}
            optimizer = SmacOptimizer(
                plane(),
                OBJECTIVES,
                FIDELITY,
                seed=1,
                engine=EngineSettings(n_initial=n_initial, **engine),
                earlier=earlier,
                **{name: value for name, value in options.items() if name in named},
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


def at_work(optimizer: SmacOptimizer, n: int) -> SmacOptimizer:
    """The same optimizer after so many results."""
    for _ in range(n):
        (proposal,) = asked(optimizer, 1)
        optimizer.tell(proposal, costs_of(proposal.configuration))
    return optimizer


@pytest.mark.parametrize("density_share", [0.0, 1.0])
def test_no_earlier_results_change_nothing_and_some_change_what_is_proposed(
    make: Make, density_share: float
) -> None:
    options = {"density_share": density_share, "random_share": 0.0, "n_initial": 12}
    without, empty = make((), **options), make([], **options)
    some = make(results(9), **options)
    expected, again, other = (
        asked(at_work(optimizer, 20), 5) for optimizer in (without, empty, some)
    )
    assert again == expected
    assert other != expected


def test_an_earlier_configuration_may_be_proposed_again(make: Make) -> None:
    earlier = results(30)
    best = min(earlier, key=lambda each: each.costs["error"]).configuration

    def accepts(values: Mapping[str, Any]) -> bool:  # values are rounded
        return all(abs(values[name] - float(best[name])) < 1e-8 for name in ("x", "y"))

    (proposal,) = asked(make(earlier, accepts=accepts, density_share=0.0, random_share=0.0), 1)
    assert proposal.configuration == pytest.approx(dict(best))
    assert proposal.origin == "model"


@pytest.mark.parametrize("acquisition", ["noisy_hypervolume", "parego_ei"])
@pytest.mark.parametrize("model", ["gp", "forest", "smac_forest"])
def test_every_part_learns_from_earlier_results_before_there_are_others(
    make: Make, acquisition: str, model: str
) -> None:
    options = {"acquisition": acquisition, "model": model, "random_share": 0.0}
    for proposal in asked(make(results(30), density_share=0.0, **options), 3):
        assert proposal.origin == "model"


def test_what_was_trained_longer_elsewhere_counts_as_trained_in_full(make: Make) -> None:
    longer, full = (make(results(20, epochs=epochs)) for epochs in (50, 9))
    shorter = make(results(20, epochs=2))
    assert asked(longer, 3) == asked(full, 3)
    assert asked(shorter, 3) != asked(make(results(20)), 3)
