from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from frnas_search.telemetry import configure_logging, log_file, quiet_libraries


@pytest.fixture(autouse=True)
def restored_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_carry_time_level_logger_message_and_context() -> None:
    stream = io.StringIO()
    configure_logging(console=Console(file=stream), json_logs=True, stream=stream)
    logging.getLogger("frnas_search.x").warning("é %d", 3, extra={"trial_id": "t0001"})
    line = json.loads(stream.getvalue())
    assert line["message"] == "é 3"
    assert (line["level"], line["logger"], line["trial_id"]) == (
        "warning",
        "frnas_search.x",
        "t0001",
    )
    assert line["time"].endswith("Z")


def test_an_exception_is_one_line_too() -> None:
    stream = io.StringIO()
    configure_logging(console=Console(file=stream), json_logs=True, stream=stream)
    try:
        int("no")
    except ValueError:
        logging.getLogger("x").exception("it broke")
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_plain_lines_are_for_people_and_debug_lines_for_those_who_ask() -> None:
    stream = io.StringIO()
    configure_logging(console=Console(file=stream), stream=stream)
    logging.getLogger("x").debug("hidden")
    logging.getLogger("x").info("shown [not markup]")
    assert "hidden" not in stream.getvalue()
    assert stream.getvalue().endswith("INFO shown [not markup]\n")
    configure_logging(console=Console(file=stream), stream=stream, verbose=True)
    logging.getLogger("x").debug("now shown")
    assert "now shown" in stream.getvalue()


def test_libraries_are_silent_even_when_they_complain() -> None:
    stream = io.StringIO()
    configure_logging(console=Console(file=stream), stream=stream)
    logging.getLogger("distributed.core").error("a traceback nobody can use")
    assert stream.getvalue() == ""


def test_a_log_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "logs/x.jsonl"
    for message in ("one", "two"):
        handler = log_file(path)
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, message, None, None))
        handler.close()
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == [
        "one",
        "two",
    ]


def test_a_library_is_silent_also_where_a_part_of_it_has_a_level_of_its_own() -> None:
    client = logging.getLogger("distributed.client")
    client.setLevel(logging.WARNING)  # as Dask does while it is imported
    stream = io.StringIO()
    configure_logging(console=Console(file=stream), json_logs=True, stream=stream)
    quiet_libraries()
    client.error("Failed to reconnect")
    assert stream.getvalue() == ""
