"""Time of proposals: ours against SMAC's and TPE's, handing out beside running trials, replaying.

python benchmarks/proposals.py [--quick] [--json FILE] [--trials N] [--most N]

Costs are a smooth function of the configuration with noise; nothing is trained. The space is the
joint one that `preset: joint` searches. SMAC retrains its surrogate for eight proposals, its
default, or for each; its forest is asked for many rows at once and joblib runs sequentially, which
makes it two to four times faster than it is.

Seconds of CPU are those of all threads of this process, for asking and being told.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from ConfigSpace import Configuration, ConfigurationSpace
from smac.runhistory.dataclasses import TrialInfo

from benchmarks.peers.optuna_samplers import tpe
from benchmarks.peers.search import Method, Search
from benchmarks.peers.smac_facades import SmacFacade, full, full_fresh
from frnas_search.coordinator.optimizer import Proposal
from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.atomic import write_json_atomically
from results.objectives import objective
from search_space.candidate import SpaceSettings
from search_space.definition.space import build_space, plain

OBJECTIVES = tuple(objective(name, n_identities=100) for name in ("error", "rank_disparity"))
ONE_RUNG = Fidelity(min_epochs=27, max_epochs=27)
N_TIMED = 24  # SMAC learns anew for every eighth
IN_FLIGHT = 16
THINK_SECONDS = 0.25
"""Between two results of sixteen workers: trials of 4 s, far below real ones. Results that come in
faster than proposals can be made have to wait for them, whoever makes them and when."""

SPEED_TARGET, CPU_TARGET, HAND_OUT_TARGET, REPLAY_TARGET = 5.0, 2.0, 0.010, 20.0
VERDICTS = {True: "met", False: "NOT MET", None: ""}


def space(seed: int = 0) -> ConfigurationSpace:
    """The joint space."""
    return build_space(SpaceSettings(preset="joint"), seed=seed)


def costs_of(proposal: Proposal) -> dict[str, float]:
    """The same for equal configurations: a bowl in the space's vectors, and some noise."""
    vector = np.nan_to_num(Configuration(SPACE, values=dict(proposal.configuration)).get_array())
    share = float(np.mean((vector % 1.0 - 0.3) ** 2))
    noise = (zlib.crc32(vector.tobytes()) % 1000) / 10_000
    return {"error": min(1.0, share + noise), "rank_disparity": 60.0 * (0.7 - share + noise)}


SPACE = space()


def ours(fidelity: Fidelity) -> SmacOptimizer:
    """The engine."""
    return SmacOptimizer(space(), OBJECTIVES, fidelity, seed=0)


def filled(optimizer: SmacOptimizer, n: int) -> list[float]:
    """Restore and tell `n` random full trials; seconds of each."""
    drawn = space(1).sample_configuration(n)
    seconds = []
    for configuration in drawn:
        proposal = Proposal(configuration=plain(configuration), rung=0)
        begin = time.perf_counter()
        optimizer.restore(proposal)
        optimizer.tell(proposal, costs_of(proposal))
        seconds.append(time.perf_counter() - begin)
    return seconds


class Spent(NamedTuple):
    """Mean seconds of a proposal: of the clock for the asking, of all threads with the telling."""

    clock: float
    cpu: float


def spent(optimizer: Method, n: int) -> Spent:
    """What `n` proposals take, each told before the next.

    One more goes before them: at its first SMAC goes through all that it was told, once.
    """
    proposal = asked_of(optimizer)
    optimizer.tell(proposal, costs_of(proposal))
    clock = 0.0
    begin = time.process_time()
    for _ in range(n):
        asked = time.perf_counter()
        proposal = asked_of(optimizer)
        clock += time.perf_counter() - asked
        optimizer.tell(proposal, costs_of(proposal))
    return Spent(clock=clock / n, cpu=(time.process_time() - begin) / n)


def asked_of(optimizer: Method) -> Proposal:
    """A proposal; there is always one in the joint space."""
    proposal = optimizer.ask()
    assert proposal is not None
    return proposal


def spent_by_us(n_trials: int, n: int) -> Spent:
    """What `n` proposals of the engine take after `n_trials` random full trials."""
    engine = ours(ONE_RUNG)
    filled(engine, n_trials)
    found = spent(engine, n)
    engine.close()
    return found


def spent_by_smac(build: Callable[[Search], SmacFacade], n_trials: int, n: int) -> Spent:
    """A facade's after the same trials."""
    search = search_of(n_trials + 1 + n)
    peer = build(search)
    # What its initial design would have been is told as the rest is.
    peer._facade._config_selector._initial_design_configs = []
    for configuration in space(1).sample_configuration(n_trials):
        own = Configuration(search.space, values=dict(configuration))
        peer._running = TrialInfo(config=own, seed=0)
        proposal = Proposal(configuration=plain(configuration), rung=0)
        peer.tell(proposal, costs_of(proposal))
    found = spent(peer, n)
    peer.close()
    return found


def spent_by_tpe(n_trials: int, n: int) -> Spent:
    """Optuna's multi-objective TPE's after the same trials."""
    peer = tpe(search_of(n_trials + 1 + n))
    for configuration in space(1).sample_configuration(n_trials):
        proposal = Proposal(configuration=plain(configuration), rung=0)
        peer.restore(proposal.configuration, costs_of(proposal))
    return spent(peer, n)


def search_of(budget: int) -> Search:
    """A peer's search of the joint space."""
    return Search(space=space(), objectives=OBJECTIVES, fidelity=ONE_RUNG, seed=0, budget=budget)


def hand_outs(n_trials: int, n: int) -> list[float]:
    """Seconds of asking beside sixteen running trials, with results in between.

    With a single rung, so that each is a new configuration: a promotion takes next to no time.
    """
    optimizer = ours(ONE_RUNG)
    filled(optimizer, n_trials)
    running: list[Proposal] = []
    seconds = []
    for number in range(IN_FLIGHT + n):
        begin = time.perf_counter()
        proposal = optimizer.ask()
        spent = time.perf_counter() - begin
        assert proposal is not None
        running.append(proposal)
        if number >= IN_FLIGHT:
            seconds.append(spent)
        if len(running) > IN_FLIGHT:
            done = running.pop(0)
            optimizer.tell(done, costs_of(done))
        time.sleep(THINK_SECONDS)
    optimizer.close()
    return seconds


def growth(sizes: Sequence[int]) -> list[float]:
    """Mean seconds of one ask and tell after so many trials."""
    found = []
    for n in sizes:
        optimizer = ours(ONE_RUNG)
        filled(optimizer, n)
        begin = time.perf_counter()
        spent(optimizer, N_TIMED // 2)
        found.append((time.perf_counter() - begin) / (N_TIMED // 2))
        optimizer.close()
    return found


def replayed(n_trials: int) -> float:
    """Seconds from a fresh optimizer to its first proposal after a log of so many trials."""
    begin = time.perf_counter()
    optimizer = ours(ONE_RUNG)
    filled(optimizer, n_trials)
    optimizer.ask()
    optimizer.close()
    return time.perf_counter() - begin


def row(
    name: str, value: float, unit: str, *, baseline: float, target: float | None, met: bool | None
) -> dict[str, Any]:
    """One row of the table; without a target that of a peer."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline,
        "ratio": baseline / value if value else None,
        "target": target,
        "met": met,
    }


def proposal_rows(n_trials: int, n: int) -> list[dict[str, Any]]:
    """A proposal of ours and of the peers, one after the other, after the same trials."""
    own, sampler = spent_by_us(n_trials, n), spent_by_tpe(n_trials, n)
    shipped, fresh = (spent_by_smac(build, n_trials, n) for build in (full, full_fresh))
    peers = {
        f"Optuna {optuna.__version__} TPE": sampler,
        "SMAC": shipped,
        "SMAC, retrain_after=1": fresh,
    }
    return [
        row(
            f"mean proposal at {n_trials} trials (SMAC, retrain_after=1)",
            own.clock,
            "s",
            baseline=fresh.clock,
            target=SPEED_TARGET,
            met=fresh.clock / own.clock >= SPEED_TARGET,
        ),
        row(
            f"its CPU (Optuna {optuna.__version__} TPE)",
            own.cpu,
            "s",
            baseline=sampler.cpu,
            target=CPU_TARGET * sampler.cpu,
            met=own.cpu <= CPU_TARGET * sampler.cpu,
        ),
        *(
            row(f"CPU of {name} (ours)", peer.cpu, "s", baseline=own.cpu, target=None, met=None)
            for name, peer in peers.items()
        ),
    ]


def measured(n_trials: int, most: int, n_hand_outs: int, n_timed: int) -> list[dict[str, Any]]:
    """All rows."""
    proposals = proposal_rows(n_trials, n_timed)
    handed = np.percentile(hand_outs(n_trials, n_hand_outs), 99)
    sizes = (most // 10, most)
    small, large = growth(sizes)
    replay = replayed(n_trials)
    return [
        *proposals,
        row(
            f"handing out beside 16 trials, 99 %, {n_trials} finished",
            float(handed),
            "s",
            baseline=proposals[0]["value"],
            target=HAND_OUT_TARGET,
            met=bool(handed < HAND_OUT_TARGET),
        ),
        row(
            f"one proposal at {sizes[1]} trials (baseline: at {sizes[0]})",
            large,
            "s",
            baseline=small,
            target=10.0 * small,
            met=large <= 10.0 * small,
        ),
        row(
            f"replay of {n_trials} trials and the next proposal",
            replay,
            "s",
            baseline=REPLAY_TARGET,
            target=REPLAY_TARGET,
            met=replay < REPLAY_TARGET,
        ),
    ]


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials, under a minute")
    parser.add_argument("--trials", type=int, default=1000, help="finished before timing")
    parser.add_argument("--most", type=int, default=10_000, help="for the growth of the time")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    n_trials = 200 if arguments.quick else arguments.trials
    most = 1000 if arguments.quick else arguments.most
    n_hand_outs, n_timed = (40, N_TIMED // 3) if arguments.quick else (300, N_TIMED)
    rows = measured(n_trials, most, n_hand_outs, n_timed)
    print(f"{platform.machine()}, joint space, {len(SPACE)} hyperparameters")
    for line in rows:
        print(
            f"{line['name']:62} {line['value']:9.4f} {line['unit']:3} "
            f"baseline {line['baseline']:8.4f}  ratio {line['ratio']:7.2f}  "
            f"{VERDICTS[line['met']]}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, rows)
        print(json.dumps({"written": str(arguments.json)}))


if __name__ == "__main__":
    main()
