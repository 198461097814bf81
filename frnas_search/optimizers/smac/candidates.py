"""What may be proposed of a space: new, legal and accepted configurations among many vectors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from ConfigSpace import Configuration

from frnas_search.optimizers.constraint import Accepts, judged
from frnas_search.optimizers.feasible import Feasible
from frnas_search.optimizers.vectors import plain_values
from search_space.definition.space import plain

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.arrays import VectorSpace
    from results.pareto import FloatArray
    from results.trial import ConfigurationValue, Origin

Values: TypeAlias = "dict[str, ConfigurationValue]"

_N_DRAWN = 500
_MOST_REFUSED = 2000
"""Candidates in a row that may not be proposed, after which others are sought."""

_LARGEST_CHUNK = 256
"""Candidates that are judged at once; one at first, for that one nearly always will do."""


def keys(vectors: FloatArray) -> list[bytes]:
    """One for each row of (n, d); equal for equal configurations."""
    rounded = np.ascontiguousarray(np.nan_to_num(vectors, nan=-1.0).round(9) + 0.0)
    return [row.tobytes() for row in rounded]


def key_of(configuration: Configuration) -> bytes:
    """That of a configuration's vector; its own hash puts all of its values into words first."""
    return keys(configuration.get_array()[None])[0]


def first_of_each(found: Sequence[bytes]) -> list[int]:
    """Places of the first of all that have the same key, in their order."""
    places: dict[bytes, int] = {}
    for place, key in enumerate(found):
        places.setdefault(key, place)
    return list(places.values())


def distinct(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Each once, in the order of their first times."""
    places = first_of_each([key_of(each) for each in configurations])
    return [configurations[place] for place in places]


def vectors_of(configurations: Collection[Configuration], n_dimensions: int) -> FloatArray:
    """Shape (n, d); n may be 0."""
    arrays = [configuration.get_array() for configuration in configurations]
    return np.array(arrays, np.float64).reshape(len(arrays), n_dimensions)


class Candidates:
    """Turns vectors into configurations that may be proposed.

    Args:
        space: Of the vectors.
        accepts: Whether a configuration, given by its values, may be proposed; a function of
            nothing else. None accepts every one.
        seed: Of what is drawn where few are accepted.
    """

    def __init__(
        self, space: VectorSpace, accepts: Accepts | None = None, *, seed: int = 0
    ) -> None:
        self.space = space
        self._accepts = accepts
        self._feasible = Feasible(space, accepts, seed=seed)
        self._without_any: frozenset[bytes] | None = None

    @property
    def is_constrained(self) -> bool:
        """Whether anything of the space may not be proposed."""
        return self._accepts is not None

    def first(
        self, batches: Iterable[FloatArray], known: FloatArray, origin: Origin
    ) -> Configuration | None:
        """The first that is new and accepted; None when too many in a row are not.

        Args:
            batches: Each of shape (n, d), the most wanted first.
            known: Shape (k, d); what was proposed before.
            origin: Why it is proposed.
        """
        return next(self.new(batches, known, origin), None)

    def sought(
        self, batches: Iterable[FloatArray], known: FloatArray, origin: Origin
    ) -> Configuration | None:
        """The first that is new and accepted, else whatever can be found of the space.

        Args:
            batches: As for `first`.
            known: As for `first`.
            origin: Why it is proposed.

        Returns:
            None when the space is used up, or nothing is found in spite of a large effort.
        """
        taken = frozenset(keys(known))
        if taken == self._without_any:
            return None
        found = self.first(batches, known, origin)
        found = found or self.first(self._feasible.sought(known), known, origin)
        if found is None:
            self._without_any = taken
        return found

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is found; empty when the space is used up."""
        return self._feasible.why_nothing()

    def around(
        self, wanted: FloatArray, known: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Vectors that are accepted, where those that are wanted are not; shape (n, d).

        Args:
            wanted: Shape (k, d); what good ones lie near, the best first.
            known: Shape (k, d); what was proposed before.
            generator: Of the draws.
        """
        return self._feasible.around(wanted, known, generator)

    def new(
        self, batches: Iterable[FloatArray], known: FloatArray, origin: Origin
    ) -> Iterator[Configuration]:
        """All that are new and accepted, in their order."""
        taken = set(keys(known))
        n_refused = 0
        for batch in batches:
            for vector, found, values in self._promising(batch, taken):
                taken.add(found)
                configuration = None if values is None else self._exact(vector, origin)
                if configuration is None or not self._is_new(configuration, values, found, taken):
                    n_refused += 1
                    if n_refused >= _MOST_REFUSED:
                        return
                    continue
                n_refused = 0
                yield configuration

    def drawn(self, generator: np.random.Generator) -> Iterator[FloatArray]:
        """Batches at random; at the end all of a small space, or more draws."""
        yield self.space.draw(_N_DRAWN, generator)
        if self._accepts is None or self.space.is_listed:  # else the search for them goes on
            yield self.space.enumerated(generator)

    def _promising(
        self, batch: FloatArray, taken: set[bytes]
    ) -> Iterator[tuple[FloatArray, bytes, Values | None]]:
        """Vectors that were not proposed yet, each with its key and, if accepted, its values."""
        start, size = 0, 1
        while start < len(batch):
            vectors = batch[start : start + size]
            found = keys(vectors)
            new = [place for place, key in enumerate(found) if key not in taken]
            for place, values in zip(new, self._accepted(vectors[new]), strict=True):
                if found[place] not in taken:
                    yield vectors[place], found[place], values
            start, size = start + size, min(8 * size, _LARGEST_CHUNK)

    def _accepted(self, vectors: FloatArray) -> list[Values | None]:
        """The values of each vector, None of those that are not accepted."""
        if self._accepts is None:
            return [{} for _ in vectors]
        values = plain_values(self.space.space, vectors)
        is_accepted = judged(self._accepts, values).accepted.tolist()
        return [
            row if accepted else None for row, accepted in zip(values, is_accepted, strict=True)
        ]

    def _is_new(
        self, configuration: Configuration, values: Values | None, found: bytes, taken: set[bytes]
    ) -> bool:
        """Whether it is accepted, and as its values encode it not proposed before either."""
        exact = key_of(configuration)
        if exact != found and exact in taken:
            return False
        taken.add(exact)
        if self._accepts is None:
            return True
        final = plain(configuration)
        return final == values or self._accepts(final)

    def _exact(self, vector: FloatArray, origin: Origin) -> Configuration | None:
        """By its values, as a replay makes it: the vector may differ from that in its last bits.

        None where the values that ConfigSpace rounds are not legal.
        """
        space = self.space.space
        try:
            values = plain(Configuration(space, vector=vector))
            return Configuration(space, values=values, origin=origin)
        except ValueError:
            return None
