"""The documents that `frnas space show` and `frnas space sample` print. Pure: nothing is drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from frnas_search.launch.constraints import violations
from frnas_search.launch.space_samples import SampleStatistics, is_foreseen, source_of
from frnas_search.optimizers.rarity import share_interval
from search_space.definition.decode import complete, decode, describe
from search_space.definition.families import families_in_use
from search_space.definition.hyperparameters import hyperparameters
from search_space.definition.records import (
    Choice,
    Hyperparameter,
    Range,
    condition_words,
)
from search_space.definition.space import fingerprint, size_of_discrete_part

if TYPE_CHECKING:
    from frnas_search.launch.data_preparation import Pictures
    from frnas_search.launch.space_preparation import PreparedSpace
    from frnas_search.optimizers.rarity import Effort
    from search_space.candidate import SpaceSettings, Value
    from workers.processes.candidate_costs import BuildReport

Document: TypeAlias = dict[str, Any]
SchemaName: TypeAlias = Literal["space", "space-sample", "space-check"]


def space_schema(name: SchemaName) -> Document:
    """The JSON Schema, draft 2020-12, of the document `frnas.<name>/1`."""
    path = files("frnas_search").joinpath("schemas", f"{name}-1.schema.json")
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def space_document(
    prepared: PreparedSpace,
    pictures: Pictures,
    statistics: SampleStatistics,
    *,
    run: str,
    limits: Mapping[str, float],
    within: Effort | None = None,
) -> Document:
    """The whole space, schema `frnas.space/1`.

    Args:
        prepared: A space without faults.
        pictures: What it was prepared for.
        statistics: Of a sample of it.
        run: Name in the run file.
        limits: As `constraints` in the run file.
        within: How many draws keep within the limits; None where nobody asked.
    """
    settings = prepared.settings
    parameters = hyperparameters(settings)
    n_discrete = size_of_discrete_part(settings)
    return {
        "schema": "frnas.space/1",
        "run": run,
        "preset": settings.preset,
        "sources": list(settings.sources_in_use),
        "fingerprint": fingerprint(settings),
        "pictures": _pictures(pictures),
        "size": {
            "discrete_combinations": n_discrete,
            "discrete_log10": round(math.log10(n_discrete), 3),
            "hyperparameters": len(parameters),
            "continuous_dimensions": sum(map(_is_continuous, parameters)),
        },
        "hyperparameters": _parameters(parameters, settings),
        "timm": prepared.timm,
        "families": _families(prepared),
        "left_out": [asdict(variant) for variant in prepared.left_out],
        "enqueued": len(prepared.enqueued),
        "constraints": [
            {
                "name": name,
                "limit": limit,
                "foreseen": is_foreseen(name),
                "refused_share": _share(statistics.refused_by[name], statistics.n)
                if is_foreseen(name)
                else None,
            }
            for name, limit in limits.items()
        ],
        "samples": {**_statistics(statistics), **within_record(within)},
    }


def sample_document(
    configurations: Sequence[Mapping[str, Value]],
    built: Sequence[BuildReport] | None,
    prepared: PreparedSpace,
    pictures: Pictures,
    *,
    seed: int,
    limits: Mapping[str, float],
) -> Document:
    """Configurations with what they mean and cost, schema `frnas.space-sample/1`.

    Args:
        configurations: Drawn from the space.
        built: A report for each, or None where none was built.
        prepared: A space without faults.
        pictures: What it was prepared for.
        seed: That the configurations were drawn from.
        limits: As `constraints` in the run file.
    """
    reports: Sequence[BuildReport | None] = (
        built if built is not None else [None] * len(configurations)
    )
    return {
        "schema": "frnas.space-sample/1",
        "fingerprint": fingerprint(prepared.settings),
        "pictures": _pictures(pictures),
        "seed": seed,
        "samples": [
            _sample(configuration, report, prepared, limits)
            for configuration, report in zip(configurations, reports, strict=True)
        ],
    }


def within_record(within: Effort | None) -> Document:
    """What a document says of the share of a space within the constraints; empty of none.

    Args:
        within: How many draws keep within the limits; None where nobody asked.
    """
    if within is None:
        return {}
    n, count = within.drawn, within.accepted
    low, high = (count / n,) * 2 if within.is_everything else share_interval(count, n)
    return {
        "within_constraints": {
            "draws": n,
            "count": count,
            "share": count / n,
            "share_low": low,
            "share_high": high,
        }
    }


def _sample(
    configuration: Mapping[str, Value],
    report: BuildReport | None,
    prepared: PreparedSpace,
    limits: Mapping[str, float],
) -> Document:
    settings = prepared.settings
    configuration = complete(configuration, settings)
    candidate = decode(configuration, settings)
    cost = prepared.costs.predicted(candidate)
    return {
        "description": describe(candidate),
        "source": source_of(candidate.architecture),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "exceeds": [*violations(cost, limits), *_measured_violations(report, limits)],
        "built": None if report is None else {"buildable": report.fault is None, **asdict(report)},
        "configuration": configuration,
    }


def _measured_violations(report: BuildReport | None, limits: Mapping[str, float]) -> list[str]:
    if report is None or report.cost is None:
        return []
    measured = asdict(report.cost)
    found = {name: measured.get(name.removeprefix("max_")) for name in limits}
    return [
        f"{name.removeprefix('max_')} {value:,.5g} exceeds {name} {limits[name]:,.5g}"
        for name, value in found.items()
        if value is not None and value > limits[name] and not is_foreseen(name)
    ]


def _pictures(pictures: Pictures) -> Document:
    return {
        "image_size": pictures.image_size,
        "channels": pictures.in_channels,
        "groups": list(pictures.groups or ()),
        "pack": pictures.pack,
    }


def _is_continuous(parameter: Hyperparameter) -> bool:
    return isinstance(parameter, Range) and not parameter.is_integer


def _parameters(parameters: Sequence[Hyperparameter], settings: SpaceSettings) -> list[Document]:
    own = {}
    if settings.definition:
        theirs = json.loads(settings.definition)["hyperparameters"]
        own = {parameter["name"]: parameter for parameter in theirs}
    return [_parameter(parameter, settings, own) for parameter in parameters]


def _parameter(
    parameter: Hyperparameter, settings: SpaceSettings, own: Mapping[str, Document]
) -> Document:
    prior = settings.priors.get(parameter.name)
    return {
        "name": parameter.name,
        **_values(parameter),
        "default": parameter.default,
        "condition": condition_words(parameter) or None,
        "limited": parameter.name in settings.limit,
        "prior": None if prior is None else dict(prior),
        "in_file": own.get(parameter.name) if settings.definition else None,
    }


def _values(parameter: Hyperparameter) -> Document:
    if isinstance(parameter, Choice):
        return {
            "kind": "choice",
            "choices": list(parameter.choices),
            "fixed": len(parameter.choices) == 1,
        }
    return {
        "kind": "integer" if parameter.is_integer else "float",
        "lower": parameter.lower,
        "upper": parameter.upper,
        "log": parameter.is_log,
        "fixed": False,
    }


def _families(prepared: PreparedSpace) -> list[Document]:
    backbones = prepared.costs.backbones
    return [
        {
            "family": family,
            "variants": [
                {
                    "name": name,
                    "parameters": backbones[name].parameters,
                    "macs": backbones[name].macs,
                    "drop_path": backbones[name].accepts_drop_path,
                }
                for name in names
            ],
        }
        for family, names in families_in_use(prepared.settings).items()
    ]


def _statistics(statistics: SampleStatistics) -> Document:
    cells = statistics.cells
    return {
        "n": statistics.n,
        "by_source": {
            source: _share(count, statistics.n) for source, count in statistics.by_source.items()
        },
        "refused_share": _share(statistics.refused, statistics.n),
        "cells": None
        if cells is None
        else {
            "n": cells.n,
            "repaired_share": _share(cells.repaired, cells.n),
            "pruned_share": _share(cells.pruned, cells.n),
            "distinct": cells.distinct,
        },
    }


def _share(count: int, n: int) -> float:
    return round(count / n, 6) if n else 0.0
