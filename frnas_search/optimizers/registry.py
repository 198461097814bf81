"""Which optimizers there are: the one that a run file names, built.

The run file's names come from here, so each sampler's libraries are loaded when it is opened.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from frnas_search.errors import RunFileError
from frnas_search.optimizers.engine import EngineSettings
from search_space.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frnas_search.coordinator.optimizer import Optimizer
    from frnas_search.optimizers.constraint import Accepts
    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.optimizers.pool import Space
    from results.objectives import Objective
    from results.trial import Configuration, EarlierResult

Sampler: TypeAlias = Literal["smac", "smac_stock", "random", "nsga2", "tpe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is searched, the same for every sampler.

    Attributes:
        n_initial_configurations: Drawn at random before any result counts.
        enqueued: Configurations of the space, proposed before any other.
        accepts: Whether a configuration may be proposed; None when every one may.
        max_costs: Objective -> the largest cost that is wanted; SMAC alone heeds it.
        engine: The parts of `smac`.
        earlier: Results of other runs, for the samplers that learn from them.
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
    engine: EngineSettings = field(default_factory=EngineSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSpec:
    """A sampler.

    Attributes:
        name: As in `search.sampler`.
        open: Problem -> its optimizer, without history, while the block runs.
        library: The optional library that it needs, by the name of its module.
        extra: What installs the library with frnas.
        learns: Whether it learns from the results of other runs.
    """

    name: Sampler
    open: Callable[[Problem], AbstractContextManager[Optimizer]]
    library: str = ""
    extra: str = ""
    learns: bool = False


def _options(problem: Problem) -> dict[str, Any]:
    options: dict[str, Any] = {"seed": problem.seed, "enqueued": problem.enqueued}
    if problem.accepts is not None:
        options["accepts"] = problem.accepts
    return options


def _open_smac(problem: Problem) -> AbstractContextManager[Optimizer]:
    from frnas_search.optimizers.smac.optimizer import SmacOptimizer

    optimizer = SmacOptimizer(
        problem.space,
        problem.objectives,
        problem.fidelity,
        engine=replace(problem.engine, n_initial=problem.n_initial_configurations),
        max_costs=problem.max_costs,
        earlier=problem.earlier,
        **_options(problem),
    )
    return contextlib.closing(optimizer)


def _open_smac_stock(problem: Problem) -> AbstractContextManager[Optimizer]:
    from frnas_search.optimizers.smac.stock import StockOptimizer

    optimizer = StockOptimizer(
        problem.space,
        problem.objectives,
        problem.fidelity,
        n_initial=problem.n_initial_configurations,
        **_options(problem),
    )
    return contextlib.closing(optimizer)


def _open_random(problem: Problem) -> AbstractContextManager[Optimizer]:
    from frnas_search.optimizers.random import RandomOptimizer

    optimizer = RandomOptimizer(problem.space, problem.fidelity, **_options(problem))
    return contextlib.nullcontext(optimizer)


def _open_optuna(
    problem: Problem, *, kind: Literal["nsga2", "tpe"]
) -> AbstractContextManager[Optimizer]:
    from frnas_search.optimizers.optuna import OptunaOptimizer

    optimizer = OptunaOptimizer(
        problem.space,
        problem.objectives,
        problem.fidelity,
        kind=kind,
        n_initial_configurations=problem.n_initial_configurations,
        **_options(problem),
    )
    return contextlib.nullcontext(optimizer)


SAMPLERS: Mapping[Sampler, SamplerSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            SamplerSpec(name="smac", open=_open_smac, learns=True),
            SamplerSpec(name="smac_stock", open=_open_smac_stock),
            SamplerSpec(name="random", open=_open_random),
            SamplerSpec(
                name="nsga2",
                open=functools.partial(_open_optuna, kind="nsga2"),
                library="optuna",
                extra="optuna",
            ),
            SamplerSpec(
                name="tpe",
                open=functools.partial(_open_optuna, kind="tpe"),
                library="optuna",
                extra="optuna",
            ),
        )
    }
)


def open_optimizer(sampler: Sampler, problem: Problem) -> AbstractContextManager[Optimizer]:
    """The sampler's optimizer, without history.

    Raises:
        RunFileError: It needs a library that is not installed.
    """
    if faults := sampler_faults(sampler):
        raise RunFileError("\n".join(str(fault) for fault in faults))
    return SAMPLERS[sampler].open(problem)


def sampler_faults(sampler: Sampler) -> list[Fault]:
    """What is missing for a sampler."""
    spec = SAMPLERS[sampler]
    if not spec.library or importlib.util.find_spec(spec.library) is not None:
        return []
    others = " or ".join(other.name for other in SAMPLERS.values() if not other.library)
    message = (
        f"{sampler} needs {spec.library.capitalize()}, which is not installed; install it with "
        f"`pip install 'frnas[{spec.extra}]'`, or give {others}"
    )
    return [Fault(("search", "sampler"), message)]
