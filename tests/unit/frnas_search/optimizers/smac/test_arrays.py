from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    BetaFloatHyperparameter,
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenGreaterThanRelation,
    ForbiddenInClause,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
    NotEqualsCondition,
    OrConjunction,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from scipy import stats

from frnas_search.optimizers.smac.arrays import VectorSpace
from results.pareto import FloatArray
from search_space.candidate import Preset, SpaceSettings
from search_space.definition.space import build_space

FAMILIES = {"small": ("resnet10t", "resnet18"), "test": ("test_resnet",)}


def preset_space(preset: Preset) -> ConfigurationSpace:
    has_timm = preset in ("timm", "joint")
    settings = SpaceSettings(preset=preset, families=FAMILIES if has_timm else {})
    return build_space(settings, seed=0)


def knotted_space() -> ConfigurationSpace:
    """With each kind of condition and of clause, and every kind of hyperparameter."""
    space = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"], weights=[5, 2, 1])
    b = OrdinalHyperparameter("b", ["low", "mid", "high"])
    c = UniformIntegerHyperparameter("c", 1, 6)
    d = UniformFloatHyperparameter("d", 1e-3, 1.0, log=True)
    e = CategoricalHyperparameter("e", ["on", "off"])
    f = UniformFloatHyperparameter("f", 0.0, 1.0)
    g = UniformIntegerHyperparameter("g", 1, 1000, log=True)
    h = CategoricalHyperparameter("h", ["p", "q"])
    i = Constant("i", "fixed")
    j = UniformIntegerHyperparameter("j", 0, 3)
    space.add(a, b, c, d, e, f, g, h, i, j)
    space.add(
        OrConjunction(EqualsCondition(d, a, "x"), GreaterThanCondition(d, c, 4)),
        AndConjunction(NotEqualsCondition(e, a, "y"), GreaterThanCondition(e, b, "low")),
        NotEqualsCondition(f, a, "z"),
        OrConjunction(
            AndConjunction(EqualsCondition(g, e, "on"), LessThanCondition(g, c, 5)),
            EqualsCondition(g, a, "z"),
        ),
        InCondition(h, a, ["x", "z"]),
    )
    space.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(a, "x"), ForbiddenInClause(c, [2, 3])),
        ForbiddenAndConjunction(ForbiddenEqualsClause(h, "q"), ForbiddenEqualsClause(b, "high")),
        ForbiddenGreaterThanRelation(j, c),
    )
    return space


SPACES: dict[str, Any] = {
    **{
        name: lambda name=name: preset_space(name)
        for name in ("paper", "dual_path", "dag", "timm", "joint")
    },
    "knotted": knotted_space,
}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> ConfigurationSpace:
    made: ConfigurationSpace = SPACES[request.param]()
    return made


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def configurations(space: ConfigurationSpace, vectors: FloatArray) -> list[dict[str, Any]]:
    """As values; raises where ConfigSpace finds a configuration invalid."""
    made = []
    for vector in vectors:
        configuration = Configuration(space, vector=vector)
        configuration.check_valid_configuration()
        made.append(dict(configuration))
    return made


def test_draws_are_valid(space: ConfigurationSpace) -> None:
    drawn = VectorSpace(space).draw(200, generator())
    assert drawn.shape == (200, len(space))
    assert len({str(each) for each in configurations(space, drawn)}) > 100


def test_draws_are_those_of_their_generator(space: ConfigurationSpace) -> None:
    vectors = VectorSpace(space)
    one, same, other = (vectors.draw(20, generator(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same, equal_nan=True)
    assert not np.array_equal(one, other, equal_nan=True)


def test_drawing_leaves_the_space_alone(space: ConfigurationSpace) -> None:
    space.seed(0)
    undisturbed = [space.sample_configuration(), space.sample_configuration()]
    space.seed(0)
    drawn = [space.sample_configuration()]
    VectorSpace(space).draw(50, generator())
    assert [*drawn, space.sample_configuration()] == undisturbed


def features(values: dict[str, Any]) -> list[str]:
    """What is counted of a configuration: what is active, choices, and thirds of numbers."""
    found = [f"{name} is active" for name in values]
    for name, value in values.items():
        if isinstance(value, float):
            found.append(f"{name} above {np.searchsorted([0.03, 0.3, 0.6], value)}")
        elif isinstance(value, int) and value > 9:
            found.append(f"{name} has {len(str(value))} digits")
        else:
            found.append(f"{name} = {value}")
    return found


def counts(drawn: list[dict[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for values in drawn:
        for feature in features(values):
            total[feature] = total.get(feature, 0) + 1
    return total


def with_priors() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"], weights=[5, 2, 1])
    n = NormalIntegerHyperparameter("n", 3, 1.5, 0, 6)
    f = NormalFloatHyperparameter("f", 0.3, 0.2, 0.0, 1.0)
    g = BetaFloatHyperparameter("g", 3.0, 2.0, 0.0, 1.0)
    space.add(a, n, f, g)
    space.add(InCondition(f, a, ["x", "z"]), GreaterThanCondition(g, n, 2))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(a, "y"), ForbiddenInClause(n, [0, 1])))
    return space


@pytest.mark.parametrize("make", [knotted_space, with_priors])
def test_draws_are_distributed_as_those_of_config_space(make: Any) -> None:
    space, n = make(), 2000
    space.seed(1)
    theirs = counts([dict(each) for each in space.sample_configuration(n)])
    ours = counts(configurations(space, VectorSpace(space).draw(n, generator())))
    assert theirs.keys() == ours.keys()
    tested = [each for each in theirs if 0 < theirs[each] + ours[each] < 2 * n]
    assert len(tested) > 10
    for feature in tested:
        table = [[n - each[feature], each[feature]] for each in (theirs, ours)]
        assert stats.chi2_contingency(table).pvalue > 1e-4, feature


def test_draws_follow_the_priors_of_the_other_space() -> None:
    prior = with_priors()
    uniform = ConfigurationSpace(seed=0)
    uniform.add(
        CategoricalHyperparameter("a", ["x", "y", "z"]),
        *[prior[name].to_uniform() for name in ("n", "f", "g")],
    )
    uniform.add(prior.conditions)
    uniform.add(prior.forbidden_clauses)
    steered, unsteered = VectorSpace(uniform, prior), VectorSpace(uniform)
    assert steered.has_prior
    assert not unsteered.has_prior
    ours = counts(configurations(uniform, steered.draw(2000, generator())))
    theirs = counts([dict(each) for each in prior.sample_configuration(2000)])
    for feature, number in theirs.items():
        if number < 2000:
            table = [[2000 - number, number], [2000 - ours[feature], ours[feature]]]
            assert stats.chi2_contingency(table).pvalue > 1e-4, feature
    plain = counts(configurations(uniform, unsteered.draw(2000, generator())))
    assert plain["a = z"] > 2 * ours["a = z"]


def test_what_a_clause_leaves_is_drawn_as_often_as_asked_and_nothing_when_nothing_is_left() -> (
    None
):
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("a", [str(i) for i in range(20)]))
    space.add(ForbiddenInClause(space["a"], [str(i) for i in range(1, 20)]))
    vectors = VectorSpace(space)
    assert vectors.draw(30, generator()).tolist() == [[0.0]] * 30
    space.forbidden_clauses.append(ForbiddenEqualsClause(space["a"], "0"))
    assert VectorSpace(space).draw(30, generator()).shape in ((0, 1), (30, 1))


@pytest.mark.parametrize("n_changes", [0.0, 1.0, 4.0])
def test_a_neighbour_is_valid_and_another_configuration(
    space: ConfigurationSpace, n_changes: float
) -> None:
    vectors = VectorSpace(space)
    parents = vectors.draw(200, generator())
    for parent in parents[:25]:  # one by one, so that each child's parent is known
        children = vectors.mutate(
            np.array([parent] * 5), generator(1), n_changes=np.full(5, n_changes), spread=0.15
        )
        (before,) = configurations(space, parent[None])
        for after in configurations(space, children):
            assert after != before


def test_neighbours_differ_in_about_as_many_values_as_asked() -> None:
    space = ConfigurationSpace(seed=0)
    space.add([CategoricalHyperparameter(f"c{i}", [str(j) for j in range(5)]) for i in range(20)])
    vectors = VectorSpace(space)
    parents = vectors.draw(2000, generator())
    for n_changes in (1.0, 4.0):
        children = vectors.mutate(
            parents, generator(1), n_changes=np.full(2000, n_changes), spread=0.1
        )
        changed = (children != parents).sum(axis=1)
        assert changed.min() >= 1
        # Binomial with mean n, and one for certain where it would have been none and partly else.
        assert n_changes <= changed.mean() <= n_changes + 1


def test_a_choice_changes_to_each_other_one_equally_often() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(CategoricalHyperparameter("c", ["0", "1", "2", "3"]))
    children = VectorSpace(space).mutate(
        np.full((3000, 1), 2.0), generator(), n_changes=np.ones(3000), spread=0.1
    )
    found = np.bincount(children[:, 0].astype(int), minlength=4)
    assert found[2] == 0
    assert stats.chisquare(found[[0, 1, 3]]).pvalue > 0.001


def test_numbers_move_as_far_as_the_spread_says() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(UniformFloatHyperparameter("f", 0.0, 1.0))
    children = VectorSpace(space).mutate(
        np.full((3000, 1), 0.5), generator(), n_changes=np.ones(3000), spread=0.05
    )
    assert children.std() == pytest.approx(0.05, rel=0.1)
    at_the_end = VectorSpace(space).mutate(
        np.zeros((500, 1)), generator(), n_changes=np.ones(500), spread=0.8
    )
    assert at_the_end.min() >= 0.0
    assert at_the_end.max() <= 1.0


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 5), (3, 2000)])
def test_whole_numbers_stay_whole_and_move(low: int, high: int, is_log: bool) -> None:
    space = ConfigurationSpace(seed=0)
    number = UniformIntegerHyperparameter("n", low, high, log=is_log)
    space.add(number)
    vectors = VectorSpace(space)
    parents = vectors.draw(300, generator())
    children = vectors.mutate(parents, generator(1), n_changes=np.ones(300), spread=1e-3)
    before, after = number.to_value(parents[:, 0]), number.to_value(children[:, 0])
    assert (np.asarray(before) != np.asarray(after)).all()
    assert min(after) >= low
    assert max(after) <= high
    assert np.array_equal(number.to_vector(after), children[:, 0])


def test_what_has_one_value_is_never_what_changes() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(
        *[CategoricalHyperparameter(f"c{i}", ["only"]) for i in range(4)],
        Constant("fixed", 1),
        OrdinalHyperparameter("o", ["only"]),
        CategoricalHyperparameter("free", ["0", "1"]),
    )
    vectors = VectorSpace(space)
    parents = vectors.draw(100, generator())
    children = vectors.mutate(parents, generator(1), n_changes=np.ones(100), spread=0.1)
    assert (children != parents).any(axis=1).all()
    configurations(space, children)


def test_a_space_with_one_configuration_has_no_neighbours_to_offer_and_does_not_fail() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(Constant("fixed", "a"))
    vectors = VectorSpace(space)
    parents = vectors.draw(3, generator())
    children = vectors.mutate(parents, generator(), n_changes=np.ones(3), spread=0.1)
    assert np.array_equal(children, parents)
    assert len(vectors.enumerated(generator())) == 1


def small_space() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    a = CategoricalHyperparameter("a", ["x", "y", "z"])
    b = OrdinalHyperparameter("b", [1, 2, 4])
    c = UniformIntegerHyperparameter("c", 2, 5)
    d = CategoricalHyperparameter("d", ["on", "off"])
    e = Constant("e", "fixed")
    space.add(a, b, c, d, e)
    space.add(
        EqualsCondition(c, a, "x"),
        OrConjunction(NotEqualsCondition(d, a, "x"), GreaterThanCondition(d, b, 2)),
    )
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(a, "y"), ForbiddenEqualsClause(b, 4)))
    return space


def by_hand() -> set[tuple[tuple[str, Any], ...]]:
    found = set()
    for a, b, c, d in itertools.product("xyz", (1, 2, 4), (2, 3, 4, 5), ("on", "off")):
        if (a, b) == ("y", 4):
            continue
        values: dict[str, Any] = {"a": a, "b": b, "e": "fixed"}
        if a == "x":
            values["c"] = c
        if a != "x" or b > 2:
            values["d"] = d
        found.add(tuple(sorted(values.items())))
    return found


def test_everything_is_every_legal_configuration_once() -> None:
    space = small_space()
    listed = configurations(space, VectorSpace(space).enumerated(generator()))
    found = [tuple(sorted(each.items())) for each in listed]
    assert set(found) == by_hand()
    assert len(found) == len(by_hand())


def test_everything_comes_in_an_order_of_the_generator() -> None:
    vectors = VectorSpace(small_space())
    one, same, other = (vectors.enumerated(generator(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same, equal_nan=True)
    assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("name", ["paper", "dag", "joint", "knotted"])
def test_everything_of_an_endless_space_is_more_draws(name: str) -> None:
    space = SPACES[name]()
    drawn = VectorSpace(space).enumerated(generator())
    assert len(drawn) >= 1000
    configurations(space, drawn[:50])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("preset", "roots"),
    [("paper", ["optimizer"]), ("joint", ["architecture", "head", "mitigation", "optimizer"])],
)
def test_every_deciding_choice_is_covered_before_any_comes_again(
    preset: Preset, roots: list[str], seed: int
) -> None:
    space = preset_space(preset)
    vectors = VectorSpace(space)
    choices = {name: len(space[name].choices) for name in roots}
    n = max(choices.values())
    first = np.array([vectors.initial_design(k, seed, generator(k))[0] for k in range(n)])
    taken = configurations(space, first)
    for name, n_choices in choices.items():
        values = [each[name] for each in taken]
        assert len(set(values[:n_choices])) == n_choices


def test_the_order_of_covering_depends_on_the_seed() -> None:
    vectors = VectorSpace(preset_space("paper"))
    orders = {
        tuple(
            vectors.initial_design(k, seed, generator(k))[0, vectors._roots[0]] for k in range(3)
        )
        for seed in range(8)
    }
    assert len(orders) > 1


def test_log_prior_is_that_of_config_space() -> None:
    space = with_priors()
    vectors = VectorSpace(space, space)
    drawn = vectors.draw(200, generator())
    logs = vectors.log_prior(drawn)
    expected = []
    for values in configurations(space, drawn):
        log = 0.0
        for name, value in values.items():
            each = space[name]
            log += np.log(each.pdf_values([value])[0] / each.get_max_density())
        expected.append(log)
    assert logs.tolist() == pytest.approx(expected, abs=1e-6)
    assert logs.max() <= 1e-12


def test_an_impossible_value_has_a_finite_log_prior() -> None:
    space = ConfigurationSpace(seed=0)
    space.add(BetaFloatHyperparameter("g", 8.0, 2.0, 0.0, 1.0))
    (log,) = VectorSpace(space, space).log_prior(np.array([[0.0]]))
    assert np.isfinite(log)
    assert log < -10


def test_without_priors_every_choice_is_as_likely() -> None:
    space = preset_space("joint")
    vectors = VectorSpace(space)
    assert vectors.log_prior(vectors.draw(20, generator())).tolist() == pytest.approx([0.0] * 20)


def test_the_given_vectors_are_left_alone() -> None:
    vectors = VectorSpace(knotted_space())
    given = generator().integers(0, 2, (20, vectors.n_dimensions)).astype(float)
    before = given.copy()
    vectors.legal(given)
    vectors.on_grid(given)
    vectors.mutate(given, generator(), n_changes=np.ones(20), spread=0.1)
    assert np.array_equal(given, before)


def test_a_space_has_a_prior_when_something_is_likelier_than_by_chance() -> None:
    for likelier in (
        CategoricalHyperparameter("x", ["a", "b"], weights=[1, 2]),
        NormalFloatHyperparameter("x", 0.5, 0.1, 0.0, 1.0),
        NormalIntegerHyperparameter("x", 3, 1, 1, 9),
        BetaFloatHyperparameter("x", 3.0, 2.0, 0.0, 1.0),
    ):
        space, uniform = ConfigurationSpace(seed=0), ConfigurationSpace(seed=0)
        space.add(likelier)
        uniform.add(likelier.to_uniform())
        assert VectorSpace(space).has_prior
        assert VectorSpace(uniform, space).has_prior
        assert not VectorSpace(uniform).has_prior
    plain = ConfigurationSpace(seed=0)
    plain.add(
        CategoricalHyperparameter("x", ["a", "b"], weights=[2, 2]),
        UniformFloatHyperparameter("y", 1e-3, 1.0, log=True),
        OrdinalHyperparameter("z", ["low", "high"]),
        Constant("c", 1),
    )
    assert not VectorSpace(plain).has_prior
