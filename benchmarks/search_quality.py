"""The front that a search finds for its budget: our optimizers against their peers.

python benchmarks/search_quality.py [--shared FOLDER] [--quick] [--json FILE] [--seeds N]
    [--problems a,b] [--methods x,y] [--budget N] [--jobs N] [--resume FILE]

A budget is counted in full evaluations: an evaluation at a rung costs its share of one, less what
was paid for the same configuration before. Only full evaluations count as found. Figures are
hypervolumes as shares of that of a known or a largely sampled front. A method whose proposals
depend on the budget is run once for each that is reported, and told that one.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.methods import METHODS, NEEDS_ITS_BUDGET, OURS, PEERS
from benchmarks.problems.catalogue import PROBLEMS
from benchmarks.problems.problem import Problem
from benchmarks.quality.journal import append_run, read_runs
from benchmarks.quality.report import Report
from benchmarks.quality.run import BUDGETS, run
from results.atomic import write_json_atomically

QUICK_METHODS = ("frnas", "random", "optuna-nsga2", "optuna-tpe", "syne-tune-moasha")
QUICK_PROBLEMS = ("fair_super-317599", "vgg_table")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # SMAC goes through sets
}


class Task(NamedTuple):
    """One run to be made; tells it apart from all others."""

    problem: str
    method: str
    seed: int
    budget: int


@cache
def loaded(name: str, shared: Path) -> Problem:
    """The problem, read once in each process."""
    return PROBLEMS[name](shared)


def perform(task: Task, shared: Path) -> dict[str, Any]:
    """Make one run; needs nothing of the process it is made in."""
    begin = time.perf_counter()
    problem = loaded(task.problem, shared)
    record = run(problem, METHODS[task.method], seed=task.seed, budget=task.budget)
    return {**task._asdict(), "seconds": time.perf_counter() - begin, **record}


def task_of(record: dict[str, Any]) -> Task:
    """What a record was made for."""
    return Task(*(record[name] for name in Task._fields))


def tasks_of(arguments: argparse.Namespace) -> list[Task]:
    """All that is asked for; seed by seed, so that an interrupted benchmark is balanced."""
    return [
        Task(problem, method, seed, budget)
        for seed in range(arguments.seeds)
        for problem in arguments.problems
        for method in arguments.methods
        for budget in told_budgets(method, arguments.budget)
    ]


def told_budgets(method: str, budget: int) -> list[int]:
    """What the runs of a method are told, for a report up to `budget`; rising."""
    reported = [limit for limit in BUDGETS if limit <= budget]
    return reported if reported and method in NEEDS_ITS_BUDGET else [budget]


def counted(record: dict[str, Any]) -> dict[str, Any]:
    """The record with those of its shares that count: at budgets that the run was made for."""
    if record["method"] not in NEEDS_ITS_BUDGET:
        return record
    told = str(record["budget"])
    shares = {budget: share for budget, share in record["shares"].items() if budget == told}
    return {**record, "shares": shares}


def performed(tasks: list[Task], shared: Path, n_jobs: int) -> Iterator[dict[str, Any]]:
    """The records of all tasks, in the order in which they are done."""
    os.environ |= ENVIRONMENT  # read when the processes start
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(perform, task, shared) for task in tasks]):
            yield future.result()


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The records of all tasks, those in the journal among them, with the shares that count."""
    tasks = tasks_of(arguments)
    journal = arguments.resume
    known = {task_of(record): record for record in (read_runs(journal) if journal else [])}
    missing = [task for task in tasks if task not in known]
    for record in performed(missing, arguments.shared, arguments.jobs):
        known[task_of(record)] = record
        if journal:
            append_run(journal, record)
    return [counted(known[task]) for task in tasks]


def parse() -> argparse.Namespace:
    """The command line, with what `--quick` stands for filled in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--quick", action="store_true", help="a sample, under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("--problems", type=_names(PROBLEMS), help=", ".join(PROBLEMS))
    parser.add_argument("--methods", type=_names(METHODS), help=", ".join(METHODS))
    parser.add_argument("--budget", type=int, metavar="N", help="in full evaluations")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="runs, one a line")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.seeds = arguments.seeds or (2 if quick else 10)
    arguments.budget = arguments.budget or (25 if quick else 200)
    arguments.problems = arguments.problems or (QUICK_PROBLEMS if quick else list(PROBLEMS))
    arguments.methods = arguments.methods or (QUICK_METHODS if quick else list(METHODS))
    return arguments


def _names(known: dict[str, Any]) -> Any:
    def names(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return text.split(",")

    return names


def main() -> None:
    """Run what is missing, print the tables and, if wanted, write the rows as JSON."""
    arguments = parse()
    report = Report(measure(arguments), ours=OURS, peers=PEERS)
    print(f"search quality; {platform.machine()}, Python {platform.python_version()}")
    for line in report.lines():
        print(line)
    if arguments.json:
        write_json_atomically(arguments.json, report.rows())


if __name__ == "__main__":
    main()
