from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from ConfigSpace import Configuration
from smac.runhistory import TrialInfo
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.smac.past import Past
from frnas_search.optimizers.smac.proposal_queue import ProposalQueue
from tests.unit.frnas_search.optimizers.smac.conftest import add, square

SPACE = square()

Propose = Callable[[Past], Configuration | None]
Values = tuple[float, float]


def values_of(configuration: Configuration) -> Values:
    return float(configuration["x"]), float(configuration["y"])


def configuration_of(values: Values) -> Configuration:
    return Configuration(SPACE, values={"x": values[0], "y": values[1]})


def n_known(past: Past) -> int:
    return len(past.get_configs())


def n_told(past: Past) -> int:
    return sum(value.status != StatusType.RUNNING for value in past.values())


def digest(past: Past) -> Configuration:
    """A proposal that depends on everything that is known; its y counts those before it."""
    state = [
        [values_of(each) for each in past.get_configs()],
        [(key.config_id, value.cost, value.status.name) for key, value in past.items()],
        [values_of(each) for each in past.pending()],
    ]
    number = zlib.crc32(repr(state).encode())
    return configuration_of((np.random.default_rng(number).random(), n_known(past) / 100))


def slow(seed: int) -> Propose:
    chance = random.Random(seed)

    def propose(past: Past) -> Configuration:
        time.sleep(chance.choice([0.0, 0.001, 0.004]))
        return digest(past)

    return propose


class Search:
    """Asks and tells in an order of its own; the caller's part of the bargain."""

    def __init__(self, propose: Propose, seed: int = 0) -> None:
        self.history = RunHistory(n_objectives=1)
        self.queue = ProposalQueue(
            propose=propose,
            now=lambda: Past(self.history),
            n_in_flight=lambda: self.history.running,
        )
        self.chance = random.Random(seed)
        self.in_flight: list[Configuration] = []

    def ask(self, given: Values | None = None) -> Values:
        made = self.queue.next() if given is None else configuration_of(given)
        assert made is not None
        self.history.add_running_trial(TrialInfo(made, seed=0))
        if given is not None:
            self.queue.taken(made)
        self.queue.changed()
        self.in_flight.append(made)
        return values_of(made)

    def tell_one(self) -> None:
        ended = self.in_flight.pop(self.chance.randrange(len(self.in_flight)))
        number = self.history.get_config_id(ended)
        add(self.history, ended, None if number % 5 == 0 else number / 100)
        self.queue.changed()

    def step(self, width: int, given: Values | None = None) -> Values:
        values = self.ask(given)
        while len(self.in_flight) >= width:
            self.tell_one()
        return values

    def run(self, n: int, width: int) -> list[Values]:
        return [self.step(width) for _ in range(n)]


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
    assert len(set(found[0])) == 50


def test_what_is_handed_out_does_not_depend_on_when_the_caller_comes() -> None:
    search, chance = Search(slow(3)), random.Random(4)
    with closing(search.queue):
        late = []
        for _ in range(40):
            time.sleep(chance.choice([0.0, 0.003]))
            late.append(search.step(20))
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
        for values in expected[:n_before]:
            again.step(width, values)
        assert again.queue._thread is None
        assert again.run(45 - n_before, width) == expected[n_before:]


def test_nothing_is_computed_during_a_replay() -> None:
    def never(past: Past) -> Configuration | None:
        raise AssertionError

    search = Search(never)
    with closing(search.queue):
        for number in range(40):
            search.step(20, (number / 40, 0.0))


def test_with_one_in_flight_everything_that_is_known_counts() -> None:
    known: list[tuple[int, int]] = []

    def propose(past: Past) -> Configuration:
        known.append((n_known(past), n_told(past)))
        return digest(past)

    search = Search(propose)
    with closing(search.queue):
        search.run(10, 1)
    assert known == [(n, n) for n in range(10)]


def test_what_is_handed_out_is_the_callers_and_the_next_one_is_another() -> None:
    search = Search(digest)
    with closing(search.queue):
        search.run(40, 30)
        n_ahead = len(search.queue._queue)
        found = [search.queue.next() for _ in range(n_ahead)]
        assert n_ahead == 4
        assert len({values_of(each) for each in found if each is not None}) == n_ahead


@pytest.mark.parametrize(
    ("n_in_flight", "n_ahead"), [(0, 0), (1, 0), (2, 1), (9, 1), (10, 2), (60, 8), (300, 16)]
)
def test_one_is_made_ahead_for_every_eight_trials_in_flight_besides_the_first(
    n_in_flight: int, n_ahead: int
) -> None:
    search = Search(digest)
    for number in range(n_in_flight):
        info = TrialInfo(configuration_of((number / 1000, 0.0)), seed=0)
        search.history.add_running_trial(info)
    search.queue.changed()
    assert len(search.queue._queue) == n_ahead


def test_each_one_made_ahead_knows_those_before_it() -> None:
    search = Search(slow(6))
    with closing(search.queue):
        made = search.run(60, 40)
    assert len(set(made)) == 60
    assert [each[1] for each in made[:9]] == [n / 100 for n in range(9)]


def test_what_is_made_ahead_waits_when_it_is_asked_for() -> None:
    is_ready = threading.Event()
    makers: list[str] = []

    def propose(past: Past) -> Configuration:
        makers.append(threading.current_thread().name)
        if n_known(past) == 12:
            is_ready.set()
        return digest(past)

    search = Search(propose)
    with closing(search.queue):
        for _ in range(12):
            search.ask()
        assert is_ready.wait(10)
        n_made = len(makers)
        search.queue.next()
        assert len(makers) == n_made
        assert {maker.startswith("proposals") for maker in makers} == {True}


def test_all_are_made_on_one_thread_one_after_the_other() -> None:
    busy, threads = threading.Lock(), set()

    def propose(past: Past) -> Configuration:
        assert busy.acquire(blocking=False)
        threads.add(threading.get_ident())
        time.sleep(0.001)
        busy.release()
        return digest(past)

    search = Search(propose)
    with closing(search.queue):
        search.run(30, 1)
        search.run(30, 25)
    assert len(threads) == 1


def test_an_error_of_the_thread_reaches_the_caller_each_time() -> None:
    def propose(past: Past) -> Configuration:
        if n_known(past) >= 8:
            raise RuntimeError("no forest")
        return digest(past)

    search = Search(propose)
    with closing(search.queue):
        search.run(8, 30)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no forest"):
                search.ask()


@pytest.mark.parametrize("width", [1, 12, 30])
def test_none_is_handed_on_when_nothing_is_left(width: int) -> None:
    search = Search(lambda past: digest(past) if n_known(past) < 15 else None)
    with closing(search.queue):
        search.run(15, width)
        assert search.queue.next() is None
        assert search.queue.next() is None
        while search.in_flight:
            search.tell_one()
        assert search.queue.next() is None


@pytest.mark.parametrize("n_before", [0, 4, 11, 20, 31])
def test_that_there_was_none_is_nothing_that_a_replay_needs_to_know(n_before: int) -> None:
    """A log holds no question that had no answer."""

    def propose(past: Past) -> Configuration | None:
        return digest(past) if n_known(past) < 10 + n_told(past) else None

    def event(search: Search) -> Values | None:
        if (made := search.queue.next()) is None:
            search.tell_one()
            return None
        search.history.add_running_trial(TrialInfo(made, seed=0))
        search.queue.changed()
        search.in_flight.append(made)
        return values_of(made)

    search, again = Search(propose), Search(propose)
    with closing(search.queue):
        log = [event(search) for _ in range(40)]
    assert 5 < log.count(None) < 35
    with closing(again.queue):
        for known in log[:n_before]:
            if known is None:
                again.tell_one()
            else:
                again.ask(known)
        assert [event(again) for _ in log[n_before:]] == log[n_before:]


def test_closing_twice_or_unused_is_fine_and_drops_what_is_being_made() -> None:
    Search(digest).queue.close()
    search = Search(slow(7))
    search.run(30, 40)
    search.queue.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("proposals")]
    search.queue.close()
