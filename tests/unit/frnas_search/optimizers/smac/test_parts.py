"""What every search keeps to, whichever parts it is made of."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace, NormalFloatHyperparameter
from ConfigSpace import UniformFloatHyperparameter as Uniform
from smac.acquisition.function import EI
from smac.intensifier import Hyperband

from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import keys, vectors_of
from frnas_search.optimizers.smac.encoder import Observations
from frnas_search.optimizers.smac.intensifier import AsynchronousHyperband
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.handover import FewThenMany
from frnas_search.optimizers.smac.models.per_objective import PerObjective
from frnas_search.optimizers.smac.scalarisation import FreshParEGO, Unscalarised
from results.hypervolume import hypervolume
from tests.unit.frnas_search.optimizers.smac.conftest import (
    Asked,
    Costs,
    Make,
    by_x,
    search_of,
    small_space,
    square,
    tiny_space,
)

DEFAULT = EngineSettings(n_initial=6, n_trees=5)
FEW = EngineSettings(n_initial=5, random_share=0.0, n_trees=5, density_share=0.0)
PARTS = [
    FEW,
    replace(FEW, acquisition="noisy_hypervolume"),
    replace(FEW, acquisition="parego_ei"),
    replace(FEW, density_share=1.0),
    replace(FEW, model="forest"),
    replace(FEW, model="forest", acquisition="parego_ei"),
]
ALL = [DEFAULT, *PARTS]


def name_of(engine: EngineSettings) -> str:
    rest = f"density {engine.density_share} random {engine.random_share}"
    return f"{engine.model} {engine.acquisition} {rest}"


def values(configuration: Configuration | None) -> dict[str, Any] | None:
    return None if configuration is None else dict(configuration)


def names(search: Asked) -> list[bytes]:
    return keys(search.vectors())


def at_work(search: Asked, n: int = 12) -> Asked:
    """After so many results, with two more in flight."""
    search.search(n, by_x)
    for _ in range(2):
        search.ask()
    return search


@pytest.mark.parametrize("engine", ALL, ids=name_of)
def test_the_same_history_gives_the_same_proposal_whatever_was_asked_before(
    searches: Make, engine: EngineSettings
) -> None:
    one, other = at_work(searches(engine), 9), searches(engine)
    for n in (7, 2):
        other.search(n, by_x)
        other.next()
    first = at_work(other, 0).next()
    assert first is not None
    assert values(other.next()) == values(first) == values(one.next())


def test_another_seed_or_another_history_gives_another_proposal(searches: Make) -> None:
    found = [
        at_work(searches(FEW), 8).next(),
        at_work(searches(FEW, seed=1), 8).next(),
        at_work(searches(FEW), 9).next(),
    ]
    assert len({str(values(each)) for each in found}) == 3


def proposed_anew(n: int) -> list[str]:
    """With three in flight, so that some are made ahead of need."""
    search = search_of(DEFAULT)
    waiting = []
    for _ in range(n):
        waiting.append(search.ask())
        if len(waiting) == 3:
            info = waiting.pop(0)
            assert info is not None
            search.tell(info, by_x(dict(info.config)))
    search.close()
    return [each.hex() for each in names(search)]


def test_another_process_and_another_thread_give_the_same() -> None:
    here = proposed_anew(11)
    program = (
        "import runpy, sys\n"
        "test = runpy.run_path(sys.argv[1])\n"
        "print(*test['proposed_anew'](11))\n"
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
    thread = threading.Thread(target=lambda: beside.extend(proposed_anew(11)))
    thread.start()
    thread.join()
    assert beside == here


@pytest.mark.parametrize("engine", ALL, ids=name_of)
def test_proposals_are_new_legal_and_as_their_values_encode_them(
    searches: Make, engine: EngineSettings
) -> None:
    search = searches(engine)
    space = search.facade.scenario.configspace
    proposed = search.search(12, by_x)
    assert len(set(names(search))) == 12
    for each in proposed:
        each.check_valid_configuration()
        again = Configuration(space, values=dict(each)).get_array()
        assert np.array_equal(again, each.get_array(), equal_nan=True)


def test_what_is_enqueued_comes_first_in_its_order_and_the_rest_as_without_it(
    searches: Make,
) -> None:
    space = small_space()
    one, other = (
        Configuration(space, values={"kind": "b", "x": x, "n": 3, "fixed": "one"})
        for x in (0.5, 0.6)
    )
    with_them = searches(space=space, enqueued=(one, other))
    without = searches()
    first = [values(each) for each in with_them.search(6, by_x)]
    assert first[:2] == [values(one), values(other)]
    assert first[2:] == [values(each) for each in without.search(4, by_x)]


@pytest.mark.parametrize("engine", ALL, ids=name_of)
@pytest.mark.parametrize("fails", [False, True])
def test_a_small_space_is_proposed_to_its_end(
    searches: Make, engine: EngineSettings, fails: bool
) -> None:
    def costs(known: Mapping[str, Any]) -> Costs:
        return None if fails else (known.get("n", 0) / 9, 0.5)

    search = searches(replace(engine, n_initial=2), tiny_space())
    assert len(search.search(20, costs)) == len(set(names(search))) == 5
    assert search.next() is None
    assert search.ask() is None


@pytest.mark.parametrize("engine", PARTS, ids=name_of)
def test_only_what_is_accepted_is_proposed(searches: Make, engine: EngineSettings) -> None:
    def accepts(known: Mapping[str, Any]) -> bool:
        return bool(0.5 < known["x"] < 0.52)  # where nothing is good

    proposed = searches(engine, accepts=accepts).search(9, by_x)
    assert len(proposed) == 9
    assert all(accepts(dict(each)) for each in proposed)


def test_when_nothing_is_accepted_there_is_none(searches: Make) -> None:
    assert searches(accepts=lambda _: False).ask() is None


def test_it_goes_on_when_everything_fails(searches: Make) -> None:
    search = searches()
    search.search(20, lambda _: None)
    assert len(set(names(search))) == 20


@pytest.mark.parametrize("engine", PARTS, ids=name_of)
def test_it_goes_on_when_everything_costs_the_same(searches: Make, engine: EngineSettings) -> None:
    assert len(searches(engine).search(10, lambda _: (0.5, 0.5))) == 10


@pytest.mark.parametrize("engine", ALL, ids=name_of)
@pytest.mark.parametrize("m", [1, 3])
def test_any_number_of_objectives_with_failures_between(
    searches: Make, engine: EngineSettings, m: int
) -> None:
    def costs(known: Mapping[str, Any]) -> Costs:
        if int(known["x"] * 100) % 7 == 0:
            return None
        return tuple(abs(known["x"] - number / m) for number in range(m))

    # Three objectives are drawn for on each of several fronts, which takes seconds.
    n = 6 if engine.acquisition == "noisy_hypervolume" else 7
    for limits in (None, (0.0,) * m):
        search = searches(engine, n_objectives=m, limits=limits)
        assert len(search.search(n, costs)) == n


@pytest.mark.parametrize("fantasises", [False, True])
@pytest.mark.parametrize(
    ("engine", "m"),
    [(engine, m) for engine in (PARTS[0], PARTS[3]) for m in (1, 2, 3)] + [(PARTS[1], 2)],
)
def test_it_proposes_before_anything_reached_the_highest_rung(
    searches: Make, engine: EngineSettings, m: int, fantasises: bool
) -> None:
    search = searches(replace(engine, fantasises=fantasises), n_objectives=m, budgets=(1.0, 9.0))
    asked = [search.ask() for _ in range(9)]
    for info in asked:
        assert info is not None
        if info.budget < 2.0:
            search.tell(info, (float(info.config["x"]),) * m)
    made = search.next()
    assert made is not None
    assert made.origin == "model"


@pytest.mark.parametrize("engine", [PARTS[0], PARTS[1], PARTS[3], PARTS[4]], ids=name_of)
def test_most_later_proposals_keep_the_limits(searches: Make, engine: EngineSettings) -> None:
    """One kind is best by far in the second objective and too expensive in the first."""

    def costs(known: Mapping[str, Any]) -> Costs:
        is_a = known["kind"] == "a"
        return (0.8 if is_a else 0.3) + 0.1 * known["x"], 0.1 if is_a else 0.6 - 0.1 * known["x"]

    proposed = searches(engine, limits=(0.5, np.inf)).search(28, costs)
    assert np.mean([each["kind"] != "a" for each in proposed[12:]]) >= 0.75


def with_prior(centre: float, spread: float) -> VectorSpace:
    uniform, drawn_from = ConfigurationSpace(seed=0), ConfigurationSpace(seed=0)
    for made in (uniform, drawn_from):
        made.add(Uniform("other", 0.0, 1.0))
    uniform.add(Uniform("x", 0.0, 1.0))
    drawn_from.add(NormalFloatHyperparameter("x", centre, spread, 0.0, 1.0))
    return VectorSpace(uniform, drawn_from)


def test_priors_steer_later_proposals_too(searches: Make) -> None:
    """Costs that say nothing about x leave the choice to the user."""
    steered = with_prior(0.8, 0.05)
    plain = VectorSpace(steered.space)

    def share(vectors: VectorSpace) -> float:
        near = []
        for seed in range(2):
            search = searches(FEW, vectors=vectors, seed=seed)
            search.search(16, lambda known: (known["other"], 1.0 - known["other"]))
            near += [abs(each["x"] - 0.8) < 0.1 for each in search.proposed[6:]]
        return float(np.mean(near))

    assert share(steered) > share(plain) + 0.2


@pytest.mark.parametrize("engine", [PARTS[0], PARTS[1], PARTS[3]], ids=name_of)
def test_those_in_flight_are_all_different(searches: Make, engine: EngineSettings) -> None:
    search = searches(engine)
    search.search(10, by_x)
    for _ in range(8):
        search.ask()
    assert len(set(names(search))) == 18


def test_trials_in_flight_keep_others_away_from_them(searches: Make) -> None:
    """Without fantasies the next one is a neighbour of the best again and again."""

    def spread(fantasises: bool) -> float:
        search = searches(replace(FEW, fantasises=fantasises), square())
        search.search(12, lambda known: (known["x"], (known["y"] - 0.5) ** 2 + 1.0 - known["x"]))
        for _ in range(8):
            search.ask()
        last = vectors_of(search.proposed[12:], 2)
        return float(np.ptp(last[:, 0]))

    assert spread(fantasises=True) > spread(fantasises=False)


@pytest.mark.parametrize("engine", [PARTS[0], PARTS[3], PARTS[4]], ids=name_of)
def test_it_finds_more_of_the_front_than_chance(searches: Make, engine: EngineSettings) -> None:
    space = VectorSpace(small_space())

    def volume(found: list[Configuration]) -> float:
        return hypervolume(np.array([by_x(dict(each)) for each in found]), np.ones(2))

    def drawn(seed: int) -> list[Configuration]:
        vectors = space.draw(24, np.random.default_rng(seed))
        return [Configuration(space.space, vector=vector) for vector in vectors]

    ours = [volume(searches(engine, seed=seed).search(24, by_x)) for seed in range(3)]
    chance = [volume(drawn(seed)) for seed in range(100, 130)]
    assert np.mean(ours) > np.quantile(chance, 0.9)


def test_smacs_own_process_and_its_expected_improvement_are_parts_too(searches: Make) -> None:
    engine = replace(FEW, model="smac_gp", acquisition="parego_ei", n_initial=3)
    search = searches(engine, square())
    search.search(4, lambda known: (known["x"], known["y"]))
    assert [each.origin for each in search.proposed] == ["initial"] * 3 + ["model"]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gp", FewThenMany),
        ("forest", RungForest),
        ("smac_forest", PerObjective),
        ("smac_gp", PerObjective),
    ],
)
def test_each_name_of_a_model_has_its_model(searches: Make, model: Any, kind: type) -> None:
    assert type(searches(replace(FEW, model=model)).facade._model) is kind


def test_each_name_of_an_intensifier_has_its_intensifier(searches: Make) -> None:
    limits = (0.5, np.inf)
    ours = searches(FEW, budgets=(1.0, 9.0), limits=limits).facade.intensifier
    smacs = searches(replace(FEW, intensifier="hyperband"), budgets=(1.0, 9.0)).facade.intensifier
    assert isinstance(ours, AsynchronousHyperband)
    assert ours.meta["limits"] == [0.5, np.inf]
    assert type(smacs) is Hyperband


def test_one_cost_of_all_is_smacs_paregos_and_a_single_objective_needs_none(
    searches: Make,
) -> None:
    scalarised = replace(FEW, acquisition="parego_ei")
    kinds = [
        type(searches(engine, n_objectives=m).facade._multi_objective_algorithm)
        for engine, m in ((FEW, 2), (scalarised, 2), (FEW, 1), (scalarised, 1))
    ]
    assert kinds == [Unscalarised, FreshParEGO, type(None), type(None)]
    assert isinstance(searches(scalarised).facade._acquisition_function, EI)


def test_as_many_earlier_results_take_the_place_of_the_initial_design(searches: Make) -> None:
    def initial(n: int) -> int:
        vectors = np.random.default_rng(0).random((n, 2))
        earlier = Observations(vectors=vectors, heights=np.ones(n), costs=vectors)
        search = searches(replace(FEW, n_initial=5), square(), earlier=earlier)
        return len(search.selector._initial_design_configs)

    assert [initial(n) for n in (4, 5, 9)] == [5, 0, 0]
