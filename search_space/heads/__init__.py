"""Margin heads: what a network is trained with."""
