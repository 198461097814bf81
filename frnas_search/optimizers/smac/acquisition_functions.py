"""SMAC's acquisition functions of the engine: what a configuration promises for the front.

They ask any of SMAC's models for means and variances at the highest rung, and compose: limits on
costs and the user's priors are functions around a function, as SMAC's own priors are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.model.abstract_model import AbstractModel

from frnas_search.optimizers.smac.acquisition import (
    REFERENCE,
    expected_hypervolume_improvement,
    expected_improvement,
    scalarised_hypervolume_improvement,
    scale_of,
)
from frnas_search.optimizers.smac.evidence import Evidence, Informed
from results.pareto import non_dominated

if TYPE_CHECKING:
    from results.pareto import BoolArray, FloatArray

FEWEST_COSTS = 3
"""Results from which the front's box can be told, and a model be trained."""

_DEVIATION = 0.02
"""What a model cannot know, in units of the front's extent."""

_N_FRONTS = 8
_N_SAMPLES = 16
_LEAST = 1e-12
_PRIOR_STRENGTH = 10.0


class HypervolumeImprovement(AbstractAcquisitionFunction):
    """The expected gain in hypervolume over the front that was measured.

    Told the evidence, the front is that of costs at the highest rung, trials in flight counting
    at their expected ones. Otherwise it is that of what the model expects of `X`.

    Args:
        fantasises: Whether trials in flight count.
        seed: Of what is drawn for three and more objectives.
    """

    def __init__(self, *, fantasises: bool = True, seed: int = 0) -> None:
        super().__init__()
        self._fantasises = fantasises
        self._seed = seed
        self._evidence: Evidence | None = None
        self._fronts: list[FloatArray] = []

    @property
    def name(self) -> str:
        """As SMAC lists it."""
        return "Expected hypervolume improvement"

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        return {**super().meta, "fantasises": self._fantasises, "seed": self._seed}

    def inform(self, evidence: Evidence) -> None:
        """What the front is made of."""
        self._evidence = evidence

    def _update(self, **kwargs: Any) -> None:
        vectors = kwargs["X"]
        self._generator = np.random.default_rng([self._seed, self._number(len(vectors))])
        expected, variances = _predicted(self.model, vectors)
        known = expected if self._evidence is None else self._evidence.top_costs
        self._scale = scale_of(known if len(known) >= FEWEST_COSTS else expected)
        self._fronts = [
            self._scale.scaled(points)[non_dominated(points)]
            for points in self._points(known, expected, variances)
        ]
        self._sample_seed = int(self._generator.integers(2**31))

    def _points(
        self, known: FloatArray, expected: FloatArray, variances: FloatArray
    ) -> list[FloatArray]:
        """Costs that later ones should improve on; one set for each front that is thought of."""
        del expected, variances
        return [np.vstack([known, self._expected_of_pending()])]

    def _expected_of_pending(self) -> FloatArray:
        pending = self._pending()
        if len(pending) == 0:
            return np.empty((0, len(self._scale.low)))
        return _predicted(self.model, pending)[0]

    def _pending(self) -> FloatArray:
        if self._evidence is None:
            return np.empty((0, 0))
        return self._evidence.pending if self._fantasises else self._evidence.pending[:0]

    def _number(self, n_known: int) -> int:
        return n_known if self._evidence is None else self._evidence.number

    def _compute(self, X: FloatArray) -> FloatArray:  # noqa: N803 - SMAC's name
        means, variances = _predicted(self.model, X)
        means = self._scale.scaled(means)
        deviations = np.sqrt(variances) / self._scale.span + _DEVIATION
        gains = [self._gains(means, deviations, front) for front in self._fronts]
        return np.asarray(np.mean(gains, axis=0))[:, None]

    def _gains(self, means: FloatArray, deviations: FloatArray, front: FloatArray) -> FloatArray:
        if means.shape[1] == 1:
            best = np.asarray(front.min(initial=REFERENCE))
            return expected_improvement(means[:, 0], deviations[:, 0], best)
        if means.shape[1] == 2:
            return expected_hypervolume_improvement(means, deviations, front)
        generator = np.random.default_rng(self._sample_seed)
        noise = generator.normal(size=(_N_SAMPLES, 1, means.shape[1]))
        return scalarised_hypervolume_improvement(means + noise * deviations, front, generator)


class NoisyHypervolumeImprovement(HypervolumeImprovement):
    """The same, averaged over fronts that the model thinks possible.

    A measured cost is a draw of noise, too, and a front of lucky draws asks for more than there
    is. Each front consists of draws at all known configurations, and those in flight.

    References:
        Daulton et al., Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected
        Hypervolume Improvement, NeurIPS 2021; without the correlation between configurations.
    """

    @property
    def name(self) -> str:
        """As SMAC lists it."""
        return "Noisy expected hypervolume improvement"

    def _points(
        self, known: FloatArray, expected: FloatArray, variances: FloatArray
    ) -> list[FloatArray]:
        del known
        if self._evidence is not None:  # what other searches found is on no front
            vectors = np.vstack([self._evidence.vectors, self._pending()])
            if len(vectors) == 0:
                return [expected[:0]]
            expected, variances = _predicted(self.model, vectors)
        noise = self._generator.normal(size=(_N_FRONTS, *expected.shape))
        return list(expected + noise * np.sqrt(variances))


class WithinLimits(AbstractAcquisitionFunction):
    """A function of what keeps within limits: times the probability that all are kept.

    Args:
        function: Of which points beyond a limit are kept away, too.
        limits: Shape (m,); the largest cost that is wanted of each objective, may be infinite.
    """

    def __init__(self, function: AbstractAcquisitionFunction, limits: FloatArray) -> None:
        super().__init__()
        self._function = function
        self._limits = limits
        self._evidence: Evidence | None = None

    @property
    def name(self) -> str:
        """As SMAC lists it."""
        return f"{self._function.name} within limits"

    @property
    def meta(self) -> dict[str, Any]:
        """The limits and what is inside."""
        return {**super().meta, "limits": self._limits.tolist(), "function": self._function.meta}

    def inform(self, evidence: Evidence) -> None:
        """Without what is beyond a limit: it is nothing to improve on."""
        self._evidence = evidence

    def _update(self, **kwargs: Any) -> None:
        assert self.model is not None, "SMAC sets it before"
        if self._evidence is None:
            vectors = kwargs["X"]
            within = vectors[self._is_expected_within(vectors)]
            kwargs = {**kwargs, "X": within if len(within) else vectors}
        elif isinstance(self._function, Informed):
            self._function.inform(self._within(self._evidence))
        self._function.update(model=self.model, **kwargs)

    def _is_expected_within(self, vectors: FloatArray) -> BoolArray:
        if len(vectors) == 0:
            return np.zeros(0, np.bool_)
        expected, _ = _predicted(self.model, vectors)
        return np.asarray((expected <= self._limits).all(axis=1), np.bool_)

    def _within(self, evidence: Evidence) -> Evidence:
        measured, vectors, pending = evidence.measured, evidence.vectors, evidence.pending
        is_known = np.isfinite(measured).all(axis=1)
        is_within = np.all(measured <= self._limits, axis=1)
        kept = np.where(is_known, is_within, self._is_expected_within(vectors))
        return Evidence(
            number=evidence.number,
            vectors=vectors[kept],
            measured=measured[kept],
            pending=pending[self._is_expected_within(pending)],
        )

    def _compute(self, X: FloatArray) -> FloatArray:  # noqa: N803 - SMAC's name
        means, variances = _predicted(self.model, X)
        kept = ndtr((self._limits - means) / np.sqrt(variances)).prod(axis=1)[:, None]
        return np.asarray(self._function._compute(X) * kept + _LEAST * kept)


class PriorWeighted(AbstractAcquisitionFunction):
    """A function times the user's prior, which results outweigh in time.

    SMAC's own takes the density of whole configurations from a space that its models refuse:
    priors on what may be inactive.

    Args:
        function: Not negative.
        log_prior: Vectors, shape (n, d) -> the prior's log density up to a constant, shape (n,).

    References:
        Hvarfner et al., piBO: Augmenting Acquisition Functions with User Beliefs, ICLR 2022.
    """

    def __init__(
        self,
        function: AbstractAcquisitionFunction,
        log_prior: Callable[[FloatArray], FloatArray],
    ) -> None:
        super().__init__()
        self._function = function
        self._log_prior = log_prior
        self._weight = 0.0

    @property
    def name(self) -> str:
        """As SMAC lists it."""
        return f"{self._function.name} times prior"

    @property
    def meta(self) -> dict[str, Any]:
        """What is inside."""
        return {**super().meta, "function": self._function.meta}

    def inform(self, evidence: Evidence) -> None:
        """For the function inside."""
        if isinstance(self._function, Informed):
            self._function.inform(evidence)

    def _update(self, **kwargs: Any) -> None:
        assert self.model is not None, "SMAC sets it before"
        self._weight = prior_weight(kwargs["num_data"])
        self._function.update(model=self.model, **kwargs)

    def _compute(self, X: FloatArray) -> FloatArray:  # noqa: N803 - SMAC's name
        prior = np.exp(self._weight * self._log_prior(X))[:, None]
        return np.asarray(self._function._compute(X) * prior)


def prior_weight(n_results: int) -> float:
    """How much a prior counts beside so many results."""
    return _PRIOR_STRENGTH / max(1, n_results)


def _predicted(model: AbstractModel | None, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    assert model is not None, "SMAC sets it before"
    means, variances = model.predict_marginalized(vectors)
    return means, variances
