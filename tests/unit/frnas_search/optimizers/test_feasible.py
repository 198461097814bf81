from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from itertools import islice

import numpy as np
import pytest
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, UniformFloatHyperparameter

from frnas_search.optimizers.constraint import Accepts
from frnas_search.optimizers.feasible import _TIMES_AT_FIRST, Feasible
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import keys
from results.pareto import FloatArray

NONE = np.empty((0, 2))


def square() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add(UniformFloatHyperparameter("x", 0, 1), UniformFloatHyperparameter("y", 0, 1))
    return space


def digits(n: int) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add([CategoricalHyperparameter(f"d{i}", list("0123456789")) for i in range(n)])
    return space


def feasible(
    accepts: Accepts | None, space: ConfigurationSpace | None = None, seed: int = 0
) -> Feasible:
    return Feasible(VectorSpace(space or square()), accepts, seed=seed)


def x_below(limit: float) -> Accepts:
    return lambda values: float(values["x"]) < limit


class Downhill:
    """Nothing but a corner of one in a thousand millions, and how far away it is."""

    def __init__(self, *, size: float) -> None:
        self._size = size

    def __call__(self, configuration: Mapping[str, bool | int | float | str]) -> bool:
        return not self.excess(configuration)

    def excess(self, configuration: Mapping[str, bool | int | float | str]) -> Mapping[str, float]:
        values = {name: float(value) for name, value in configuration.items()}
        return {
            f"max_{name}": math.log(value / self._size) if self._size else value
            for name, value in values.items()
            if value > self._size
        }


def first_new(found: Feasible, known: FloatArray) -> FloatArray | None:
    taken = set(keys(known))
    for batch in found.sought(known):
        for vector in batch:
            if keys(vector[None])[0] not in taken:
                return vector
    return None


def proposals(found: Feasible, n: int) -> FloatArray:
    known = NONE
    for _ in range(n):
        vector = first_new(found, known)
        assert vector is not None
        known = np.vstack([known, vector])
    return known


@pytest.mark.parametrize("rate", [0.03, 0.001, 0.0001])
def test_however_rare_one_after_another_is_found(rate: float) -> None:
    found = proposals(feasible(x_below(rate)), 30)
    assert (found[:, 0] < rate).all()
    assert len(set(keys(found))) == 30


def test_what_is_drawn_lies_as_in_the_space_and_not_around_the_first() -> None:
    found = proposals(feasible(x_below(0.001)), 30)
    assert np.quantile(found[:, 1], [0.2, 0.8]) == pytest.approx([0.2, 0.8], abs=0.2)


def test_a_narrow_band_is_followed() -> None:
    def accepts(values: Mapping[str, bool | int | float | str]) -> bool:
        return abs(float(values["x"]) * float(values["y"]) - 0.25) < 2e-5

    found = proposals(feasible(accepts), 20)
    assert np.abs(found.prod(axis=1) - 0.25).max() < 2e-5
    assert len(set(keys(found))) == 20


def test_what_comes_next_depends_on_the_seed_and_on_what_was_proposed_alone() -> None:
    accepts = x_below(0.0002)
    known = proposals(feasible(accepts), 12)
    used = feasible(accepts)
    list(islice(used.sought(np.vstack([known, known + 0.5])), 25))  # reads far ahead
    used.around(known, known, np.random.default_rng(3))
    for n in (0, 3, 11):
        expected = first_new(feasible(accepts), known[:n])
        assert expected is not None
        assert np.array_equal(first_new(used, known[:n]), expected)
        assert np.array_equal(expected, known[n])
    other = first_new(feasible(accepts, seed=1), NONE)
    assert not np.array_equal(other, known[0])


def test_a_finite_space_is_gone_through_to_its_end() -> None:
    """Three of a hundred thousand; draws alone would hardly find the last one."""

    def accepts(values: Mapping[str, bool | int | float | str]) -> bool:
        return all(values[f"d{i}"] == "7" for i in range(4)) and str(values["d4"]) in "123"

    found = feasible(accepts, digits(5))
    known = np.empty((0, 5))
    while (vector := first_new(found, known)) is not None:
        known = np.vstack([known, vector])
    assert sorted(known[:, 4].tolist()) == [1.0, 2.0, 3.0]
    assert found.effort.is_everything
    assert found.effort.drawn == 100_000
    assert found.why_nothing() == ""


def test_of_a_finite_space_without_constraints_everything_comes_once() -> None:
    found = np.vstack(list(feasible(None, digits(3)).sought(np.empty((0, 3)))))
    assert len(set(keys(found))) == len(found) == 1000


def test_where_something_tells_the_way_it_is_gone_downhill() -> None:
    found = feasible(Downhill(size=3e-5))
    known = proposals(found, 5)
    assert (known <= 3e-5).all()
    assert found.effort.tried < 40_000


def test_what_cannot_be_found_is_not_sought_for_ever_and_the_reason_is_told() -> None:
    found = feasible(Downhill(size=0.0))
    assert first_new(found, NONE) is None
    words = found.why_nothing()
    assert words.startswith(
        f"no configuration within the constraints among {found.effort.tried:,}"
    )
    assert f"max_x refused {found.effort.tried:,}" in words
    assert found.effort.tried > 20_000


def test_a_predicate_that_refuses_everything_is_asked_a_large_and_stated_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 2_000 * 10 * _TIMES_AT_FIRST == 1_000_000
    monkeypatch.setattr("frnas_search.optimizers.feasible._TIMES_AT_FIRST", 3)
    found = feasible(lambda _: False)
    assert first_new(found, NONE) is None
    assert found.effort.drawn == 80_000
    assert "among 80,000 tried (the constraints refused 80,000)" in found.why_nothing()


def test_around_what_is_wanted_lies_what_is_accepted() -> None:
    found = feasible(x_below(0.001))
    known = proposals(found, 3)
    near = found.around(known[:1], known, np.random.default_rng(0))
    assert len(near) > 20
    assert (near[:, 0] < 0.001).all()
    assert np.abs(near[:, 1] - known[0, 1]).min() < 0.01


def test_without_anything_known_there_is_still_something_around() -> None:
    found = feasible(Downhill(size=1e-4)).around(NONE, NONE, np.random.default_rng(0))
    assert len(found) > 0
    assert (found <= 1e-4).all()
    nothing = feasible(lambda _: False).around(NONE, NONE, np.random.default_rng(0))
    assert nothing.shape == (0, 2)


def test_towards_what_is_refused_comes_first_what_has_most_of_it() -> None:
    found = feasible(x_below(0.001))
    known = proposals(found, 3)
    wanted = np.array([0.7, 0.123])
    near = found.towards(wanted, known, np.random.default_rng(0))
    assert (near[:, 0] < 0.001).all()
    assert near[0, 1] == pytest.approx(0.123)
    nothing = feasible(lambda _: False).towards(wanted, NONE, np.random.default_rng(0))
    assert len(nothing) == 0


def test_how_rare_they_are_is_said_whenever_twice_as_many_were_drawn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        list(islice(feasible(x_below(0.001)).sought(NONE), 10))
    assert caplog.messages
    assert all("constraints: within them lies 0." in message for message in caplog.messages)
    assert "95 % interval" in caplog.messages[0]
    assert len(caplog.messages) <= 5


def test_their_share_is_measured_as_far_as_it_is_worth_it() -> None:
    few = feasible(x_below(0.001)).measured(n_wanted=20, n_most=20_000)
    assert few.drawn == 20_000
    assert 8 <= few.accepted <= 40
    many = feasible(x_below(0.5)).measured(n_wanted=20, n_most=20_000)
    assert many.drawn == 2_000
    assert feasible(x_below(0.001)).any().shape[1] == 2
