from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from results.errors import SelectionError
from results.events import Asked, RunOpened, Told
from results.importance import _column, _variances, importances
from results.objectives import objective
from results.store import InMemoryStore
from results.trial import Configuration, TrialOutcome, TrialRequest
from results.view import RunView, fold

TIME = "2026-01-01T00:00:00Z"
Costs = Callable[[Configuration, int], tuple[float, float]]


def configuration(rng: np.random.Generator) -> Configuration:
    values: dict[str, bool | int | float | str] = {
        "rate": float(rng.uniform(-4, 0)),
        "head": str(rng.choice(["ArcFace", "CosFace", "MagFace"])),
        "noise": float(rng.uniform()),
        "fixed": 3,
    }
    if values["head"] == "CosFace":
        values["margin"] = float(rng.uniform())
    return values


def run_of(n_trials: int, costs: Costs, *, n_failed: int = 0) -> RunView:
    store, rng = InMemoryStore(), np.random.default_rng(0)
    store.append(
        RunOpened(
            run="r",
            objectives=(
                objective("error", n_identities=99),
                objective("rank_disparity", n_identities=99),
            ),
            rungs=(1, 3),
            data={"digest": "d", "split": "val", "group": "g", "groups": {}},
            space={"preset": "paper", "fingerprint": "f"},
            seed=0,
            versions={},
            at=TIME,
        ),
        time=TIME,
    )
    for number in range(n_trials + n_failed):
        config, rung = configuration(rng), int(rng.integers(2))
        request = TrialRequest(
            trial_id=f"t{number}",
            config_id=f"c{number}",
            configuration=config,
            rung=rung,
            epochs=(1, 3)[rung],
            seed=0,
        )
        store.append(Asked(request=request), time=TIME)
        error, disparity = costs(config, rung)
        measured = {"error": error, "rank_disparity": disparity}
        outcome = TrialOutcome(trial_id=f"t{number}", attempt=1, costs=measured)
        store.append(Told(outcome=outcome), time=TIME)
    return fold(store.read())


def by_head_and_rate(config: Configuration, rung: int) -> tuple[float, float]:
    error = {"ArcFace": 0.1, "CosFace": 0.5, "MagFace": 0.9}[str(config["head"])]
    return error + 0.3 * (1 - rung), abs(float(config["rate"]) + 2)


def shares(view: RunView, index: int, seed: int = 0) -> dict[str, float]:
    return {each.name: each.share for each in importances(view, seed=seed)[index].shares}


def test_each_objective_has_the_hyperparameters_that_it_depends_on() -> None:
    error, disparity = importances(run_of(150, by_head_and_rate), seed=0)
    assert (error.objective, disparity.objective) == ("error", "rank_disparity")
    assert error.shares[0].name == "head"
    assert error.shares[0].share > 0.8
    assert error.explained > 0.9
    assert 0.05 < error.rung < 0.5
    assert disparity.shares[0].name == "rate"
    assert disparity.shares[0].share > 0.8
    assert disparity.rung < 0.05
    for each in (error, disparity):
        assert {s.name: s.share for s in each.shares}["noise"] < 0.05
        assert sum(s.share for s in each.shares) + each.interactions >= 1.0 - 1e-9


def test_what_never_changes_is_not_listed() -> None:
    assert set(shares(run_of(30, by_head_and_rate), 0)) == {"head", "rate", "noise", "margin"}


def test_a_conditional_hyperparameter_counts_for_its_values_and_not_for_being_there() -> None:
    only_by_head = shares(run_of(200, by_head_and_rate), 0)
    assert only_by_head["margin"] < 0.05, "it is active with one head only, and that decides"

    def by_margin(config: Configuration, rung: int) -> tuple[float, float]:
        return 0.5 + 0.4 * float(config.get("margin", 0.5)), 0.1 * rung

    (error, _) = importances(run_of(200, by_margin), seed=0)
    assert error.shares[0].name == "margin"
    assert error.shares[0].share > 0.6
    assert error.shares[0].active == pytest.approx(1 / 3, abs=0.1)


def test_the_same_seed_gives_the_same_shares_and_another_nearly_so() -> None:
    view = run_of(60, by_head_and_rate)
    assert shares(view, 0, seed=3) == shares(view, 0, seed=3)
    one, other = (shares(view, 0, seed=seed)["head"] for seed in (3, 4))
    assert one == pytest.approx(other, abs=0.2)


def test_an_objective_that_never_changes_depends_on_nothing() -> None:
    (error, _) = importances(run_of(40, lambda config, rung: (0.5, float(rung))), seed=0)
    assert {each.share for each in error.shares} == {0.0}
    assert (error.explained, error.rung) == (0.0, 0.0)


def test_nothing_but_the_rung_leaves_no_share_to_others() -> None:
    (_, disparity) = importances(run_of(40, lambda config, rung: (0.5, float(rung))), seed=0)
    assert disparity.rung > 0.7


def test_too_few_trials_are_refused() -> None:
    with pytest.raises(SelectionError, match="19 trials with costs; importance needs 20"):
        importances(run_of(19, by_head_and_rate), seed=0)


def test_variances_added_up_by_boxes_are_those_of_all_points_of_the_grid() -> None:
    rng = np.random.default_rng(1)
    raw = [rng.integers(0, 2, 80), rng.integers(-1, 4, 80), rng.integers(0, 6, 80)]
    columns = [_column(f"h{i}", values.astype(float)) for i, values in enumerate(raw)]
    features = np.stack([column.values for column in columns], axis=1)
    costs = features[:, 0] + features[:, 1] * features[:, 2] + rng.normal(size=80)
    tree = DecisionTreeRegressor(max_leaf_nodes=20, random_state=0).fit(features, costs)

    grid = np.array(list(itertools.product(*(column.levels for column in columns))))
    weights = np.array(
        [np.prod(each) for each in itertools.product(*(column.weights for column in columns))]
    )
    predicted = tree.predict(grid)
    mean = weights @ predicted
    expected = [weights @ (predicted - mean) ** 2]
    for i, column in enumerate(columns):
        at = [grid[:, i] == level for level in column.levels]
        means = np.array([weights[a] @ predicted[a] / weights[a].sum() for a in at])
        active = column.levels >= 0
        share = column.weights[active]
        centre = share @ means[active] / share.sum()
        expected.append(share @ (means[active] - centre) ** 2)

    assert _variances(tree.tree_, columns) == pytest.approx(expected)


def test_many_different_values_are_told_apart_by_quantiles() -> None:
    values = np.arange(5000.0)
    column = _column("x", values)
    assert len(column.levels) == 64
    assert column.weights == pytest.approx(1 / 64, rel=0.05)
    assert np.all(np.diff(column.values) >= 0)
