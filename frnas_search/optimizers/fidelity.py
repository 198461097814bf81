"""Hyperband's rungs in whole epochs. Rungs are keyed by index; epochs are rounded once, here."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """Epochs of the lowest and the highest rung, and the factor between rungs."""

    min_epochs: int
    max_epochs: int
    eta: int = 3

    @property
    def n_rungs(self) -> int:
        """1 + how often eta divides `max_epochs` without falling below `min_epochs`."""
        n = 1
        while self.max_epochs / self.eta**n >= self.min_epochs - 1e-9:
            n += 1
        return n

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs of each rung, rising; the last is `max_epochs`.

        The cheapest rung is `max_epochs / eta**k`, which need not be `min_epochs` itself.
        """
        exponents = range(self.n_rungs - 1, -1, -1)
        return tuple(max(1, round(self.max_epochs / self.eta**k)) for k in exponents)

    def normalised(self, epochs: int) -> float:
        """The fidelity of a training of so many epochs, 0..1, on a logarithmic scale.

        1 for `max_epochs` and more, 0 for the cheapest rung's and fewer.
        """
        low, high = self.rungs[0], self.rungs[-1]
        if epochs >= high:
            return 1.0
        return math.log(epochs / low) / math.log(high / low) if epochs > low else 0.0


def bracket_sizes(n_rungs: int, eta: int) -> tuple[int, ...]:
    """How many configurations start at each rung in one round of Hyperband, the cheapest first."""
    return tuple(
        -(-n_rungs * eta**rungs_above // (rungs_above + 1))  # rounded up, without a float
        for rungs_above in range(n_rungs - 1, -1, -1)
    )
