"""Every reason why settings describe no space, found at once. Plain records, no library."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from search_space.candidate import (
    SOURCES,
    TUNABLES,
    DagSettings,
    Preset,
    SpaceSettings,
    Value,
)
from search_space.cell import JOINS, LARGEST_CELL, OPERATIONS, SMALLEST_CELL, TAILS
from search_space.definition.families import SHIPPED_FAMILIES, families_in_use
from search_space.definition.hyperparameters import hyperparameters, unrestricted
from search_space.definition.records import (
    Choice,
    Hyperparameter,
    Range,
    accepted,
    accepts,
    canonical_value,
    condition_words,
    values_of,
)

# The grouped edge of the cell has 50 groups at width 1: this is one group.
SMALLEST_WIDTH = 0.02
LARGEST_WIDTH = 4.0
MOST_BLOCKS_PER_STAGE = 8
SMALLEST_EMBEDDING = 8
LARGEST_EMBEDDING = 16_384
# Of a weight or a spread: what is above overflows, and is no different in effect.
LARGEST_PRIOR = 1e9


def space_faults(settings: SpaceSettings) -> list[str]:
    """Every reason why the settings describe no space: one sentence each, the field first.

    Whether timm knows the variants and can build them is not seen here, and neither is what a
    space of the user's own says (see `space.definition_faults`).
    """
    faults = [
        *_preset_faults(settings),
        *_size_faults(settings),
        *_dag_faults(settings),
        *_family_faults(settings),
    ]
    # Names and values can be checked against a space that is there; so what is broken is left out.
    sound = _without_broken_parts(settings)
    known = {parameter.name: parameter for parameter in unrestricted(sound)}
    narrowed = _narrowed(settings, sound, known)
    left = {parameter.name: parameter for parameter in hyperparameters(narrowed)}
    return [
        *faults,
        *_fix_faults(settings, known),
        *_limit_faults(settings, known),
        *_prior_faults(settings, known, left),
        *_unreachable_faults(settings, known, left),
    ]


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, or where to look."""
    close = near_names(name, known)
    return f"did you mean {' or '.join(close)}?" if close else "`frnas space show` lists them"


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that are close to the name, case aside, the closest first."""
    by_lower_case = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), list(by_lower_case), n=3)
    return [by_lower_case[each] for each in near]


def _preset_faults(settings: SpaceSettings) -> list[str]:
    faults = []
    if settings.preset not in get_args(Preset):
        known = ", ".join(get_args(Preset))
        faults.append(f"space.preset: {settings.preset!r} is not known; choose from {known}")
    faults += _unknown("space.sources", settings.sources, SOURCES)
    faults += _unknown("space.tune", settings.tune or (), TUNABLES)
    faults += _twice("space.sources", settings.sources)
    faults += _twice("space.tune", settings.tune or ())
    if settings.sources and settings.preset != "joint":
        faults.append(
            f"space.sources: counts only with preset joint, and this is {settings.preset}; "
            "leave it out"
        )
    if settings.tune and settings.preset == "paper":
        faults.append(
            "space.tune: the paper preset is the published space and tunes nothing else; "
            "use preset dual_path"
        )
    return faults


def _size_faults(settings: SpaceSettings) -> list[str]:
    faults = []
    if not _is_number(settings.width, SMALLEST_WIDTH, LARGEST_WIDTH):
        faults.append(
            f"space.width: {settings.width} is outside {SMALLEST_WIDTH} to {LARGEST_WIDTH:g}; "
            "below it no channels are left, above it no network fits in memory"
        )
    if not _is_number(settings.blocks_per_stage, 1, MOST_BLOCKS_PER_STAGE):
        faults.append(
            f"space.blocks_per_stage: {settings.blocks_per_stage} is outside 1 to "
            f"{MOST_BLOCKS_PER_STAGE}"
        )
    if not _is_number(settings.embedding_size, SMALLEST_EMBEDDING, LARGEST_EMBEDDING):
        faults.append(
            f"space.embedding_size: {settings.embedding_size} is outside {SMALLEST_EMBEDDING} to "
            f"{LARGEST_EMBEDDING}"
        )
    return faults


def _dag_faults(settings: SpaceSettings) -> list[str]:
    dag = settings.dag
    if "dag" not in _with_known_sources(settings).sources_in_use:
        return []
    faults = [
        *_unknown("space.dag.operations", dag.operations, OPERATIONS),
        *_unknown("space.dag.joins", dag.joins, JOINS),
        *_unknown("space.dag.tails", dag.tails, TAILS),
    ]
    for name in ("joins", "tails", "widths"):
        if not getattr(dag, name):
            faults.append(f"space.dag.{name}: is empty; give one or more, or leave it out")
    for name in ("operations", "joins", "tails", "widths"):
        faults += _twice(f"space.dag.{name}", getattr(dag, name))
    return [*faults, *_dag_size_faults(settings)]


def _dag_size_faults(settings: SpaceSettings) -> list[str]:
    dag, faults = settings.dag, []
    if not SMALLEST_CELL <= dag.nodes <= LARGEST_CELL:
        faults.append(
            f"space.dag.nodes: {dag.nodes} is outside {SMALLEST_CELL} to {LARGEST_CELL}; "
            "input and output count"
        )
    if _is_number(settings.width, SMALLEST_WIDTH, LARGEST_WIDTH):
        faults += [
            f"space.dag.widths: {width} times space.width {settings.width} is outside "
            f"{SMALLEST_WIDTH} to {LARGEST_WIDTH:g}"
            for width in dag.widths
            if not _is_number(width * settings.width, SMALLEST_WIDTH, LARGEST_WIDTH)
        ]
    if not 1 <= dag.blocks[0] <= dag.blocks[1] <= MOST_BLOCKS_PER_STAGE:
        faults.append(
            f"space.dag.blocks: {list(dag.blocks)} is not the smallest and the largest number of "
            f"blocks in a stage, from 1 to {MOST_BLOCKS_PER_STAGE}"
        )
    return faults


def _family_faults(settings: SpaceSettings) -> list[str]:
    faults = []
    for family, variants in families_in_use(_with_known_sources(settings)).items():
        field = f"space.families.{family}"
        if not family:
            faults.append("space.families: a family has an empty name; name it")
        if not variants:
            faults.append(
                f"{field}: has no variants; name at least one timm model below it, or a family "
                f"that ships: {', '.join(SHIPPED_FAMILIES)}"
            )
        faults += _twice(field, variants)
    return faults


def _fix_faults(settings: SpaceSettings, known: Mapping[str, Hyperparameter]) -> list[str]:
    faults = []
    for name, value in settings.fix.items():
        parameter = known.get(name)
        if parameter is None:
            faults.append(f"space.fix.{name}: {_no_such(settings, name, known)}")
        elif not accepts(parameter, canonical_value(parameter, value)):
            faults.append(f"space.fix.{name}: {value!r} is not {accepted(parameter)}")
    return faults


def _limit_faults(settings: SpaceSettings, known: Mapping[str, Hyperparameter]) -> list[str]:
    faults = []
    for name in settings.limit:
        if name in known:
            faults += _limit_faults_of(name, settings, known[name])
        else:
            faults.append(f"space.limit.{name}: {_no_such(settings, name, known)}")
    return faults


def _limit_faults_of(name: str, settings: SpaceSettings, parameter: Hyperparameter) -> list[str]:
    field, values = f"space.limit.{name}", settings.limit[name]
    if name in settings.fix:
        return [f"{field}: is fixed by space.fix as well; give one of the two"]
    if isinstance(parameter, Range) and len(values) != 2:
        return [f"{field}: {list(values)} is not a lower and an upper bound"]
    if isinstance(parameter, Choice) and not values:
        return [f"{field}: leaves no choice; name one or more"]
    outside = [each for each in values if not accepts(parameter, canonical_value(parameter, each))]
    if outside:
        shown = ", ".join(repr(each) for each in outside)
        return [f"{field}: {shown} is not {accepted(parameter)}"]
    if isinstance(parameter, Range) and not _is_below(float(values[0]), float(values[1])):
        return [
            f"{field}: the lower bound {values[0]} is not below the upper bound {values[1]}; "
            "to have one value, use space.fix"
        ]
    return _twice(field, values)


def _prior_faults(
    settings: SpaceSettings,
    known: Mapping[str, Hyperparameter],
    left: Mapping[str, Hyperparameter],
) -> list[str]:
    """Of a hyperparameter that `limit` narrows, what is left must fit the prior."""
    faults = []
    for name, prior in settings.priors.items():
        field = f"space.priors.{name}"
        parameter = known.get(name)
        if parameter is None:
            faults.append(f"{field}: {_no_such(settings, name, known)}")
        elif name in settings.fix:
            faults.append(f"{field}: is fixed by space.fix; leave the prior out")
        elif isinstance(parameter, Choice):
            faults += _weight_faults(field, parameter, prior, left.get(name, parameter))
        else:
            narrower = left.get(name)
            bounds = narrower if isinstance(narrower, Range) else parameter
            faults += _center_faults(field, bounds, prior)
    return faults


def _weight_faults(
    field: str, parameter: Choice, prior: Mapping[str, float], left: Hyperparameter
) -> list[str]:
    choices = {str(choice) for choice in parameter.choices}
    unknown = [name for name in prior if name not in choices]
    faults = [f"{field}: {name!r} is not {accepted(parameter)}" for name in unknown]
    bad = [name for name, weight in prior.items() if not _is_number(weight, 0.0, LARGEST_PRIOR)]
    faults += [
        f"{field}: the weight of {name} is {prior[name]}; give 0 to {LARGEST_PRIOR:g}"
        for name in bad
    ]
    weights = [prior.get(str(choice), 1.0) for choice in values_of(left)]
    if not bad and not any(weights):
        faults.append(f"{field}: all weights are 0; leave one above it")
    return faults


def _center_faults(field: str, parameter: Range, prior: Mapping[str, float]) -> list[str]:
    if set(prior) != {"center", "spread"}:
        return [f"{field}: give `center` and `spread`, it has {', '.join(prior) or 'nothing'}"]
    faults = []
    if not accepts(parameter, prior["center"]):
        faults.append(f"{field}.center: {prior['center']} is not {accepted(parameter)}")
    smallest = 1.0 if parameter.is_log else 0.0
    if not (_is_number(prior["spread"], smallest, LARGEST_PRIOR) and prior["spread"] > smallest):
        kind = "a factor" if parameter.is_log else "a standard deviation"
        faults.append(
            f"{field}.spread: {prior['spread']} is not {kind} above {smallest:g}, "
            f"at most {LARGEST_PRIOR:g}"
        )
    return faults


def _narrowed(
    settings: SpaceSettings, sound: SpaceSettings, known: Mapping[str, Hyperparameter]
) -> SpaceSettings:
    """The sound settings with what of `fix` and `limit` has no fault."""
    return replace(
        sound,
        fix=_accepted_only(settings.fix, known),
        limit={
            name: values
            for name, values in settings.limit.items()
            if name in known and not _limit_faults_of(name, settings, known[name])
        },
    )


def _unreachable_faults(
    settings: SpaceSettings,
    known: Mapping[str, Hyperparameter],
    left: Mapping[str, Hyperparameter],
) -> list[str]:
    """What is fixed, limited or given a prior although nothing left can activate it."""
    return [
        f"space.{part}.{name}: never counts, because nothing that is left gives "
        f"{condition_words(known[name])}; leave it out"
        for part in ("fix", "limit", "priors")
        for name in getattr(settings, part)
        if name in known and name not in left
    ]


def _accepted_only(
    values: Mapping[str, Value], known: Mapping[str, Hyperparameter]
) -> dict[str, Value]:
    return {
        name: value
        for name, value in values.items()
        if name in known and accepts(known[name], canonical_value(known[name], value))
    }


def _without_broken_parts(settings: SpaceSettings) -> SpaceSettings:
    """The settings with each broken part as if it had been left out; nothing restricted."""
    settings = _with_known_sources(settings)
    families = {
        name: tuple(dict.fromkeys(variants))
        for name, variants in families_in_use(settings).items()
        if variants
    }
    return replace(
        settings,
        tune=None if settings.tune is None else tuple(t for t in settings.tune if t in TUNABLES),
        dag=DagSettings() if _dag_faults(settings) else settings.dag,
        families=families,
        fix={},
        limit={},
        priors={},
        definition="",
    )


def _with_known_sources(settings: SpaceSettings) -> SpaceSettings:
    preset: Preset = settings.preset if settings.preset in get_args(Preset) else "joint"
    sources = tuple(each for each in settings.sources if each in SOURCES)
    return replace(settings, preset=preset, sources=sources)


def _no_such(settings: SpaceSettings, name: str, known: Iterable[str]) -> str:
    return f"is not a hyperparameter of this {settings.preset} space; {suggestion(name, known)}"


def _unknown(field: str, names: Iterable[str], known: Sequence[str]) -> list[str]:
    return [
        f"{field}: {name!r} is not known; choose from {', '.join(known)}"
        for name in names
        if name not in known
    ]


def _twice(field: str, names: Iterable[Any]) -> list[str]:
    return [
        f"{field}: names {name} {times} times; name it once"
        for name, times in Counter(names).items()
        if times > 1
    ]


def _is_below(lower: float, upper: float) -> bool:
    """Whether so much that a sampler in log space can tell the two apart."""
    return lower < upper and not math.isclose(lower, upper, rel_tol=1e-9)


def _is_number(value: float, lower: float, upper: float) -> bool:
    return math.isfinite(value) and lower <= value <= upper
