"""A configuration space as arrays: draws and neighbours of thousands of configurations at once.

A configuration is a vector with one number for each hyperparameter, in ConfigSpace's own encoding:
numbers lie in [0, 1] after their log scale, a choice is its index, what is inactive is NaN.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import AndConjunction, Conjunction
from ConfigSpace.hyperparameters import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    CategoricalHyperparameter,
    Constant,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
    NumericalHyperparameter,
    OrdinalHyperparameter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results.pareto import BoolArray, FloatArray

_PRIORS = (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)

_MOST_DRAWS = 50
"""How often a whole batch is drawn again where forbidden clauses throw most of it away."""

_N_INITIAL_DRAWS = 500
_MOST_LISTED = 20_000
_LEAST_DENSITY = 1e-6
_CONSTANT = 1.0
"""What ConfigSpace has in a vector for a constant; 0 stands for everything else."""


class VectorSpace:
    """What can be drawn from a space and what lies near a configuration of it.

    Args:
        space: Of the configurations.
        drawn_from: The same hyperparameters with the user's priors; the space itself without any.
    """

    def __init__(
        self, space: ConfigurationSpace, drawn_from: ConfigurationSpace | None = None
    ) -> None:
        self.space = space
        drawn_from = drawn_from or space
        self._has_prior = any(has_prior(hyperparameter) for hyperparameter in drawn_from.values())
        self._names = list(space.keys())
        self._priors = [drawn_from[name] for name in self._names]
        self._conditions = [
            (self._names.index(condition.child.name), condition)
            for condition in sorted(
                space.conditions, key=lambda c: self._names.index(c.child.name)
            )
        ]

    @property
    def n_dimensions(self) -> int:
        """Length of a vector."""
        return len(self._names)

    @cached_property
    def _is_categorical(self) -> BoolArray:
        """Shape (d,): choices without an order."""
        return np.array(
            [
                isinstance(hyperparameter, CategoricalHyperparameter)
                for hyperparameter in self.space.values()
            ],
            bool,
        )

    @cached_property
    def n_choices(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Shape (d,): how many values there are; 0 for numbers."""
        return np.array(
            [_n_choices(hyperparameter) for hyperparameter in self.space.values()], np.int64
        )

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        """At most `n` configurations as the priors say, shape (n, d).

        Fewer where forbidden clauses leave next to nothing.
        """
        found: list[FloatArray] = []
        missing = n
        for _ in range(_MOST_DRAWS):
            drawn = self.legal(self._draw_all(n, generator))[:missing]
            found.append(drawn)
            missing -= len(drawn)
            if missing <= 0:
                break
        return np.concatenate(found) if found else np.empty((0, self.n_dimensions))

    def sampled(self, n: int, generator: np.random.Generator) -> FloatArray:
        """The legal ones of `n` draws as the priors say, shape (k, d); maybe none."""
        return self.legal(self._draw_all(n, generator))

    def _draw_all(self, n: int, generator: np.random.Generator) -> FloatArray:
        state = np.random.RandomState(generator.integers(2**32))
        return np.stack(
            [hyperparameter.sample_vector(n, seed=state) for hyperparameter in self._priors],
            axis=1,
        )

    def initial_design(self, number: int, seed: int, generator: np.random.Generator) -> FloatArray:
        """Draws for the start of a search, those first that try what was not tried yet.

        The choices that decide what else there is, such as the source of an architecture, are
        gone through in turn, in an order that depends on the seed.

        Args:
            number: How many were proposed before.
            seed: The same for all numbers.
            generator: Of the draws.
        """
        drawn = self.draw(_N_INITIAL_DRAWS, generator)
        wanted = self._next_of_roots(number, seed)
        fits = np.all(drawn[:, self._roots] == wanted, axis=1)
        if not fits.any():
            # Of many choices the wanted ones are seldom drawn together.
            raw = self._draw_all(_N_INITIAL_DRAWS, generator)
            raw[:, self._roots] = wanted
            return np.concatenate([self.legal(raw), drawn])
        return np.concatenate([drawn[fits], drawn[~fits]])

    def _next_of_roots(self, number: int, seed: int) -> FloatArray:
        """What each root takes, shape (roots,); in an order of the seed, again and again."""
        orders = [
            np.random.default_rng([seed, r]).permutation(self.n_choices[r]) for r in self._roots
        ]
        return np.array([order[number % len(order)] for order in orders], float)

    @cached_property
    def _roots(self) -> list[int]:
        """Choices that conditions depend on and that depend on no condition themselves."""
        children = {child for child, _ in self._conditions}
        parents = {
            self._names.index(literal.parent.name)
            for _, condition in self._conditions
            for literal in _literals(condition)
        }
        return [index for index in sorted(parents - children) if self._is_categorical[index]]

    @property
    def is_listed(self) -> bool:
        """Whether it is discrete and small enough for a list of all configurations."""
        return self._all_values is not None

    @cached_property
    def _all_values(self) -> list[FloatArray] | None:
        """The values of each hyperparameter; None where their combinations are too many."""
        values = [_values(hyperparameter) for hyperparameter in self.space.values()]
        known = [options for options in values if options is not None]
        n = math.prod(len(options) for options in known)
        return known if len(known) == len(values) and n <= _MOST_LISTED else None

    def enumerated(self, generator: np.random.Generator) -> FloatArray:
        """All configurations of a small discrete space in random order; more draws of another."""
        if self._all_values is None:
            return np.concatenate([self.draw(_N_INITIAL_DRAWS, generator) for _ in range(4)])
        grid: FloatArray = np.stack(
            np.meshgrid(*self._all_values, indexing="ij"), axis=-1
        ).reshape(-1, self.n_dimensions)
        legal = self.legal(grid)
        _, first = np.unique(np.nan_to_num(legal, nan=-1.0), axis=0, return_index=True)
        return generator.permutation(legal[first])

    @property
    def has_prior(self) -> bool:
        """Whether anything is likelier than it would be by chance."""
        return self._has_prior

    def log_prior(self, vectors: FloatArray) -> FloatArray:
        """Log density of the user's priors, up to a constant; shape (n,)."""
        total = np.zeros(len(vectors))
        for index, hyperparameter in enumerate(self._priors):
            active = np.isfinite(vectors[:, index])
            density = (
                np.asarray(hyperparameter.pdf_vector(vectors[active, index]))
                / hyperparameter.get_max_density()
            )
            total[active] += np.log(np.maximum(density, _LEAST_DENSITY))
        return total

    def legal(self, vectors: FloatArray) -> FloatArray:
        """The vectors with what is inactive removed, without those that are forbidden."""
        vectors = self.activated(vectors)
        return vectors[self.allowed(vectors)]

    def allowed(self, vectors: FloatArray) -> BoolArray:
        """Which of the activated vectors no clause forbids, shape (n,)."""
        forbidden = np.zeros(len(vectors), bool)
        for clause in self.space.forbidden_clauses:
            forbidden |= clause.is_forbidden_vector_array(vectors.T)
        return ~forbidden

    def activated(self, vectors: FloatArray) -> FloatArray:
        """A copy with NaN where a condition says that a value has no meaning.

        Args:
            vectors: Shape (n, d); a value for everything that may be active.
        """
        vectors = vectors.copy()
        for child, condition in self._conditions:  # parents before their children
            vectors[~_is_satisfied(condition, vectors), child] = np.nan
        return vectors

    def mutate(
        self,
        parents: FloatArray,
        generator: np.random.Generator,
        *,
        n_changes: FloatArray,
        spread: float,
    ) -> FloatArray:
        """One neighbour of each parent, shape (n, d) or fewer where some are forbidden.

        Args:
            parents: Shape (n, d).
            generator: What is drawn from.
            n_changes: Shape (n,); how many of the active hyperparameters change on average.
            spread: Standard deviation of a number's change, as a share of its range.
        """
        fresh = self._draw_all(len(parents), generator)
        is_active = np.isfinite(parents)
        rate = n_changes / np.maximum(1, (is_active & self._is_free).sum(axis=1))
        changes = generator.random(parents.shape) < rate[:, None]
        # At least one, so that no child is its parent.
        scores = np.where(is_active & self._is_free, generator.random(parents.shape), -1.0)
        changes[np.arange(len(parents)), scores.argmax(axis=1)] = True
        filled = np.where(is_active, parents, fresh)
        near = self._near(filled, fresh, generator, spread)
        return self.legal(np.where(changes, near, filled))

    def crossed(
        self, mothers: FloatArray, fathers: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """One child of each pair, shape (n, d) or fewer where some are forbidden.

        Every value is one of its parents', where one of them has any.

        Args:
            mothers: Shape (n, d).
            fathers: Shape (n, d).
            generator: What is drawn from.
        """
        fresh = self._draw_all(len(mothers), generator)
        is_mothers = generator.random(mothers.shape) < 0.5
        mixed = np.where(is_mothers, mothers, fathers)
        mixed = np.where(np.isfinite(mixed), mixed, np.where(is_mothers, fathers, mothers))
        return self.legal(np.where(np.isfinite(mixed), mixed, fresh))

    @cached_property
    def _is_free(self) -> BoolArray:
        """Shape (d,): what has more than one value."""
        return np.asarray(self.n_choices != 1, bool)

    @cached_property
    def _is_constant(self) -> BoolArray:
        return np.array(
            [isinstance(hyperparameter, Constant) for hyperparameter in self.space.values()], bool
        )

    @cached_property
    def _is_number(self) -> BoolArray:
        return np.array(
            [
                isinstance(hyperparameter, NumericalHyperparameter)
                for hyperparameter in self.space.values()
            ],
            bool,
        )

    def _near(
        self,
        vectors: FloatArray,
        fresh: FloatArray,
        generator: np.random.Generator,
        spread: float,
    ) -> FloatArray:
        """Each value's neighbour: numbers a little off, choices anything else."""
        moved = vectors + generator.normal(0.0, spread, vectors.shape)
        moved = np.where(moved < 0, -moved, moved)
        moved = np.clip(np.where(moved > 1, 2 - moved, moved), 0.0, 1.0)
        moved = self._with_integer_steps(moved, vectors, generator)
        near = np.where(self._is_number, moved, fresh)
        # A choice that drew itself takes the next one instead.
        n = np.maximum(self.n_choices, 1)
        same = ~self._is_number & self._is_free & (fresh == vectors)
        shift = 1 + np.floor(generator.random(vectors.shape) * np.maximum(n - 1, 1))
        return np.where(same, (vectors + shift) % n, near)

    def _with_integer_steps(
        self, moved: FloatArray, before: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Integers stay integers, and move by at least one."""
        moved = self.on_grid(moved)
        for index, hyperparameter in self._integers:
            stuck = moved[:, index] == before[:, index]
            if not stuck.any() or hyperparameter.size == 1:
                continue
            steps = np.where(generator.random(int(stuck.sum())) < 0.5, -1, 1)
            numbers = np.asarray(hyperparameter.to_value(before[stuck, index])) + steps
            numbers = np.where(numbers < hyperparameter.lower, hyperparameter.lower + 1, numbers)
            numbers = np.where(numbers > hyperparameter.upper, hyperparameter.upper - 1, numbers)
            moved[stuck, index] = hyperparameter.to_vector(numbers)
        return moved

    def on_grid(self, vectors: FloatArray) -> FloatArray:
        """A copy with integers rounded and constants set; shape (n, d)."""
        vectors = vectors.copy()
        vectors[:, self._is_constant] = _CONSTANT
        for index, hyperparameter in self._integers:
            vectors[:, index] = hyperparameter.to_vector(
                hyperparameter.to_value(vectors[:, index])
            )
        return vectors

    @cached_property
    def _integers(self) -> list[tuple[int, Any]]:
        return [
            (index, hyperparameter)
            for index, hyperparameter in enumerate(self.space.values())
            if self._is_number[index] and math.isfinite(getattr(hyperparameter, "size", math.inf))
        ]


def has_prior(hyperparameter: Any) -> bool:
    """Whether some of its values are likelier than others."""
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return len(set(hyperparameter.probabilities)) > 1
    return isinstance(hyperparameter, _PRIORS)


def _n_choices(hyperparameter: Any) -> int:
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return len(hyperparameter.choices)
    if isinstance(hyperparameter, OrdinalHyperparameter):
        return len(hyperparameter.sequence)
    return 1 if isinstance(hyperparameter, Constant) else 0


def _values(hyperparameter: Any) -> FloatArray | None:
    """Every value in the encoding of vectors; None where there are too many."""
    if isinstance(hyperparameter, Constant):
        return np.array([_CONSTANT])
    n = _n_choices(hyperparameter)
    if n:
        return np.arange(n, dtype=float)
    size = getattr(hyperparameter, "size", math.inf)
    if not math.isfinite(size) or size > _MOST_LISTED:
        return None
    numbers = np.arange(hyperparameter.lower, hyperparameter.upper + 1)
    return np.asarray(hyperparameter.to_vector(numbers), float)


def _literals(condition: Any) -> Sequence[Any]:
    if isinstance(condition, Conjunction):
        return condition.dlcs
    return [condition]


def _is_satisfied(condition: Any, vectors: FloatArray) -> BoolArray:
    if isinstance(condition, Conjunction):
        parts = [_is_satisfied(component, vectors) for component in condition.components]
        combine = np.logical_and if isinstance(condition, AndConjunction) else np.logical_or
        combined: BoolArray = np.asarray(combine.reduce(parts), bool)
        return combined
    # An inactive parent satisfies nothing, not even "is not".
    has_parent = np.isfinite(vectors[:, condition.parent_vector_id])
    satisfied: BoolArray = np.asarray(condition.satisfied_by_vector_array(vectors.T), bool)
    return satisfied & has_parent
