"""How the single values of a run file are read: numbers, names, times, hyperparameters.

YAML has its own view of what is a number, a time or text; each type here says what is accepted and
which sentence tells what is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from frnas_search.config.messages import one_line, shown

_MOST_PATH_CHARACTERS = 4096


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"is {value}; give a number")  # noqa: TRY004 - pydantic collects these
    return value


def _as_utc(value: object) -> object:
    """A time with its zone as text in UTC; YAML reads some times itself and leaves others text."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        time = None
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise ValueError(
            f"is {shown(str(value))}; give a time with its zone, such as 2026-12-01T08:00Z or "
            "2026-12-01T09:00+01:00"
        )
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _as_list(value: object) -> object:
    """A lone name is a list of one; a family without names is the shipped one."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _as_families(value: object) -> object:
    """A list of families names those that ship."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, ())
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 - pydantic collects these
            f"is {shown(value)}; give a list of families that ship, or each family with its "
            "models below it, or leave it out"
        )
    return value


def _fault_of_value(value: object) -> str | None:
    """What is wrong with a hyperparameter's value: one sentence, where pydantic has one a type."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}; give a finite number"
    if not isinstance(value, bool | int | float | str):
        return f"is {shown(value)}; give one number or one name"
    return None


def _one_value(value: object) -> object:
    if fault := _fault_of_value(value):
        raise ValueError(fault)
    return value


def _one_configuration(value: object) -> object:
    """A published name, or a mapping whose faults are all told."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 - pydantic collects these
            f"is {shown(value)}; give a name such as SMAC_301, or hyperparameters with values"
        )
    faults = [
        f"{shown(name)} is not the name of a hyperparameter"
        for name in value
        if not isinstance(name, str)
    ]
    faults += [
        f"{one_line(name)} {fault}"
        for name, inner in value.items()
        if isinstance(name, str) and (fault := _fault_of_value(inner))
    ]
    if faults:
        raise ValueError("\n".join(faults))
    return value


def _with_text_as_names(value: object) -> object:
    """Choices such as 3 or 128 are numbers in YAML, and names here."""
    if not isinstance(value, Mapping):
        return value
    return {
        str(name) if isinstance(name, int | float) and not isinstance(name, bool) else name: inner
        for name, inner in value.items()
    }


def at_most(limit: float, why: str) -> AfterValidator:
    """A bound above, beyond which a number is a slip of the hand or asks for what cannot be done.

    Args:
        limit: The largest number that is taken.
        why: What speaks against more, to end the sentence.
    """

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"is {shown(value)}; give {limit:,.0f} or less: {why}")
        return value

    return AfterValidator(check)


def _short_place(value: object) -> object:
    """A path that the operating system can take."""
    text = str(value)
    if "\0" in text:
        raise ValueError(f"is {shown(text)}; no path has a NUL in it")
    if len(text) > _MOST_PATH_CHARACTERS:
        raise ValueError(
            f"is {shown(text)}; no path is longer than {_MOST_PATH_CHARACTERS:,} characters"
        )
    return value


PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
# Not strict: YAML 1.1 reads 1e-3, which has no dot, as text.
Number = Annotated[float, BeforeValidator(_no_boolean)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
PositiveNumber = Annotated[Number, Field(gt=0)]
Scalar = Annotated[StrictBool | StrictInt | StrictFloat | StrictStr, BeforeValidator(_one_value)]
EnqueuedConfiguration = Annotated[str | dict[str, Scalar], BeforeValidator(_one_configuration)]
Weight = Annotated[Number, at_most(1e9, "only how weights compare to each other counts")]
Prior = Annotated[dict[str, Weight], BeforeValidator(_with_text_as_names)]
Place = Annotated[Path, BeforeValidator(_short_place)]
TextPlace = Annotated[str, BeforeValidator(_short_place)]
Time = Annotated[str, BeforeValidator(_as_utc)]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Families = Annotated[dict[str, Names], BeforeValidator(_as_families)]
# YAML has bytes, which would pass for text.
Text = Annotated[str, Field(strict=True)]
