"""Finds configurations that may be proposed where they are rare.

First by rejection: one stream of draws for the whole search, a function of the seed alone, in
which nothing is judged twice; a finite space is gone through to its end instead. Then near those
that are known: neighbours and children of what was proposed. And where nothing is known yet and
the constraints tell how far away a configuration is, downhill from the nearest draws. All is a
function of the seed and of what was proposed before, however much of the stream was read.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from frnas_search.optimizers.constraint import Accepts, Graded, Verdicts, judged
from frnas_search.optimizers.rarity import Effort, nothing_in_words, share_in_words
from frnas_search.optimizers.vectors import Numbering, Vectors, plain_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from results.pareto import FloatArray

logger = logging.getLogger(__name__)

_BLOCK = 2_000
"""Draws that are judged at once."""

_BLOCKS_FOR_EACH = 10
_BLOCKS_FOR_EACH_GRADED = 1
"""Of the stream for one proposal, before what is near known ones is tried. Constraints that tell
how far away a configuration is predict a network's size, a hundred times the time of others, and
need fewer draws."""

_TIMES_AT_LAST, _TIMES_AT_FIRST = 10, 50
"""So many times more are drawn before a search ends for want of another configuration.

The second, for a million in all, where there is not even a first and nothing says where it lies.
"""

_PROPOSALS_BACK = 50
"""What was found for the last so many proposals, and not proposed, may still be."""

_MOST_NUMBERED = 2**20
"""Combinations of a finite space that are gone through; a larger one counts as endless."""

_SPREADS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
_N_CHILDREN, _N_ROUNDS = 300, 3
_N_NEAREST = 50
_N_DESCENTS = 30
_N_OF_DESCENT = 200
_MOST_LEVEL = 8
"""Rounds without a nearer one, after which there is none downhill."""

_N_WIDE = 4
"""Spreads that a descent uses, in turn."""

_STREAM, _NEAR, _DESCENT = 11, 12, 13
"""So that none of them draws what another draws."""


class Stream:
    """Draws from a space, or all of it in random order, read block by block and judged once.

    Args:
        vectors: The space.
        accepts: What may be proposed; None accepts every one.
        seed: Of all draws.

    Attributes:
        effort: Of all that was read.
    """

    def __init__(self, vectors: Vectors, accepts: Accepts | None, *, seed: int) -> None:
        self._vectors = vectors
        self._accepts = accepts
        self._seed = seed
        self._numbering = Numbering(vectors.space)
        n = self._numbering.n
        self._n = n if n is not None and n <= _MOST_NUMBERED else None
        self._read: dict[int, FloatArray] = {}
        self._refused: dict[int, tuple[FloatArray, FloatArray]] = {}
        self.effort = Effort()

    @property
    def n_blocks(self) -> float:
        """How many there are; infinite of an endless space."""
        return math.inf if self._n is None else -(-self._n // _BLOCK)

    def accepted(self, start: int, stop: int) -> Iterator[FloatArray]:
        """What some blocks hold, shape (k, d), k above 0; read as far as it is wanted.

        Of a finite space from the first one on, that none is passed over.
        """
        for number in range(start if self._n is None else 0, int(min(stop, self.n_blocks))):
            found = self._block(number)
            if len(found):
                yield found

    def nearest(self, stop: int) -> tuple[FloatArray, FloatArray]:
        """Of the first ones those that are the least away from being accepted.

        Returns:
            Shape (n, d), and how far they are away, shape (n,).
        """
        for _ in self.accepted(0, stop):
            pass
        kept = [self._refused[number] for number in sorted(self._refused) if number < stop]
        vectors = np.vstack([np.empty((0, self._vectors.n_dimensions)), *(v for v, _ in kept)])
        return vectors, np.concatenate([np.empty(0), *(excess for _, excess in kept)])

    def _block(self, number: int) -> FloatArray:
        """What is accepted of a block, shape (k, d)."""
        if (known := self._read.get(number)) is not None:
            return known
        drawn = self._drawn(number) if self._n is None else self._numbered(number)
        verdicts = judged(self._accepts, plain_values(self._vectors.space, drawn))
        found = self._read[number] = drawn[verdicts.accepted]
        if number < _BLOCKS_FOR_EACH:  # begun from when nothing is known, and never later
            self._refused[number] = _nearest(drawn, verdicts)
        self.effort += Effort(
            drawn=len(drawn),
            accepted=len(found),
            refused_by=verdicts.refused_by,
            is_everything=len(self._read) >= self.n_blocks,
        )
        return found

    def _drawn(self, number: int) -> FloatArray:
        generator = np.random.default_rng([self._seed, number, _STREAM])
        return self._vectors.sampled(_BLOCK, generator)

    def _numbered(self, number: int) -> FloatArray:
        complete = self._numbering.vectors(self._order[number * _BLOCK : (number + 1) * _BLOCK])
        active = self._vectors.activated(complete)
        is_wanted = self._vectors.allowed(active) & self._numbering.is_first(complete, active)
        return active[is_wanted]

    @cached_property
    def _order(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        assert self._n is not None, "a finite space"
        return np.random.default_rng([self._seed, _STREAM]).permutation(self._n)


def _nearest(vectors: FloatArray, verdicts: Verdicts) -> tuple[FloatArray, FloatArray]:
    refused = np.flatnonzero(np.isfinite(verdicts.excess) & ~verdicts.accepted)
    order = refused[np.argsort(verdicts.excess[refused], kind="stable")][:_N_NEAREST]
    return vectors[order], verdicts.excess[order]


class Feasible:
    """What may be proposed of a space, however rare it is.

    Args:
        vectors: The space.
        accepts: What may be proposed; None accepts every one.
        seed: Of all draws.
    """

    def __init__(self, vectors: Vectors, accepts: Accepts | None, *, seed: int) -> None:
        self._vectors = vectors
        self._accepts = accepts
        self._seed = seed
        self._stream = Stream(vectors, accepts, seed=seed)
        self._known: dict[bytes, bool] = {}
        self._near = Effort()
        self._n_known = 0
        self._told_at = 0

    @property
    def effort(self) -> Effort:
        """All that was tried so far."""
        return self._stream.effort + self._near

    def why_nothing(self) -> str:
        """Why the search ends if nothing more is found; empty when the space is used up."""
        return nothing_in_words(self.effort, n_proposed=self._n_known)

    def sought(self, known: FloatArray) -> Iterator[FloatArray]:
        """Configurations that are accepted, known ones among them; the last ones cost most.

        Args:
            known: Shape (n, d); what was proposed before, in its order.

        Yields:
            Shape (k, d); legal. Ends after an effort that grows with n.
        """
        self._n_known = len(known)
        n_each = self._blocks_for_each
        n_first = n_each * (len(known) + 1)
        # Earlier ones are passed over, or a search that is resumed would read all of them again.
        start = max(0, n_first - n_each * _PROPOSALS_BACK)
        yield from self._told(self._stream.accepted(start, n_first))
        if self._stream.n_blocks <= n_first:
            return
        yield from self._near_known(known)
        is_blind = len(known) == 0 and not isinstance(self._accepts, Graded)
        n_more = _TIMES_AT_FIRST if is_blind else _TIMES_AT_LAST
        yield from self._told(self._stream.accepted(n_first, n_first + n_each * n_more))

    def any(self) -> FloatArray:
        """Some that are accepted, shape (k, d); none where a small effort does not find them."""
        found = next(self._told(self._stream.accepted(0, self._blocks_for_each)), None)
        return self._descended if found is None else found

    def measured(self, *, n_wanted: int, n_most: int) -> Effort:
        """Draws until so many are accepted, or so many were drawn, to tell their share."""
        batches = self._stream.accepted(0, -(-n_most // _BLOCK))
        while self._stream.effort.accepted < n_wanted and next(batches, None) is not None:
            pass
        return self._stream.effort

    def around(
        self, wanted: FloatArray, known: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Accepted ones near what is wanted, and others for variety, shape (k, d).

        Args:
            wanted: Shape (n, d); begun from, the best first.
            known: Shape (k, d); what was proposed before.
            generator: Of the draws.
        """
        n_blocks = -(-self._blocks_for_each * (len(known) + 1) // _BLOCKS_FOR_EACH)
        start = max(0, n_blocks - _PROPOSALS_BACK)
        found = list(self._told(self._stream.accepted(start, n_blocks)))
        parents = self._parents(wanted)
        if len(parents) == 0:
            parents = self._parents(known)
        if len(parents) == 0:
            parents = self._descended
        for spread in _SPREADS[1::2] if len(parents) else ():
            children = self._children(parents, generator, _N_OF_DESCENT, spread=spread)
            found.append(children[self._judged(children).accepted])
        return np.vstack([np.empty((0, self._vectors.n_dimensions)), *found])

    def towards(
        self, wanted: FloatArray, known: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Accepted ones that have as much as possible of one that is not, shape (k, d).

        Children of it and of those that are known to be accepted, the likest first.

        Args:
            wanted: Shape (d,); a legal configuration.
            known: Shape (k, d); what was proposed before.
            generator: Of the draws.
        """
        found = self.around(np.empty((0, len(wanted))), known, generator)
        if len(found) == 0:
            return found
        fathers = found[generator.integers(0, len(found), _N_OF_DESCENT)]
        mothers = np.repeat(wanted[None], len(fathers), axis=0)
        nearer = self._vectors.crossed(mothers, fathers, generator)
        nearer = self._vectors.crossed(mothers[: len(nearer)], nearer, generator)
        found = np.vstack([nearer[self._judged(nearer).accepted], found])
        distance = np.where(np.isfinite(found) & np.isfinite(wanted), np.abs(found - wanted), 1.0)
        distance = np.where(np.isnan(found) & np.isnan(wanted), 0.0, np.minimum(distance, 1.0))
        return found[np.argsort(distance.sum(axis=1), kind="stable")]

    @property
    def _blocks_for_each(self) -> int:
        is_graded = isinstance(self._accepts, Graded)
        return _BLOCKS_FOR_EACH_GRADED if is_graded else _BLOCKS_FOR_EACH

    def _near_known(self, known: FloatArray) -> Iterator[FloatArray]:
        parents = self._parents(known)
        if len(parents) == 0:
            yield self._descended
            return
        generator = np.random.default_rng([self._seed, len(known), _NEAR])
        for spread in _SPREADS * _N_ROUNDS:
            children = self._children(parents, generator, _N_CHILDREN, spread=spread)
            yield children[self._judged(children).accepted]

    def _children(
        self, parents: FloatArray, generator: np.random.Generator, n: int, *, spread: float
    ) -> FloatArray:
        """About `n` neighbours of parents, every other one of a cross of two."""
        mothers = parents[generator.integers(0, len(parents), n)]
        fathers = parents[generator.integers(0, len(parents), n // 2)]
        crossed = self._vectors.crossed(mothers[: n // 2], fathers, generator)
        begun = np.vstack([crossed, mothers[n // 2 :]])
        n_changes = generator.choice([1.0, 2.0, 4.0], len(begun))
        near = self._vectors.mutate(begun, generator, n_changes=n_changes, spread=spread)
        return np.vstack([near, crossed])

    def _parents(self, known: FloatArray) -> FloatArray:
        """Those of the known that are accepted; what the user enqueues may not be."""
        rows = [row.tobytes() for row in np.ascontiguousarray(known)]
        new = [place for place, row in enumerate(rows) if row not in self._known]
        verdicts = judged(self._accepts, plain_values(self._vectors.space, known[new]))
        for place, accepted in zip(new, verdicts.accepted.tolist(), strict=True):
            self._known[rows[place]] = accepted
        return known[[self._known[row] for row in rows]].reshape(-1, known.shape[1])

    @cached_property
    def _descended(self) -> FloatArray:
        """Accepted ones found downhill from the nearest draws, shape (k, d); maybe none."""
        nothing = np.empty((0, self._vectors.n_dimensions))
        if not isinstance(self._accepts, Graded):
            return nothing
        nearest, excess = self._stream.nearest(self._blocks_for_each)
        generator = np.random.default_rng([self._seed, _DESCENT])
        best, n_level = math.inf, 0
        for number in range(_N_DESCENTS if len(nearest) else 0):
            order = np.argsort(excess, kind="stable")[:_N_NEAREST]
            nearest, excess = nearest[order], excess[order]
            n_level = 0 if excess[0] < best else n_level + 1
            if n_level > _MOST_LEVEL:
                break
            best = excess[0]
            children = self._children(
                nearest, generator, _N_OF_DESCENT, spread=_SPREADS[number % _N_WIDE]
            )
            verdicts = self._judged(children)
            if verdicts.accepted.any():
                return children[verdicts.accepted]
            nearest = np.vstack([nearest, children])
            excess = np.concatenate([excess, verdicts.excess])
        return nothing

    def _judged(self, vectors: FloatArray) -> Verdicts:
        verdicts = judged(self._accepts, plain_values(self._vectors.space, vectors))
        self._near += Effort(sought=len(vectors), refused_by=Counter(verdicts.refused_by))
        return verdicts

    def _told(self, batches: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """The batches; how rare they are is said whenever twice as many were drawn."""
        while (batch := next(batches, None)) is not None:
            self._tell()
            yield batch
        self._tell()

    def _tell(self) -> None:
        effort = self._stream.effort
        if self._accepts is None or effort.drawn < max(1, 2 * self._told_at):
            return
        self._told_at = effort.drawn
        share = share_in_words(effort.accepted, effort.drawn)
        logger.info("constraints: within them lies %s of the space as it is drawn from", share)
