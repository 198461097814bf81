"""The version of the way in which networks are measured. Loads nothing."""

from __future__ import annotations

EVALUATION_METHOD = 1
"""Raised by one whenever the same embeddings would give other costs or metrics than before.

That is by another definition, choice of images or threshold. A run is measured by one
method from its first trial to its last, so one that began with another version does not go on.
"""
