"""Every method by name: our optimizers and their peers. A new one is a line here."""

from __future__ import annotations

import importlib
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.engine import EngineSettings
from frnas_search.optimizers.fidelity import Fidelity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.search import Factory, Method, Search
    from frnas_search.optimizers.smac.optimizer import SmacOptimizer


def _ours(search: Search, **parts: Any) -> SmacOptimizer:
    """The engine, or with some of its parts taken out."""
    return _engine(search, search.fidelity, **parts)


def _full(search: Search) -> Method:
    """The engine without rungs."""
    epochs = search.fidelity.max_epochs
    fidelity = Fidelity(min_epochs=epochs, max_epochs=epochs)
    return _Full(_engine(search, fidelity), search.last_rung)


def _parallel(search: Search, *, n_workers: int, **parts: Any) -> Method:
    """The engine as it is with so many trials in flight."""
    return ToldLate(_ours(search, **parts), n_workers - 1)


def _engine(search: Search, fidelity: Fidelity, **parts: Any) -> SmacOptimizer:
    # Imported when used: a peer's own environment may lack what the engine needs.
    from frnas_search.optimizers.smac.optimizer import SmacOptimizer  # noqa: PLC0415, RUF100

    return SmacOptimizer(
        search.space,
        search.objectives,
        fidelity,
        seed=search.seed,
        engine=EngineSettings(**parts),
    )


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

    def close(self) -> None:
        """Give up what it holds."""
        self._optimizer.close()


class ToldLate:
    """An optimizer that learns each result only when so many later trials were begun."""

    def __init__(self, optimizer: Method, n_later: int) -> None:
        self._optimizer = optimizer
        self._n_later = n_later
        self._held: deque[tuple[Proposal, Mapping[str, float] | None]] = deque()

    def ask(self) -> Proposal | None:
        """Its proposal; where it has none before it knows more, it is told what is held."""
        while (proposal := self._optimizer.ask()) is None and self._held:
            self._optimizer.tell(*self._held.popleft())
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """A result, told later."""
        self._held.append((proposal, costs))
        if len(self._held) > self._n_later:
            self._optimizer.tell(*self._held.popleft())

    def close(self) -> None:
        """Give up what it holds, where it can."""
        if hasattr(self._optimizer, "close"):
            self._optimizer.close()


def _peer(module: str, function: str, search: Search) -> Method:
    # Imported when used: each peer's library is optional, and its absence is that peer's failure.
    factory: Factory = getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)
    return factory(search)


OURS: dict[str, Factory] = {
    "frnas": _ours,
}

ABLATIONS: dict[str, Factory] = {
    "frnas-full-fidelity": _full,
    "frnas-parego": partial(_ours, acquisition="parego_ei"),
    "frnas-top-rung-only": partial(_ours, uses_all_rungs=False),
    "frnas-forest": partial(_ours, model="forest"),
    "frnas-smac-forest": partial(_ours, model="smac_forest"),
    "frnas-noisy": partial(_ours, acquisition="noisy_hypervolume"),
    "frnas-quarter-density": partial(_ours, density_share=0.25),
    "frnas-no-density": partial(_ours, density_share=0.0),
    "frnas-hyperband": partial(_ours, intensifier="hyperband"),
    "frnas-16-workers": partial(_parallel, n_workers=16),
    "frnas-16-workers-no-fantasies": partial(_parallel, n_workers=16, fantasises=False),
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
    "botorch-qlognehvi": partial(_peer, "botorch_samplers", "QLogNehvi"),
}

METHODS = OURS | ABLATIONS | PEERS

NEEDS_ITS_BUDGET = frozenset({"smac-hyperband", "smac-full", "smac-full-fresh"})
"""What the search is told of its budget changes its first proposals: each budget needs a run."""
