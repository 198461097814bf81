"""What `frnas plan` tells of a run file before anything is spent, as a document."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from frnas_search.errors import SearchError
from frnas_search.launch.constraints import violations
from frnas_search.launch.space_samples import sample_within
from frnas_search.plan.checkpoint_size import (
    CheckpointSizes,
    Training,
    checkpoint_bytes,
    checkpoint_sizes,
    n_files,
)
from frnas_search.plan.pace import Pace, measured_pace
from search_space.definition.decode import decode
from search_space.definition.space import sample
from workers.data.packs.stored import fetched_pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frnas_search.launch.preparation import Prepared
    from frnas_search.optimizers.fidelity import Fidelity
    from frnas_search.plan.forecast import Forecast
    from results.view import RunView
    from search_space.candidate import Value
    from workers.settings import TrainingSettings

Document = dict[str, Any]

_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the document is made of.

    Attributes:
        run: Its name.
        limits: In force or null, by name.
        n_workers: That work side by side.
        sizes: None where nothing of the space is found that keeps within the constraints.
        checkpoint_gb: What checkpoints may take on disk; None for no limit.
    """

    run: str
    fidelity: Fidelity
    limits: Mapping[str, Any]
    forecast: Forecast
    pace: Pace | None
    n_workers: int
    sizes: CheckpointSizes | None
    checkpoint_gb: float | None


def plan_schema() -> Document:
    """The JSON Schema, draft 2020-12, of the document `frnas.plan/1`."""
    path = files("frnas_search").joinpath("schemas", "plan-1.schema.json")
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def sampled_sizes(
    prepared: Prepared,
    recipe: TrainingSettings,
    limits: Mapping[str, float],
    *,
    n_samples: int,
    seed: int,
) -> CheckpointSizes | None:
    """Checkpoints of random configurations of the space that keep within the constraints.

    Args:
        prepared: The space, and the pack whose people are classes.
        recipe: How all configurations are trained.
        limits: What a candidate may cost, by name.
        n_samples: Configurations to draw.
        seed: That they are drawn from.
    """
    training = Training(
        n_classes=fetched_pack(prepared.data.pack).n_identities("train"),
        has_momentum=recipe.momentum > 0.0,
        has_average=recipe.ema_decay > 0.0,
    )
    drawn = sample(prepared.space, n_samples, seed=seed)
    sizes = _sizes(drawn, prepared, limits, training)
    if not sizes:  # rarer than one in a sample
        sizes = _sizes(
            sample_within(prepared.space, prepared.costs, limits), prepared, limits, training
        )
    return checkpoint_sizes(sizes)


def _sizes(
    configurations: Sequence[Mapping[str, Value]],
    prepared: Prepared,
    limits: Mapping[str, float],
    training: Training,
) -> list[int]:
    """Of those configurations that keep within the limits."""
    sizes = []
    for configuration in configurations:
        candidate = decode(configuration, prepared.space)
        cost = prepared.costs.predicted(candidate)
        if not violations(cost, limits):
            sizes.append(checkpoint_bytes(candidate, cost, training))
    return sizes


def pace_of_run(view: RunView, name: str) -> Pace:
    """What an earlier run measured.

    Raises:
        SearchError: It has no trial that ended well.
    """
    pace = measured_pace(view.trials.values(), source=f"run {name}")
    if pace is None:
        raise SearchError(
            f"--from {name}: no trial of that run trained an epoch and ended with costs; name "
            "another run, or give --seconds-per-epoch"
        )
    return pace


def plan_document(plan: Plan) -> Document:
    """Schema `frnas.plan/1`."""
    fidelity, forecast = plan.fidelity, plan.forecast
    return {
        "schema": "frnas.plan/1",
        "run": plan.run,
        "fidelity": {"eta": fidelity.eta, "rungs": list(fidelity.rungs)},
        "limits": dict(plan.limits),
        "workers": plan.n_workers,
        "round": _round(forecast),
        "search": {
            "ends_by": forecast.ends_by,
            "rounds": forecast.rounds,
            "trials": forecast.trials,
            "configurations": forecast.configurations,
            "epochs": forecast.epochs,
            "trials_by_rung": list(forecast.reached.values()),
            "gpu_hours": _hours(forecast.device_seconds),
            "wall_hours": _hours(forecast.wall_seconds),
        },
        "pace": None if plan.pace is None else asdict(plan.pace),
        "checkpoints": _checkpoints(plan),
    }


def _round(forecast: Forecast) -> Document:
    return {
        "brackets": [
            {
                "stages": [asdict(stage) for stage in bracket.stages],
                "configurations": bracket.configurations,
                "trials": bracket.trials,
                "epochs": bracket.epochs,
            }
            for bracket in forecast.round
        ],
        "configurations": sum(bracket.configurations for bracket in forecast.round),
        "trials": sum(bracket.trials for bracket in forecast.round),
        "epochs": sum(bracket.epochs for bracket in forecast.round),
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600.0


def _checkpoints(plan: Plan) -> Document | None:
    if plan.sizes is None:
        return None
    kept = n_files(plan.forecast.ending)
    gigabytes = plan.checkpoint_gb
    return {
        **asdict(plan.sizes),
        "kept_files": kept,
        "mean_total_bytes": plan.sizes.mean_bytes * kept,
        "worst_total_bytes": plan.sizes.worst_bytes * kept,
        "bound_bytes": None if gigabytes is None else gigabytes * _GIGABYTE,
    }
