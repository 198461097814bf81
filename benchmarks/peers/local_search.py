"""The best configuration by a score: random ones first, then the neighbours of the best.

Needs no gradient, so that choices and conditions are no obstacle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ConfigSpace.util import get_one_exchange_neighbourhood

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace

    from results.pareto import FloatArray

Score: TypeAlias = "Callable[[Sequence[Configuration]], FloatArray]"

N_DRAWN = 1000
N_KEPT = 10
STEPS = (0.2, 0.1, 0.05, 0.02)
"""Standard deviations of a change to a number, all of them within [0, 1], round by round."""


def maximised(
    space: ConfigurationSpace,
    score: Score,
    *,
    starts: Sequence[Configuration],
    taken: Iterable[Configuration],
    seed: int,
) -> Configuration | None:
    """The configuration of the highest score that was found; None where all are taken.

    Args:
        space: Random configurations are drawn from it.
        score: Of some configurations, shape (n,).
        starts: Their neighbours are scored beside the random ones.
        taken: Never returned.
        seed: Of the neighbours.
    """
    seen = {_key(configuration) for configuration in taken}
    found = space.sample_configuration(N_DRAWN)
    best: list[tuple[float, Configuration]] = []
    for step in STEPS:
        found = list(_unseen([*found, *_around(starts, step, seed)], seen))
        best = _highest([*best, *zip(score(found).tolist() if found else (), found, strict=True)])
        starts, found = [configuration for _, configuration in best], []
    return best[0][1] if best else None


def _highest(scored: list[tuple[float, Configuration]]) -> list[tuple[float, Configuration]]:
    return sorted(scored, key=lambda pair: pair[0], reverse=True)[:N_KEPT]


def _around(
    configurations: Sequence[Configuration], step: float, seed: int
) -> Iterator[Configuration]:
    """Configurations that differ from one of them in a single hyperparameter."""
    for configuration in configurations:
        yield from get_one_exchange_neighbourhood(configuration, seed=seed, stdev=step)


def _unseen(configurations: Iterable[Configuration], seen: set[bytes]) -> Iterator[Configuration]:
    """Those that were not seen, each once; they are from then on."""
    for configuration in configurations:
        key = _key(configuration)
        if key not in seen:
            seen.add(key)
            yield configuration


def _key(configuration: Configuration) -> bytes:
    return bytes(configuration.get_array().tobytes())
