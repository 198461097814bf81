from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace
from scipy import stats

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, keys, vectors_of
from frnas_search.optimizers.smac.designs import CountedRandom, CoveringDesign
from tests.unit.frnas_search.optimizers.smac.conftest import (
    evidence_of,
    scenario_of,
    small_space,
    tiny_space,
)

SPACE = small_space()


def design(
    n_configs: int = 8,
    additional: Sequence[Configuration] = (),
    *,
    seed: int = 0,
    space: ConfigurationSpace = SPACE,
    accepts: Any = None,
) -> CoveringDesign:
    return CoveringDesign(
        scenario_of(space, seed=seed),
        n_configs=n_configs,
        additional_configs=additional,
        candidates=Candidates(VectorSpace(space), accepts),
    )


def names_of(configurations: Sequence[Configuration]) -> list[bytes]:
    return keys(vectors_of(configurations, len(SPACE)))


def test_as_many_new_legal_configurations_as_wanted_are_drawn() -> None:
    found = design(12).select_configurations()
    assert len(set(names_of(found))) == 12
    assert {each.origin for each in found} == {"initial"}
    for each in found:
        each.check_valid_configuration()


@pytest.mark.parametrize("seed", range(4))
def test_every_deciding_choice_is_covered_before_any_comes_again(seed: int) -> None:
    kinds = [each["kind"] for each in design(9, seed=seed).select_configurations()]
    assert all(set(kinds[start : start + 3]) == {"a", "b", "c"} for start in (0, 3, 6))


def test_fewer_draws_are_the_first_of_more_and_the_seed_decides() -> None:
    more, fewer = design(9).select_configurations(), design(4).select_configurations()
    assert names_of(fewer) == names_of(more)[:4]
    assert names_of(design(4).select_configurations()) == names_of(fewer)
    assert names_of(design(4, seed=1).select_configurations()) != names_of(fewer)


def test_the_random_state_of_the_callers_space_changes_nothing() -> None:
    before = names_of(design().select_configurations())
    SPACE.sample_configuration(3)
    assert names_of(design().select_configurations()) == before


def wanted(*numbers: int) -> list[Configuration]:
    return [
        Configuration(SPACE, values={"kind": "b", "x": n / 10, "n": 3, "fixed": "one"})
        for n in numbers
    ]


def test_additional_configurations_come_first_each_once_and_draws_as_without_them() -> None:
    found = design(5, wanted(1, 2, 1, 3, 2)).select_configurations()
    assert names_of(found[:3]) == names_of(wanted(1, 2, 3))
    assert names_of(found[3:]) == names_of(design(5).select_configurations())
    assert [each.origin for each in found] == ["enqueued"] * 3 + ["initial"] * 5


def test_the_origin_that_an_additional_configuration_has_is_kept() -> None:
    (mine,) = wanted(1)
    mine.origin = "my own"
    assert design(0, [mine]).select_configurations()[0].origin == "my own"


def test_an_additional_configuration_that_would_be_drawn_comes_once() -> None:
    drawn = design(5).select_configurations()
    found = design(5, [drawn[2], drawn[4]]).select_configurations()
    assert names_of(found) == names_of([drawn[i] for i in (2, 4, 0, 1, 3)])


def test_nothing_is_drawn_when_nothing_is_wanted() -> None:
    assert design(0).select_configurations() == []
    assert names_of(design(0, wanted(4)).select_configurations()) == names_of(wanted(4))


def test_a_small_space_is_drawn_to_its_end() -> None:
    space = tiny_space()
    found = design(20, space=space).select_configurations()
    assert len({str(dict(each)) for each in found}) == len(found) == 5


def test_only_what_is_accepted_is_drawn() -> None:
    def accepts(values: Mapping[str, Any]) -> bool:
        return values["kind"] == "c" and values["x"] > 0.8

    found = design(7, accepts=accepts).select_configurations()
    assert len(found) == 7
    assert all(accepts(dict(each)) for each in found)
    assert design(7, accepts=lambda _: False).select_configurations() == []


def test_without_candidates_it_draws_from_the_scenarios_space() -> None:
    plain = CoveringDesign(scenario_of(SPACE), n_configs=5)
    assert names_of(plain.select_configurations()) == names_of(design(5).select_configurations())


def test_its_arguments_are_listed_and_can_be_written() -> None:
    listed = design(3, wanted(1)).meta
    assert listed["n_configs"] == 3
    assert listed["additional_configs"] == [dict(wanted(1)[0])]
    assert listed != design(3, wanted(2)).meta


def checks(chance: CountedRandom, n: int) -> list[bool]:
    """As a selector that tells the number asks."""
    found = []
    for number in range(n):
        chance.inform(evidence_of(np.empty((0, 2)), np.empty((0, 2)), number=number))
        found.append(chance.check(0))
    return found


def test_whether_a_proposal_is_random_depends_on_its_number_alone() -> None:
    chance = CountedRandom(0.3, seed=2)
    first = checks(chance, 60)
    assert checks(chance, 60) == first == checks(CountedRandom(0.3, seed=2), 60)
    assert checks(CountedRandom(0.3, seed=3), 60) != first
    assert [chance.check(0) for _ in range(5)] == [first[-1]] * 5


def test_those_that_are_not_told_the_number_count_for_themselves() -> None:
    told, counted = CountedRandom(0.3, seed=2), CountedRandom(0.3, seed=2)
    expected, found = checks(told, 60), []
    for _ in range(60):
        found.append(counted.check(0))
        counted.next_iteration()
    assert found == expected


def test_of_several_from_one_model_each_has_its_own_chance() -> None:
    chance = CountedRandom(0.5)
    assert {chance.check(iteration) for iteration in range(20)} == {True, False}


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_over_many_proposals_the_share_is_as_wanted(share: float) -> None:
    n = 3000
    found = sum(checks(CountedRandom(share), n))
    assert stats.binomtest(found, n, share).pvalue > 1e-3


@pytest.mark.parametrize(("share", "always"), [(0.0, False), (1.0, True)])
def test_none_and_all_are_exact(share: float, always: bool) -> None:
    assert set(checks(CountedRandom(share), 200)) == {always}
