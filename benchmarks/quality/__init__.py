"""Measuring the quality of searches: running, accounting, comparing."""
