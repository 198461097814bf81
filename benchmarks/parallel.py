"""Full trainings that a parallel search gets out of its epochs, against the same search in turn.

python benchmarks/parallel.py [--quick] [--json FILE] [--workers N] [--epochs N] [--seeds N]

A simulation: trials take log-normal times for each new epoch and promotions go on from their
checkpoint. SMAC as shipped opens a new bracket at each barrier and promotes late.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float
from smac.runhistory.dataclasses import TrialInfo

from benchmarks.peers.search import Method, Search
from benchmarks.peers.smac_facades import hyperband
from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.atomic import write_json_atomically
from results.objectives import objective

OBJECTIVES = tuple(objective(name, n_identities=100) for name in ("error", "rank_disparity"))
FIDELITY = Fidelity(min_epochs=3, max_epochs=81)
SPREAD = 0.5
"""Standard deviation of the logarithm of a trial's time."""
TARGET = 0.9


def space() -> ConfigurationSpace:
    """Five numbers."""
    space = ConfigurationSpace(seed=0)
    space.add([Float(f"x{number}", (0.0, 1.0)) for number in range(5)])
    return space


def costs_of(proposal: Proposal) -> dict[str, float]:
    """Two bowls with different centres, noisier at lower rungs."""
    x = np.array(list(proposal.configuration.values()), float)
    noise = np.random.default_rng(zlib.crc32(x.tobytes())).normal(0, 0.3, 2)
    noise *= 1.0 - FIDELITY.rungs[proposal.rung] / FIDELITY.max_epochs
    first = float(np.mean((x - 0.3) ** 2)) + 0.1 * abs(noise[0])
    second = float(np.mean((x - 0.6) ** 2)) + 0.1 * abs(noise[1])
    return {"error": min(1.0, first), "rank_disparity": 40.0 * second}


@dataclass(slots=True)
class Simulation:
    """Workers, their clock, and what is paid for each configuration."""

    optimizer: Method
    n_workers: int
    budget: int
    seed: int
    paid: dict[str, int] = field(default_factory=dict)
    spent: int = 0
    now: float = 0.0
    n_full: int = 0

    def run(self) -> int:
        """Full trainings among those that the epochs paid for."""
        generator = np.random.default_rng(self.seed)
        running: list[tuple[float, int, Proposal]] = []
        numbers = itertools.count()
        while True:
            while len(running) < self.n_workers and self.spent < self.budget:
                proposal = self.optimizer.ask()
                if proposal is None:
                    break
                epochs = self._epochs(proposal)
                self.spent += epochs
                seconds = epochs * float(np.exp(generator.normal(0.0, SPREAD)))
                heapq.heappush(running, (self.now + seconds, next(numbers), proposal))
            if not running:
                return self.n_full
            self.now, _, done = heapq.heappop(running)
            self.n_full += done.rung == FIDELITY.n_rungs - 1
            self.optimizer.tell(done, costs_of(done))

    def _epochs(self, proposal: Proposal) -> int:
        key = json.dumps(dict(proposal.configuration), sort_keys=True)
        epochs = FIDELITY.rungs[proposal.rung]
        new, self.paid[key] = epochs - self.paid.get(key, 0), epochs
        return new


def ours(seed: int) -> Method:
    """The engine."""
    return SmacOptimizer(space(), OBJECTIVES, FIDELITY, seed=seed)


class ManySmac:
    """SMAC as shipped, with several trials in flight."""

    def __init__(self, seed: int) -> None:
        search = Search(
            space=space(), objectives=OBJECTIVES, fidelity=FIDELITY, seed=seed, budget=10**6
        )
        self._peer = hyperband(search)
        self._infos: dict[str, TrialInfo | None] = {}

    def ask(self) -> Proposal | None:
        """The next trial."""
        proposal = self._peer.ask()
        if proposal is not None:
            self._infos[str(proposal)] = self._peer._running
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        """Its result."""
        self._peer._running = self._infos.pop(str(proposal))
        self._peer.tell(proposal, costs)


def counts(
    make: Callable[[int], Method], n_workers: int, budget: int, n_seeds: int
) -> Iterator[int]:
    """Full trainings for each seed."""
    for seed in range(n_seeds):
        optimizer = make(seed)
        yield Simulation(optimizer, n_workers, budget, seed).run()
        if isinstance(optimizer, SmacOptimizer):
            optimizer.close()


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each method."""
    rows = []
    for name, make in (("frnas", ours), ("SMAC as shipped", ManySmac)):
        if name != "frnas" and arguments.quick:
            continue
        serial, parallel = (
            list(counts(make, n, arguments.epochs, arguments.seeds))
            for n in (1, arguments.workers)
        )
        share = float(np.mean(parallel) / np.mean(serial))
        rows.append(
            {
                "name": f"full trainings of {arguments.epochs} epochs, "
                f"{arguments.workers} workers, {name}",
                "value": float(np.mean(parallel)),
                "unit": "trainings",
                "baseline": float(np.mean(serial)),
                "ratio": share,
                "target": TARGET if name == "frnas" else None,
                "met": share >= TARGET if name == "frnas" else None,
                "seeds": {"serial": serial, "parallel": parallel},
            }
        )
    return rows


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, without SMAC as shipped")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = 1
    rows = measured(arguments)
    for line in rows:
        verdict = {None: "", True: "met", False: "NOT MET"}[line["met"]]
        print(
            f"{line['name']:60} {line['value']:6.1f} in parallel, "
            f"{line['baseline']:6.1f} in turn: {line['ratio']:.2f} {verdict}  {line['seeds']}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, rows)
        print(json.dumps({"written": str(arguments.json)}))


if __name__ == "__main__":
    main()
