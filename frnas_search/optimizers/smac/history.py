"""What an optimizer knows: configurations, what was asked of them, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results.pareto import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """A history at one moment; never changes.

    Attributes:
        vectors: Shape (n, d); every configuration that was ever proposed, in that order.
        indices: Shape (k,); whose costs.
        rungs: Shape (k,); measured where.
        costs: Shape (k, m), each 0 best to 1 worst; NaN of a failure.
        pending: Indices of the configurations that are being trained.
    """

    vectors: FloatArray
    indices: npt.NDArray[np.int64]
    rungs: npt.NDArray[np.int64]
    costs: FloatArray
    pending: tuple[int, ...]

    @property
    def is_success(self) -> BoolArray:
        """Shape (k,)."""
        return np.asarray(np.isfinite(self.costs).all(axis=1), np.bool_)

    def with_more(self, vectors: Sequence[FloatArray]) -> Snapshot:
        """The same, with configurations that are about to be trained."""
        if not vectors:
            return self
        first = len(self.vectors)
        return Snapshot(
            vectors=np.vstack([self.vectors, *vectors]),
            indices=self.indices,
            rungs=self.rungs,
            costs=self.costs,
            pending=(*self.pending, *range(first, first + len(vectors))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How long a history was, and what was in flight; enough to come back to that moment."""

    n_configurations: int
    n_told: int
    pending: tuple[int, ...]


@dataclass(slots=True)
class History:
    """Only ever grows, so that another thread may look at any moment of its past.

    Attributes:
        n_dimensions: Of a vector.
        n_objectives: Of a result.
    """

    n_dimensions: int
    n_objectives: int
    _vectors: list[FloatArray] = field(default_factory=list)
    _told: list[tuple[int, int, tuple[float, ...]]] = field(default_factory=list)
    _pending: dict[tuple[int, int], None] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many configurations were ever proposed."""
        return len(self._vectors)

    @property
    def n_pending(self) -> int:
        """Trials that were asked and not told."""
        return len(self._pending)

    def add(self, vector: FloatArray) -> int:
        """A new configuration; its index."""
        self._vectors.append(vector)
        return len(self._vectors) - 1

    def asked(self, index: int, rung: int) -> None:
        """It is trained to that rung from now on."""
        self._pending[index, rung] = None

    def told(self, index: int, rung: int, costs: Sequence[float] | None) -> None:
        """A result of something that was asked; None of a failure."""
        del self._pending[index, rung]
        nan = (float("nan"),) * self.n_objectives
        self._told.append((index, rung, nan if costs is None else tuple(costs)))

    def now(self) -> Moment:
        """The present moment."""
        return Moment(
            n_configurations=len(self._vectors),
            n_told=len(self._told),
            pending=tuple(index for index, _ in self._pending),
        )

    def at(self, moment: Moment) -> Snapshot:
        """Everything known at a moment."""
        vectors, told = self._vectors[: moment.n_configurations], self._told[: moment.n_told]
        return Snapshot(
            vectors=np.array(vectors, np.float64).reshape(len(vectors), self.n_dimensions),
            indices=np.array([index for index, _, _ in told], np.int64),
            rungs=np.array([rung for _, rung, _ in told], np.int64),
            costs=np.array([c for *_, c in told], np.float64).reshape(-1, self.n_objectives),
            pending=moment.pending,
        )
