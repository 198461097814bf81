"""Which hyperparameters a run's costs depend on. The only module that knows scikit-learn.

A forest learns each objective from the finished trials of all rungs. Its trees cut the space into
boxes, so the mean over everything but one hyperparameter, and the variance of that mean, can be
added up box by box: functional analysis of variance, first order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from results.errors import SelectionError

if TYPE_CHECKING:
    from results.pareto import FloatArray
    from results.trial import ConfigurationValue
    from results.trial_record import TrialRecord
    from results.view import RunView

FEWEST_TRIALS = 20
_N_TREES = 64
_MOST_LEAVES = 256
_MOST_LEVELS = 64
_INACTIVE = -1.0
_RUNG = "rung"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one hyperparameter alone explains of an objective's variance.

    Attributes:
        share: Between 0 and 1, of the variance that is not the rung's alone; mean over trees.
        deviation: Standard deviation of that over trees.
        active: Share of the trials in which the hyperparameter has a value.
    """

    name: str
    share: float
    deviation: float
    active: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Of one objective.

    Attributes:
        explained: The forest's R² on trials that each tree has not seen; near 0 or below, the
            shares mean nothing.
        rung: Share of the whole variance that the rung alone explains.
        shares: The largest first.
    """

    objective: str
    explained: float
    rung: float
    shares: tuple[Share, ...]

    @property
    def interactions(self) -> float:
        """The share that no hyperparameter explains alone."""
        return max(0.0, 1.0 - sum(share.share for share in self.shares))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A hyperparameter's values as numbers.

    Attributes:
        levels: Those between which is told, rising; the inactive one is below all.
        weights: Shares of the trials at each level.
    """

    name: str
    values: FloatArray
    levels: FloatArray
    weights: FloatArray


def importances(view: RunView, *, seed: int) -> tuple[Importance, ...]:
    """Of every objective of the run.

    A hyperparameter that is not always active counts by what its values change where it is;
    whether it is active is its parent's doing. All values are taken to be as frequent as they
    were, and independent of each other.

    Args:
        view: The run.
        seed: Of the forests.

    Raises:
        SelectionError: Too few trials have costs.

    References:
        Hutter, Hoos & Leyton-Brown, An efficient approach for assessing hyperparameter
        importance, ICML 2014.
    """
    trials = [trial for trial in view.trials.values() if trial.costs is not None]
    if len(trials) < FEWEST_TRIALS:
        raise SelectionError(
            f"the run has {len(trials)} trials with costs; importance needs {FEWEST_TRIALS}"
        )
    columns = _columns(trials)
    features = np.stack([column.values for column in columns], axis=1)
    costs = view.costs_of(trials)
    return tuple(
        _importance(objective.name, columns, features, costs[:, index], seed)
        for index, objective in enumerate(view.objectives)
    )


def _columns(trials: Sequence[TrialRecord]) -> list[_Column]:
    """The rung, then each hyperparameter that is not the same in all trials."""
    rungs = np.array([trial.request.rung for trial in trials], dtype=np.float64)
    names = sorted({name for trial in trials for name in trial.request.configuration})
    columns = [_column(_RUNG, rungs)]
    for name in names:
        values = _numbers([trial.request.configuration.get(name) for trial in trials])
        if len(np.unique(values)) > 1:
            columns.append(_column(name, values))
    return columns


def _numbers(values: Sequence[ConfigurationValue | None]) -> FloatArray:
    """Ranks of the values, numbers by size and names by alphabet; -1 where there is none."""
    present = {value for value in values if value is not None}
    is_name = any(isinstance(value, str) for value in present)
    ordered = sorted(present, key=str if is_name else float)
    ranks: Mapping[Any, float] = {value: float(rank) for rank, value in enumerate(ordered)}
    return np.array([_INACTIVE if v is None else ranks[v] for v in values], dtype=np.float64)


def _column(name: str, values: FloatArray) -> _Column:
    levels, counts = np.unique(_quantised(values), return_counts=True)
    return _Column(
        name=name, values=_quantised(values), levels=levels, weights=counts / counts.sum()
    )


def _quantised(values: FloatArray) -> FloatArray:
    """The values, of very many only so many quantiles."""
    active = values[values > _INACTIVE]
    if len(np.unique(active)) <= _MOST_LEVELS:
        return values
    edges = np.quantile(active, np.linspace(0.0, 1.0, _MOST_LEVELS + 1)[1:-1])
    return np.where(values > _INACTIVE, np.searchsorted(edges, values).astype(float), _INACTIVE)


def _importance(
    objective: str, columns: Sequence[_Column], features: FloatArray, costs: FloatArray, seed: int
) -> Importance:
    if np.ptp(costs) == 0.0:
        nothing = np.zeros((1, 1 + len(columns)))
        return _summarise(objective, columns, nothing, explained=0.0)
    # All columns are tried at each split: a forest is wanted that follows the data, and splits
    # that were forced on it would look like effects.
    forest = RandomForestRegressor(
        n_estimators=_N_TREES,
        min_samples_leaf=2,
        max_leaf_nodes=_MOST_LEAVES,
        oob_score=True,
        random_state=seed,
    ).fit(features, costs)
    variances = np.array(
        [_variances(estimator.tree_, columns) for estimator in forest.estimators_]
    )
    return _summarise(objective, columns, variances, explained=float(forest.oob_score_))


def _summarise(
    objective: str, columns: Sequence[_Column], variances: FloatArray, *, explained: float
) -> Importance:
    """Shares from variances of each tree: the whole, by the rung, by each other column."""
    total, rung = variances[:, 0], variances[:, 1]
    remaining = np.maximum(total - rung, 0.0)
    parts = _divided(variances[:, 2:].T, remaining)
    shares = [
        Share(name=c.name, share=float(p.mean()), deviation=float(p.std()), active=_active(c))
        for c, p in zip(columns[1:], parts, strict=True)
    ]
    return Importance(
        objective=objective,
        explained=explained,
        rung=float(_divided(rung, total).mean()),
        shares=tuple(sorted(shares, key=lambda share: (-share.share, share.name))),
    )


def _divided(parts: FloatArray, whole: FloatArray) -> FloatArray:
    """Shares of the whole, none of nothing; rounding takes none above all of it."""
    quotient: FloatArray = np.minimum(parts / np.where(whole > 0.0, whole, np.inf), 1.0)
    return quotient


def _active(column: _Column) -> float:
    return min(1.0, float(column.weights[column.levels > _INACTIVE].sum()))


def _variances(tree: Any, columns: Sequence[_Column]) -> list[float]:
    """The variance of one tree, and of its mean over everything but each column."""
    lower, upper, values = _leaves(tree, len(columns))
    # Shape (leaves, levels) for each column: whether the level lies in the leaf's box.
    inside = [
        (column.levels > lower[:, [i]]) & (column.levels <= upper[:, [i]])
        for i, column in enumerate(columns)
    ]
    masses = np.stack(
        [is_inside @ column.weights for is_inside, column in zip(inside, columns, strict=True)],
        axis=1,
    )
    whole = masses.prod(axis=1)
    mean = float(whole @ values)
    total = float(whole @ (values - mean) ** 2)
    marginals = (
        _marginal(i, column, inside[i], masses, values) for i, column in enumerate(columns)
    )
    return [total, *marginals]


def _marginal(
    index: int, column: _Column, inside: Any, masses: FloatArray, values: FloatArray
) -> float:
    """The variance of the mean over all other columns, between the levels that are active."""
    others = np.delete(masses, index, axis=1).prod(axis=1)
    means = (others * values) @ inside
    active = column.levels > _INACTIVE
    weights = column.weights[active]
    share = float(weights.sum())
    if share == 0.0:
        return 0.0
    centre = float(weights @ means[active]) / share
    return float(weights @ (means[active] - centre) ** 2)


def _leaves(tree: Any, n_columns: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each leaf's box, open below and closed above, shape (leaves, columns), and its value."""
    boxes = [(0, np.full(n_columns, -np.inf), np.full(n_columns, np.inf))]
    lower, upper, values = [], [], []
    while boxes:
        node, low, high = boxes.pop()
        left, right = tree.children_left[node], tree.children_right[node]
        if left == right:
            lower.append(low)
            upper.append(high)
            values.append(float(tree.value[node].ravel()[0]))
            continue
        feature, threshold = tree.feature[node], tree.threshold[node]
        below, above = high.copy(), low.copy()
        below[feature] = min(high[feature], threshold)
        above[feature] = max(low[feature], threshold)
        boxes += [(left, low, below), (right, above, high)]
    return np.array(lower), np.array(upper), np.array(values)
