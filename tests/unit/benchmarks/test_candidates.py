"""What a surrogate sees of a conditional space, and which candidates it is asked about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
)

from benchmarks.peers.encoding import encoded
from benchmarks.peers.local_search import maximised
from results.pareto import FloatArray


def conditional_space() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b", "c"])
    rate = UniformFloatHyperparameter("rate", 1e-4, 1.0, log=True)
    mode = CategoricalHyperparameter("mode", ["x", "y"])
    size = OrdinalHyperparameter("size", [8, 16, 32])
    space.add([kind, rate, mode, size, Constant("fixed", 3)])
    space.add([EqualsCondition(rate, kind, "a"), EqualsCondition(mode, kind, "b")])
    return space


def test_a_choice_has_a_column_for_each_option_and_the_inactive_lies_in_the_middle() -> None:
    space = conditional_space()
    rows = encoded(
        space,
        [
            Configuration(space, values={"kind": "a", "rate": 1e-3, "size": 32, "fixed": 3}),
            Configuration(space, values={"kind": "b", "mode": "y", "size": 8, "fixed": 3}),
        ],
    )
    names = list(space)
    widths = {"kind": 3, "rate": 1, "mode": 2, "size": 1, "fixed": 0}
    ends = np.cumsum([widths[name] for name in names])[:-1]
    first, second = (dict(zip(names, np.split(row, ends), strict=True)) for row in rows)
    assert {name: part.tolist() for name, part in second.items()} == {
        "kind": [0, 1, 0],
        "rate": [0.5],
        "mode": [0, 1],
        "size": [0],
        "fixed": [],
    }
    np.testing.assert_allclose(first["rate"], 0.25)
    assert first["mode"].tolist() == [0, 0]
    assert first["size"].tolist() == [1]


def closeness(configurations: Sequence[Configuration]) -> FloatArray:
    """To the point whose numbers are all .3; configurations of `b` are far from it."""
    vectors = np.array([found.get_array()[1:] for found in configurations])
    return -np.abs(np.nan_to_num(vectors, nan=1.0) - 0.3).sum(axis=1)


def numbers_of_a_choice() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    kind = CategoricalHyperparameter("kind", ["a", "b"])
    numbers = [UniformFloatHyperparameter(f"n{index}", 0, 1) for index in range(5)]
    space.add([kind, *numbers])
    space.add([EqualsCondition(number, kind, "a") for number in numbers])
    return space


def test_a_local_search_comes_far_closer_than_its_random_candidates() -> None:
    space = numbers_of_a_choice()
    found = maximised(space, closeness, starts=[], taken=[], seed=0)
    assert found is not None
    drawn = closeness(numbers_of_a_choice().sample_configuration(1000)).max()
    assert drawn < 2 * closeness([found])[0] < 0


def test_the_neighbours_of_a_start_are_candidates() -> None:
    space = numbers_of_a_choice()
    numbers = {f"n{index}": 0.3 for index in range(5)}
    start = Configuration(space, values={"kind": "a", **numbers})
    found = maximised(space, closeness, starts=[start], taken=[start], seed=0)
    assert found is not None
    changed = [name for name in numbers if found[name] != start[name]]
    assert len(changed) == 1


def test_what_is_taken_is_not_found_again() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("kind", ["a", "b", "c"]))
    taken: list[Configuration] = []
    for _ in range(3):
        found = maximised(
            space, lambda some: np.ones(len(some)), starts=taken, taken=taken, seed=0
        )
        assert found is not None
        taken.append(found)
    assert sorted(found["kind"] for found in taken) == ["a", "b", "c"]
    assert maximised(space, closeness, starts=taken, taken=taken, seed=0) is None
