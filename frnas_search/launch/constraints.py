"""Constraints on what a candidate may cost, known before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_space.prediction import predicted_cost

if TYPE_CHECKING:
    from search_space.candidate import Candidate
    from search_space.definition.variants import VariantRecord
    from search_space.prediction import Cost

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


def violations(cost: Cost, limits: Mapping[str, float]) -> list[str]:
    """Each limit that the cost exceeds, in words; limits on what is only measured are left out.

    Args:
        cost: As predicted.
        limits: As `constraints` in the run file.
    """
    known = {"max_parameters": cost.parameters, "max_macs": cost.macs}
    return [
        f"{name.removeprefix('max_')} {value:,} exceeds {name} {limits[name]:,.0f}"
        for name, value in known.items()
        if name in limits and value > limits[name]
    ]
