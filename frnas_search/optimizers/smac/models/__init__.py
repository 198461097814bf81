"""Models of costs, of SMAC's own kind."""
