from __future__ import annotations

import itertools
import json
import logging

import pytest
from rich.console import Console

from frnas_search.cli.progress import LogWatcher, display, summary
from frnas_search.coordinator.executor import Attendance
from frnas_search.coordinator.limits import Limits
from frnas_search.telemetry import JsonFormatter
from results.remaining import fraction_done, seconds_left
from tests.unit.frnas_search.conftest import SearchBuilder, fail, proposal

NOW = "2026-01-01T00:00:00Z"
ATTENDANCE = Attendance(n_workers=3, n_busy=2)


def lines_of(search: SearchBuilder, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    search.coordinator.watchers = (LogWatcher("test", clock=itertools.count(0, 7).__next__),)
    with caplog.at_level(logging.INFO, logger="frnas_search.cli.progress"):
        search.coordinator.run()
    return caplog.records


def test_every_trial_is_told_with_its_costs_and_place_on_the_front(
    new_search: type[SearchBuilder], caplog: pytest.LogCaptureFixture
) -> None:
    records = lines_of(new_search([proposal(1), proposal(2, 0)]), caplog)
    messages = [record.message for record in records]
    assert (
        "t0001 c0001 at 9 epochs: error 0.899  rank_disparity 0.101  in 10.0 s  on the front"
        in messages
    )
    assert "t0002 c0002 at 1 epochs: error 0.898  rank_disparity 0.102  in 10.0 s" in messages
    assert "finished: the space holds nothing more to propose" in messages


def test_a_failure_is_told_with_its_kind_and_reason(
    new_search: type[SearchBuilder], caplog: pytest.LogCaptureFixture
) -> None:
    records = lines_of(new_search([proposal(1)], run_job=fail), caplog)
    failed = [r for r in records if "failed: collapsed, so it is" in r.message]
    assert len(failed) == 1
    line = json.loads(JsonFormatter().format(failed[0]))
    assert (line["run"], line["trial_id"], line["config_id"], line["event"]) == (
        "test",
        "t0001",
        "c0001",
        5,
    )
    assert line["level"] == "info"


def test_progress_is_summed_up_once_a_minute(
    new_search: type[SearchBuilder], caplog: pytest.LogCaptureFixture
) -> None:
    search = new_search([proposal(i) for i in range(20)])
    messages = [record.message for record in lines_of(search, caplog)]
    sums = [message for message in messages if " workers, time left " in message]
    assert 1 <= len(sums) <= 3
    assert sums[0].startswith("8 done, 1 running, 0 failed, 72 epochs, best error 0.89")


def test_the_display_shows_everything_that_was_promised(new_search: type[SearchBuilder]) -> None:
    search = new_search([proposal(1)], limits=Limits(trials=1))
    search.coordinator.run()
    console = Console(width=100, file=None, record=True, force_terminal=False)
    waiting = Attendance(n_workers=0, n_busy=0, waiting_for="no workers yet")
    with console.capture() as capture:
        console.print(display("test", search.coordinator.view, waiting))
    text = capture.get()
    for words in (
        "search test",
        "1 done",
        "0 running",
        "0 failed",
        "epochs",
        "best error",
        "0.899",
        "1 points",
        "hypervolume",
        "0 (0 busy)",
        "time left",
        "waiting: no workers yet",
        "ending: 1 trials are done",
    ):
        assert words in text


def test_time_left_follows_the_limit_that_comes_first(new_search: type[SearchBuilder]) -> None:
    view = new_search([proposal(1), proposal(2)], limits=Limits(trials=2)).coordinator.view
    assert seconds_left(view, NOW) is None, "nothing is done yet"
    view.limits = {"trials": None, "plateau": 3}
    assert fraction_done(view, NOW) is None
    assert seconds_left(view, NOW) is None
    search = new_search([proposal(1), proposal(2)])
    search.coordinator.run()
    view = search.coordinator.view
    view.limits = {"trials": 8, "epochs": 36, "gpu_hours": None}
    view.wall_seconds = 100.0
    assert fraction_done(view, NOW) == pytest.approx(0.5)
    assert seconds_left(view, NOW) == pytest.approx(100.0)
    assert "time left 1 min 40 s" in summary(view, ATTENDANCE)
    view.limits = {"trials": 1}
    assert fraction_done(view, NOW) == 1.0


def test_the_time_to_a_deadline_is_a_share_like_any_other(new_search: type[SearchBuilder]) -> None:
    view = new_search([proposal(1)]).coordinator.view
    quarter = "2026-01-01T00:15:00Z"
    view.limits = {"deadline": "2026-01-01T01:00:00Z"}
    assert fraction_done(view, quarter) == 0.25
    view.limits = {"deadline": "2025-01-01T01:00:00Z"}
    assert fraction_done(view, quarter) == 1.0
