"""Which new configuration is worth a training: a function of what is known, and of nothing else.

Every proposal has its own random generator, derived from the seed and the proposal's number; so
the same history gives the same proposal, in whichever process and however often it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from frnas_search.optimizers.smac.acquisition import (
    Scale,
    expected_hypervolume_improvement,
    scalarised_hypervolume_improvement,
    scalarised_improvement,
    scale_of,
)
from frnas_search.optimizers.smac.density import density_draws
from frnas_search.optimizers.smac.encoder import observations
from frnas_search.optimizers.smac.model import Forest
from frnas_search.optimizers.smac.promotion import best_within
from results.pareto import non_dominated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from frnas_search.optimizers.smac.arrays import VectorSpace
    from frnas_search.optimizers.smac.encoder import Observations
    from frnas_search.optimizers.smac.history import Snapshot
    from results.pareto import BoolArray, FloatArray

Acquisition: TypeAlias = Literal["hypervolume", "parego"]

_N_DRAWN = 500
_N_PARENTS = 20
_N_CHILDREN = 10
_N_ROUNDS = 3
_SPREAD = 0.15
_DEVIATION = 0.02
"""What a forest cannot know, in units of the front's extent."""

_FEWEST_COSTS = 3
_MOST_REFUSED = 2000
"""Candidates in a row that may not be proposed, after which there is none."""

_PRIOR_STRENGTH = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposerSettings:
    """The parts of the engine; each can be taken out to see what it brings.

    Attributes:
        n_initial: Configurations drawn before the surrogate is used, unless there are as many
            earlier results.
        random_share: Share of later proposals that are drawn, too.
        density_share: Share of the others that follow the density of good configurations; the
            rest maximise the expected improvement of the front.
        uses_all_rungs: Whether cheap results inform the surrogate.
        fantasises: Whether trials in flight count at their expected costs.
    """

    n_initial: int = 10
    random_share: float = 0.05
    density_share: float = 0.5
    acquisition: Acquisition = "hypervolume"
    uses_all_rungs: bool = True
    fantasises: bool = True
    n_trees: int = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Surrogate:
    """A trained forest, and the front that its predictions should improve."""

    forest: Forest
    scale: Scale
    front: FloatArray


class Proposer:
    """New configurations of a space.

    Args:
        space: What they are drawn from.
        n_rungs: Of the fidelity.
        settings: Which parts are used.
        seed: Of all randomness.
        first: Vectors that are proposed before any other.
        accepts: Whether a legal vector may be proposed; a function of it alone.
        limits: Shape (m,); the largest cost that is wanted of each objective, may be infinite.
        earlier: Results of other runs. The surrogate learns from them and good ones are starting
            points, but only what this run trained is on its front.
    """

    def __init__(  # noqa: PLR0913 - all that a proposal depends on besides the history
        self,
        space: VectorSpace,
        *,
        n_rungs: int,
        settings: ProposerSettings,
        seed: int,
        limits: FloatArray,
        first: Sequence[FloatArray] = (),
        accepts: Callable[[FloatArray], bool] = lambda _: True,
        earlier: Observations | None = None,
    ) -> None:
        self._space = space
        self._n_rungs = n_rungs
        self._settings = settings
        self._seed = seed
        self._limits = limits
        self._accepts = accepts
        self._first = _distinct(first)
        self._earlier = earlier
        self._n_earlier = 0 if earlier is None else len(earlier.costs)
        self._earlier_vectors = np.array(
            [] if earlier is None else _distinct(list(earlier.vectors)), float
        ).reshape(-1, space.n_dimensions)
        self._n_initial = 0 if self._n_earlier >= settings.n_initial else settings.n_initial

    def propose(self, known: Snapshot) -> FloatArray | None:
        """The next new configuration; None when none is left."""
        n_known = len(known.vectors)
        if n_known < len(self._first):
            return self._first[n_known]
        number = n_known - len(self._first)  # so that what comes first changes nothing after it
        generator = np.random.default_rng([self._seed, number])
        return self._first_new(self._candidates(known, number, generator), known)

    def _candidates(
        self, known: Snapshot, number: int, generator: np.random.Generator
    ) -> Iterator[FloatArray]:
        """Batches, the most promising first; at the end whatever can still be found."""
        settings = self._settings
        if number < self._n_initial:
            yield self._space.initial_design(number, self._seed, generator)
        elif (
            known.is_success.sum() + self._n_earlier >= _FEWEST_COSTS
            and generator.random() >= settings.random_share
        ):
            yield self._promising(known, generator)
        yield self._space.draw(_N_DRAWN, generator)
        yield self._space.enumerated(generator)

    def _first_new(self, candidates: Iterator[FloatArray], known: Snapshot) -> FloatArray | None:
        taken = set(keys(known.vectors))
        seen = set(taken)
        n_refused = 0
        for batch in candidates:
            for vector, found in zip(batch, keys(batch), strict=True):
                if found in seen:
                    continue
                seen.add(found)
                exact = self._space.exact(vector)
                if exact is not None and key(exact) not in taken and self._accepts(exact):
                    return exact
                n_refused += 1
                if n_refused >= _MOST_REFUSED:
                    return None
        return None

    def _promising(self, known: Snapshot, generator: np.random.Generator) -> FloatArray:
        """Candidates in the order of what they promise, shape (n, d)."""
        surrogate = self._trained_surrogate(known, generator)
        ranked = self._ranked(known, surrogate)
        if generator.random() < self._settings.density_share:
            weight = _prior_weight(len(known.indices) + self._n_earlier)
            return density_draws(self._space, ranked, generator, prior_weight=weight)
        return self._improving(surrogate, ranked, generator, known)

    def _improving(
        self,
        surrogate: _Surrogate,
        ranked: FloatArray,
        generator: np.random.Generator,
        known: Snapshot,
    ) -> FloatArray:
        """Draws, and neighbours of the best, those first that improve the front most.

        Also the best themselves that this run has not trained.
        """
        parents = ranked[:_N_PARENTS]
        seed = int(generator.integers(2**31))
        n_costs = len(known.indices) + self._n_earlier

        def gains(vectors: FloatArray) -> FloatArray:
            return self._gains(surrogate, vectors, np.random.default_rng(seed), n_costs)

        chosen = parents[generator.integers(0, len(parents), _N_DRAWN)]
        near = self._space.mutate(
            chosen,
            generator,
            n_changes=generator.choice([1.0, 2.0, 4.0], len(chosen)),
            spread=_SPREAD,
        )
        dense = density_draws(self._space, ranked, generator)
        again = _others(parents, known)
        candidates = np.vstack([self._space.draw(_N_DRAWN, generator), near, dense, again])
        values = gains(candidates)
        for number in range(_N_ROUNDS):
            best = candidates[np.argsort(-values, kind="stable")[:_N_PARENTS]]
            near = self._space.mutate(
                np.repeat(best, _N_CHILDREN, axis=0),
                generator,
                n_changes=np.ones(len(best) * _N_CHILDREN),
                spread=_SPREAD / 2**number,
            )
            candidates = np.vstack([candidates, near])
            values = np.concatenate([values, gains(near)])
        return candidates[np.argsort(-values, kind="stable")]

    def _trained_surrogate(self, known: Snapshot, generator: np.random.Generator) -> _Surrogate:
        data = observations(
            known,
            n_rungs=self._n_rungs,
            uses_all_rungs=self._settings.uses_all_rungs,
            earlier=self._earlier,
        )
        forest = Forest(n_trees=self._settings.n_trees)
        forest.train(
            data.vectors, data.fidelities, data.costs, seed=int(generator.integers(2**31))
        )
        points = known.costs[self._is_top_success(known)]
        scale = scale_of(points if len(points) >= _FEWEST_COSTS else data.costs)
        if self._settings.fantasises and known.pending:
            vectors = known.vectors[list(known.pending)]
            points = np.vstack([points, forest.predict_per_tree(vectors).mean(axis=0)])
        points = points[np.all(points <= self._limits, axis=1)]
        return _Surrogate(forest=forest, scale=scale, front=_front(scale.scaled(points)))

    def _ranked(self, known: Snapshot, surrogate: _Surrogate) -> FloatArray:
        """Configurations with a result, by their costs at the highest rung or as expected there.

        Those of earlier results as expected. Shape (n, d), best first.
        """
        indices = np.unique(known.indices[known.is_success])
        others = _others(self._earlier_vectors, known)
        vectors = np.vstack([known.vectors[indices], others])
        expected = surrogate.forest.predict_per_tree(vectors).mean(axis=0)
        is_top = self._is_top_success(known)
        expected[np.searchsorted(indices, known.indices[is_top])] = known.costs[is_top]
        order = best_within(expected, self._limits)
        return vectors[order]

    def _is_top_success(self, known: Snapshot) -> BoolArray:
        """Which results were measured at the highest rung, shape (k,)."""
        return np.asarray(known.is_success & (known.rungs == self._n_rungs - 1), np.bool_)

    def _gains(
        self,
        surrogate: _Surrogate,
        vectors: FloatArray,
        generator: np.random.Generator,
        n_costs: int,
    ) -> FloatArray:
        """What each configuration promises, weighed with the user's prior; shape (n,)."""
        raw = surrogate.forest.predict_per_tree(vectors)
        predictions = surrogate.scale.scaled(raw)
        gains = self._improvements(predictions, surrogate.front, generator)
        if np.isfinite(self._limits).any():
            feasible = np.all(raw <= self._limits, axis=-1).mean(axis=0)
            gains = gains * feasible + 1e-12 * feasible
        if self._space.has_prior:
            gains = gains * np.exp(_prior_weight(n_costs) * self._space.log_prior(vectors))
        return gains

    def _improvements(
        self, predictions: FloatArray, front: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        if self._settings.acquisition == "parego" and len(front):
            return scalarised_improvement(predictions, front, generator)
        if predictions.shape[-1] == 2:
            deviations = predictions.std(axis=0) + _DEVIATION
            return expected_hypervolume_improvement(predictions.mean(axis=0), deviations, front)
        return scalarised_hypervolume_improvement(predictions, front, generator)


def _prior_weight(n_costs: int) -> float:
    """Results outweigh the user's priors in time.

    References:
        Hvarfner et al., piBO: Augmenting Acquisition Functions with User Beliefs, ICLR 2022.
    """
    return _PRIOR_STRENGTH / max(1, n_costs)


def _front(points: FloatArray) -> FloatArray:
    return points[non_dominated(points)]


def _others(vectors: FloatArray, known: Snapshot) -> FloatArray:
    """Those that were never proposed in this run."""
    seen = set(keys(known.vectors))
    return vectors[[found not in seen for found in keys(vectors)]].reshape(-1, vectors.shape[1])


def _distinct(vectors: Sequence[FloatArray]) -> list[FloatArray]:
    """Each once, in the order of their first times."""
    by_key: dict[bytes, FloatArray] = {}
    for vector in vectors:
        by_key.setdefault(key(vector), vector)
    return list(by_key.values())


def keys(vectors: FloatArray) -> list[bytes]:
    """One for each row of (n, d); equal for equal configurations."""
    rounded = np.ascontiguousarray(np.nan_to_num(vectors, nan=-1.0).round(9) + 0.0)
    return [row.tobytes() for row in rounded]


def key(vector: FloatArray) -> bytes:
    """That of a single row."""
    return keys(vector[None])[0]
