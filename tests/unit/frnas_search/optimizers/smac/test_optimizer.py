from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    BetaFloatHyperparameter,
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    NormalFloatHyperparameter,
)
from ConfigSpace import Configuration as SpaceConfiguration
from smac.runhistory.enumerations import StatusType

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.optimizer import (
    Accepts,
    SmacOptimizer,
    rungs_of,
    uniform_space,
)
from results.objectives import Objective, objective
from search_space.candidate import SpaceSettings, Value
from search_space.definition.decode import complete, configuration_faults
from search_space.definition.published import published_configuration
from search_space.definition.space import build_space

NINE = Fidelity(min_epochs=1, max_epochs=9)
OBJECTIVES = [objective(name, n_identities=100) for name in ("error", "rank_disparity")]

Make = Callable[..., SmacOptimizer]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def made(
            space: ConfigurationSpace | None = None,
            *,
            objectives: list[Objective] = OBJECTIVES,
            fidelity: Fidelity = NINE,
            n_initial_configurations: int = 9,
            enqueued: Sequence[Mapping[str, Value]] = (),
            accepts: Accepts | None = None,
            **engine: Any,
        ) -> SmacOptimizer:
            optimizer = SmacOptimizer(
                space or build_space(SpaceSettings(), seed=0),
                objectives,
                fidelity,
                seed=0,
                engine=EngineSettings(n_initial=n_initial_configurations, **engine),
                enqueued=enqueued,
                accepts=accepts,
            )
            stack.callback(optimizer.close)
            return optimizer

        yield made


def asked(optimizer: SmacOptimizer, n: int) -> list[Proposal]:
    proposals = [proposal for _ in range(n) if (proposal := optimizer.ask()) is not None]
    assert len(proposals) == n
    return proposals


def costs(error: float, rank_disparity: float) -> dict[str, float]:
    return {"error": error, "rank_disparity": rank_disparity}


def smacs(optimizer: SmacOptimizer) -> Any:
    return optimizer._facade


def told(optimizer: SmacOptimizer) -> list[tuple[StatusType, Any]]:
    """What SMAC has of each trial."""
    return [(each.status, each.cost) for each in smacs(optimizer).runhistory.values()]


def good(index: int) -> dict[str, float]:
    return costs(0.1 + index / 100, 1.0 + index)


def course(
    optimizer: SmacOptimizer, n: int, in_flight: int, failures: float = 0.15
) -> list[tuple[Proposal, dict[str, float] | None] | Proposal]:
    """What a log would hold: proposals as asked, and results with their proposals."""
    chance, waiting = random.Random(3), []
    log: list[tuple[Proposal, dict[str, float] | None] | Proposal] = []
    while len(log) < n:
        if len(waiting) < in_flight:
            waiting += asked(optimizer, 1)
            log.append(waiting[-1])
            continue
        proposal = waiting.pop(chance.randrange(len(waiting)))
        result = costs(round(chance.random(), 3), round(99 * chance.random(), 3))
        log.append((proposal, None if chance.random() < failures else result))
        optimizer.tell(*log[-1])
    return log


def restored(
    optimizer: SmacOptimizer, log: Sequence[tuple[Proposal, dict[str, float] | None] | Proposal]
) -> SmacOptimizer:
    for event in log:
        if isinstance(event, Proposal):
            optimizer.restore(event)
        else:
            optimizer.tell(*event)
    return optimizer


def up_to(optimizer: SmacOptimizer, n: int) -> list[Proposal]:
    """Asked without any result, of those that start at the cheapest rung."""
    started: list[Proposal] = []
    while len(started) < n:
        (proposal,) = asked(optimizer, 1)
        if proposal.rung == 0:
            started.append(proposal)
    return started


def test_the_best_third_goes_on_to_the_next_rung(make: Make) -> None:
    optimizer = make()
    first = up_to(optimizer, 9)
    best = {1: costs(0.1, 8.0), 4: costs(0.2, 4.0), 7: costs(0.3, 2.0)}
    for index, proposal in enumerate(first):
        optimizer.tell(proposal, best.get(index, costs(0.9, 20.0 + index)))

    second = asked(optimizer, 3)
    assert [proposal.rung for proposal in second] == [1, 1, 1]
    for proposal in second:
        assert proposal.configuration in [first[index].configuration for index in best]
        is_best = proposal.configuration == first[4].configuration
        optimizer.tell(proposal, costs(0.1, 1.0) if is_best else costs(0.2, 2.0))

    [third] = asked(optimizer, 1)
    assert third == Proposal(configuration=first[4].configuration, rung=2)


def test_a_failed_configuration_does_not_go_on_before_one_that_succeeded(make: Make) -> None:
    optimizer = make()
    first = up_to(optimizer, 9)
    bad_but_alive = (2, 3, 8)
    for index, proposal in enumerate(first):
        optimizer.tell(proposal, costs(0.99, 98.0) if index in bad_but_alive else None)
    second = asked(optimizer, 3)
    assert [proposal.rung for proposal in second] == [1, 1, 1]
    configurations = [proposal.configuration for proposal in second]
    assert all(first[index].configuration in configurations for index in bad_but_alive)


def test_nobody_waits_for_the_last_trial_of_a_rung(make: Make) -> None:
    optimizer = make()
    first = up_to(optimizer, 9)
    for index, proposal in enumerate(first[:3]):
        optimizer.tell(proposal, good(index))
    [promoted] = asked(optimizer, 1)
    assert promoted == Proposal(configuration=first[0].configuration, rung=1)
    later = asked(optimizer, 5)
    assert not {str(each) for each in later} & {str(each) for each in first}


def test_new_configurations_start_at_the_rungs_in_hyperbands_shares(make: Make) -> None:
    rungs = [each.rung for each in asked(make(), 17)]
    assert [rungs.count(rung) for rung in range(3)] == [9, 5, 3]


def test_no_configuration_starts_twice_and_each_goes_on_rung_by_rung(make: Make) -> None:
    reached: dict[str, int] = {}
    log = course(make(), n=120, in_flight=4)
    for event in log:
        if isinstance(event, Proposal):
            name = str(sorted(event.configuration.items()))
            if name in reached:
                assert event.rung == reached[name] + 1
            reached[name] = event.rung
    assert max(reached.values()) == 2


@pytest.mark.parametrize("in_flight", [1, 4, 20])
def test_after_every_event_a_restored_optimizer_goes_on_as_the_one_that_wrote_the_log(
    make: Make, in_flight: int
) -> None:
    log = course(make(n_initial_configurations=6), n=60, in_flight=in_flight)
    for index in range(0, 60, 1 if in_flight == 4 else 5):
        if not isinstance(log[index], Proposal):
            continue
        fresh = restored(make(n_initial_configurations=6), log[:index])
        assert fresh.ask() == log[index]
        fresh.close()


def test_a_restored_optimizer_goes_on_for_long_as_the_one_that_wrote_the_log(make: Make) -> None:
    whole = course(make(n_initial_configurations=4), n=60, in_flight=12)
    fresh = restored(make(n_initial_configurations=4), whole[:25])
    for event in whole[25:]:
        if isinstance(event, Proposal):
            assert fresh.ask() == event
        else:
            fresh.tell(*event)


def test_what_cannot_have_been_proposed_is_not_restored(make: Make) -> None:
    first = up_to(make(), 1)[0]
    again = Proposal(configuration=first.configuration, rung=0)
    higher = Proposal(configuration=first.configuration, rung=1)
    beyond = Proposal(configuration=first.configuration, rung=3)
    foreign = Proposal(configuration={"edge1": "nowhere"}, rung=0)
    for log, wrong in [
        ([first], again),
        ([first], higher),  # before its result
        ([first, (first, None)], higher),
        ([first, (first, good(1)), higher], higher),
        ([], beyond),
        ([], foreign),
    ]:
        optimizer = restored(make(), log)  # type: ignore[arg-type]
        with pytest.raises(ReplayError):
            optimizer.restore(wrong)


def test_costs_are_told_as_shares_of_their_bounds(make: Make) -> None:
    optimizer = make()
    first, second = asked(optimizer, 2)
    optimizer.tell(first, costs(0.25, 9.0))
    optimizer.tell(second, costs(1.0, 1000.0))
    shares = [0.25, pytest.approx(0.5)]  # log(1 + 9) / log(1 + 99)
    assert told(optimizer) == [(StatusType.SUCCESS, shares), (StatusType.SUCCESS, [1.0, 1.0])]


def test_a_failure_is_told_as_the_worst_of_every_objective(make: Make) -> None:
    optimizer = make()
    [proposal] = asked(optimizer, 1)
    optimizer.tell(proposal, None)
    assert told(optimizer) == [(StatusType.CRASHED, [1.0, 1.0])]


def test_three_objectives_are_fine(make: Make) -> None:
    objectives = [*OBJECTIVES, objective("worst_group_error", n_identities=100)]
    optimizer = make(objectives=objectives, n_initial_configurations=3)
    for index in range(15):
        [proposal] = asked(optimizer, 1)
        optimizer.tell(proposal, {**costs(0.5, index), "worst_group_error": index / 20})


@pytest.mark.parametrize(
    ("min_epochs", "max_epochs", "eta"),
    [(1, 9, 3), (1, 81, 3), (25, 100, 2), (6, 96, 4), (11, 100, 3), (1, 100, 10), (5, 5, 3)],
)
def test_smacs_budgets_are_the_rungs(
    make: Make, min_epochs: int, max_epochs: int, eta: int
) -> None:
    fidelity = Fidelity(min_epochs=min_epochs, max_epochs=max_epochs, eta=eta)
    optimizer = make(fidelity=fidelity)
    rungs = rungs_of(fidelity)
    budgets = [rungs.budget(rung) or 0.0 for rung in range(rungs.n)]
    assert [round(budget) for budget in budgets] == list(fidelity.rungs)
    assert [rungs.rung(budget) for budget in budgets] == list(range(fidelity.n_rungs))
    proposals = asked(optimizer, 12)
    seen = [info.budget for info in smacs(optimizer).runhistory]
    assert seen == [budgets[each.rung] for each in proposals]
    assert proposals[0].rung == 0


def test_with_one_rung_every_proposal_is_for_all_epochs(make: Make) -> None:
    optimizer = make(fidelity=Fidelity(min_epochs=9, max_epochs=9), n_initial_configurations=3)
    proposals = []
    for index in range(12):
        proposals += asked(optimizer, 1)
        optimizer.tell(proposals[-1], costs(index / 12, index))
    assert {proposal.rung for proposal in proposals} == {0}
    assert len({str(proposal) for proposal in proposals}) == 12


@pytest.mark.parametrize("is_told", [True, False])
def test_with_one_rung_a_small_space_is_proposed_to_its_end(make: Make, is_told: bool) -> None:
    space = ConfigurationSpace(name="tiny", seed=0)
    space.add(CategoricalHyperparameter("head", choices=["CosFace", "ArcFace"]))
    optimizer = make(space, fidelity=Fidelity(min_epochs=9, max_epochs=9))
    heads = []
    while (proposal := optimizer.ask()) is not None:
        heads.append(proposal.configuration["head"])
        if is_told:
            optimizer.tell(proposal, costs(0.5, 5.0))
    assert sorted(heads) == ["ArcFace", "CosFace"]


def test_sixty_trials_with_failures_and_four_in_flight(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, here = tmp_path / "scratch", tmp_path / "here"
    scratch.mkdir()
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    optimizer = make()
    chance = random.Random(0)
    waiting: list[Proposal] = []
    rungs = []
    for _ in range(60):
        waiting += asked(optimizer, 1)
        rungs.append(waiting[-1].rung)
        if len(waiting) == 4:
            outcome = costs(chance.random(), 99 * chance.random())
            is_failure = chance.random() < 0.1
            proposal = waiting.pop(chance.randrange(4))
            optimizer.tell(proposal, None if is_failure else outcome)
    assert set(rungs) == {0, 1, 2}
    assert list(here.iterdir()) == []

    assert len(list(scratch.iterdir())) == 1
    optimizer.close()
    assert list(scratch.iterdir()) == []


def test_a_proposal_of_the_log_is_restored_by_proposing_it_again(make: Make) -> None:
    one, other = make(), make()
    for proposal in asked(one, 3):
        other.restore(proposal)
        one.tell(proposal, costs(0.5, 5.0))
        other.tell(proposal, costs(0.5, 5.0))
    assert asked(one, 2) == asked(other, 2)


def test_closing_twice_is_fine(make: Make) -> None:
    optimizer = make()
    optimizer.close()
    optimizer.close()


def test_what_is_enqueued_is_proposed_first_and_the_rest_as_without_it(make: Make) -> None:
    names = ("SMAC_301", "SMAC_680")
    wanted = [published_configuration(name, SpaceSettings()) for name in names]
    with_them, without = make(enqueued=wanted), make()
    first = asked(with_them, 5)
    for proposal, configuration in zip(first, wanted, strict=False):
        assert proposal.configuration == pytest.approx(configuration, abs=1e-9)
    assert [each.configuration for each in first[2:]] == [
        each.configuration for each in asked(without, 3)
    ]


def test_what_is_enqueued_twice_is_proposed_once(make: Make) -> None:
    wanted = [published_configuration("SMAC_301", SpaceSettings())] * 2
    first, second = asked(make(enqueued=wanted), 2)
    assert first.configuration != second.configuration


def test_the_first_configurations_follow_the_priors(make: Make) -> None:
    settings = SpaceSettings(
        priors={
            "edge1": {"3": 1000.0},
            "optimizer": {"SGD": 9.0},
            "lr_sgd": {"center": 0.3, "spread": 1.05},
        }
    )
    proposals = asked(make(build_space(settings, seed=0)), 9)
    assert [each.configuration["edge1"] for each in proposals].count("3") >= 8
    rates = [each.configuration["lr_sgd"] for each in proposals if "lr_sgd" in each.configuration]
    assert rates
    assert all(0.25 < float(rate) < 0.36 for rate in rates)


def test_a_joint_space_is_searched_past_its_first_configurations(make: Make) -> None:
    """With alternatives among its conditions, constants, priors and enqueued ones."""
    settings = SpaceSettings(
        preset="joint",
        groups=("f", "m"),
        families={"test": ("test_resnet", "test_byobnet"), "resnet": ("resnet10t",)},
        fix={"head": "AdaFace"},
        priors={"scale": {"center": 20.0, "spread": 1.5}},
    )
    enqueued = [complete({"edge1": 3}, settings), complete({"timm.family": "test"}, settings)]
    optimizer = make(
        build_space(settings, seed=0),
        fidelity=Fidelity(min_epochs=1, max_epochs=1),
        n_initial_configurations=3,
        enqueued=enqueued,
    )
    drawn = random.Random(0)
    for _ in range(9):
        (proposal,) = asked(optimizer, 1)
        assert configuration_faults(proposal.configuration, settings) == []
        optimizer.tell(proposal, costs(drawn.random(), 50 * drawn.random()))


def test_draws_from_priors_have_the_same_values_in_the_space_that_smac_sees() -> None:
    settings = SpaceSettings(
        preset="joint",
        priors={
            "scale": {"center": 20.0, "spread": 1.5},
            "lr_sgd": {"center": 0.2, "spread": 2.0},
            "dag.blocks.2": {"center": 2, "spread": 0.7},
            "augmentation": {"center": 0.3, "spread": 0.2},
        },
    )
    space, other = build_space(settings, seed=4), build_space(settings, seed=4)
    seen = uniform_space(space)
    assert seen is not space
    assert list(seen) == list(other)
    drawn = VectorSpace(seen, space).draw(60, np.random.default_rng(0))
    for vector in drawn:
        one = SpaceConfiguration(seen, vector=vector)
        assert dict(one) == dict(SpaceConfiguration(other, vector=vector))
        one.check_valid_configuration()
    assert uniform_space(build_space(SpaceSettings(), seed=0)).name == "frnas-paper"


def test_what_a_space_with_priors_forbids_is_not_proposed(make: Make) -> None:
    space = ConfigurationSpace(seed=0)
    first, second = (
        CategoricalHyperparameter(name, ["0", "1"], default_value="1")
        for name in ("edge1", "edge2")
    )
    space.add(first, second, NormalFloatHyperparameter("scale", 20.0, 5.0, 10.0, 40.0))
    space.add(
        ForbiddenAndConjunction(
            ForbiddenEqualsClause(first, "0"), ForbiddenEqualsClause(second, "0")
        )
    )
    optimizer = make(
        space, fidelity=Fidelity(min_epochs=1, max_epochs=1), n_initial_configurations=3
    )
    for _ in range(12):
        (proposal,) = asked(optimizer, 1)
        edges = [proposal.configuration[name] for name in ("edge1", "edge2")]
        assert edges != ["0", "0"]
        n_ones = edges.count("1")  # what is forbidden would be the best by far
        optimizer.tell(proposal, costs(0.1 + 0.4 * n_ones, 1.0 + 20 * n_ones))


def test_a_users_beta_distribution_may_be_inactive(make: Make) -> None:
    space = ConfigurationSpace(seed=0)
    head = CategoricalHyperparameter("head", ["CosFace", "SphereFace2"])
    smoothing = BetaFloatHyperparameter("label_smoothing", 3.0, 2.0, 0.0, 0.1)
    space.add(head, smoothing, EqualsCondition(smoothing, head, "CosFace"))
    optimizer = make(
        space, fidelity=Fidelity(min_epochs=1, max_epochs=1), n_initial_configurations=3
    )
    for index in range(5):
        (proposal,) = asked(optimizer, 1)
        optimizer.tell(proposal, costs(0.1 * index, 5.0 * index))


def test_what_is_not_accepted_is_never_proposed_and_takes_no_place_in_a_bracket(
    make: Make,
) -> None:
    """One in eighty-one: random draws, the surrogate's proposals and promotions all keep to it."""

    def accepts(configuration: Mapping[str, Value]) -> bool:
        return configuration["edge1"] == "3" and configuration["edge2"] == "5"

    optimizer, drawn = make(accepts=accepts), random.Random(0)
    proposals = []
    for _ in range(15):
        (proposal,) = asked(optimizer, 1)
        proposals.append(proposal)
        optimizer.tell(proposal, costs(drawn.random(), 50 * drawn.random()))
    assert all(accepts(each.configuration) for each in proposals)
    starts = {str(each.configuration): each.rung for each in reversed(proposals)}
    everything = [each.rung for each in asked(make(), len(starts))]
    assert sorted(starts.values()) == sorted(everything)


def test_with_everything_accepted_proposals_are_as_without_asking(make: Make) -> None:
    one, other = make(), make(accepts=lambda _: True)
    assert asked(one, 9) == asked(other, 9)


def test_a_space_of_which_nothing_is_accepted_is_exhausted(make: Make) -> None:
    assert make(accepts=lambda _: False).ask() is None


def test_a_space_of_which_little_is_accepted_ends_when_that_is_used_up(make: Make) -> None:
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("x", choices=[str(i) for i in range(40)]))
    optimizer = make(
        space,
        fidelity=Fidelity(min_epochs=1, max_epochs=1),
        accepts=lambda configuration: configuration["x"] in ("3", "7", "11"),
    )
    seen = []
    while (proposal := optimizer.ask()) is not None:
        seen.append(str(proposal.configuration["x"]))
        optimizer.tell(proposal, costs(0.5, float(len(seen))))
    assert sorted(seen) == ["11", "3", "7"]


def test_each_proposal_says_why_it_is_made(make: Make) -> None:
    wanted = [published_configuration("SMAC_301", SpaceSettings())]
    for share, later in ((0.0, "model"), (1.0, "random")):
        optimizer = make(enqueued=wanted, n_initial_configurations=3, random_share=share)
        origins = []
        for index in range(12):
            [proposal] = asked(optimizer, 1)
            origins.append((proposal.origin, proposal.rung))
            optimizer.tell(proposal, good(index))
        new = [origin for origin, _ in origins if origin != "promoted"]
        assert new == ["enqueued", *["initial"] * 3, *[later] * (len(new) - 4)]
        assert all(rung > 0 for origin, rung in origins if origin == "promoted")
        assert len(new) < 12


@pytest.mark.parametrize("knows_why", [True, False])
def test_a_log_without_reasons_goes_on_as_one_with_them(make: Make, knows_why: bool) -> None:
    log = course(make(), n=24, in_flight=3)
    known = [
        Proposal(configuration=each.configuration, rung=each.rung, origin=each.origin)
        if isinstance(each, Proposal) and knows_why
        else Proposal(configuration=each.configuration, rung=each.rung)
        if isinstance(each, Proposal)
        else each
        for each in log
    ]
    fresh, written = restored(make(), known), restored(make(), log)
    following = asked(fresh, 4)
    assert following == asked(written, 4)
    assert {each.origin for each in following} <= {"initial", "random", "model", "promoted"}
    origins = [each.origin for each in smacs(fresh).runhistory.get_configs()]
    assert ("initial" in origins[:9]) == knows_why


@pytest.mark.parametrize(
    "engine",
    [
        {"model": "forest"},
        {"model": "smac_forest"},
        {"acquisition": "noisy_hypervolume"},
        {"acquisition": "parego_ei", "model": "smac_forest"},
        {"acquisition": "parego_ei"},
        {"intensifier": "hyperband"},
        {"intensifier": "hyperband", "acquisition": "parego_ei", "model": "smac_forest"},
        {"random_share": 0.5, "density_share": 1.0},
        {"uses_all_rungs": False, "fantasises": False, "density_share": 0.0},
    ],
    ids=str,
)
def test_whatever_the_parts_a_restored_optimizer_goes_on_as_the_one_that_wrote_the_log(
    make: Make, engine: dict[str, Any]
) -> None:
    options = {"n_initial_configurations": 4, "n_trees": 5, **engine}
    log = course(make(**options), n=40, in_flight=3)
    fresh = restored(make(**options), log[:22])
    for event in log[22:]:
        if isinstance(event, Proposal):
            assert fresh.ask() == event
        else:
            fresh.tell(*event)


def test_what_smacs_hyperband_would_not_propose_is_not_restored(make: Make) -> None:
    first, second = asked(make(intensifier="hyperband"), 2)
    optimizer = make(intensifier="hyperband")
    optimizer.restore(first)
    other = Proposal(configuration=first.configuration, rung=second.rung)
    with pytest.raises(ReplayError, match="proposes something else"):
        optimizer.restore(other)


def test_what_is_not_waiting_cannot_be_told(make: Make) -> None:
    optimizer = make()
    [proposal] = asked(optimizer, 1)
    with pytest.raises(KeyError):
        optimizer.tell(Proposal(configuration=proposal.configuration, rung=2), good(1))
    optimizer.tell(proposal, good(1))
    with pytest.raises(KeyError):
        optimizer.tell(proposal, good(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_costs_that_are_not_finite_are_a_failure(make: Make, bad: float) -> None:
    optimizer = make()
    [proposal] = asked(optimizer, 1)
    optimizer.tell(proposal, costs(0.5, bad))
    assert told(optimizer) == [(StatusType.CRASHED, [1.0, 1.0])]


def test_a_space_without_priors_is_searched_as_it_is() -> None:
    space = build_space(SpaceSettings(), seed=0)
    assert uniform_space(space) is space
