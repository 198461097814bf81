"""Every problem by name. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.problems import fair_super, lcbench
from benchmarks.problems.fair_super import FairSuper
from benchmarks.problems.lcbench import Lcbench
from benchmarks.problems.nas_bench_201 import NasBench201
from benchmarks.problems.problem import Problem
from benchmarks.problems.vgg_table import VggTable

PROBLEMS: dict[str, Callable[[Path], Problem]] = {
    **{f"fair_super-{task}": partial(FairSuper, task=task) for task in fair_super.TASKS},
    **{f"lcbench-{task}": partial(Lcbench, task=task) for task in lcbench.TASKS},
    "nas_bench_201-cifar100": NasBench201,
    "vgg_table": VggTable,
}
"""Name -> what loads it from the folder of shared data."""
