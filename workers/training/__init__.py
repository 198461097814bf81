"""From a candidate and a pack to a trained network."""
