"""A run file's space checked whole: what `launch` finds, then samples of it and their networks."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from frnas_search.launch.preparation import Inspection, inspect
from frnas_search.launch.space_preparation import PreparedSpace, describe_left_out
from frnas_search.launch.space_samples import SampleStatistics, sample_statistics, share_within
from frnas_search.optimizers.rarity import percent, share_in_words
from frnas_search.space_documents.request import REMEDY
from search_space.definition.decode import complete, configuration_faults, decode
from search_space.definition.space import sample
from workers.processes.candidate_costs import candidate_costs

if TYPE_CHECKING:
    from frnas_search.config.requests import PreparationRequest
    from frnas_search.launch.data_preparation import Pictures
    from frnas_search.optimizers.rarity import Effort
    from search_space.candidate import SpaceSettings, Value
    from workers.processes.candidate_costs import BuildReport

Document: TypeAlias = dict[str, Any]

SEED = 0
N_BUILT = 20
_SHOWN = 10


@dataclass(slots=True)
class Findings:
    """What has been found so far; filled while the check goes on.

    Attributes:
        faults: A sentence each.
        checked: What was looked at -> how many of it.
        not_checked: What could not be looked at, and why.
        corners: Parts of the space that hold no network or a smaller one than proposed, in words.
    """

    faults: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    not_checked: list[str] = field(default_factory=list)
    corners: list[str] = field(default_factory=list)


def check_space(
    request: PreparationRequest,
    *,
    stated: Pictures | None,
    n_samples: int,
    n_built: int = N_BUILT,
) -> Findings:
    """Check the run file, its space, and samples of it.

    Args:
        request: What the run file asks for, with the faults that it has itself.
        stated: What the operator said of the pictures; None to look into the data.
        n_samples: Configurations to draw.
        n_built: Of these, how many are built as well.
    """
    found = inspect(request, stated=stated, remedy=REMEDY)
    findings = Findings(faults=[*request.file.unread, *map(str, found.faults)])
    findings.checked["run file"] = 1
    _count(found, request, findings)
    pictures, prepared = found.data.pictures, found.space.prepared
    if pictures is None or prepared is None:
        findings.not_checked.append(
            f"samples of the space ({n_samples:,}) and their networks; mend what is above first"
        )
        return findings
    findings.corners += [
        describe_left_out(variant, pictures.image_size) for variant in prepared.left_out
    ]
    drawn = _check_samples(prepared, request.space.limits, n_samples, findings)
    chosen = random.Random(SEED).sample(drawn, min(n_built, len(drawn)))  # noqa: S311 - no secret
    _check_networks(chosen, pictures, prepared, findings)
    return findings


def check_document(findings: Findings, *, run_file: Path) -> Document:
    """The findings, schema `frnas.space-check/1`."""
    return {
        "schema": "frnas.space-check/1",
        "run_file": str(run_file),
        "in_order": not findings.faults,
        "faults": list(findings.faults),
        "checked": dict(findings.checked),
        "not_checked": list(findings.not_checked),
        "corners": list(findings.corners),
    }


def _count(found: Inspection, request: PreparationRequest, findings: Findings) -> None:
    """What was looked at and is in order."""
    prepared = found.space.prepared
    if found.data.pack is not None:
        findings.checked["pack"] = 1
    if prepared is None:
        return
    if prepared.timm is not None:
        findings.checked["timm variants"] = len(prepared.costs.backbones) + len(prepared.left_out)
    if prepared.settings.definition:
        own = json.loads(prepared.settings.definition)["hyperparameters"]
        findings.checked[f"hyperparameters of {request.space.file}"] = len(own)
    if prepared.enqueued:
        findings.checked["enqueued configurations"] = len(prepared.enqueued)


def _check_samples(
    prepared: PreparedSpace, limits: Mapping[str, float], n_samples: int, findings: Findings
) -> list[dict[str, Value]]:
    """The samples, none if one of them has a fault."""
    settings = prepared.settings
    drawn = [complete(drawn, settings) for drawn in sample(settings, n_samples, seed=SEED)]
    findings.checked["samples"] = len(drawn)
    faults = [
        f"sample {index}: {fault}"
        for index, configuration in enumerate(drawn)
        for fault in sample_faults(configuration, settings)
    ]
    if faults:
        findings.faults += _shortened(faults)
        findings.not_checked.append("networks of samples; the samples have faults")
        return []
    statistics = sample_statistics(drawn, settings, prepared.costs, limits)
    findings.corners += _corners(statistics)
    findings.corners += _rarity(
        share_within(statistics, settings, prepared.costs, limits), findings.faults
    )
    return drawn


def _rarity(within: Effort | None, faults: Sequence[str]) -> list[str]:
    """How much of the space keeps within the constraints, where that is not all of it."""
    if within is None or within.accepted == within.drawn:
        return []
    share = share_in_words(within.accepted, within.drawn)
    is_there = not any(fault.startswith("constraints:") for fault in faults)
    hint = ""
    if within.accepted == 0 and is_there:
        hint = "; there are some all the same, which a search finds by going on from the nearest"
    return [f"within all constraints lies {share} of the space{hint}"]


def _check_networks(
    configurations: Sequence[Mapping[str, Value]],
    pictures: Pictures,
    prepared: PreparedSpace,
    findings: Findings,
) -> None:
    reports = candidate_costs(
        prepared.settings,
        configurations,
        in_channels=pictures.in_channels,
        image_size=pictures.image_size,
    )
    findings.checked["networks built"] = sum(report.cost is not None for report in reports)
    faults = [
        fault
        for configuration, report in zip(configurations, reports, strict=True)
        for fault in build_faults(configuration, report, prepared)
    ]
    findings.faults += _shortened(faults)


def sample_faults(configuration: Mapping[str, Value], settings: SpaceSettings) -> list[str]:
    """Why a configuration is none of the space, or does not survive being written as JSON."""
    faults = configuration_faults(configuration, settings)
    if faults:
        return faults
    read = json.loads(json.dumps(configuration))
    if read != configuration or decode(read, settings) != decode(configuration, settings):
        return ["is another configuration after a trip through JSON"]
    return []


def build_faults(
    configuration: Mapping[str, Value], report: BuildReport, prepared: PreparedSpace
) -> list[str]:
    """Why a configuration has no network, or another one than was predicted."""
    text = json.dumps(configuration)
    if report.cost is None:
        return [f"a sample cannot be built: {report.fault}; it is {text}"]
    predicted = prepared.costs.predicted(decode(configuration, prepared.settings))
    return [
        f"a sample has {built:,} {name} where {expected:,} were predicted; it is {text}"
        for name, built, expected in (
            ("parameters", report.cost.parameters, predicted.parameters),
            ("multiply-accumulates", report.cost.macs, predicted.macs),
        )
        if built != expected
    ]


def _corners(statistics: SampleStatistics) -> list[str]:
    words = [
        f"{percent(count / statistics.n)} of the samples exceed {name} and would not be trained"
        for name, count in statistics.refused_by.items()
        if count
    ]
    cells = statistics.cells
    if cells is None:
        return words
    became = {
        "had no way from input to output and became a single skip": cells.repaired,
        "lost nodes that no way led over": cells.pruned,
    }
    words += [
        f"{count:,} of {cells.n:,} proposed cells {fate}"
        for fate, count in became.items()
        if count
    ]
    return words


def _shortened(faults: Sequence[str]) -> list[str]:
    if len(faults) <= _SHOWN:
        return list(faults)
    return [*faults[:_SHOWN], f"… and {len(faults) - _SHOWN:,} more faults of samples"]
