from __future__ import annotations

import pytest
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from frnas_search.optimizers.pool import Accepts, Pool, seed_of_proposal
from search_space.candidate import SpaceSettings
from search_space.definition.space import build_space


def digits(n: int) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("x", choices=[str(i) for i in range(n)]))
    return space


def pool(space: ConfigurationSpace, *, accepts: Accepts = lambda _: True, seed: int = 0) -> Pool:
    return Pool(space, rung=2, seed=seed, enqueued=(), accepts=accepts)


def all_drawn(pool: Pool) -> list[str]:
    values = []
    while (proposal := pool.drawn()) is not None:
        pool.take(proposal)
        values.append(str(proposal.configuration["x"]))
    return values


def test_a_finite_space_is_drawn_to_its_end_and_nothing_twice() -> None:
    assert sorted(all_drawn(pool(digits(10)))) == list("0123456789")


def test_of_a_space_of_which_little_is_accepted_all_of_that_is_drawn() -> None:
    drawn = all_drawn(pool(digits(60), accepts=lambda each: each["x"] in ("3", "17", "41")))
    assert sorted(drawn) == ["17", "3", "41"]


def test_a_draw_that_is_not_taken_comes_again() -> None:
    fresh = pool(digits(10))
    assert fresh.drawn() == fresh.drawn()


def test_a_draw_depends_on_what_was_taken_and_not_on_what_was_drawn() -> None:
    one, other = pool(digits(10)), pool(digits(10))
    first = one.drawn()
    assert first is not None
    one.take(first)
    for _ in range(3):
        other.drawn()
    other.take(first)
    assert one.drawn() == other.drawn()


def test_the_callers_space_is_left_as_it_is() -> None:
    space = build_space(SpaceSettings(), seed=3)
    pool(space).drawn()
    untouched = build_space(SpaceSettings(), seed=3)
    assert space.sample_configuration() == untouched.sample_configuration()


def test_draws_follow_the_priors() -> None:
    settings = SpaceSettings(priors={"edge1": {"3": 1000.0}})
    drawn_from = pool(build_space(settings, seed=0))
    edges = []
    for _ in range(20):
        proposal = drawn_from.drawn()
        assert proposal is not None
        drawn_from.take(proposal)
        edges.append(proposal.configuration["edge1"])
    assert edges.count("3") >= 18


def test_what_was_not_taken_cannot_be_told() -> None:
    made = Proposal(configuration={"x": "1"}, rung=2)
    some = pool(digits(3))
    with pytest.raises(KeyError):
        some.told(made)
    some.take(made)
    with pytest.raises(KeyError):
        some.told(Proposal(configuration={"x": "1"}, rung=1))
    some.told(made)
    with pytest.raises(KeyError):
        some.told(made)


@pytest.mark.parametrize(
    ("proposal", "words"),
    [
        (Proposal(configuration={"x": "1"}, rung=0), "all are made for rung 2"),
        (Proposal(configuration={"x": "7"}, rung=2), "which the space does not have"),
        (Proposal(configuration={"y": "1"}, rung=2), "which the space does not have"),
        (Proposal(configuration={}, rung=2), "which the space does not have"),
        (Proposal(configuration={"x": "0"}, rung=2), "twice"),
    ],
)
def test_what_cannot_have_been_proposed_is_refused(proposal: Proposal, words: str) -> None:
    some = pool(digits(3))
    some.take(Proposal(configuration={"x": "0"}, rung=2))
    with pytest.raises(ReplayError, match=words):
        some.take(proposal)


def test_seeds_of_proposals_differ_and_are_the_same_everywhere() -> None:
    assert len({seed_of_proposal(seed, n) for seed in range(9) for n in range(99)}) == 9 * 99
    assert seed_of_proposal(0, 0) == seed_of_proposal(0, 0) < 2**32
