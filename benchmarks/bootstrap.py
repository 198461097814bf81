"""Intervals over resampled identities: all at once against one resampling after the other.

python benchmarks/bootstrap.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.atomic import write_json_atomically
from workers.evaluation.bootstrap import bootstrap_intervals
from workers.evaluation.identification_metrics import Ranks, costs_of, evaluate_ranks
from workers.evaluation.permutation import permutation_p_values

IMAGES_PER_IDENTITY = 10
N_REPLICATES = 1000
LABELS = ("a", "b", "c", "d")
TARGET_SECONDS = 1.0


def probes(n_probes: int) -> tuple[Ranks, NDArray[np.int64], NDArray[np.int64]]:
    """Ranks of people of differing difficulty in four groups."""
    generator = np.random.default_rng(0)
    identity = np.arange(n_probes) // IMAGES_PER_IDENTITY
    difficulty = generator.beta(1.0, 4.0, identity.max() + 1)[identity]
    wrong = generator.random(n_probes) < difficulty
    values = np.where(wrong, generator.geometric(0.1, n_probes), 0)
    return Ranks(rank_by_identity=values, rank_by_image=values), identity, identity % len(LABELS)


def one_after_the_other(
    ranks: Ranks, identity: NDArray[np.int64], codes: NDArray[np.int64], n_replicates: int
) -> dict[str, NDArray[np.float64]]:
    """The same resampling, each time gathering the images and evaluating them anew."""
    generator = np.random.default_rng(0)
    people = [np.flatnonzero(identity == name) for name in range(int(identity.max()) + 1)]
    groups = [np.unique(identity[codes == code]) for code in range(len(LABELS))]
    found: list[dict[str, float]] = []
    for _ in range(n_replicates):
        drawn = [generator.choice(names, len(names)) for names in groups]
        rows = np.concatenate([people[name] for names in drawn for name in names])
        values = ranks.rank_by_identity[rows]
        found.append(
            costs_of(
                evaluate_ranks(
                    Ranks(rank_by_identity=values, rank_by_image=values),
                    identity=identity[rows],
                    codes=codes[rows],
                    labels=LABELS,
                )
            )
        )
    return {name: np.array([intervals[name] for intervals in found]) for name in found[0]}


def row(name: str, times: list[float], *, baseline: float, target: float) -> dict[str, Any]:
    """One line of the table."""
    value = statistics.median(times)
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "baseline": baseline,
        "ratio": baseline / value,
        "target": target,
        "met": value < target,
        "spread": [min(times), max(times)],
    }


def measure(n_probes: int, *, n_repeats: int, n_loops: int) -> list[dict[str, Any]]:
    """Seconds of intervals and p-values; the loop is timed on `n_loops` and scaled up."""
    ranks, identity, codes = probes(n_probes)
    begin = time.perf_counter()
    one_after_the_other(ranks, identity, codes, n_loops)
    baseline = (time.perf_counter() - begin) * N_REPLICATES / n_loops
    intervals, shuffles = [], []
    for _ in range(n_repeats):
        begin = time.perf_counter()
        bootstrap_intervals(
            ranks, identity=identity, codes=codes, n_replicates=N_REPLICATES, seed=0
        )
        intervals.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        permutation_p_values(
            ranks, identity=identity, codes=codes, n_permutations=N_REPLICATES, seed=0
        )
        shuffles.append(time.perf_counter() - begin)
    return [
        row(
            f"{N_REPLICATES} replicates of {n_probes} probes, every interval",
            intervals,
            baseline=baseline,
            target=TARGET_SECONDS,
        ),
        row(
            f"{N_REPLICATES} permutations of {n_probes} probes, every p-value",
            shuffles,
            baseline=baseline,
            target=TARGET_SECONDS,
        ),
    ]


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    n_repeats, n_loops = (3, 10) if arguments.quick else (7, 100)
    rows = measure(20_000, n_repeats=n_repeats, n_loops=n_loops)
    print(
        f"resampled identities, {len(LABELS)} groups; {platform.machine()}, numpy {np.__version__}"
    )
    for line in rows:
        print(
            f"{line['name']:56} {line['value']:7.3f} s  loop {line['baseline']:8.2f} s  "
            f"ratio {line['ratio']:7.1f}  target {line['target']:g}  "
            f"{'met' if line['met'] else 'NOT MET'}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, rows)


if __name__ == "__main__":
    main()
