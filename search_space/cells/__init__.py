"""Networks of cells: layers, stages, drawings."""
