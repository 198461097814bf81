"""SMAC's own models in the engine: one for each objective, built anew for each training.

SMAC's models go on from what they learned before, and draw from generators that remember how
often they were asked. Built anew they are a function of their data and of the proposal's number,
as a search that is restored needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from smac.model.abstract_model import AbstractModel
from smac.model.gaussian_process import GaussianProcess
from smac.model.gaussian_process.kernels import (
    ConstantKernel,
    HammingKernel,
    MaternKernel,
    WhiteKernel,
)
from smac.model.gaussian_process.priors import HorseshoePrior, LogNormalPrior
from smac.model.random_forest import RandomForest
from smac.utils.configspace import get_types

from frnas_search.optimizers.smac.models.rung_model import TOP, RungModel

if TYPE_CHECKING:
    from typing import Self

    from results.pareto import FloatArray

_RUNG = {"rung": [TOP]}
# A tree allocates as many as it may have, a million by SMAC's default.
_MOST_LEAVES = 2**12
# SMAC's bounds of length scales, in units of a hyperparameter's range.
_LENGTHS = (np.exp(-6.754111155189306), np.exp(0.0858637988771976))


class PerObjective(RungModel):
    """Several of SMAC's models, which know one objective each.

    Args:
        configspace: Of the configurations.
        make: Space and seed -> an untrained model with the rung as its instance feature.
        seed: Of all trainings.
    """

    def __init__(
        self,
        configspace: ConfigurationSpace,
        make: Callable[[ConfigurationSpace, int], AbstractModel],
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(configspace, seed=seed)
        self._make = make
        self._models: list[AbstractModel] = []

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "make": self._make.__name__}

    def _train(self, X: FloatArray, Y: FloatArray) -> Self:  # noqa: N803 - SMAC's names
        seed = self._seed_of_training(len(Y))
        self._models = [
            self._make(self._configspace, (seed + number) % 2**31).train(X, column[:, None])
            for number, column in enumerate(Y.reshape(len(Y), -1).T)
        ]
        return self

    def _moments(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        each = [model.predict(inputs) for model in self._models]
        means = np.column_stack([mean[:, 0] for mean, _ in each])
        return means, np.column_stack([_column(variance) for _, variance in each])


def smac_forest(configspace: ConfigurationSpace, *, seed: int = 0) -> PerObjective:
    """SMAC's random forest as its facade for hyperparameters sets it, on costs as they are."""
    return PerObjective(configspace, _forest, seed=seed)


def smac_process(configspace: ConfigurationSpace, *, seed: int = 0) -> PerObjective:
    """SMAC's Gaussian process with the mixed kernel of its black-box facade."""
    return PerObjective(configspace, _process, seed=seed)


def _forest(configspace: ConfigurationSpace, seed: int) -> AbstractModel:
    return RandomForest(
        configspace,
        n_trees=10,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=_MOST_LEAVES,
        instance_features=_RUNG,
        pca_components=None,
        seed=seed,
    )


def _process(configspace: ConfigurationSpace, seed: int) -> AbstractModel:
    return GaussianProcess(
        configspace,
        kernel=_mixed_kernel(configspace, seed),
        normalize_y=True,
        instance_features=_RUNG,
        pca_components=None,
        seed=seed,
    )


def _mixed_kernel(configspace: ConfigurationSpace, seed: int) -> Any:
    """Matern over numbers and the rung, times Hamming over choices, and noise."""
    types, _ = get_types(configspace, _RUNG)
    is_number = np.asarray(types) == 0
    numbers, choices = np.flatnonzero(is_number), np.flatnonzero(~is_number)
    amplitude = ConstantKernel(
        2.0,
        constant_value_bounds=(np.exp(-10), np.exp(2)),
        prior=LogNormalPrior(mean=0.0, sigma=1.0, seed=seed),
    )
    kernel = MaternKernel(
        np.ones(len(numbers)), [_LENGTHS] * len(numbers), nu=2.5, operate_on=numbers
    )
    if len(choices):
        kernel = kernel * HammingKernel(
            np.ones(len(choices)), [_LENGTHS] * len(choices), operate_on=choices
        )
    noise = WhiteKernel(
        noise_level=1e-8,
        noise_level_bounds=(np.exp(-25), np.exp(2)),
        prior=HorseshoePrior(scale=0.1, seed=seed),
    )
    return amplitude * kernel + noise


def _column(variance: FloatArray | None) -> FloatArray:
    assert variance is not None, "asked for"
    return variance[:, 0]
