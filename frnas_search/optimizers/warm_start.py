"""What other runs found out, as far as it holds in this run's space. Only reads their logs.

A run reads it once, before it asks for anything, and from then on its own log is what counts: the
other runs may go on, change or be gone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results.errors import ResultsError
from results.events import WarmStarted
from results.query import load_view
from results.run_directory import RunDirectory, resolve_run
from results.trial import EarlierResult
from search_space.definition.decode import complete, configuration_faults
from search_space.definition.space import as_defined
from search_space.errors import InvalidConfigurationError
from search_space.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from results.trial import Configuration
    from results.trial_record import TrialRecord
    from results.view import RunView
    from search_space.candidate import SpaceSettings, Value

_ILLEGAL = "with a configuration that is not of this space"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRuns:
    """Other runs as their logs tell.

    Attributes:
        views: Each run's name and what is known of it; one that is named twice is there once.
        faults: Every run that is not there or cannot be read.
    """

    views: tuple[tuple[str, RunView], ...]
    faults: tuple[Fault, ...]


def read_earlier_runs(runs: Mapping[int, str], runs_directory: Path) -> EarlierRuns:
    """Read the logs of other runs.

    Args:
        runs: Place in `search.warm_start` -> a folder, or a name under `runs_directory`.
        runs_directory: Where runs lie that are given by name.
    """
    faults: list[Fault] = []
    views: dict[Path, tuple[str, RunView]] = {}
    for index, text in runs.items():
        try:
            run: RunDirectory = resolve_run(text, runs_directory=runs_directory)
            views.setdefault(run.path.resolve(), (run.name, load_view(run)[0]))
        except ResultsError as error:
            faults.append(Fault(("search", "warm_start", str(index)), str(error)))
    return EarlierRuns(views=tuple(views.values()), faults=tuple(faults))


def earlier_results(
    runs: EarlierRuns, *, objectives: Sequence[str], space: SpaceSettings
) -> WarmStarted:
    """Every finished success of the runs that says something about this one.

    Args:
        runs: Without faults.
        objectives: What this run minimises; a result needs a cost of each.
        space: Whose configurations count.
    """
    results: list[EarlierResult] = []
    left_out: Counter[str] = Counter()
    for name, view in runs.views:
        for trial in view.trials.values():
            if trial.costs is None:
                continue
            found = _result(name, trial, objectives, space)
            if isinstance(found, EarlierResult):
                results.append(found)
            else:
                left_out[found] += 1
    return WarmStarted(results=tuple(results), left_out=dict(left_out))


def describe_warm_start(found: WarmStarted) -> str:
    """How many results are used, of which runs, and why others are not, in one line."""
    runs = ", ".join(dict.fromkeys(result.run for result in found.results))
    used = f"{len(found.results)} earlier results" + (f" of {runs}" if runs else "")
    if not found.left_out:
        return used
    reasons = ", ".join(f"{n} {reason}" for reason, n in found.left_out.items())
    return f"{used}; left out: {reasons}"


def _result(
    run: str, trial: TrialRecord, objectives: Sequence[str], space: SpaceSettings
) -> EarlierResult | str:
    """The trial's result, or why it says nothing here."""
    costs = trial.costs or {}
    missing = [name for name in objectives if name not in costs]
    if missing:
        return f"without {' and '.join(missing)}"
    configuration = _legal(trial.request.configuration, space)
    if configuration is None:
        return _ILLEGAL
    return EarlierResult(
        run=run,
        trial_id=trial.request.trial_id,
        configuration=configuration,
        epochs=trial.request.epochs,
        costs={name: costs[name] for name in objectives},
    )


def _legal(configuration: Configuration, space: SpaceSettings) -> dict[str, Value] | None:
    """As the space's samples are; None when it is not of the space.

    What it leaves out is not filled in: the other run may have trained with another value.
    """
    completed = complete(configuration, space)
    if configuration_faults(completed, space):
        return None
    try:
        own = as_defined(completed, space)
    except InvalidConfigurationError:
        return None
    return own if own.keys() <= configuration.keys() else None
