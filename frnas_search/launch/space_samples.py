"""What samples of a space have in common: sources, constraints, cells. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frnas_search.launch.constraints import (
    MOST_REFUSALS,
    CostConstraints,
    CostModel,
    violations,
)
from frnas_search.optimizers.feasible import Feasible
from frnas_search.optimizers.rarity import Effort
from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.vectors import plain_values
from search_space.candidate import (
    Architecture,
    DagArchitecture,
    DualPathArchitecture,
    Source,
    Value,
)
from search_space.cell import NO_OPERATION
from search_space.definition.decode import complete, decode
from search_space.definition.hyperparameters import edge_name
from search_space.definition.space import build_space
from search_space.fault import Fault
from search_space.prediction import Cost

if TYPE_CHECKING:
    from search_space.candidate import Candidate, SpaceSettings

_N_WANTED, _N_MOST = 20, 20_000
"""Configurations within constraints that tell their share well enough, and draws to find them."""

_ENORMOUS = Cost(parameters=10**30, macs=10**30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatistics:
    """How the cells of a sample came out as they were proposed, or not.

    Attributes:
        n: Configurations with a typed-DAG cell.
        repaired: Cells without any way from input to output, which became a single skip.
        pruned: Other cells that lost nodes because no way led over them.
        distinct: Different cells among them.
    """

    n: int
    repaired: int
    pruned: int
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleStatistics:
    """Counts over a sample.

    Attributes:
        by_source: Source of architectures -> configurations from it.
        refused_by: Each limit that can be told beforehand -> configurations that exceed it.
        refused: Configurations that exceed at least one.
    """

    n: int
    by_source: Mapping[Source, int]
    refused_by: Mapping[str, int]
    refused: int
    cells: CellStatistics | None

    @property
    def effort(self) -> Effort:
        """The sample as draws, of which some keep within the constraints."""
        return Effort(drawn=self.n, accepted=self.n - self.refused, refused_by=self.refused_by)


def sample_statistics(
    configurations: Sequence[Mapping[str, Value]],
    settings: SpaceSettings,
    costs: CostModel,
    limits: Mapping[str, float],
) -> SampleStatistics:
    """Counts over configurations of the space.

    Args:
        configurations: Drawn from the space.
        settings: The space.
        costs: What candidates cost.
        limits: As `constraints` in the run file.
    """
    completed = [complete(configuration, settings) for configuration in configurations]
    candidates = [decode(configuration, settings) for configuration in completed]
    counts = Counter(source_of(candidate.architecture) for candidate in candidates)
    foreseen = {name: limit for name, limit in limits.items() if is_foreseen(name)}
    checked = candidates if foreseen else []
    exceeded = [_exceeded(candidate, costs, foreseen) for candidate in checked]
    return SampleStatistics(
        n=len(candidates),
        by_source={source: counts[source] for source in settings.sources_in_use},
        refused_by={name: sum(name in names for names in exceeded) for name in foreseen},
        refused=sum(bool(names) for names in exceeded),
        cells=_cell_statistics(completed, candidates, settings),
    )


def constraint_faults(statistics: SampleStatistics) -> list[Fault]:
    """That a search would find nothing to train, as far as so many samples can tell."""
    if statistics.refused < statistics.n or statistics.n < MOST_REFUSALS:
        return []
    names = " and ".join(name for name, count in statistics.refused_by.items() if count)
    message = (
        f"none of {statistics.n:,} samples of the space keeps within {names}; loosen "
        "it, or narrow the space to smaller networks (`frnas space sample` shows what they cost)"
    )
    return [Fault(("constraints",), message)]


def feasible_of(
    settings: SpaceSettings, costs: CostModel, limits: Mapping[str, float]
) -> Feasible | None:
    """What looks for configurations within the limits; None where none is known beforehand.

    Args:
        settings: The space.
        costs: What candidates cost.
        limits: As `constraints` in the run file.
    """
    if not any(map(is_foreseen, limits)):
        return None
    vectors = VectorSpace(build_space(settings, seed=0))
    return Feasible(vectors, CostConstraints(settings, costs, limits), seed=0)


def share_within(
    statistics: SampleStatistics,
    settings: SpaceSettings,
    costs: CostModel,
    limits: Mapping[str, float],
) -> Effort | None:
    """How many of how many draws keep within the limits; None where none is known beforehand.

    Of a sample that holds too few of them to tell, thousands more are drawn.

    Args:
        statistics: Of a sample.
        settings: The space.
        costs: What candidates cost.
        limits: As `constraints` in the run file.
    """
    if statistics.n - statistics.refused >= _N_WANTED:
        return statistics.effort if any(map(is_foreseen, limits)) else None
    feasible = feasible_of(settings, costs, limits)
    if feasible is None:
        return None
    more = feasible.measured(n_wanted=_N_WANTED, n_most=_N_MOST)
    return more if more.is_everything else statistics.effort + more


def sample_within(
    settings: SpaceSettings, costs: CostModel, limits: Mapping[str, float]
) -> list[Mapping[str, Value]]:
    """Configurations within the limits, where they are too rare for an ordinary sample of them.

    Some that were found, and their neighbours: what they cost, and nothing of how often.

    Args:
        settings: The space.
        costs: What candidates cost.
        limits: As `constraints` in the run file.
    """
    feasible = feasible_of(settings, costs, limits)
    if feasible is None:
        return []
    found = feasible.any()[:_N_WANTED]
    near = feasible.around(found, found, np.random.default_rng(0))
    return list(plain_values(build_space(settings, seed=0), np.vstack([found, near])))


def is_foreseen(limit: str) -> bool:
    """Whether the limit is kept before anything is built; others are found by measuring."""
    return bool(violations(_ENORMOUS, {limit: 1.0}))


def source_of(architecture: Architecture) -> Source:
    """Where the architecture comes from."""
    match architecture:
        case DualPathArchitecture():
            return "dual_path"
        case DagArchitecture():
            return "dag"
        case _:
            return "timm"


def is_repaired(
    configuration: Mapping[str, Value], architecture: DagArchitecture, n_nodes: int
) -> bool:
    """Whether the proposed cell had no way from input to output and became a single skip."""
    is_single = architecture.cell.n_nodes == 2
    return is_single and configuration[edge_name(0, n_nodes - 1)] == NO_OPERATION


def _exceeded(candidate: Candidate, costs: CostModel, limits: Mapping[str, float]) -> set[str]:
    cost = costs.predicted(candidate)
    return {name for name, limit in limits.items() if violations(cost, {name: limit})}


def _cell_statistics(
    configurations: Sequence[Mapping[str, Value]],
    candidates: Sequence[Candidate],
    settings: SpaceSettings,
) -> CellStatistics | None:
    if "dag" not in settings.sources_in_use:
        return None
    n_nodes = settings.dag.nodes
    n, repaired, pruned = 0, 0, 0
    hashes = set()
    for configuration, candidate in zip(configurations, candidates, strict=True):
        architecture = candidate.architecture
        if not isinstance(architecture, DagArchitecture):
            continue
        n += 1
        hashes.add(architecture.cell.hash())
        if is_repaired(configuration, architecture, n_nodes):
            repaired += 1
        elif architecture.cell.n_nodes < n_nodes:
            pruned += 1
    return CellStatistics(n=n, repaired=repaired, pruned=pruned, distinct=len(hashes))
