from __future__ import annotations

import json
from pathlib import Path

import pytest

from results.atomic import (
    TEMPORARY_NAME,
    replacing,
    write_bytes_atomically,
    write_json_atomically,
    write_text_atomically,
)


def test_a_written_file_holds_exactly_what_was_given(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "bytes", b"\x00\r\n")
    write_text_atomically(tmp_path / "text", "é\r\n")
    write_json_atomically(tmp_path / "value.json", {"name": "é", "numbers": [1, 0.5]})

    assert (tmp_path / "bytes").read_bytes() == b"\x00\r\n"
    assert (tmp_path / "text").read_bytes() == "é\r\n".encode()
    assert json.loads((tmp_path / "value.json").read_text()) == {"name": "é", "numbers": [1, 0.5]}


def test_writing_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    write_text_atomically(path, "old")
    write_text_atomically(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_a_fault_while_writing_keeps_the_old_file_and_removes_the_temporary_one(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    path = tmp_path / "front.json"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise fault

    with pytest.raises(fault):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_target_is_untouched_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    path.write_text("old")

    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent

    assert path.read_text() == "new"


def test_the_temporary_file_keeps_the_suffix_for_writers_that_look_at_it(tmp_path: Path) -> None:
    with replacing(tmp_path / "plot.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"")


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "never"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_without_a_finite_number_is_refused_and_nothing_is_written(
    tmp_path: Path, number: float
) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomically(tmp_path / "value.json", {"error": number})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["plot.png", "x", ".hidden", "epochs-0003+000120.pt", "a\nb.c"])
def test_the_temporary_file_has_a_name_of_its_kind(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name) as temporary:
        assert TEMPORARY_NAME.fullmatch(temporary.name)
        assert not TEMPORARY_NAME.fullmatch(name)
        temporary.write_bytes(b"")
