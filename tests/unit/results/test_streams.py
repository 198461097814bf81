from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.streams import json_lines, json_pieces

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    head=st.dictionaries(st.text(min_size=1), values, min_size=1, max_size=3),
    items=st.lists(values, max_size=4),
    indent=st.sampled_from([None, 1, 2, 4]),
)
def test_the_pieces_are_what_json_writes(head, items, indent) -> None:
    head.pop("items", None)
    head["schema"] = "x"
    separators = (",", ":") if indent is None else None
    whole = json.dumps(
        {**head, "items": items}, indent=indent, ensure_ascii=False, separators=separators
    )

    assert "".join(json_pieces(head, "items", items, indent=indent)) == whole


def test_long_lists_come_in_pieces_that_are_made_when_they_are_wanted() -> None:
    made = []

    def items():
        for number in range(1000):
            made.append(number)
            yield "x" * 1000

    pieces = json_pieces({"a": 1}, "items", items())
    first = next(pieces)

    assert 60_000 < len(first) < 80_000
    assert len(made) < 100
    assert len(json.loads(first + "".join(pieces))["items"]) == 1000


def test_lines_are_one_object_each() -> None:
    text = "".join(json_lines([{"a": "x\ny"}, {"b": 2}]))

    assert [json.loads(line) for line in text.splitlines()] == [{"a": "x\ny"}, {"b": 2}]
    assert text.endswith("\n")
    assert "".join(json_lines([])) == ""


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        "".join(json_pieces({"a": 1}, "items", [float("nan")]))
