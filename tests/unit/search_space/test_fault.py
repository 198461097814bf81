from __future__ import annotations

import pytest

from search_space.fault import Fault, is_at


def test_a_fault_is_told_as_its_place_and_what_is_wrong() -> None:
    fault = Fault(("space", "fix", "dag.width"), "is not a number")
    assert str(fault) == "space.fix.dag.width: is not a number"
    assert str(Fault((), "is empty")) == "the file: is empty"
    assert str(Fault(("a\n b",), "unknown key")) == "a b: unknown key"


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        (("space", "fix"), True),
        (("space", "fix", "dag.width"), True),
        (("space", "fix", "dag.width", "0"), True),
        (("space",), True),
        (("space", "fix", "dag"), False),
        (("space", "fixed"), False),
        (("data",), False),
    ],
)
def test_a_place_is_met_from_above_and_from_below(path: tuple[str, ...], is_there: bool) -> None:
    assert is_at(path, {("space", "fix", "dag.width")}) is is_there
    assert not is_at(path, set())
