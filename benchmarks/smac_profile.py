"""Which of SMAC's own functions run for a proposal, and which methods of its kinds of parts do.

python benchmarks/smac_profile.py [--asks N] [--in-flight N] [--json FILE]

Counts calls into the package `smac` while the default engine is asked and told, and calls of the
methods that SMAC's selector orders (`transform`, `train`, `update`, `maximize`) whoever's class
they are of, as long as that is one of SMAC's kind.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import platform
import random
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import smac
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer
from smac.initial_design import AbstractInitialDesign
from smac.intensifier.abstract_intensifier import AbstractIntensifier
from smac.main.config_selector import ConfigSelector
from smac.model.abstract_model import AbstractModel
from smac.multi_objective import AbstractMultiObjectiveAlgorithm
from smac.random_design.abstract_random_design import AbstractRandomDesign
from smac.runhistory.encoder import AbstractRunHistoryEncoder

from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from results.atomic import write_json_atomically
from results.objectives import objective
from search_space.candidate import SpaceSettings
from search_space.definition.space import build_space

_FOLDER = str(Path(inspect.getfile(smac)).parent)
_KINDS = (
    AbstractAcquisitionFunction,
    AbstractAcquisitionMaximizer,
    AbstractInitialDesign,
    AbstractIntensifier,
    AbstractModel,
    AbstractMultiObjectiveAlgorithm,
    AbstractRandomDesign,
    AbstractRunHistoryEncoder,
    ConfigSelector,
)


class Calls:
    """Counts calls while a program runs.

    Attributes:
        of_smac: Function of the package, as file and name -> calls.
        of_parts: Kind of part and method -> calls of those that SMAC's kind declares.
    """

    def __init__(self) -> None:
        self.of_smac: Counter[tuple[str, str]] = Counter()
        self.of_parts: Counter[str] = Counter()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """What `sys.setprofile` calls."""
        del argument
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(_FOLDER):
            self.of_smac[code.co_filename, code.co_qualname] += 1
        this = frame.f_locals.get("self")
        for kind in _KINDS:
            if isinstance(this, kind) and code.co_name in vars(kind) and code.co_name[0] != "_":
                self.of_parts[f"{kind.__name__}.{code.co_name}"] += 1


def n_functions() -> int:
    """How many functions the package defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return sum(
        isinstance(node, kinds)
        for path in Path(_FOLDER).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def counted(n_asks: int, n_in_flight: int) -> tuple[Calls, int]:
    """Calls while so many trials are asked and told, and how many the surrogate proposed."""
    objectives = [objective(name, n_identities=100) for name in ("error", "rank_disparity")]
    fidelity = Fidelity(min_epochs=3, max_epochs=27)
    space = build_space(SpaceSettings(), seed=0)
    optimizer = SmacOptimizer(space, objectives, fidelity, seed=0)
    chance, waiting, origins, calls = random.Random(0), [], Counter[str](), Calls()
    sys.setprofile(calls)
    threading.setprofile(calls)
    for _ in range(n_asks):
        proposal = optimizer.ask()
        assert proposal is not None
        origins[proposal.origin] += 1
        waiting.append(proposal)
        if len(waiting) == n_in_flight:
            costs = {"error": chance.random(), "rank_disparity": 90 * chance.random()}
            optimizer.tell(waiting.pop(chance.randrange(n_in_flight)), costs)
    threading.setprofile(None)
    sys.setprofile(None)
    optimizer.close()
    print(", ".join(f"{n} {origin}" for origin, n in origins.items()))
    return calls, origins["model"]


def main() -> None:
    """Print the figures and, if wanted, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=120, metavar="N")
    parser.add_argument("--in-flight", type=int, default=4, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    calls, n_model = counted(arguments.asks, arguments.in_flight)
    print(f"SMAC {smac.version}, Python {platform.python_version()}, {arguments.asks} asks")
    print(f"functions of SMAC that ran: {len(calls.of_smac)} of {n_functions()}")
    print(f"calls into SMAC: {calls.of_smac.total() / arguments.asks:.0f} for each trial")
    print(f"methods of SMAC's kinds of parts, calls for each of {n_model} proposals of the model:")
    for name, n in sorted(calls.of_parts.items()):
        print(f"  {name:58} {n / max(1, n_model):8.2f}")
    if arguments.json:
        rows = [
            {"name": name, "value": n / max(1, n_model), "unit": "calls"}
            for name, n in sorted(calls.of_parts.items())
        ]
        write_json_atomically(arguments.json, rows)


if __name__ == "__main__":
    main()
