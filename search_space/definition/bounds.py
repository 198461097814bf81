"""How small and how large the parts of a space may be."""

from __future__ import annotations

# The grouped edge of the cell has 50 groups at width 1: this is one group.
SMALLEST_WIDTH = 0.02
LARGEST_WIDTH = 4.0
MOST_BLOCKS_PER_STAGE = 8
SMALLEST_EMBEDDING = 8
LARGEST_EMBEDDING = 16_384
# Of a weight or a spread: what is above overflows, and is no different in effect.
LARGEST_PRIOR = 1e9
