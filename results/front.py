"""A front that grows: who entered and who left, and the volume that it dominates. Pure.

What is known of the past is never computed again: a newcomer's volume is added to what was there.
numpy is loaded when there is something to compute with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from results.pareto import FloatArray

_FEW = 100
"""So few points are compared faster than numpy is loaded."""


class FrontChange(NamedTuple):
    """A trial entered a front; those that it dominates left."""

    entered: str
    left: tuple[str, ...]


class Front(Sequence[str]):
    """The trial ids of a front after some changes, in the order they entered.

    It takes no memory of its own, since a run may have as many fronts as trials, all of them long.

    Args:
        changes: Of the run; may grow later.
        n_changes: How many of them count.
    """

    __slots__ = ("_changes", "n_changes")

    def __init__(self, changes: Sequence[FrontChange] = (), n_changes: int = 0) -> None:
        self._changes = changes
        self.n_changes = n_changes

    def ids(self) -> tuple[str, ...]:
        """The ids; each call goes through the changes anew."""
        ids: dict[str, None] = {}
        for index in range(self.n_changes):
            change = self._changes[index]
            for trial_id in change.left:
                del ids[trial_id]
            ids[change.entered] = None
        return tuple(ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    def __len__(self) -> int:
        changes = (self._changes[index] for index in range(self.n_changes))
        return self.n_changes - sum(len(change.left) for change in changes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.ids()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Front) and other._changes is self._changes:
            return self.n_changes == other.n_changes
        return isinstance(other, Front | tuple) and self.ids() == tuple(other)

    def __hash__(self) -> int:
        return hash(self.ids())

    def __repr__(self) -> str:
        return repr(self.ids())


@dataclass(slots=True)
class GrowingFront:
    """Trials that nobody dominates, all objectives minimised; changed only by `enter`.

    Attributes:
        ids: In the order they entered.
        costs: Of each; tuples of one length.
        volume: Dominated by the front and bounded by the reference.
        variance: Of `volume` where it is estimated; 0.0 where it is exact.
        changes: One for each trial that entered.
    """

    ids: list[str] = field(default_factory=list)
    costs: list[tuple[float, ...]] = field(default_factory=list)
    volume: float = 0.0
    variance: float = 0.0
    changes: list[FrontChange] = field(default_factory=list)
    _table: FloatArray | None = field(default=None, compare=False)

    @property
    def standard_error(self) -> float | None:
        """Of the volume where it is estimated; None when it is exact."""
        return math.sqrt(self.variance) if self.variance > 0.0 else None

    @property
    def now(self) -> Front:
        """The front as of now, also later."""
        return Front(self.changes, len(self.changes))

    def enter(
        self, trial_id: str, row: tuple[float, ...], *, reference: tuple[float, ...], seed: int
    ) -> bool:
        """Take a trial in, unless it is dominated; whether the volume rose.

        Args:
            trial_id: Of the trial.
            row: Its costs, finite.
            reference: Worse than what counts, of each objective.
            seed: Of the estimate, where the volume is estimated.
        """
        stay = self._who_stays(row)
        if stay is None:
            return False
        before = self.volume
        gains = self._grow(row, stay, reference, seed)
        left = tuple(id_ for id_, keep in zip(self.ids, stay, strict=True) if not keep)
        self.ids = [*compress(self.ids, stay), trial_id]
        self.costs = [*compress(self.costs, stay), row]
        self.changes.append(FrontChange(trial_id, left))
        return gains or self.volume > before

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values; `front_from_json` is its inverse."""
        return {
            "ids": self.ids,
            "costs": self.costs,
            "volume": self.volume,
            "variance": self.variance,
            "changes": self.changes,
        }

    def _who_stays(self, row: tuple[float, ...]) -> list[bool] | None:
        """Which members `row` does not dominate; None where one dominates it."""
        if len(self.costs) <= _FEW:
            if any(_dominates(other, row) for other in self.costs):
                return None
            return [not _dominates(row, other) for other in self.costs]
        import numpy as np

        from results.pareto import dominated_by, dominates_any

        table, point = self._as_table(), np.array(row)
        if dominates_any(table, point):
            return None
        stay: list[bool] = (~dominated_by(point, table)).tolist()
        return stay

    def _grow(
        self,
        row: tuple[float, ...],
        stay: list[bool],
        reference: tuple[float, ...],
        seed: int,
    ) -> bool:
        """Add what a newcomer dominates alone; whether it surely is something."""
        import numpy as np

        from results.hypervolume import Volume, with_point

        front, point = self._as_table(len(row)), np.array(row)
        volume = with_point(
            Volume(self.volume, self.variance),
            front,
            point,
            reference=np.array(reference),
            seed=seed,
        )
        is_estimated = volume.variance > self.variance
        self.volume, self.variance = volume
        self._table = np.concatenate([front[np.array(stay, np.bool_)], point[None]])
        return is_estimated

    def _as_table(self, n_objectives: int = 0) -> FloatArray:
        import numpy as np

        if self._table is None or len(self._table) != len(self.costs):
            shape = (len(self.costs), n_objectives or len(self.costs[0]))
            self._table = np.array(self.costs, np.float64).reshape(shape)
        return self._table


def volume_text(volume: float, standard_error: float | None, *, digits: int) -> str:
    """A hypervolume in words; of an estimate with its standard error."""
    text = f"{volume:.{digits}g}"
    return text if standard_error is None else f"{text} ± {standard_error:.2g} (estimated)"


def front_from_json(value: dict[str, Any]) -> GrowingFront:
    """The front that `to_json` wrote, also after a trip through JSON text."""
    return GrowingFront(
        ids=list(value["ids"]),
        costs=[tuple(row) for row in value["costs"]],
        volume=value["volume"],
        variance=value["variance"],
        changes=[FrontChange(entered, tuple(left)) for entered, left in value["changes"]],
    )


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
