"""Hyperband's brackets in whole epochs, and how far limits let a search get through them. Pure.

One round is every bracket once, the one with the most configurations first. Who promotes when is
the optimizer's; how many configurations reach which rung for how many epochs is known beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import TYPE_CHECKING

from frnas_search.optimizers.fidelity import bracket_sizes

if TYPE_CHECKING:
    from frnas_search.optimizers.fidelity import Fidelity


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A rung of a bracket.

    Attributes:
        rung: 0 the cheapest of the run.
        epochs: That a configuration has seen at its end.
        configurations: That get there.
        adds: Epochs that each is trained here: a promotion goes on from its checkpoint.
    """

    rung: int
    epochs: int
    configurations: int
    adds: int

    @property
    def trained(self) -> int:
        """Epochs of all its trials together."""
        return self.configurations * self.adds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Configurations that begin at one rung, and the shares of them that are promoted."""

    stages: tuple[Stage, ...]

    @property
    def configurations(self) -> int:
        """That begin here."""
        return self.stages[0].configurations

    @property
    def trials(self) -> int:
        """A promotion counts as a trial."""
        return sum(stage.configurations for stage in self.stages)

    @property
    def epochs(self) -> int:
        """Epochs of all its trials together."""
        return sum(stage.trained for stage in self.stages)


def brackets(fidelity: Fidelity) -> tuple[Bracket, ...]:
    """Hyperband's brackets of one round, from the cheapest first rung to the most expensive.

    References:
        Li et al., Hyperband, JMLR 18 (2018), algorithm 1.
    """
    sizes = bracket_sizes(fidelity.n_rungs, fidelity.eta)
    return tuple(_bracket(fidelity, first, n) for first, n in enumerate(sizes))


def _bracket(fidelity: Fidelity, first: int, n: int) -> Bracket:
    """The one whose `n` configurations begin at the rung `first`."""
    eta = fidelity.eta
    epochs = (0, *fidelity.rungs[first:])
    return Bracket(
        stages=tuple(
            Stage(rung=first + i, epochs=after, configurations=n // eta**i, adds=after - before)
            for i, (before, after) in enumerate(pairwise(epochs))
        )
    )


def trials_in_order(round_: tuple[Bracket, ...]) -> Iterator[Stage]:
    """A stage for each trial, round after round without end."""
    for bracket in cycle(round_):
        for stage in bracket.stages:
            for _ in range(stage.configurations):
                yield stage
