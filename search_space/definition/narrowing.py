"""What is wrong with how settings narrow a space: `fix`, `limit` and `priors`. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from search_space.definition.bounds import LARGEST_PRIOR
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
from search_space.definition.soundness import judged_parts, undecided_names, widened
from search_space.definition.suggestions import suggestion
from search_space.fault import Fault, is_at

if TYPE_CHECKING:
    from search_space.candidate import SpaceSettings, Value
    from search_space.fault import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """What may be narrowed.

    Attributes:
        words: The space, as a sentence calls it.
        known: Hyperparameters by name.
        fixed: Names that `fix` names, rightly or not.
    """

    words: str
    known: Mapping[str, Hyperparameter]
    fixed: frozenset[str]

    def no_such(self, name: str) -> str:
        return f"is not a hyperparameter of {self.words}; {suggestion(name, self.known)}"


def narrowing_faults(
    settings: SpaceSettings, broken: Collection[KeyPath], *, undecided: tuple[str, ...] = ()
) -> list[Fault]:
    """Every reason why `fix`, `limit` and `priors` do not narrow the space.

    Args:
        settings: As the run file says.
        broken: Places with a fault that is told already; what hangs on them is not judged.
        undecided: Beginnings of names of hyperparameters that are not judged either.
    """
    wide = widened(settings, broken)
    undecided += undecided_names(broken)
    settings = replace(settings, **judged_parts(settings, broken, undecided))
    space = _Space(
        words=_words(settings, broken),
        known={parameter.name: parameter for parameter in unrestricted(wide)},
        fixed=frozenset(settings.fix) | {path[2] for path in broken if _is_of_fix(path)},
    )
    narrowed = _narrowed(settings, wide, space)
    left = {parameter.name: parameter for parameter in hyperparameters(narrowed)}
    return [
        *_fix_faults(settings, space),
        *_limit_faults(settings, space),
        *_prior_faults(settings, space, left),
        *_unreachable_faults(settings, space, left),
    ]


def _words(settings: SpaceSettings, broken: Collection[KeyPath]) -> str:
    if is_at(("space", "preset"), broken):
        return "any space"
    return f"this {settings.preset} space"


def repetitions(names: Iterable[Any]) -> list[str]:
    """A message for each name that is there more than once."""
    return [
        f"names {name} {times} times; name it once"
        for name, times in Counter(names).items()
        if times > 1
    ]


def _is_of_fix(path: KeyPath) -> bool:
    return path[:2] == ("space", "fix") and len(path) > 2


def _fix_faults(settings: SpaceSettings, space: _Space) -> list[Fault]:
    faults = []
    for name, value in settings.fix.items():
        parameter = space.known.get(name)
        if parameter is None:
            faults.append(_fault("fix", name, space.no_such(name)))
        elif not accepts(parameter, canonical_value(parameter, value)):
            faults.append(_fault("fix", name, f"{value!r} is not {accepted(parameter)}"))
    return faults


def _limit_faults(settings: SpaceSettings, space: _Space) -> list[Fault]:
    return [
        _fault("limit", name, message)
        for name, values in settings.limit.items()
        for message in _messages_of_limit(name, values, space)
    ]


def _messages_of_limit(name: str, values: Sequence[Value], space: _Space) -> list[str]:
    parameter = space.known.get(name)
    if parameter is None:
        return [space.no_such(name)]
    if name in space.fixed:
        return ["is fixed by space.fix as well; give one of the two"]
    if fault := _fault_of_values(parameter, values):
        return [fault]
    return repetitions(values)


def _fault_of_values(parameter: Hyperparameter, values: Sequence[Value]) -> str | None:
    """Why the values are neither bounds nor choices of the hyperparameter."""
    if isinstance(parameter, Range) and len(values) != 2:
        return f"{list(values)} is not a lower and an upper bound"
    if isinstance(parameter, Choice) and not values:
        return "leaves no choice; name one or more"
    outside = [value for value in values if not _takes(parameter, value)]
    if outside:
        shown = ", ".join(repr(value) for value in outside)
        return f"{shown} is not {accepted(parameter)}"
    if isinstance(parameter, Range) and not _is_below(float(values[0]), float(values[1])):
        return (
            f"the lower bound {values[0]} is not below the upper bound {values[1]}; "
            "to have one value, use space.fix"
        )
    return None


def _prior_faults(
    settings: SpaceSettings, space: _Space, left: Mapping[str, Hyperparameter]
) -> list[Fault]:
    """Of a hyperparameter that `limit` narrows, what is left must fit the prior."""
    faults = []
    for name, prior in settings.priors.items():
        parameter = space.known.get(name)
        if parameter is None:
            faults.append(_fault("priors", name, space.no_such(name)))
        elif name in space.fixed:
            faults.append(_fault("priors", name, "is fixed by space.fix; leave the prior out"))
        elif isinstance(parameter, Choice):
            messages = _messages_of_weights(parameter, prior, left.get(name, parameter))
            faults += [_fault("priors", name, message) for message in messages]
        else:
            narrower = left.get(name)
            bounds = narrower if isinstance(narrower, Range) else parameter
            faults += _center_faults(name, bounds, prior)
    return faults


def _messages_of_weights(
    parameter: Choice, prior: Mapping[str, float], left: Hyperparameter
) -> list[str]:
    choices = {str(choice) for choice in parameter.choices}
    unknown = [name for name in prior if name not in choices]
    messages = [f"{name!r} is not {accepted(parameter)}" for name in unknown]
    bad = [name for name, weight in prior.items() if not _is_number(weight, 0.0, LARGEST_PRIOR)]
    messages += [
        f"the weight of {name} is {prior[name]}; give 0 to {LARGEST_PRIOR:g}" for name in bad
    ]
    weights = [prior.get(str(choice), 1.0) for choice in values_of(left)]
    if not bad and not any(weights):
        messages.append("all weights are 0; leave one above it")
    return messages


def _center_faults(name: str, parameter: Range, prior: Mapping[str, float]) -> list[Fault]:
    if set(prior) != {"center", "spread"}:
        found = ", ".join(prior) or "nothing"
        return [_fault("priors", name, f"give `center` and `spread`, it has {found}")]
    faults = []
    if not accepts(parameter, prior["center"]):
        message = f"{prior['center']} is not {accepted(parameter)}"
        faults.append(_fault("priors", name, "center", message))
    smallest = 1.0 if parameter.is_log else 0.0
    if not (_is_number(prior["spread"], smallest, LARGEST_PRIOR) and prior["spread"] > smallest):
        kind = "a factor" if parameter.is_log else "a standard deviation"
        message = f"{prior['spread']} is not {kind} above {smallest:g}, at most {LARGEST_PRIOR:g}"
        faults.append(_fault("priors", name, "spread", message))
    return faults


def _narrowed(settings: SpaceSettings, wide: SpaceSettings, space: _Space) -> SpaceSettings:
    """The wide settings with what of `fix` and `limit` has no fault."""
    known = space.known
    return replace(
        wide,
        fix={
            name: value
            for name, value in settings.fix.items()
            if name in known and _takes(known[name], value)
        },
        limit={
            name: values
            for name, values in settings.limit.items()
            if not _messages_of_limit(name, values, space)
        },
    )


def _unreachable_faults(
    settings: SpaceSettings, space: _Space, left: Mapping[str, Hyperparameter]
) -> list[Fault]:
    """What is fixed, limited or given a prior although nothing left can activate it."""
    return [
        _fault(
            part,
            name,
            "never counts, because nothing that is left gives "
            f"{condition_words(space.known[name])}; leave it out",
        )
        for part in ("fix", "limit", "priors")
        for name in getattr(settings, part)
        if name in space.known and name not in left
    ]


def _takes(parameter: Hyperparameter, value: Value) -> bool:
    return accepts(parameter, canonical_value(parameter, value))


def _fault(*path_and_message: str) -> Fault:
    """A fault of a part of the space: its keys, then the message."""
    *path, message = path_and_message
    return Fault(("space", *path), message)


def _is_below(lower: float, upper: float) -> bool:
    """Whether so much that a sampler in log space can tell the two apart."""
    return lower < upper and not math.isclose(lower, upper, rel_tol=1e-9)


def _is_number(value: float, lower: float, upper: float) -> bool:
    return math.isfinite(value) and lower <= value <= upper
