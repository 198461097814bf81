"""Measures the yardsticks in `benchmarks/problems/boxes.json` anew, from a fixed seed.

python benchmarks/boxes.py [--shared FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems import boxes
from benchmarks.problems.catalogue import PROBLEMS
from benchmarks.problems.nas_bench_201 import NasBench201
from benchmarks.problems.problem import Problem, normalised_volume
from benchmarks.problems.vgg_table import VggTable
from results.atomic import write_json_atomically
from results.pareto import FloatArray, non_dominated
from search_space.definition.space import plain

N_SAMPLES = 60_000
SEED = 0
BEST_PART = 0.1


def all_costs(problem: Problem) -> FloatArray:
    """Costs of a whole table, or of a large sample at the full fidelity."""
    if isinstance(problem, NasBench201 | VggTable):
        return np.array([list(costs.values()) for costs in problem.table.values()])
    problem.space.seed(SEED)
    last = len(problem.rungs) - 1
    sample = problem.space.sample_configuration(N_SAMPLES)
    return np.array(
        [list(problem.cost(plain(configuration), last).values()) for configuration in sample]
    )


def measured(problem: Problem) -> dict[str, Any]:
    """The box as it is stored."""
    costs = all_costs(problem)
    front = costs[non_dominated(costs)]
    ideal = front.min(axis=0)
    nadir = front.max(axis=0)
    if isinstance(problem, VggTable):
        nadir = np.quantile(costs, BEST_PART, axis=0)
    return {
        "ideal": ideal.tolist(),
        "nadir": nadir.tolist(),
        "volume": normalised_volume(front, ideal, nadir),
        "n_costs": len(costs),
        "n_front": len(front),
    }


def main() -> None:
    """Measure and store all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    arguments = parser.parse_args()
    found = {name: measured(load(arguments.shared)) for name, load in PROBLEMS.items()}
    write_json_atomically(boxes.STORED, found)


if __name__ == "__main__":
    main()
