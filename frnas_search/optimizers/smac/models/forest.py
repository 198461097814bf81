"""A forest of random trees for all objectives and all rungs.

Trees split on a configuration's vector and on the height of the rung, so cheap results inform
expensive ones. The spread of the trees' predictions is the model's uncertainty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn.ensemble import ExtraTreesRegressor

from frnas_search.optimizers.smac.models.extremes import without_extremes
from frnas_search.optimizers.smac.models.rung_model import RungModel

if TYPE_CHECKING:
    from typing import Self

    from results.pareto import FloatArray

_INACTIVE = -1.0
"""Below every value, so that one split separates what is inactive."""

_MOST_COSTS = 4000
"""That a single tree learns from; with more each draws its own, so that time stops growing."""

_SMALLEST_DEVIATION = 1e-12


class RungForest(RungModel):
    """Extremely random trees, each of them for all objectives.

    Objectives are standardised before the trees split, or the one with the widest range would
    choose every split.

    Args:
        configspace: Of the configurations; the user's priors are not for models.
        n_trees: How many predictions there are of each cost.
        max_features: Share of the inputs that each split chooses from.
        min_leaf: Fewest costs in a leaf.
        limits: Shape (m,); costs that are wanted at most. None is no limit.
        seed: Of the splits.

    References:
        Geurts et al., Extremely randomized trees, Machine Learning 63, 2006.
    """

    def __init__(
        self,
        configspace: ConfigurationSpace,
        *,
        n_trees: int = 20,
        max_features: float = 0.8,
        min_leaf: int = 1,
        limits: FloatArray | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(configspace, seed=seed)
        self._n_trees = n_trees
        self._max_features = max_features
        self._min_leaf = min_leaf
        self._limits = limits
        self._trees: list[Any] = []

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {
            **super().meta,
            "n_trees": self._n_trees,
            "max_features": self._max_features,
            "min_leaf": self._min_leaf,
        }

    def _train(self, X: FloatArray, Y: FloatArray) -> Self:  # noqa: N803 - SMAC's names
        costs = without_extremes(Y.reshape(len(Y), -1), self._limits)
        self._mean = costs.mean(axis=0)
        self._deviation = np.maximum(costs.std(axis=0), _SMALLEST_DEVIATION)
        standardised = (costs - self._mean) / self._deviation
        model = ExtraTreesRegressor(
            self._n_trees,
            max_features=self._max_features,
            min_samples_leaf=self._min_leaf,
            bootstrap=len(costs) > _MOST_COSTS,
            max_samples=_MOST_COSTS if len(costs) > _MOST_COSTS else None,
            random_state=self._seed_of_training(len(costs)),
            n_jobs=1,
        )
        # A single column must be flat.
        model.fit(_inputs(X), standardised[:, 0] if costs.shape[1] == 1 else standardised)
        self._trees = [estimator.tree_ for estimator in model.estimators_]
        return self

    def _moments(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        filled, shape = _inputs(inputs), (len(inputs), len(self._mean))
        each = np.stack([tree.predict(filled).reshape(shape) for tree in self._trees])
        means = each.mean(axis=0) * self._deviation + self._mean
        return means, (each.std(axis=0) * self._deviation) ** 2


def _inputs(vectors: FloatArray) -> FloatArray:
    filled = np.nan_to_num(vectors, nan=_INACTIVE)
    return np.ascontiguousarray(filled, dtype=np.float32)
