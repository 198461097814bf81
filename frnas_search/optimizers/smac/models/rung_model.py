"""What all of the engine's models share: the rung is SMAC's instance feature."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from smac.model.abstract_model import AbstractModel

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.evidence import Evidence
    from results.pareto import FloatArray

TOP = 1.0
"""Height of the highest rung, as `encoder` gives it."""


class RungModel(AbstractModel):
    """Costs of configurations at rungs, of several objectives at once.

    Inputs are vectors of a configuration space, NaN where inactive, and the height of a rung,
    0 the lowest to 1 the highest. The same data and the same proposal give the same model: its
    randomness is that of a seed, of the proposal's number and of how much it learns from.
    """

    def __init__(self, configspace: ConfigurationSpace, *, seed: int = 0) -> None:
        super().__init__(
            configspace, instance_features={"rung": [TOP]}, pca_components=None, seed=seed
        )
        self._number = 0

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "seed": self._seed}

    def inform(self, evidence: Evidence) -> None:
        """Which proposal comes next."""
        self._number = evidence.number

    def predict_marginalized(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:  # noqa: N803
        """Means and variances at the highest rung, each of shape (n, m).

        Overrides SMAC's, which tiles and predicts one row after another.

        Args:
            X: Shape (n, d), without the rung.
        """
        means, variances = self.predict(np.column_stack([X, np.full(len(X), TOP)]))
        assert variances is not None, "only asked for otherwise is it left out"
        return means, np.maximum(variances, self._var_threshold)

    def _predict(
        self,
        X: FloatArray,  # noqa: N803 - SMAC's name
        covariance_type: str | None = "diagonal",
    ) -> tuple[FloatArray, FloatArray | None]:
        means, variances = self._moments(X)
        if covariance_type is None:
            return means, None
        return means, np.sqrt(variances) if covariance_type == "std" else variances

    @abstractmethod
    def _moments(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and variances, each of shape (n, m), of inputs of shape (n, d + 1)."""

    def _seed_of_training(self, n_results: int) -> int:
        generator = np.random.default_rng([self._seed, self._number, n_results])
        return int(generator.integers(2**31))
