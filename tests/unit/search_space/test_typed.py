from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from search_space.candidate import SpaceSettings
from search_space.typed import shown, type_faults


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    number: float = 1.0
    count: int = 1
    switch: bool = True
    text: str = ""
    choice: Literal["a", "b"] = "a"
    perhaps: int | None = None
    names: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    table: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    anything: Any = None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"number": 3},
        {"perhaps": 3},
        {"names": ("a", "b"), "table": {"x": (1, 2.5)}},
        {"anything": [object()]},
    ],
)
def test_what_is_declared_is_in_order(values: dict[str, Any]) -> None:
    assert type_faults(Outer(**values)) == []
    assert type_faults(SpaceSettings()) == []


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"number": "1"}, "number is '1', which it cannot be"),
        ({"number": True}, "number is True, which it cannot be"),
        ({"number": float("nan")}, "number is nan, which it cannot be"),
        ({"number": 10**400}, "number is a huge number, which it cannot be"),
        ({"count": 1.0}, "count is 1.0, which it cannot be"),
        ({"count": False}, "count is False, which it cannot be"),
        ({"count": -(10**400)}, "count is a huge number, which it cannot be"),
        ({"switch": 1}, "switch is 1, which it cannot be"),
        ({"text": None}, "text is None, which it cannot be"),
        ({"choice": "c"}, "choice is 'c', not one of a, b"),
        ({"choice": ["a"]}, "choice is ['a'], not one of a, b"),
        ({"perhaps": "x"}, "perhaps is 'x', which it cannot be"),
        ({"names": ["a"]}, "names is ['a'], which it cannot be"),
        ({"names": ("a", 2)}, "names.1 is 2, which it cannot be"),
        ({"pair": (1,)}, "pair has 1 entries, not 2"),
        ({"pair": (1, "2")}, "pair.1 is '2', which it cannot be"),
        ({"table": []}, "table is [], which it cannot be"),
        ({"table": {"x": (None,)}}, "table.x.0 is None, which it cannot be"),
        ({"table": {3: ()}}, "table: a key is 3, which it cannot be"),
        ({"inner": {"size": 1}}, "inner is {'size': 1}, which it cannot be"),
        ({"inner": Inner(size="1")}, "inner.size is '1', which it cannot be"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_is_named_with_its_place(values: dict[str, Any], fault: str) -> None:
    assert type_faults(Outer(**values)) == [fault]


def test_every_fault_is_told() -> None:
    outer = Outer(count="x", inner=Inner(size=None), text=1)  # type: ignore[arg-type]
    assert [fault.split(" ")[0] for fault in type_faults(outer)] == ["count", "text", "inner.size"]


def test_what_is_shown_of_a_value_is_short() -> None:
    assert shown("x" * 1000) == "'" + "x" * 59 + "…"
    assert shown(10**5000) == "a huge number"
