from __future__ import annotations

import copy

import numpy as np
import pytest

from frnas_search.optimizers.smac.history import History, Snapshot


def same(one: Snapshot, other: Snapshot) -> bool:
    arrays = ("vectors", "indices", "rungs", "costs")
    return one.pending == other.pending and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "indices")
        for name in arrays
    )


def grown() -> History:
    history = History(2, 2)
    for number in range(3):
        history.add(np.array([number / 10, float("nan")]))
        history.asked(number, 0)
    history.told(1, 0, (0.5, 0.25))
    history.told(0, 0, None)
    history.asked(1, 1)
    return history


def test_a_snapshot_holds_what_was_told_in_that_order() -> None:
    history = grown()
    known = history.at(history.now())
    assert known.vectors[:, 0].tolist() == [0.0, 0.1, 0.2]
    assert known.indices.tolist() == [1, 0]
    assert known.rungs.tolist() == [0, 0]
    assert known.costs[0].tolist() == [0.5, 0.25]
    assert np.isnan(known.costs[1]).all()
    assert known.is_success.tolist() == [True, False]
    assert known.pending == (2, 1)
    assert (len(history), history.n_pending) == (3, 2)


def test_nothing_known_has_its_shapes() -> None:
    history = History(3, 2)
    known = history.at(history.now())
    assert known.vectors.shape == (0, 3)
    assert known.costs.shape == (0, 2)
    assert known.is_success.shape == (0,)
    assert known.pending == ()


def test_a_moment_stays_what_it_was_when_the_history_grows() -> None:
    history = grown()
    moment = history.now()
    before = copy.deepcopy(history.at(moment))
    taken_then = history.at(moment)
    history.add(np.array([0.9, 0.9]))
    history.asked(3, 0)
    history.told(2, 0, (0.1, 0.1))
    history.told(1, 1, None)
    assert same(history.at(moment), before)
    assert same(taken_then, before)
    assert not same(history.at(history.now()), before)


def test_every_moment_of_the_past_can_be_looked_at_again() -> None:
    history, moments, then = History(1, 1), [], []
    for number in range(20):
        history.add(np.array([number / 20]))
        history.asked(number, 0)
        if number % 3 == 2:
            history.told(number - 1, 0, (number / 20,) if number % 2 else None)
        moments.append(history.now())
        then.append(history.at(moments[-1]))
    assert all(same(history.at(m), known) for m, known in zip(moments, then, strict=True))


def test_changing_a_snapshots_arrays_does_not_change_the_history() -> None:
    history = grown()
    history.at(history.now()).vectors[:] = 7.0
    assert history.at(history.now()).vectors[1, 0] == 0.1


def test_what_was_not_asked_cannot_be_told() -> None:
    history = grown()
    with pytest.raises(KeyError):
        history.told(1, 0, (0.1, 0.1))
    with pytest.raises(KeyError):
        history.told(2, 1, None)


def test_more_configurations_are_pending() -> None:
    history = grown()
    known = history.at(history.now())
    assert known.with_more([]) is known
    more = known.with_more([np.array([0.7, 0.7]), np.array([0.8, 0.8])])
    assert more.vectors[3:].tolist() == [[0.7, 0.7], [0.8, 0.8]]
    assert more.pending == (2, 1, 3, 4)
    assert same(history.at(history.now()), known)
