"""The surrogate: one forest of random trees for all objectives and all rungs. The door to sklearn.

Trees split on a configuration's vector and on the fidelity that a cost was measured at, so cheap
measurements inform expensive ones. Every tree predicts on its own; the spread of their predictions
is the surrogate's uncertainty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

if TYPE_CHECKING:
    from results.pareto import FloatArray

_INACTIVE = -1.0
"""Below every value, so that one split separates what is inactive."""

_MOST_COSTS = 4000
"""That a single tree learns from; with more each draws its own, so that time stops growing."""


class Forest:
    """Costs of configurations at rungs.

    Args:
        n_trees: How many predictions there are of each cost.
        max_features: Share of the inputs that each split chooses from.
        min_leaf: Fewest costs in a leaf.
    """

    def __init__(self, *, n_trees: int = 20, max_features: float = 0.8, min_leaf: int = 1) -> None:
        self._n_trees = n_trees
        self._max_features = max_features
        self._min_leaf = min_leaf
        self._trees: list[Any] = []

    def train(
        self, vectors: FloatArray, fidelities: FloatArray, costs: FloatArray, seed: int
    ) -> None:
        """Forget everything and learn these costs.

        Args:
            vectors: Shape (n, d); NaN where inactive.
            fidelities: Shape (n,); 0 the lowest, the cheapest rung's, to 1 the highest.
            costs: Shape (n, m); finite.
            seed: Of the splits.
        """
        model = ExtraTreesRegressor(
            self._n_trees,
            max_features=self._max_features,
            min_samples_leaf=self._min_leaf,
            bootstrap=len(costs) > _MOST_COSTS,
            max_samples=_MOST_COSTS if len(costs) > _MOST_COSTS else None,
            random_state=seed,
            n_jobs=1,
        )
        # A single column must be flat.
        model.fit(_inputs(vectors, fidelities), costs[:, 0] if costs.shape[1] == 1 else costs)
        self._trees = [estimator.tree_ for estimator in model.estimators_]

    def predict_per_tree(self, vectors: FloatArray, fidelity: float = 1.0) -> FloatArray:
        """Costs that each tree predicts at one fidelity, shape (trees, n, m).

        Args:
            vectors: Shape (n, d).
            fidelity: 0 the lowest, the cheapest rung's, to 1 the highest.
        """
        inputs = _inputs(vectors, np.full(len(vectors), fidelity))
        predictions = [tree.predict(inputs).reshape(len(inputs), -1) for tree in self._trees]
        return np.stack(predictions)


def _inputs(vectors: FloatArray, fidelities: FloatArray) -> FloatArray:
    filled = np.nan_to_num(vectors, nan=_INACTIVE)
    return np.ascontiguousarray(np.column_stack([filled, fidelities]), dtype=np.float32)
