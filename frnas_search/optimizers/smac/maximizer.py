"""SMAC's acquisition maximizer over arrays of candidates, judged by the thousand.

Draws, neighbours of the best and draws from the density of the good, in three rounds that come
closer. SMAC's own changes one hyperparameter of one configuration at a time, which is most of the
time of its proposals.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.model.abstract_model import AbstractModel

from frnas_search.optimizers.smac.acquisition_functions import prior_weight
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import Candidates, keys, vectors_of
from frnas_search.optimizers.smac.density import density_draws
from frnas_search.optimizers.smac.evidence import Evidence
from frnas_search.optimizers.smac.promotion import best_within

if TYPE_CHECKING:
    from results.pareto import FloatArray

_N_DRAWN = 500
_N_PARENTS = 20
_N_CHILDREN = 10
_N_ROUNDS = 3
_SPREAD = 0.15
_N_CHALLENGERS = 16


class ArrayMaximizer(AbstractAcquisitionMaximizer):
    """A function of its seed, of the model, and of what was proposed before.

    Args:
        configspace: Of the configurations.
        acquisition_function: What is maximised; a facade sets it.
        challengers: Configurations that `maximize` gives where it is not told how many.
        seed: Of all draws.
        candidates: What may be proposed; None is everything in the space.
        density_share: Share of the proposals that follow the density of good configurations
            instead of the acquisition function, 0 to 1.
        limits: Shape (m,); the largest cost that is wanted of each objective. Configurations
            above one of them are the last to begin from. None is no limit.
        earlier: Shape (k, d); configurations of other searches to begin from.
    """

    def __init__(  # noqa: PLR0913 - SMAC's, and what it draws from
        self,
        configspace: ConfigurationSpace,
        acquisition_function: AbstractAcquisitionFunction | None = None,
        challengers: int = _N_CHALLENGERS,
        seed: int = 0,
        *,
        candidates: Candidates | None = None,
        density_share: float = 0.5,
        limits: FloatArray | None = None,
        earlier: FloatArray | None = None,
    ) -> None:
        super().__init__(configspace, acquisition_function, challengers, seed)
        self._candidates = candidates or Candidates(VectorSpace(configspace), seed=seed)
        self._density_share = density_share
        self._limits = limits
        self._earlier = np.empty((0, len(configspace))) if earlier is None else earlier
        self._evidence: Evidence | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """Its arguments; SMAC compares them before it goes on with a search."""
        limits = None if self._limits is None else self._limits.tolist()
        return {
            **super().meta,
            "density_share": self._density_share,
            "limits": limits,
            "n_earlier": len(self._earlier),
        }

    def inform(self, evidence: Evidence) -> None:
        """What has results, and of what the costs at the highest rung are known."""
        self._evidence = evidence

    def _maximize(
        self, previous_configs: list[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        known = vectors_of(previous_configs, self._candidates.space.n_dimensions)
        number = len(known) if self._evidence is None else self._evidence.number
        generator = np.random.default_rng([self._seed, number, 1])
        ranked = self._ranked(known)
        if len(ranked) == 0:
            return []
        if generator.random() < self._density_share:
            batch = self._dense(ranked, generator)
        else:
            batch = self._improving(ranked, known, generator)
        chosen = self._chosen(batch, known, n_points)
        if not chosen and self._candidates.is_constrained:
            chosen = self._chosen(self._rare(ranked, known, generator), known, n_points)
        # SMAC's list of challengers breaks on none; its selectors pass over what is known.
        chosen = chosen or previous_configs[-1:]
        # Their order is all that is known of those that the density chose.
        return [(-float(n), each) for n, each in enumerate(chosen)]

    def _chosen(self, batch: FloatArray, known: FloatArray, n: int) -> list[Configuration]:
        return list(itertools.islice(self._candidates.new([batch], known, "model"), n))

    def _rare(
        self, ranked: FloatArray, known: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """What may be proposed where hardly anything may, the most promising first, (n, d)."""
        found = self._candidates.around(ranked[:_N_PARENTS], known, generator)
        if len(found) == 0:
            return found
        best = found[np.argsort(-self._values(found), kind="stable")[:_N_PARENTS]]
        found = np.vstack([found, self._candidates.around(best, known, generator)])
        return found[np.argsort(-self._values(found), kind="stable")]

    def _ranked(self, known: FloatArray) -> FloatArray:
        """Configurations to begin from, the best first, shape (n, d).

        By their costs at the highest rung, or as the model expects them there.
        """
        own = known if self._evidence is None else self._evidence.vectors
        vectors = np.vstack([own, _others(self._earlier, known)])
        if len(vectors) == 0:
            return vectors
        expected, _ = self._model().predict_marginalized(vectors)
        if self._evidence is not None and self._evidence.measured.shape[1] == expected.shape[1]:
            measured = self._evidence.measured
            expected[: len(own)] = np.where(np.isfinite(measured), measured, expected[: len(own)])
        has_limits = self._limits is not None and len(self._limits) == expected.shape[1]
        return vectors[best_within(expected, self._limits if has_limits else None)]

    def _dense(self, ranked: FloatArray, generator: np.random.Generator) -> FloatArray:
        weight = prior_weight(len(ranked))
        return density_draws(self._candidates.space, ranked, generator, prior_weight=weight)

    def _improving(
        self, ranked: FloatArray, known: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Draws and neighbours of the best, shape (n, d), the most promising first.

        Also the best of other searches themselves that this one has not trained.
        """
        space, parents = self._candidates.space, ranked[:_N_PARENTS]
        chosen = parents[generator.integers(0, len(parents), _N_DRAWN)]
        near = space.mutate(
            chosen,
            generator,
            n_changes=generator.choice([1.0, 2.0, 4.0], len(chosen)),
            spread=_SPREAD,
        )
        dense, again = density_draws(space, ranked, generator), _others(parents, known)
        candidates = np.vstack([space.draw(_N_DRAWN, generator), near, dense, again])
        values = self._values(candidates)
        for number in range(_N_ROUNDS):
            best = candidates[np.argsort(-values, kind="stable")[:_N_PARENTS]]
            near = space.mutate(
                np.repeat(best, _N_CHILDREN, axis=0),
                generator,
                n_changes=np.ones(len(best) * _N_CHILDREN),
                spread=_SPREAD / 2**number,
            )
            candidates = np.vstack([candidates, near])
            values = np.concatenate([values, self._values(near)])
        return candidates[np.argsort(-values, kind="stable")]

    def _values(self, vectors: FloatArray) -> FloatArray:
        """Of the acquisition function, shape (n,).

        By its array form: SMAC's call makes an object of each configuration first.
        """
        assert self._acquisition_function is not None, "a facade sets it"
        return np.asarray(self._acquisition_function._compute(vectors)[:, 0])

    def _model(self) -> AbstractModel:
        assert self._acquisition_function is not None, "a facade sets it"
        assert self._acquisition_function.model is not None, "a selector sets it"
        return self._acquisition_function.model


def _others(vectors: FloatArray, known: FloatArray) -> FloatArray:
    """Those that were never proposed in this search."""
    seen = set(keys(known))
    return vectors[[found not in seen for found in keys(vectors)]].reshape(-1, vectors.shape[1])
