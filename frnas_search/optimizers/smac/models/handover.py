"""A Gaussian process while results are few and a forest after that, by evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from scipy import stats

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.models.forest import RungForest
from frnas_search.optimizers.smac.models.gaussian_process import GaussianProcess
from frnas_search.optimizers.smac.models.rung_model import RungModel

if TYPE_CHECKING:
    from typing import Self

    from frnas_search.optimizers.smac.evidence import Evidence
    from results.pareto import FloatArray

_FEWEST_JUDGED = 60
"""Results below which a fifth of them says nothing of a model."""

_MOST_SMOOTH = 400
"""Results above which the process, whose time grows with their cube, is not trained any more."""

_JUDGED_EVERY = 20
_SHARE_LEFT_OUT = 0.2
_NOISES = np.geomspace(1e-3, 1.0, 13)
"""Standard deviations that a model's error may have besides, in those of the costs."""


class RungProcess(RungModel):
    """Our Gaussian process as a model of SMAC's kind.

    Args:
        configspace: Of the configurations.
        limits: Shape (m,); costs that are wanted at most. None is no limit.
        seed: SMAC lists it; nothing is drawn.
    """

    def __init__(
        self, configspace: ConfigurationSpace, *, limits: FloatArray | None = None, seed: int = 0
    ) -> None:
        super().__init__(configspace, seed=seed)
        self._process = GaussianProcess(VectorSpace(configspace).n_choices, limits=limits)

    def _train(self, X: FloatArray, Y: FloatArray) -> Self:  # noqa: N803 - SMAC's names
        costs = Y.reshape(len(Y), -1)
        self._process.train(X[:, :-1], X[:, -1], costs)
        return self

    def _moments(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        means = np.empty((len(inputs), self._process.n_objectives))
        variances = np.empty_like(means)
        for height in np.unique(inputs[:, -1]):
            rows = inputs[:, -1] == height
            means[rows], variances[rows] = self._process.predict(inputs[rows, :-1], float(height))
        return means, variances


class FewThenMany(RungModel):
    """The process, or the forest when that has told better what came in.

    Every twenty results both are trained on all but the last fifth; the one that gives the fifth
    the higher likelihood is used until the next time. Few results are the process's, many are the
    forest's. The choice is a function of the results alone.

    Args:
        configspace: Of the configurations.
        n_trees: Of the forest.
        limits: Shape (m,); costs that are wanted at most. None is no limit.
        seed: Of both.
    """

    def __init__(
        self,
        configspace: ConfigurationSpace,
        *,
        n_trees: int = 20,
        limits: FloatArray | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(configspace, seed=seed)
        self._n_trees = n_trees
        self._limits = limits
        self._chosen: RungModel = self._smooth()
        self._judged: tuple[bytes, bool] | None = None
        self._evidence: Evidence | None = None

    def inform(self, evidence: Evidence) -> None:
        """Which proposal comes next."""
        super().inform(evidence)
        self._evidence = evidence

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "n_trees": self._n_trees}

    @property
    def is_smooth(self) -> bool:
        """Whether the process was chosen."""
        return isinstance(self._chosen, RungProcess)

    def _train(self, X: FloatArray, Y: FloatArray) -> Self:  # noqa: N803 - SMAC's names
        is_smooth = self._is_smooth_better(X, Y)
        self._chosen = self._smooth() if is_smooth else self._forest()
        if self._evidence is not None:
            self._chosen.inform(self._evidence)
        self._chosen.train(X, Y)
        return self

    def _moments(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self._chosen._moments(inputs)

    def _is_smooth_better(self, inputs: FloatArray, costs: FloatArray) -> bool:
        if len(costs) < _FEWEST_JUDGED:
            return True
        if len(costs) > _MOST_SMOOTH:
            return False
        n = len(costs) - len(costs) % _JUDGED_EVERY
        judged = inputs[:n].tobytes() + costs[:n].tobytes()
        if self._judged is None or self._judged[0] != judged:
            smooth, forest = (
                _log_likelihood(model, inputs[:n], costs[:n])
                for model in (self._smooth(), self._forest())
            )
            self._judged = (judged, smooth >= forest)
        return self._judged[1]

    def _smooth(self) -> RungModel:
        return RungProcess(self._configspace, limits=self._limits, seed=self._seed)

    def _forest(self) -> RungModel:
        return RungForest(
            self._configspace, n_trees=self._n_trees, limits=self._limits, seed=self._seed
        )


def _log_likelihood(model: RungModel, inputs: FloatArray, costs: FloatArray) -> float:
    """Of the last fifth of the results under a model of the others.

    Each objective may have an error besides what the model knows of, the likeliest for the model.
    """
    first = len(costs) - max(1, int(_SHARE_LEFT_OUT * len(costs)))
    model.train(inputs[:first], costs[:first])
    means, variances = model.predict(inputs[first:])
    assert variances is not None
    scale = np.maximum(costs.std(axis=0), 1e-12)
    errors, spreads = (costs[first:] - means) / scale, variances / scale**2
    deviations = np.sqrt(spreads + _NOISES[:, None, None] ** 2)
    return float(stats.norm.logpdf(errors, scale=deviations).sum(axis=1).max(axis=0).sum())
