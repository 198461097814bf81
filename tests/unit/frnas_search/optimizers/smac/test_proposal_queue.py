from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest

from frnas_search.optimizers.smac.history import History, Snapshot
from frnas_search.optimizers.smac.proposal_queue import ProposalQueue
from results.pareto import FloatArray

Propose = Callable[[Snapshot], FloatArray | None]
Event = tuple[str, float]


def digest(known: Snapshot) -> FloatArray:
    """A proposal that depends on everything that is known."""
    state = [
        known.vectors.tobytes(),
        known.indices.tobytes(),
        known.rungs.tobytes(),
        known.costs.tobytes(),
        repr(known.pending).encode(),
    ]
    number = sum(sum(part) * (7 + place) for place, part in enumerate(state))
    return np.array([np.random.default_rng(number).random(), float(len(known.vectors))])


def slow(seed: int) -> Propose:
    chance = random.Random(seed)

    def propose(known: Snapshot) -> FloatArray:
        time.sleep(chance.choice([0.0, 0.001, 0.004]))
        return digest(known)

    return propose


class Search:
    """Asks and tells in an order of its own; the caller's part of the bargain."""

    def __init__(self, propose: Propose, seed: int = 0) -> None:
        self.history = History(2, 1)
        self.queue = ProposalQueue(history=self.history, propose=propose)
        self.chance = random.Random(seed)
        self.in_flight: list[int] = []

    def ask(self, given: FloatArray | None = None) -> FloatArray:
        vector = self.queue.next() if given is None else given
        assert vector is not None
        index = self.history.add(vector)
        self.queue.taken(vector)
        self.history.asked(index, 0)
        self.queue.changed()
        self.in_flight.append(index)
        return vector

    def tell_one(self) -> None:
        index = self.in_flight.pop(self.chance.randrange(len(self.in_flight)))
        self.history.told(index, 0, None if index % 5 == 0 else (index / 100,))
        self.queue.changed()

    def step(self, width: int, given: FloatArray | None = None) -> FloatArray:
        vector = self.ask(given)
        while len(self.in_flight) >= width:
            self.tell_one()
        return vector

    def run(self, n: int, width: int) -> list[list[float]]:
        return [self.step(width).tolist() for _ in range(n)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("width", [1, 2, 4, 12, 20, 40])
def test_what_is_handed_out_does_not_depend_on_how_long_it_takes(width: int) -> None:
    found = []
    for propose in (digest, slow(1), slow(2)):
        search = Search(propose)
        with closing(search.queue):
            found.append(search.run(50, width))
    assert found[0] == found[1] == found[2]


def test_what_is_handed_out_does_not_depend_on_when_the_caller_comes() -> None:
    search, chance = Search(slow(3)), random.Random(4)
    with closing(search.queue):
        late = []
        for _ in range(40):
            time.sleep(chance.choice([0.0, 0.003]))
            late.append(search.step(20).tolist())
    prompt = Search(digest)
    with closing(prompt.queue):
        assert prompt.run(40, 20) == late


@pytest.mark.parametrize("width", [1, 3, 12, 30])
@pytest.mark.parametrize("n_before", [0, 1, 7, 15, 29])
def test_a_replay_goes_on_as_the_search_itself(width: int, n_before: int) -> None:
    search = Search(digest)
    with closing(search.queue):
        expected = search.run(45, width)
    again = Search(slow(5))
    with closing(again.queue):
        for vector in expected[:n_before]:
            again.step(width, np.array(vector))
        assert again.queue._thread is None
        assert again.run(45 - n_before, width) == expected[n_before:]


def test_nothing_is_computed_during_a_replay() -> None:
    def never(known: Snapshot) -> FloatArray | None:
        raise AssertionError

    search = Search(never)
    with closing(search.queue):
        for number in range(40):
            search.step(20, np.array([number / 40, 0.0]))


def test_with_one_in_flight_everything_that_is_known_counts() -> None:
    known: list[tuple[int, int]] = []

    def propose(snapshot: Snapshot) -> FloatArray:
        known.append((len(snapshot.vectors), len(snapshot.indices)))
        return digest(snapshot)

    search = Search(propose)
    with closing(search.queue):
        search.run(10, 1)
    assert known == [(n, n) for n in range(10)]


def test_asking_again_gives_the_same() -> None:
    search = Search(digest)
    with closing(search.queue):
        search.run(20, 12)
        one, other = search.queue.next(), search.queue.next()
        assert one is not None
        assert other is not None
        assert one.tolist() == other.tolist() == search.ask().tolist()


def test_each_one_made_ahead_knows_those_before_it() -> None:
    search = Search(slow(6))
    with closing(search.queue):
        made = search.run(60, 40)
    assert len({str(each) for each in made}) == 60
    assert [each[1] for each in made[:9]] == [float(n) for n in range(9)]


def test_what_is_made_ahead_waits_when_it_is_asked_for() -> None:
    is_ready = threading.Event()
    makers: list[str] = []

    def propose(known: Snapshot) -> FloatArray:
        makers.append(threading.current_thread().name)
        if len(known.vectors) == 12:
            is_ready.set()
        return digest(known)

    search = Search(propose)
    with closing(search.queue):
        for _ in range(12):
            search.ask()
        assert is_ready.wait(10)
        n_made = len(makers)
        search.queue.next()
        assert len(makers) == n_made
        assert makers[-1].startswith("proposals")


def test_an_error_of_the_thread_reaches_the_caller_each_time() -> None:
    def propose(known: Snapshot) -> FloatArray:
        if len(known.vectors) >= 8:
            raise RuntimeError("no forest")
        return digest(known)

    search = Search(propose)
    with closing(search.queue):
        search.run(8, 30)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no forest"):
                search.ask()


@pytest.mark.parametrize("width", [1, 12])
def test_none_is_handed_on_when_nothing_is_left(width: int) -> None:
    search = Search(lambda known: digest(known) if len(known.vectors) < 15 else None)
    with closing(search.queue):
        search.run(15, width)
        assert search.queue.next() is None
        while search.in_flight:
            search.tell_one()
        assert search.queue.next() is None


def test_closing_twice_or_unused_is_fine_and_drops_what_is_being_made() -> None:
    ProposalQueue(history=History(1, 1), propose=digest).close()
    search = Search(slow(7))
    search.run(30, 40)
    search.queue.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("proposals")]
    search.queue.close()
