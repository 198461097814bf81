from __future__ import annotations

import copy
import math
import random
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frnas_search.optimizers.fidelity import bracket_sizes
from frnas_search.optimizers.smac.promotion import (
    Promotions,
    best_first,
    best_within,
    crowding_distances,
)
from results.pareto import FloatArray

Costs = tuple[float, ...] | None

quick = settings(max_examples=40)


@pytest.mark.parametrize(
    ("n_rungs", "eta", "sizes"),
    [
        (5, 3, (81, 34, 15, 8, 5)),  # Hyperband's table 1: R = 81
        (4, 3, (27, 12, 6, 4)),
        (3, 3, (9, 5, 3)),
        (3, 2, (4, 3, 3)),
        (3, 4, (16, 6, 3)),
        (1, 3, (1,)),
    ],
)
def test_brackets_have_hyperbands_sizes(n_rungs: int, eta: int, sizes: tuple[int, ...]) -> None:
    assert bracket_sizes(n_rungs, eta) == sizes


@quick
@given(st.integers(1, 14), st.integers(2, 10))
def test_brackets_have_hyperbands_sizes_in_exact_arithmetic(n_rungs: int, eta: int) -> None:
    exact = [
        math.ceil(Fraction(n_rungs, above + 1) * eta**above)
        for above in range(n_rungs - 1, -1, -1)
    ]
    assert list(bracket_sizes(n_rungs, eta)) == exact


def dominates(one: FloatArray, other: FloatArray) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def slow_ranks(costs: FloatArray) -> list[int]:
    """Deb's ranks: peel off one front after the other."""
    ranks, left, rank = [0] * len(costs), set(range(len(costs))), 0
    while left:
        front = {i for i in left if not any(dominates(costs[j], costs[i]) for j in left)}
        for i in front:
            ranks[i] = rank
        left, rank = left - front, rank + 1
    return ranks


def slow_crowding(costs: FloatArray) -> list[float]:
    """Deb's crowding distance, one objective and one row at a time."""
    distances = [0.0] * len(costs)
    for column in costs.T.tolist():
        order = sorted(range(len(costs)), key=lambda i, c=column: c[i])  # type: ignore[misc]
        spread = column[order[-1]] - column[order[0]]
        distances[order[0]] = distances[order[-1]] = math.inf
        for place in range(1, len(order) - 1):
            gap = column[order[place + 1]] - column[order[place - 1]]
            distances[order[place]] += gap / spread if spread > 0 else 0.0
    return distances


@st.composite
def tables(draw: st.DrawFn, n_objectives: tuple[int, int] = (1, 4)) -> FloatArray:
    """Costs with many ties and equal rows."""
    m = draw(st.integers(*n_objectives))
    rows = draw(st.lists(st.tuples(*[st.integers(0, 4)] * m), max_size=14))
    return np.array(rows, float).reshape(len(rows), m)


@quick
@given(tables((2, 4)))
def test_the_order_is_that_of_nsga2(costs: FloatArray) -> None:
    ranks = slow_ranks(costs)
    crowding = {}
    for rank in set(ranks):
        rows = [i for i, each in enumerate(ranks) if each == rank]
        crowding.update(zip(rows, slow_crowding(costs[rows]), strict=True))
    expected = sorted(range(len(costs)), key=lambda i: (ranks[i], -crowding[i], i))
    found = best_first(costs)
    assert [ranks[i] for i in found] == [ranks[i] for i in expected]
    # Sums in another order may differ in their last bits, so equal distances may change places.
    for one, other in zip(found, expected, strict=True):
        assert crowding[one] == pytest.approx(crowding[other])


@quick
@given(tables((1, 1)))
def test_with_one_objective_the_order_is_by_cost_and_then_by_index(costs: FloatArray) -> None:
    assert best_first(costs) == sorted(range(len(costs)), key=lambda i: (costs[i, 0], i))


@quick
@given(tables((2, 4)))
def test_crowding_distances_are_debs(costs: FloatArray) -> None:
    if len(costs):
        assert crowding_distances(costs).tolist() == pytest.approx(slow_crowding(costs))


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
def test_equal_rows_stay_in_their_order_but_for_the_ends(n_objectives: int) -> None:
    order = best_first(np.full((5, n_objectives), 0.5))
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert order[0] == 0


def test_nothing_has_no_order() -> None:
    assert best_first(np.empty((0, 2))) == []
    assert best_within(np.empty((0, 2)), np.array([0.5, 0.5])) == []


def test_the_middle_of_a_crowded_front_comes_last() -> None:
    costs = np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.45, 0.56], [0.9, 0.9]])
    assert best_first(costs)[:2] == [1, 2]
    assert best_first(costs)[-1] == 4


@quick
@given(tables(), st.lists(st.one_of(st.integers(0, 4), st.just(math.inf)), min_size=4, max_size=4))
def test_what_is_above_a_limit_comes_last_by_its_excess(
    costs: FloatArray, bounds: list[float]
) -> None:
    limits = np.array(bounds[: costs.shape[1]], float)
    order = best_within(costs, limits)
    excess = [
        sum(max(0.0, c - b) for c, b in zip(row, limits, strict=True)) for row in costs.tolist()
    ]
    plain = best_first(costs)
    assert order == sorted(range(len(costs)), key=lambda i: (excess[i], plain.index(i)))


@quick
@given(tables())
def test_no_limit_and_an_infinite_one_change_nothing(costs: FloatArray) -> None:
    unlimited = np.full(costs.shape[1], np.inf)
    assert best_within(costs, None) == best_within(costs, unlimited) == best_first(costs)


def test_the_cheapest_rung_starts_first() -> None:
    assert Promotions(4, 3).starting_rung() == 0


@pytest.mark.parametrize("eta", [2, 3, 4, 10])
@pytest.mark.parametrize("n_rungs", [1, 2, 3, 4, 5])
def test_every_rung_keeps_its_share_of_the_starts(n_rungs: int, eta: int) -> None:
    sizes = bracket_sizes(n_rungs, eta)
    shares = [Fraction(size, sum(sizes)) for size in sizes]
    promotions, starts = Promotions(n_rungs, eta), [0] * n_rungs
    for n in range(1, 400):
        rung = promotions.starting_rung()
        assert promotions.starting_rung() == rung
        promotions.started(rung)
        starts[rung] += 1
        assert all(
            abs(count - share * n) <= 1 for count, share in zip(starts, shares, strict=True)
        )


def test_after_one_round_every_bracket_is_complete() -> None:
    promotions, starts = Promotions(4, 3), [0] * 4
    for _ in range(49):
        rung = promotions.starting_rung()
        promotions.started(rung)
        starts[rung] += 1
    assert starts == [27, 12, 6, 4]


@dataclass
class Search:
    """A search over a random history that keeps books of its own."""

    promotions: Promotions
    chance: random.Random
    eta: int
    limits: FloatArray | None = None
    known: list[dict[int, Costs]] = field(default_factory=list)
    gone: list[list[int]] = field(default_factory=list)
    in_flight: list[tuple[int, int]] = field(default_factory=list)
    n_configurations: int = 0

    def step(self) -> None:
        found = self.promotions.promotion()
        self.check_promotion(found)
        if found is None:
            rung = self.promotions.starting_rung()
            self.promotions.started(rung)
            self.in_flight.append((self.n_configurations, rung))
            self.n_configurations += 1
        else:
            self.go_on(*found)

    def go_on(self, index: int, rung: int) -> None:
        assert self.known[rung - 1][index] is not None
        assert index not in self.gone[rung - 1]
        self.promotions.promoted(index, rung)
        self.gone[rung - 1].append(index)
        self.in_flight.append((index, rung))

    def end_one(self) -> None:
        index, rung = self.in_flight.pop(self.chance.randrange(len(self.in_flight)))
        levels = self.chance.choice([3, 1000])  # with and without ties
        drawn = tuple(self.chance.randrange(levels) / levels for _ in range(2))
        costs = None if self.chance.random() < 0.2 else drawn
        self.known[rung][index] = costs
        self.promotions.told(index, rung, costs)

    def justified(self, rung: int) -> list[int]:
        """Who may go on from a rung, by the definition; best first."""
        costs = {i: each for i, each in self.known[rung].items() if each is not None}
        n_places = len(self.known[rung]) // self.eta
        if len(self.gone[rung]) >= n_places or not costs:
            return []
        order = best_within(np.array(list(costs.values())), self.limits)
        best = [list(costs)[row] for row in order][:n_places]
        return [index for index in best if index not in self.gone[rung]]

    def check_promotion(self, found: tuple[int, int] | None) -> None:
        expected = None
        for rung in range(len(self.known) - 1):
            if waiting := self.justified(rung):
                expected = (waiting[0], rung + 1)  # the highest rung is the last one here
        assert found == expected
        assert self.promotions.promotion() == found


def new_search(
    n_rungs: int, eta: int, seed: int, limits: tuple[float, float] | None = None
) -> Search:
    bounds = None if limits is None else np.array(limits)
    return Search(
        Promotions(n_rungs, eta, limits=bounds),
        random.Random(seed),
        eta,
        bounds,
        known=[{} for _ in range(n_rungs)],
        gone=[[] for _ in range(n_rungs)],
    )


@quick
@given(
    st.integers(1, 4),
    st.integers(2, 4),
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from([None, (0.5, math.inf), (0.3, 0.3)]),
)
def test_a_configuration_goes_on_exactly_when_it_belongs_to_the_best_of_its_rung(
    n_rungs: int, eta: int, seed: int, width: int, limits: tuple[float, float] | None
) -> None:
    """The books hold: nobody twice, no failure, at once, the best first, the top rung first."""
    search = new_search(n_rungs, eta, seed, limits)
    for _ in range(60):
        search.step()
        while len(search.in_flight) >= width:
            search.end_one()
        for known, gone in zip(search.known, search.gone, strict=True):
            assert len(gone) <= len(known) // eta
            assert len(set(gone)) == len(gone)
    assert search.gone[-1] == []


@quick
@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 10**6))
def test_leftovers_end_when_every_success_has_gone_on_to_the_top(
    n_rungs: int, eta: int, seed: int
) -> None:
    search = new_search(n_rungs, eta, seed)
    for _ in range(40):
        search.step()
        search.end_one()
    n_fallbacks = 0
    while (
        found := search.promotions.promotion() or search.promotions.fallback_promotion()
    ) is not None:
        search.go_on(*found)
        search.end_one()
        n_fallbacks += 1
        assert n_fallbacks <= 40 * n_rungs
    for known, gone in zip(search.known[:-1], search.gone[:-1], strict=True):
        assert set(gone) == {index for index, costs in known.items() if costs is not None}


def test_a_leftover_is_the_best_of_the_highest_rung_and_asking_changes_nothing() -> None:
    promotions = Promotions(3, 3)
    assert promotions.fallback_promotion() is None
    promotions.told(0, 0, (0.5, 0.5))
    promotions.told(1, 0, (0.1, 0.1))
    assert promotions.promotion() is None
    assert promotions.fallback_promotion() == promotions.fallback_promotion() == (1, 1)
    promotions.told(2, 1, (0.9, 0.9))
    assert promotions.fallback_promotion() == (2, 2)
    promotions.promoted(2, 2)
    assert promotions.fallback_promotion() == (1, 1)


def test_asking_for_promotions_changes_nothing_that_follows() -> None:
    silent, asked = new_search(3, 3, seed=5), new_search(3, 3, seed=5)
    for _ in range(60):
        for search in (silent, asked):
            search.step()
            search.end_one()
        before = copy.deepcopy(asked.promotions)
        for _ in range(3):
            asked.promotions.promotion()
            asked.promotions.fallback_promotion()
        assert asked.promotions.promotion() == before.promotion()
        assert asked.promotions.starting_rung() == before.starting_rung()
    assert silent.known == asked.known
    assert silent.gone == asked.gone


def test_failures_take_places_but_never_go_on() -> None:
    promotions = Promotions(2, 3)
    for index in range(6):
        promotions.told(index, 0, None)
    assert promotions.promotion() is None
    assert promotions.fallback_promotion() is None
    promotions.told(6, 0, (0.9, 0.9))
    assert promotions.promotion() == (6, 1)


def test_one_within_the_limits_goes_on_before_better_ones_that_are_not() -> None:
    promotions = Promotions(2, 3, limits=np.array([0.5, np.inf]))
    for index, costs in enumerate([(0.6, 0.0), (0.5, 0.9), (0.7, 0.0)]):
        promotions.told(index, 0, costs)
    assert promotions.promotion() == (1, 1)


def test_with_one_rung_nobody_goes_on() -> None:
    promotions = Promotions(1, 3)
    for index in range(9):
        assert promotions.starting_rung() == 0
        promotions.started(0)
        promotions.told(index, 0, (0.1, 0.1))
        assert promotions.promotion() is None
        assert promotions.fallback_promotion() is None


def test_only_a_success_that_was_not_promoted_yet_may_be_and_by_one_rung() -> None:
    promotions = Promotions(3, 3)
    promotions.told(0, 0, (0.5, 0.5))
    promotions.told(1, 0, None)
    assert promotions.may_promote(0, 1)
    assert not any(promotions.may_promote(0, rung) for rung in (-1, 0, 2, 3))
    assert not promotions.may_promote(1, 1)
    assert not promotions.may_promote(2, 1)
    promotions.promoted(0, 1)
    assert not promotions.may_promote(0, 1)
