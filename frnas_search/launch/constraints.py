"""Constraints on what a candidate may cost, known before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_space.definition.decode import network_of
from search_space.definition.hyperparameters import ARCHITECTURE, EDGES, EMBEDDING_SIZE
from search_space.prediction import network_cost, predicted_cost

if TYPE_CHECKING:
    from search_space.candidate import Candidate, SpaceSettings, Value
    from search_space.definition.variants import VariantRecord
    from search_space.prediction import Cost

_OF_COST = frozenset((ARCHITECTURE, EMBEDDING_SIZE, *EDGES))
_BEGIN_OF_COST = ("dag.", "timm.")
"""Hyperparameters that a candidate's cost depends on; the recipe's are no part of it."""

_MOST_REMEMBERED = 200_000

# Configurations of which not one keeps within the constraints, after which there is taken to be
# none that does.
MOST_REFUSALS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What candidates cost for pictures of one size, without building them.

    Attributes:
        backbones: timm variant -> its record, for every variant of the space.
    """

    in_channels: int
    image_size: int
    backbones: Mapping[str, VariantRecord]

    def predicted(self, candidate: Candidate) -> Cost:
        """Parameters and multiply-accumulates of the candidate."""
        return predicted_cost(
            candidate,
            in_channels=self.in_channels,
            image_size=self.image_size,
            backbones=self.backbones,
        )

    def of_configuration(
        self, configuration: Mapping[str, Value], settings: SpaceSettings
    ) -> Cost:
        """The same of a configuration that is known to be of the space, in half the time."""
        architecture, embedding_size = network_of(configuration, settings)
        return network_cost(
            architecture,
            embedding_size,
            in_channels=self.in_channels,
            image_size=self.image_size,
            backbones=self.backbones,
        )


class CostConstraints:
    """Whether a configuration's predicted cost keeps within limits, and by how much it does not.

    A function of the configuration. Costs are remembered by what they depend on: most of what a
    search looks at differs from something else in the recipe alone.

    Args:
        settings: The space, as it was prepared.
        costs: What candidates cost.
        limits: As `constraints` in the run file; those on what is only measured are left out.
    """

    def __init__(
        self, settings: SpaceSettings, costs: CostModel, limits: Mapping[str, float]
    ) -> None:
        self._settings = settings
        self._costs = costs
        self._limits = dict(limits)
        self._known: dict[tuple[tuple[str, Value], ...], dict[str, float]] = {}

    def __call__(self, configuration: Mapping[str, Value]) -> bool:
        """Whether it keeps within all limits."""
        return not self.excess(configuration)

    def excess(self, configuration: Mapping[str, Value]) -> Mapping[str, float]:
        """Each limit that is exceeded -> the logarithm of how many times it is, above 0.

        Args:
            configuration: One of the space; that is not checked.
        """
        key = tuple((name, value) for name, value in configuration.items() if _is_of_cost(name))
        if (found := self._known.get(key)) is not None:
            return found
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        cost = self._costs.of_configuration(configuration, self._settings)
        found = self._known[key] = {
            name: math.log(value / max(self._limits[name], 1.0))
            for name, value in _known_costs(cost).items()
            if name in self._limits and value > self._limits[name]
        }
        return found


def violations(cost: Cost, limits: Mapping[str, float]) -> list[str]:
    """Each limit that the cost exceeds, in words; limits on what is only measured are left out.

    Args:
        cost: As predicted.
        limits: As `constraints` in the run file.
    """
    return [
        f"{name.removeprefix('max_')} {value:,} exceeds {name} {limits[name]:,.0f}"
        for name, value in _known_costs(cost).items()
        if name in limits and value > limits[name]
    ]


def _known_costs(cost: Cost) -> dict[str, int]:
    """By the name of the limit on it."""
    return {"max_parameters": cost.parameters, "max_macs": cost.macs}


def _is_of_cost(name: str) -> bool:
    return name in _OF_COST or name.startswith(_BEGIN_OF_COST)
