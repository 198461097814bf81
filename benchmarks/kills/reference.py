"""What a search should have found: the same trainings undisturbed, and the same proposals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kills.account import Place, place_of
from frnas_search.config.requests import preparation_request
from frnas_search.coordinator.jobs import checkpoint_folder
from frnas_search.coordinator.optimizer import proposal_of
from frnas_search.launch.blueprint import Blueprint, blueprint_of
from frnas_search.launch.preparation import prepare
from frnas_search.launch.run_entry import resumed_file
from frnas_search.optimizers.registry import open_optimizer
from results.events import Asked, LoggedEvent, Told
from results.trial import FailureKind, TrialOutcome, TrialRequest, configuration_key
from results.view import fold
from workers.artefacts.registry import open_store
from workers.trials.run import run_trial

if TYPE_CHECKING:
    from results.run_directory import RunDirectory


def blueprint(run: RunDirectory) -> Blueprint:
    """All that the run is built from, as it resumes itself."""
    run_file = resumed_file(run, ())
    prepared = prepare(preparation_request(run_file))
    return blueprint_of(run_file.config, prepared, run=run, earlier=None)


def told(log: Iterable[LoggedEvent]) -> dict[Place, TrialOutcome]:
    """What an undisturbed search has found."""
    view = fold(log)
    return {
        place_of(trial.request): trial.outcome
        for trial in view.trials.values()
        if trial.outcome is not None
    }


def alone(
    plan: Blueprint,
    requests: Iterable[TrialRequest],
    folder: Path,
    *,
    known: Mapping[Place, TrialOutcome],
) -> dict[Place, TrialOutcome]:
    """The outcome of each training, done here, one after the other and with nobody else.

    Args:
        plan: The run's.
        requests: In the order they were asked; a promotion goes on from its own checkpoint.
        folder: For checkpoints; empty.
        known: What need not be trained again.
    """
    found = dict(known)
    for request in requests:
        if place_of(request) not in found:
            job = replace(plan.jobs.search_job(request), artefacts=str(folder.absolute()))
            found[place_of(request)] = run_trial(job)
    return found


def other_proposals(plan: Blueprint, log: Iterable[LoggedEvent]) -> list[str]:
    """Trials that a fresh optimizer, which hears what the log says, does not propose again."""
    requests: dict[str, TrialRequest] = {}
    with open_optimizer(plan.sampler, plan.problem) as optimizer:
        for logged in log:
            event = logged.event
            if isinstance(event, Asked):
                request = requests[event.request.trial_id] = event.request
                proposal = optimizer.ask()
                if proposal is None or _key(proposal.configuration, proposal.rung) != place_of(
                    request
                ):
                    return [request.trial_id]  # what comes after is of another search
            elif isinstance(event, Told):
                outcome = event.outcome
                optimizer.tell(proposal_of(requests[outcome.trial_id]), outcome.costs)
    return []


def _key(configuration: Mapping[str, Any], rung: int) -> Place:
    return configuration_key(configuration), rung


def missing_checkpoints(run: RunDirectory, log: Iterable[LoggedEvent]) -> list[str]:
    """Checkpoints that a result names, that are not there as it says, and that are still needed.

    Not needed any more are those of configurations that nothing goes on from, and those that the
    same training has outdated.
    """
    view, store = fold(log), open_store(run.artefacts)
    front = {trial.request.config_id for trial in view.front()}
    done: set[str] = set()
    named: dict[str, dict[str, str]] = {}
    for trial in view.trials.values():
        outcome, config_id = trial.outcome, trial.request.config_id
        if outcome is None:
            continue
        if trial.request.rung == view.top_rung or outcome.failure not in (
            None,
            FailureKind.WORKER_LOST,
        ):
            done.add(config_id)
        prefix = f"{checkpoint_folder(config_id)}/"
        keys = {key: d for key, d in outcome.artefacts.items() if key.startswith(prefix)}
        named[config_id] = keys or named.get(config_id, {})  # the last one counts
    return [
        key
        for config_id, keys in named.items()
        for key, digest in keys.items()
        if store.digest(key) != digest and (config_id in front or config_id not in done)
    ]


def course(log: Iterable[LoggedEvent]) -> list[str]:
    """What was asked and told, in its order, as texts to compare."""
    lines = []
    for logged in log:
        event = logged.event
        if isinstance(event, Asked):
            request = event.request
            lines.append(f"ask {request.trial_id} {json.dumps(place_of(request))}")
        elif isinstance(event, Told):
            outcome = event.outcome
            costs = None if outcome.costs is None else dict(outcome.costs)
            lines.append(f"tell {outcome.trial_id} {json.dumps(costs)} {outcome.failure}")
    return lines
