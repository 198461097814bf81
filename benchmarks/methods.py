"""Every method by name: our optimizers and their peers. A new one is a line here."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING

from frnas_search.smac_optimizer import SmacOptimizer

if TYPE_CHECKING:
    from benchmarks.peers.search import Factory, Search
    from frnas_search.optimizer import Optimizer


def _smac(search: Search) -> Optimizer:
    return SmacOptimizer(
        search.space,
        search.objectives,
        search.fidelity,
        seed=search.seed,
        n_initial_configurations=10,
    )


def _peer(module: str, function: str, search: Search) -> Optimizer:
    # Imported when used: each peer's library is optional, and its absence is that peer's failure.
    factory: Factory = getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)
    return factory(search)


OURS: dict[str, Factory] = {
    "frnas": _smac,
}

PEERS: dict[str, Factory] = {
    "random": partial(_peer, "random_search", "RandomSearch"),
    "optuna-nsga2": partial(_peer, "optuna_samplers", "nsga2"),
    "optuna-tpe": partial(_peer, "optuna_samplers", "tpe"),
    "syne-tune-moasha": partial(_peer, "syne_tune_schedulers", "moasha"),
    "syne-tune-evolution": partial(_peer, "syne_tune_schedulers", "evolution"),
    "syne-tune-multi-surrogate": partial(_peer, "syne_tune_schedulers", "multi_surrogate"),
    "smac-hyperband": partial(_peer, "smac_facades", "hyperband"),
    "smac-full": partial(_peer, "smac_facades", "full"),
    "smac-full-fresh": partial(_peer, "smac_facades", "full_fresh"),
}

METHODS = OURS | PEERS
