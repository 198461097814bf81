"""What may be proposed of a space: new, legal and accepted configurations among many vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from ConfigSpace import Configuration

from search_space.definition.space import plain

if TYPE_CHECKING:
    from frnas_search.optimizers.smac.arrays import VectorSpace
    from results.pareto import FloatArray
    from results.trial import ConfigurationValue, Origin

_N_DRAWN = 500
_MOST_REFUSED = 2000
"""Candidates in a row that may not be proposed, after which there is none."""


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
    """

    def __init__(
        self,
        space: VectorSpace,
        accepts: Callable[[Mapping[str, ConfigurationValue]], bool] | None = None,
    ) -> None:
        self.space = space
        self._accepts = accepts

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

    def new(
        self, batches: Iterable[FloatArray], known: FloatArray, origin: Origin
    ) -> Iterator[Configuration]:
        """All that are new and accepted, in their order."""
        taken = set(keys(known))
        n_refused = 0
        for batch in batches:
            for vector, found in zip(batch, keys(batch), strict=True):
                if found in taken:
                    continue
                taken.add(found)
                configuration = self._exact(vector, origin)
                if configuration is None or not self._is_new(configuration, found, taken):
                    n_refused += 1
                    if n_refused >= _MOST_REFUSED:
                        return
                    continue
                n_refused = 0
                yield configuration

    def drawn(self, generator: np.random.Generator) -> Iterator[FloatArray]:
        """Batches at random; at the end whatever can still be found."""
        yield self.space.draw(_N_DRAWN, generator)
        yield self.space.enumerated(generator)

    def _is_new(self, configuration: Configuration, found: bytes, taken: set[bytes]) -> bool:
        """Whether it is accepted, and as its values encode it not proposed before either."""
        exact = key_of(configuration)
        if exact != found and exact in taken:
            return False
        taken.add(exact)
        return self._accepts is None or self._accepts(plain(configuration))

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
