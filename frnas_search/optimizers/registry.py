"""Which optimizers there are: the one that a run file names, built."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from frnas_search.errors import RunFileError
from frnas_search.optimizers.random import RandomOptimizer
from frnas_search.optimizers.smac.optimizer import SmacOptimizer
from search_space.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from frnas_search.coordinator.optimizer import Optimizer
    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.optimizers.pool import Accepts, Space
    from results.objectives import Objective
    from results.trial import Configuration, EarlierResult

Sampler: TypeAlias = Literal["smac", "random", "nsga2", "tpe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is searched, the same for every sampler.

    Attributes:
        n_initial_configurations: Drawn at random before any result counts.
        enqueued: Configurations of the space, proposed before any other.
        accepts: Whether a configuration may be proposed; None when every one may.
        max_costs: Objective -> the largest cost that is wanted; SMAC alone heeds it.
        earlier: Results of other runs; SMAC alone learns from them.
    """

    space: Space
    objectives: Sequence[Objective]
    fidelity: Fidelity
    seed: int
    n_initial_configurations: int
    enqueued: Sequence[Configuration] = ()
    accepts: Accepts | None = None
    max_costs: Mapping[str, float] = field(default_factory=dict)
    earlier: Sequence[EarlierResult] = ()


@contextlib.contextmanager
def open_optimizer(sampler: Sampler, problem: Problem) -> Iterator[Optimizer]:
    """The sampler's optimizer, without history.

    Raises:
        RunFileError: It needs a library that is not installed.
    """
    if faults := sampler_faults(sampler):
        raise RunFileError("\n".join(str(fault) for fault in faults))
    options: dict[str, Any] = {"seed": problem.seed, "enqueued": problem.enqueued}
    if problem.accepts is not None:
        options["accepts"] = problem.accepts
    if sampler == "random":
        yield RandomOptimizer(problem.space, problem.fidelity, **options)
        return
    common = (problem.space, problem.objectives, problem.fidelity)
    options["n_initial_configurations"] = problem.n_initial_configurations
    if sampler == "smac":
        options |= {"max_costs": problem.max_costs, "earlier": problem.earlier}
        with contextlib.closing(SmacOptimizer(*common, **options)) as optimizer:
            yield optimizer
        return
    from frnas_search.optimizers.optuna import OptunaOptimizer

    yield OptunaOptimizer(*common, kind=sampler, **options)


def sampler_faults(sampler: Sampler) -> list[Fault]:
    """What is missing for a sampler."""
    if sampler in ("smac", "random") or importlib.util.find_spec("optuna") is not None:
        return []
    message = (
        f"{sampler} needs Optuna, which is not installed; install it with "
        "`pip install 'frnas[optuna]'`, or give smac or random"
    )
    return [Fault(("search", "sampler"), message)]
