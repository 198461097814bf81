"""Rungs, and the float budgets by which SMAC knows them: made and read here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from smac import Scenario

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """Rungs are indices, 0 the cheapest; SMAC's budgets are the highest's over powers of eta.

    Attributes:
        n: How many, 1 or more.
        eta: The factor between the budgets of two rungs.
        max_budget: Of the highest rung, above 0; None where SMAC knows no budgets.
    """

    n: int
    eta: int
    max_budget: float | None

    @classmethod
    def of(cls, scenario: Scenario, eta: int = 3) -> Rungs:
        """Those between a scenario's budgets; a single one without a budget where it has none.

        Raises:
            ValueError: There is one budget only, one is not above 0, or the lower is higher.
        """
        low, high = scenario.min_budget, scenario.max_budget
        if low is None and high is None:
            return cls(n=1, eta=eta, max_budget=None)
        if low is None or high is None or not 0 < low <= high:
            raise ValueError(
                f"budgets from {low} to {high}; both are wanted, above 0, the lower first"
            )
        n = 1
        while high / eta**n >= low * (1 - _ROUNDING):
            n += 1
        return cls(n=n, eta=eta, max_budget=float(high))

    @property
    def last(self) -> int:
        """The highest rung."""
        return self.n - 1

    @property
    def min_budget(self) -> float | None:
        """What a scenario is told: half a rung below the cheapest, so no rounding drops one."""
        cheapest = self.budget(0)
        return None if cheapest is None else cheapest / math.sqrt(self.eta)

    @cached_property
    def _budgets(self) -> tuple[float, ...]:
        assert self.max_budget is not None
        return tuple(self.max_budget / self.eta**k for k in range(self.last, -1, -1))

    def budget(self, rung: int) -> float | None:
        """SMAC's budget of a rung."""
        return None if self.max_budget is None else self._budgets[rung]

    def rung(self, budget: float | None) -> int:
        """The rung whose budget is the nearest; the only one where there are no budgets."""
        if budget is None or self.max_budget is None:
            return self.last
        return min(range(self.n), key=lambda rung: abs(self._budgets[rung] - budget))

    def height(self, rung: int) -> float:
        """The rung as an input of a model: 0 the lowest, 1 the highest and a single one."""
        return rung / self.last if self.last else 1.0
