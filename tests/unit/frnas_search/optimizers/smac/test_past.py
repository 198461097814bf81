from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import Configuration
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.smac.past import Past
from tests.unit.frnas_search.optimizers.smac.conftest import add, square

SPACE = square()


def configuration(number: int) -> Configuration:
    return Configuration(SPACE, values={"x": number / 100, "y": 0.5})


def running(history: RunHistory, number: int, budget: float = 1.0) -> None:
    add(history, configuration(number), 0.0, budget=budget, status=StatusType.RUNNING)


def grown() -> RunHistory:
    """Three configurations; the second was told, the third failed, the second goes on."""
    history = RunHistory(n_objectives=1)
    for number in range(3):
        running(history, number)
    add(history, configuration(1), 0.25, budget=1.0)
    add(history, configuration(2), None, budget=1.0)
    running(history, 1, budget=3.0)
    return history


def numbers(configurations: list[Configuration]) -> list[int]:
    return [round(100 * each["x"]) for each in configurations]


Known = list[tuple[object, ...]]


def contents(past: Past) -> Known:
    rows: Known = [(key, value.cost, value.status) for key, value in past.items()]
    return [*rows, tuple(numbers(past.get_configs())), tuple(numbers(past.pending()))]


def test_it_holds_the_trials_in_the_order_in_which_they_were_asked() -> None:
    past = Past(grown())
    assert [(key.config_id, key.budget) for key in past] == [
        (1, 1.0),
        (2, 1.0),
        (3, 1.0),
        (2, 3.0),
    ]
    assert [value.status for value in past.values()] == [
        StatusType.RUNNING,
        StatusType.SUCCESS,
        StatusType.CRASHED,
        StatusType.RUNNING,
    ]
    assert past[list(past)[1]].cost == 0.25
    assert len(past) == 4
    assert numbers(past.get_configs()) == [0, 1, 2]
    assert numbers([past.get_config(id_) for id_ in (3, 1)]) == [2, 0]


def test_nothing_known_is_empty() -> None:
    past = Past(RunHistory())
    assert (len(past), past.get_configs(), past.pending()) == (0, [], [])


def test_those_in_flight_are_pending_once_for_each_trial() -> None:
    history = grown()
    assert numbers(Past(history).pending()) == [0, 1]
    running(history, 0, budget=3.0)
    assert numbers(Past(history).pending()) == [0, 1, 0]


def test_what_is_planned_is_pending_and_will_have_been_asked() -> None:
    past = Past(grown(), [configuration(7)])
    assert numbers(past.get_configs()) == [0, 1, 2, 7]
    assert numbers(past.pending()) == [0, 1, 7]
    assert len(past) == 4


def test_more_that_is_planned_changes_no_moment_but_the_new_one() -> None:
    past = Past(grown(), [configuration(7)])
    before = contents(past)
    later = past.with_planned([configuration(8), configuration(9)])
    assert numbers(later.pending()) == [0, 1, 7, 8, 9]
    assert numbers(later.get_configs()) == [0, 1, 2, 7, 8, 9]
    assert dict(later) == dict(past)
    assert contents(past) == before
    assert contents(past.with_planned([])) == before


def test_a_moment_stays_what_it_was_when_the_history_grows() -> None:
    history = grown()
    past = Past(history)
    planned = past.with_planned([configuration(7)])
    before, before_planned = contents(past), contents(planned)
    running(history, 9)
    add(history, configuration(0), 0.5, budget=1.0)
    add(history, configuration(1), None, budget=3.0)
    assert contents(past) == before
    assert contents(planned) == before_planned
    assert contents(Past(history)) != before


def test_every_moment_of_a_search_can_be_looked_at_again() -> None:
    history, moments = RunHistory(n_objectives=1), []
    chance = np.random.default_rng(0)
    for number in range(20):
        running(history, number)
        if number % 3 == 2:
            cost = float(chance.random()) if number % 2 else None
            add(history, configuration(number - 1), cost, budget=1.0)
        moments.append((Past(history), contents(Past(history))))
    assert all(contents(past) == known for past, known in moments)


def test_the_lists_that_it_gives_away_are_copies() -> None:
    past = Past(grown())
    past.get_configs().clear()
    past.pending().clear()
    assert len(past.get_configs()) == 3
    assert len(past.pending()) == 2
    with pytest.raises(TypeError):
        past[next(iter(past))] = None  # type: ignore[index]
