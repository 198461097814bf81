"""Every method by name: our optimizers and their peers. A new one is a line here."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from frnas_search.optimizer import Proposal
from frnas_search.proposer import ProposerSettings
from frnas_search.schedule import Fidelity
from frnas_search.smac_optimizer import SmacOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.search import Factory, Search
    from frnas_search.optimizer import Optimizer


def _ours(search: Search, *, is_full: bool = False, **parts: Any) -> Optimizer:
    """The engine, or with some of its parts taken out."""
    epochs = search.fidelity.max_epochs
    full = Fidelity(min_epochs=epochs, max_epochs=epochs)
    optimizer = SmacOptimizer(
        search.space,
        search.objectives,
        full if is_full else search.fidelity,
        seed=search.seed,
        settings=ProposerSettings(**parts),
    )
    return _Full(optimizer, search.last_rung) if is_full else optimizer


class _Full:
    """An optimizer with a single rung, in a benchmark with several."""

    def __init__(self, optimizer: SmacOptimizer, last_rung: int) -> None:
        self._optimizer = optimizer
        self._last_rung = last_rung

    def ask(self) -> Proposal | None:
        """Its proposal, at the highest rung."""
        found = self._optimizer.ask()
        return None if found is None else replace(found, rung=self._last_rung)

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Its result."""
        self._optimizer.tell(replace(proposal, rung=0), costs)

    def restore(self, proposal: Proposal) -> None:
        """Take a proposal as asked."""
        self._optimizer.restore(replace(proposal, rung=0))

    def close(self) -> None:
        """Give up what it holds."""
        self._optimizer.close()


def _peer(module: str, function: str, search: Search) -> Optimizer:
    # Imported when used: each peer's library is optional, and its absence is that peer's failure.
    factory: Factory = getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)
    return factory(search)


OURS: dict[str, Factory] = {
    "frnas": _ours,
}

ABLATIONS: dict[str, Factory] = {
    "frnas-full-fidelity": partial(_ours, is_full=True),
    "frnas-parego": partial(_ours, acquisition="parego"),
    "frnas-top-rung-only": partial(_ours, uses_all_rungs=False),
    "frnas-hypervolume-only": partial(_ours, density_share=0.0),
    "frnas-density-only": partial(_ours, density_share=1.0),
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

METHODS = OURS | ABLATIONS | PEERS
