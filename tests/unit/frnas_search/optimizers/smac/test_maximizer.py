from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

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
    NormalFloatHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.history import History, Snapshot
from frnas_search.optimizers.smac.maximizer import Proposer, ProposerSettings, key
from results.hypervolume import hypervolume
from results.pareto import FloatArray

Objective = Callable[[FloatArray], "tuple[float, ...] | None"]

FEW_TREES = ProposerSettings(n_initial=5, random_share=0.0, n_trees=5)
SURROGATE = [
    replace(FEW_TREES, density_share=0.0),
    replace(FEW_TREES, density_share=0.0, acquisition="parego"),
    replace(FEW_TREES, density_share=1.0),
]
SETTINGS = ProposerSettings(n_initial=6, n_trees=5)


def space() -> ConfigurationSpace:
    made = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b", "c"], default_value="a")
    x = UniformFloatHyperparameter("x", 0.0, 1.0)
    y = UniformFloatHyperparameter("y", 0.0, 1.0)
    n = UniformIntegerHyperparameter("n", 1, 8)
    made.add(kind, x, y, n, Constant("fixed", "one"))
    made.add(EqualsCondition(y, kind, "a"))
    made.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "b"), ForbiddenEqualsClause(n, 8))
    )
    return made


SPACE = VectorSpace(space())
X = list(SPACE.space).index("x")


def by_x(vector: FloatArray) -> tuple[float, float]:
    """Two objectives whose front is x between 0.2 and 0.4, for one kind and one number alone."""
    values = dict(Configuration(SPACE.space, vector=vector))
    away = (
        (values["kind"] != "a") * 0.2 + abs(values["n"] - 4) * 0.05 + abs(values.get("y", 1) - 0.7)
    )
    return (
        min(1.0, abs(values["x"] - 0.2) + 0.3 * away),
        min(1.0, abs(values["x"] - 0.4) + 0.3 * away),
    )


def proposer(
    settings: ProposerSettings = SETTINGS,
    vectors: VectorSpace = SPACE,
    *,
    n_rungs: int = 1,
    seed: int = 0,
    limits: tuple[float, ...] = (math.inf, math.inf),
    first: tuple[FloatArray, ...] = (),
    accepts: Callable[[FloatArray], bool] = lambda _: True,
) -> Proposer:
    return Proposer(
        vectors,
        n_rungs=n_rungs,
        settings=settings,
        seed=seed,
        limits=np.array(limits),
        first=first,
        accepts=accepts,
    )


def searched(
    made: Proposer, n: int, costs: Objective, n_objectives: int = 2, vectors: VectorSpace = SPACE
) -> tuple[History, list[FloatArray]]:
    """One after the other, each at the highest of one rung."""
    history, proposed = History(vectors.n_dimensions, n_objectives), []
    for _ in range(n):
        vector = made.propose(history.at(history.now()))
        if vector is None:
            break
        index = history.add(vector)
        history.asked(index, 0)
        history.told(index, 0, costs(vector))
        proposed.append(vector)
    return history, proposed


def now(history: History) -> Snapshot:
    return history.at(history.now())


@pytest.fixture(scope="module")
def known() -> Snapshot:
    history, _ = searched(proposer(), 15, by_x)
    for x in (0.25, 0.35):
        history.asked(history.add(np.array(by_name(kind=0.0, x=x, y=0.5, n=0.5))), 0)
    return now(history)


def by_name(**values: float) -> list[float]:
    """A vector; what is left out is inactive."""
    return [values.get(name, 1.0 if name == "fixed" else math.nan) for name in SPACE.space]


@pytest.mark.parametrize("settings", [SETTINGS, *SURROGATE])
def test_the_same_snapshot_gives_the_same_proposal_whatever_was_asked_before(
    known: Snapshot, settings: ProposerSettings
) -> None:
    before = [each.copy() for each in (known.vectors, known.costs)]
    first = proposer(settings).propose(known)
    used = proposer(settings)
    searched(used, 7, by_x)
    assert first is not None
    assert np.array_equal(used.propose(known), first, equal_nan=True)
    assert np.array_equal(known.vectors, before[0], equal_nan=True)
    assert np.array_equal(known.costs, before[1], equal_nan=True)


def test_another_seed_or_another_history_gives_another_proposal(known: Snapshot) -> None:
    found = [
        proposer(seed=0).propose(known),
        proposer(seed=1).propose(known),
        proposer().propose(known.with_more([np.array(by_name(kind=1.0, x=0.1, n=0.2))])),
    ]
    assert len({key(each) for each in found if each is not None}) == 3


def test_another_process_and_another_thread_give_the_same(known: Snapshot) -> None:
    here = [each.tobytes().hex() for each in searched(proposer(), 10, by_x)[1]]
    program = (
        "import runpy, sys\n"
        "test = runpy.run_path(sys.argv[1])\n"
        "found = test['searched'](test['proposer'](), 10, test['by_x'])[1]\n"
        "print(*[each.tobytes().hex() for each in found])\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, __file__],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert there.stdout.split() == here
    beside: list[str] = []
    thread = threading.Thread(
        target=lambda: beside.extend(
            each.tobytes().hex() for each in searched(proposer(), 10, by_x)[1]
        )
    )
    thread.start()
    thread.join()
    assert beside == here


@pytest.mark.parametrize("settings", [SETTINGS, *SURROGATE])
def test_proposals_are_new_legal_and_as_their_values_encode_them(
    settings: ProposerSettings,
) -> None:
    _, proposed = searched(proposer(settings), 15, by_x)
    assert len({key(each) for each in proposed}) == 15
    for vector in proposed:
        configuration = Configuration(SPACE.space, vector=vector)
        configuration.check_valid_configuration()
        again = Configuration(SPACE.space, values=dict(configuration)).get_array()
        assert np.array_equal(again, vector, equal_nan=True)


def test_what_comes_first_is_proposed_in_its_order_and_each_once() -> None:
    one, other = (np.array(by_name(kind=1.0, x=x, n=0.1875)) for x in (0.5, 0.6))
    _, proposed = searched(proposer(first=(one, other, one, other)), 6, by_x)
    assert [key(each) for each in proposed[:2]] == [key(one), key(other)]
    assert len({key(each) for each in proposed}) == 6
    _, without = searched(proposer(), 4, by_x)
    assert [key(each) for each in proposed[2:]] == [key(each) for each in without]


def tiny() -> VectorSpace:
    made = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"], default_value="x")
    n = UniformIntegerHyperparameter("n", 1, 3)
    made.add(a, n, Constant("fixed", 5))
    made.add(EqualsCondition(n, a, "x"))
    return VectorSpace(made)


@pytest.mark.parametrize("settings", [SETTINGS, *SURROGATE])
@pytest.mark.parametrize("fails", [False, True])
def test_a_small_space_is_proposed_to_its_end(settings: ProposerSettings, fails: bool) -> None:
    vectors = tiny()
    few = replace(settings, n_initial=2)

    def costs(vector: FloatArray) -> tuple[float, float] | None:
        return None if fails else (float(np.nansum(vector)) / 9, 0.5)

    history, proposed = searched(proposer(few, vectors), 20, costs, vectors=vectors)
    assert len(proposed) == len({key(each) for each in proposed}) == 5
    assert proposer(few, vectors).propose(now(history)) is None


@pytest.mark.parametrize("settings", SURROGATE)
def test_only_what_is_accepted_is_proposed(settings: ProposerSettings) -> None:
    def accepts(vector: FloatArray) -> bool:
        return bool(0.5 < vector[X] < 0.52)  # where nothing is good

    _, proposed = searched(proposer(settings, accepts=accepts), 9, by_x)
    assert len(proposed) == 9
    assert all(accepts(each) for each in proposed)


def test_when_nothing_is_accepted_there_is_none() -> None:
    assert searched(proposer(accepts=lambda _: False), 1, by_x)[1] == []


def test_it_goes_on_when_everything_fails() -> None:
    _, proposed = searched(proposer(), 20, lambda _: None)
    assert len({key(each) for each in proposed}) == 20


@pytest.mark.parametrize("settings", SURROGATE)
def test_it_goes_on_when_everything_costs_the_same(settings: ProposerSettings) -> None:
    assert len(searched(proposer(settings), 10, lambda _: (0.5, 0.5))[1]) == 10


@pytest.mark.parametrize("settings", [SETTINGS, *SURROGATE])
@pytest.mark.parametrize("m", [1, 3])
def test_any_number_of_objectives_with_failures_between(
    settings: ProposerSettings, m: int
) -> None:
    def costs(vector: FloatArray) -> tuple[float, ...] | None:
        if int(vector[X] * 100) % 7 == 0:
            return None
        return tuple(abs(vector[X] - number / m) for number in range(m))

    for limits in ((math.inf,) * m, (0.0,) * m):
        made = proposer(settings, limits=limits)
        assert len(searched(made, 9, costs, n_objectives=m)[1]) == 9


@pytest.mark.parametrize("fantasises", [False, True])
@pytest.mark.parametrize("settings", SURROGATE)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_it_proposes_before_anything_reached_the_highest_rung(
    settings: ProposerSettings, m: int, fantasises: bool
) -> None:
    history = History(SPACE.n_dimensions, m)
    for vector in SPACE.draw(8, np.random.default_rng(0)):
        index = history.add(vector)
        history.asked(index, 0)
        history.told(index, 0, (float(vector[X]),) * m)
    made = proposer(replace(settings, fantasises=fantasises), n_rungs=3, limits=(math.inf,) * m)
    assert made.propose(now(history)) is not None


@pytest.mark.parametrize("settings", SURROGATE[::2])
def test_most_later_proposals_keep_the_limits(settings: ProposerSettings) -> None:
    """One kind is best by far in the second objective and too expensive in the first."""

    def costs(vector: FloatArray) -> tuple[float, float]:
        kind = dict(Configuration(SPACE.space, vector=vector))["kind"]
        return (0.8 if kind == "a" else 0.3) + 0.1 * vector[X], 0.1 if kind == "a" else 0.6

    def share(limits: tuple[float, float]) -> float:
        _, proposed = searched(proposer(settings, limits=limits), 28, costs)
        return float(np.mean([costs(each)[0] <= 0.5 for each in proposed[12:]]))

    assert share((0.5, math.inf)) >= 0.75


def with_prior(centre: float, spread: float) -> VectorSpace:
    uniform, drawn_from = ConfigurationSpace(seed=0), ConfigurationSpace(seed=0)
    for made in (uniform, drawn_from):
        made.add(UniformFloatHyperparameter("other", 0.0, 1.0))
    uniform.add(UniformFloatHyperparameter("x", 0.0, 1.0))
    drawn_from.add(NormalFloatHyperparameter("x", centre, spread, 0.0, 1.0))
    return VectorSpace(uniform, drawn_from)


def test_priors_steer_later_proposals_too() -> None:
    """Costs that say nothing about x leave the choice to the user."""
    steered, plain = with_prior(0.8, 0.05), VectorSpace(with_prior(0.8, 0.05).space)

    def share(vectors: VectorSpace, settings: ProposerSettings) -> float:
        near = []
        for seed in range(2):
            made = proposer(replace(settings, random_share=0.0), vectors, seed=seed)
            _, proposed = searched(
                made, 16, lambda v: (float(v[0]), 1.0 - float(v[0])), vectors=vectors
            )
            near += [abs(each[1] - 0.8) < 0.1 for each in proposed[6:]]
        return float(np.mean(near))

    assert list(plain.space) == ["other", "x"]
    assert share(steered, SURROGATE[0]) > share(plain, SURROGATE[0]) + 0.2


def test_trials_in_flight_keep_others_away_from_them() -> None:
    settings = replace(SURROGATE[0], fantasises=True)
    history, _ = searched(proposer(settings), 12, by_x)
    found = []
    for _ in range(6):
        vector = proposer(settings).propose(now(history))
        assert vector is not None
        found.append(vector)
        history.asked(history.add(vector), 0)
    assert len({key(each) for each in found}) == 6


@pytest.mark.parametrize("settings", [SURROGATE[0], SURROGATE[2]])
def test_it_finds_more_of_the_front_than_chance(settings: ProposerSettings) -> None:
    reference = np.ones(2)

    def volume(vectors: list[FloatArray]) -> float:
        return hypervolume(np.array([by_x(each) for each in vectors]), reference)

    ours = [volume(searched(proposer(settings, seed=seed), 24, by_x)[1]) for seed in range(3)]
    chance = [
        volume(list(SPACE.draw(24, np.random.default_rng(seed)))) for seed in range(100, 130)
    ]
    assert np.mean(ours) > np.quantile(chance, 0.9)


def test_equal_configurations_have_equal_keys() -> None:
    vector = np.array([0.1, math.nan, 1.0])
    assert key(vector) == key(vector + 1e-12)
    assert key(np.array([-0.0, 1.0])) == key(np.array([0.0, 1.0]))
    assert key(vector) != key(np.array([0.1, 0.0, 1.0]))
