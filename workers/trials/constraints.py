"""What a network costs beside what it is good for, held against the run's constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from results.trial import Architecture
from search_space.errors import InvalidConfigurationError


def size_costs(architecture: Architecture) -> dict[str, float]:
    """Objective -> cost of what is known from the network alone."""
    return {
        "parameters": float(architecture.parameters),
        "macs": float(architecture.macs),
        "activation_bytes": float(architecture.activation_bytes),
    }


def require_within(constraints: Mapping[str, float], network_costs: Mapping[str, float]) -> None:
    """Refuse a network that is larger or slower than a constraint allows.

    Args:
        constraints: `max_` and the name of a cost -> its largest value.
        network_costs: Those known so far; constraints on others are not looked at.

    Raises:
        InvalidConfigurationError: The first that is exceeded, with value and limit.
    """
    for name, value in network_costs.items():
        limit = constraints.get(f"max_{name}", math.inf)
        if value > limit:
            raise InvalidConfigurationError(
                f"{name.replace('_', ' ')} of this network: {value:,.12g}, more than "
                f"max_{name} allows: {limit:,.12g}; raise the limit or narrow the space"
            )
