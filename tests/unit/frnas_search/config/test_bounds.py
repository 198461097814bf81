"""Whatever number, text or nesting stands in a run file: a sentence and no traceback."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from frnas_search.config.reading import parse_run_file, without_past_deadline
from frnas_search.config.run_file import load_run_config, read_run_file, to_yaml
from frnas_search.errors import RunFileError
from tests.places import REPOSITORY

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
HUGE = 10**400
# What no place of a run file takes.
NUMBERS = (1e30, 10**30, HUGE, -HUGE, math.nan, math.inf, -math.inf)
OTHERS = (0, -1, 10**9, "", None, [], {}, "x" * 100_000, "1e400", "a\0b", b"x", [[]] * 3, {"a": 1})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if above:
        yield above
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in [*items, *(enumerate(value) if isinstance(value, list) else ())]:
        yield from places(inner, (*above, key))


def with_value(raw: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(raw)
    section = changed
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    return changed


def whole(path: Path) -> dict[str, Any]:
    """The run file with every key, and a number wherever there can be one."""
    raw: dict[str, Any] = yaml.safe_load(to_yaml(load_run_config(path)))
    raw["stop"].update(epochs=9, gpu_hours=1.0, wall_hours=1.0, plateau=3)
    raw["space"].update(limit={"lr_adam": [1e-4, 1e-2]}, priors={"lr_sgd": {"center": 0.1}})
    raw["constraints"].update(max_cost={"error": 0.5}, max_macs=1e9, max_parameters=1e7)
    raw["search"].update(enqueue=[{"lr_sgd": 0.1}])
    raw["training"].update(scale=8.0, margin=0.3, threads=1, memory_gb=1.0, timeout_seconds=9.0)
    raw["workers"].update(checkpoint_gb=1.0)
    return raw


def told(raw: dict[str, Any]) -> list[str]:
    found = parse_run_file(raw, where="f").found
    return [str(line) for line in str(found.refusal(found.faults)).splitlines()]


def test_there_are_configs() -> None:
    assert len(CONFIGS) == 3


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_place_of_a_run_file_takes_an_enormous_number(path: Path) -> None:
    raw = whole(path)
    for number, place in enumerate(places(raw)):
        lines = told(with_value(raw, place, NUMBERS[number % len(NUMBERS)]))
        named = ".".join(map(str, place))
        assert any(named.startswith(line.split(": ")[1]) for line in lines), (place, lines)
        assert max(map(len, lines)) < 2100


def test_whatever_else_stands_there_is_taken_or_told() -> None:
    raw = whole(CONFIGS[0])
    others = (*OTHERS, nested(200))
    for number, place in enumerate(places(raw)):
        for value in others[number % 3 :: 3]:
            assert all(len(line) < 2100 for line in told(with_value(raw, place, value)))


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("workers.local", 100_000, "is 100000; give 1,024 or less: each is a process with a core"),
        ("evaluation.n_replicates", 10**9, "is 1000000000; give 100,000 or less: every trial "),
        ("evaluation.n_permutations", 10**6, "give 100,000 or less"),
        ("stop.trials", 10**8, "give 10,000,000 or less: no search runs more trials"),
        ("stop.wall_hours", 1e7, "give 1,000,000 or less: that is more than a century"),
        ("training.batch_size", 10**8, "give 1,000,000 or less: no memory holds so many"),
        ("training.threads", 10**5, "give 4,096 or less: no machine has as many cores"),
        ("space.embedding_size", 10**187, "no number of a run file is above 10^18"),
        ("fidelity.eta", 10**7, "give 1,000,000 or less"),
        ("data.pack", "a\0b", r"is 'a\x00b'; no path has a NUL in it"),
        ("space.file", "a" * 5000, "no path is longer than 4,096 characters"),
        ("workers.scheduler", "tcp://" + "a" * 5000, "no path is longer than"),
    ],
)
def test_a_bound_says_what_it_is_and_why(place: str, value: Any, sentence: str) -> None:
    raw: dict[str, Any] = {"name": "x", "data": {"synthetic": {}}}
    section, key = place.split(".")
    raw[section] = {key: value}
    (line,) = told(raw)
    assert line.startswith(f"f: {place}: ")
    assert sentence in line


def test_a_file_without_an_end_is_read_no_further_than_run_files_go() -> None:
    with pytest.raises(RunFileError, match="holds more than 2,000,000 bytes"):
        read_run_file(Path("/dev/zero"))


def test_aliases_of_aliases_are_not_written_out(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))
    with pytest.raises(RunFileError, match=r"more than 200,000 values, with aliases written out"):
        read_run_file(path)


@pytest.mark.parametrize(
    "text",
    ["name: " + "[" * 3000, "name: " + "{a: " * 3000, f"0x{'f' * 9000}: 1"],
    ids=["list", "mapping", "key"],
)
def test_endless_nesting_and_keys_are_not_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(RunFileError, match="not YAML; "):
        read_run_file(path)


def test_a_deadline_that_has_passed_is_told_with_the_other_faults() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    raw = {
        "name": "x",
        "data": {"synthetic": {}},
        "seed": -1,
        "stop": {"deadline": "2026-05-31T23:59Z"},
    }
    found = parse_run_file(raw, where="f")
    late = without_past_deadline(found, now=now)
    assert [str(fault) for fault in late.found.faults][1:] == [
        "stop.deadline: 2026-05-31T23:59:00Z has passed, so nothing would be trained; give a "
        "later one, or null"
    ]
    assert ("stop", "deadline") in late.unknown
    assert without_past_deadline(found, now=now - timedelta(days=1)) is found
