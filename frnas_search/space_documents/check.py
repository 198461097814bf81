"""Everything that can be wrong with a run file's space, found in one go.

A part with a fault is left out and the rest is checked without it, as far as that means anything.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from frnas_search.config.run_config import parse_run_config
from frnas_search.config.run_file import override, read_yaml
from frnas_search.errors import RunFileError
from frnas_search.launch.space_preparation import PreparedSpace, words_of
from frnas_search.launch.space_samples import (
    SampleStatistics,
    constraint_faults,
    sample_statistics,
)
from frnas_search.space_documents.request import Pictures, pictures_of, space_for
from search_space.definition.decode import complete, configuration_faults, decode
from search_space.definition.space import sample
from workers.errors import DataError
from workers.processes.candidate_costs import candidate_costs

if TYPE_CHECKING:
    from frnas_search.config.run_config import RunConfig
    from search_space.candidate import SpaceSettings, Value
    from workers.processes.candidate_costs import BuildReport

Document: TypeAlias = dict[str, Any]

SEED = 0
N_BUILT = 20
_SHOWN = 10
_MOST_PASSES = 50
# Without these the rest of a space means something else.
_ESSENTIAL = (("space",), ("space", "preset"), ("space", "sources"))
_EMBEDDED: Mapping[str, Any] = {"synthetic": {}}


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
    run_file: Path,
    overrides: tuple[str, ...],
    *,
    pictures: Pictures | None,
    n_samples: int,
    n_built: int = N_BUILT,
) -> Findings:
    """Check the run file, its space, and samples of it.

    Args:
        run_file: A YAML file.
        overrides: `a.b=c` each.
        pictures: What the operator said of them; None to look into the data.
        n_samples: Configurations to draw.
        n_built: Of these, how many are built as well.

    Raises:
        RunFileError: The file is no YAML mapping, or an override cannot be read.
    """
    findings = Findings()
    raw = override(read_yaml(run_file), overrides)
    ready = _ready(raw, pictures, findings)
    findings.checked = {"run file": 1, **findings.checked}
    if ready is None:
        findings.not_checked.append(
            f"samples of the space ({n_samples:,}) and their networks; mend what is above first"
        )
        return findings
    config, pictures, prepared = ready
    findings.corners += [words_of(each, pictures.image_size) for each in prepared.left_out]
    limits = config.constraints.limits()
    drawn = _check_samples(prepared, limits, n_samples, findings)
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


def _ready(
    raw: Mapping[str, Any], pictures: Pictures | None, findings: Findings
) -> tuple[RunConfig, Pictures, PreparedSpace] | None:
    """The space without the parts that have faults; None if too little is left."""
    dropped: list[tuple[str, ...]] = []
    for _ in range(_MOST_PASSES):
        try:
            config = parse_run_config(raw, where="")
        except RunFileError as error:
            faults = [line.removeprefix(": ") for line in str(error).splitlines()]
        else:
            pictures = pictures or _opened(config, findings)
            if pictures is None:
                return None
            prepared = space_for(config, pictures)
            faults = list(prepared.faults)
            if not faults:
                _count_space(config, prepared, findings)
                return config, pictures, prepared
        findings.faults += [_qualified(fault, dropped) for fault in faults]
        places = [_place_of(fault, raw) for fault in faults]
        if not all(places):
            return None
        dropped += places
        remaining = _without(raw, places, is_data_needed=pictures is None)
        if remaining is None:
            return None
        raw = remaining
    return None


def _opened(config: RunConfig, findings: Findings) -> Pictures | None:
    try:
        pictures = pictures_of(config.data)
    except DataError as error:
        findings.faults.append(f"data: {error}")
        return None
    findings.faults += pictures.faults
    findings.checked["pack"] = 1
    return pictures


def _count_space(config: RunConfig, prepared: PreparedSpace, findings: Findings) -> None:
    if prepared.timm is not None:
        findings.checked["timm variants"] = len(prepared.costs.backbones) + len(prepared.left_out)
    if prepared.settings.definition:
        own = json.loads(prepared.settings.definition)["hyperparameters"]
        findings.checked[f"hyperparameters of {config.space.file}"] = len(own)
    if config.search.enqueue:
        findings.checked["enqueued configurations"] = len(config.search.enqueue)


def _qualified(fault: str, dropped: Sequence[tuple[str, ...]]) -> str:
    """The fault; with a word of caution where a part that was left out may be the reason."""
    is_of_whole = fault.startswith(("search.", "space.file"))
    if is_of_whole and any(place[0] == "space" for place in dropped):
        return f"{fault} (seen without the faulty parts of space)"
    return fault


def _place_of(fault: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The deepest key, down to the third, of the place that the fault begins with; () if none."""
    words = fault.split(":")[0].split(".")
    place: tuple[str, ...] = ()
    section: Any = raw
    while words and len(place) < 3 and isinstance(section, Mapping):
        # Keys have dots of their own, such as `space.fix.dag.width`.
        ends = range(len(words), 0, -1)
        end = next((end for end in ends if ".".join(words[:end]) in section), None)
        if end is None:
            break
        key = ".".join(words[:end])
        place, section, words = (*place, key), section[key], words[end:]
    if not place and words[0] in ("name", "data"):
        return (words[0],)
    return place


def _without(
    raw: Mapping[str, Any], places: Sequence[tuple[str, ...]], *, is_data_needed: bool
) -> dict[str, Any] | None:
    """The run file without these places; None where the rest would mean something else."""
    result: dict[str, Any] = json.loads(json.dumps(raw, default=str))
    for place in places:
        if place in _ESSENTIAL or (place[0] == "data" and is_data_needed):
            return None
        section = result
        for key in place[:-1]:
            section = section.get(key, {})
        section.pop(place[-1], None)
        if place[:2] == ("space", "families") and not result["space"].get("families"):
            return None  # no families at all would be all that ship
    result.setdefault("name", "unnamed")
    if any(place[0] == "data" for place in places):
        result["data"] = _EMBEDDED
    return result


def _check_samples(
    prepared: PreparedSpace, limits: Mapping[str, float], n_samples: int, findings: Findings
) -> list[dict[str, Value]]:
    """The samples, none if one of them has a fault."""
    settings = prepared.settings
    drawn = [complete(each, settings) for each in sample(settings, n_samples, seed=SEED)]
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
    if not prepared.enqueued:
        findings.faults += constraint_faults(statistics)
    return drawn


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
        f"{count / statistics.n:.1%} of the samples exceed {name} and would not be trained"
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
