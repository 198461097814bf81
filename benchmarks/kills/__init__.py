"""Kills of every process of searches that really train, and what becomes of their trials."""
