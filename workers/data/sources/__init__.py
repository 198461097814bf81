"""Data sets that a pack can be made from, one module a data set."""
