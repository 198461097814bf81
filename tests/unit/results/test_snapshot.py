"""A snapshot gives the view that the fold gives, or nothing."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import results.snapshot
from results.events import (
    AttemptLost,
    Ended,
    EpochsTrained,
    Event,
    GivenUp,
    LimitsChanged,
    LoggedEvent,
    Recalled,
    Resumed,
    Retrained,
    SlotsChanged,
    StopRequested,
    Submitted,
    WarmStarted,
    WorkerJudged,
)
from results.snapshot import (
    LogMark,
    fold_version,
    kept_view,
    view_from_json,
    view_to_json,
    write_snapshot,
)
from results.trial import EarlierResult, FailureKind, TrialOutcome
from results.view import RunView, fold

MARK = LogMark(7, 123, None)


def lost(number: int, attempt: int) -> AttemptLost:
    return AttemptLost(
        outcome=TrialOutcome(
            trial_id=f"t{number:04d}",
            attempt=attempt,
            failure=FailureKind.WORKER_LOST,
            detail="the worker left",
            seconds=3.0,
        )
    )


def of_a_trial(chance: random.Random, number: int) -> Event:
    trial_id = f"t{number:04d}"
    return chance.choice(
        [
            lost(number, 1),
            GivenUp(trial_id=trial_id, reason="no worker can"),
            Submitted(trial_id=trial_id, attempt=2, worker="tcp://b"),
            EpochsTrained(
                trial_id=trial_id,
                attempt=1,
                epochs=(1, 2),
                losses=(0.5, None),
                costs={"2": {"error": 0.5}},
            ),
        ]
    )


def retrained(number: int) -> Retrained:
    outcome = TrialOutcome(trial_id=f"c{number:04d}-s1", attempt=1, costs={"error": 0.5})
    return Retrained(config_id=f"c{number:04d}", seed=1, epochs=9, outcome=outcome, model="m")


def play(run, seed: int, n_steps: int) -> list[LoggedEvent]:
    """A log of everything that can happen, in an order that can happen."""
    chance = random.Random(seed)
    run.open(max_costs={"error": 0.8} if seed % 2 else None)
    earlier = EarlierResult(
        run="a", trial_id="t1", configuration={"x": 1}, epochs=3, costs={"error": 0.1}
    )
    run.log(WarmStarted(results=(earlier,), left_out={"other data": 2}))
    open_trials: list[int] = []
    for number in range(n_steps):
        what = chance.randrange(10)
        if what < 5 or not open_trials:
            run.ask(number, config=chance.randrange(number + 1), rung=chance.randrange(3))
            open_trials.append(number)
        elif what < 8:
            told = open_trials.pop(chance.randrange(len(open_trials)))
            if chance.random() < 0.3:
                run.fail(told, chance.choice(list(FailureKind)))
            else:
                run.tell(told, chance.randrange(5) / 4, float(chance.randrange(5)))
        elif what == 8:
            run.log(of_a_trial(chance, chance.choice(open_trials)))
        else:
            run.log(
                chance.choice(
                    [
                        SlotsChanged(n_slots=chance.randrange(4)),
                        Recalled(trial_ids=(f"t{open_trials[0]:04d}",)),
                        LimitsChanged(stop={"trials": 9}),
                        StopRequested(reason="enough"),
                        Ended(state="stopped", reason="enough"),
                        Resumed(reissued=(), versions={}),
                        retrained(number),
                        WorkerJudged(worker="tcp://b", verdict="benched", reason="fails"),
                    ]
                )
            )
    # The writer's clock, which begins anew when another takes over, or none in older logs.
    elapsed = 0.0
    events = []
    for logged in run.store.read():
        elapsed = 0.0 if isinstance(logged.event, Resumed) else elapsed + chance.random()
        events.append(replace(logged, elapsed_seconds=elapsed if seed % 3 else None))
    return events


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_steps=st.integers(0, 40), share=st.floats(0, 1))
def test_a_view_that_was_kept_and_goes_on_equals_the_fold_of_the_whole_log(
    new_run, seed: int, n_steps: int, share: float
) -> None:
    events = play(new_run(), seed, n_steps)
    at = 1 + round(share * (len(events) - 1))
    by_sequence = {logged.sequence: logged for logged in events}

    text = json.dumps(view_to_json(fold(events[:at])), allow_nan=False)
    kept = view_from_json(
        json.loads(text), read=lambda sequences: [by_sequence[number] for number in sequences]
    )

    assert kept == fold(events[:at])
    for logged in events[at:]:
        kept.apply(logged)
    whole = fold(events)
    assert kept == whole
    assert kept.trials.rows == whole.trials.rows
    assert kept.trials.tallies == whole.trials.tallies
    assert list(kept.trials.open) == list(whole.trials.open)
    assert [kept.front(rung) for rung in range(3)] == [whole.front(rung) for rung in range(3)]
    assert kept.ledger.waste() == whole.ledger.waste()


@pytest.fixture
def view(run) -> RunView:
    run.trial(1, 0.5, 5.0)
    return run.view


def test_what_was_written_is_read_back(view: RunView, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.jsonl"
    write_snapshot(path, view, MARK)

    kept = kept_view(path)

    assert kept is not None
    assert kept.mark == MARK
    assert kept.view(lambda _: []).history == view.history


def test_a_snapshot_that_is_damaged_anywhere_is_none(view: RunView, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.jsonl"
    write_snapshot(path, view, MARK)
    text = path.read_bytes()

    for place in range(0, len(text), 97):
        path.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        kept = kept_view(path)
        # A number of the mark may be another one: then the log's own does not agree with it.
        assert kept is None or kept.mark != MARK, place
    for end in range(0, len(text), 61):
        path.write_bytes(text[:end])
        assert kept_view(path) is None, end


@pytest.mark.parametrize("text", [b"", b"\n\n", b"[]\n{}\n", b"{}\n{}\n", b"1\n2\n", b"\xff\n\n"])
def test_a_file_that_is_no_snapshot_is_none(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "snapshot.jsonl").write_bytes(text)

    assert kept_view(tmp_path / "snapshot.jsonl") is None
    assert kept_view(tmp_path / "missing") is None


def test_a_snapshot_of_another_code_is_none(
    view: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "snapshot.jsonl"
    write_snapshot(path, view, MARK)

    monkeypatch.setattr(results.snapshot, "fold_version", lambda: "another")
    assert kept_view(path) is None


def test_where_no_code_can_be_read_nothing_is_kept(
    view: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.snapshot, "fold_version", lambda: "")
    write_snapshot(tmp_path / "snapshot.jsonl", view, MARK)

    assert not (tmp_path / "snapshot.jsonl").exists()


def test_the_version_of_the_fold_names_what_it_computes_with() -> None:
    assert "numpy-" in fold_version()
    assert "moocore-" in fold_version()


def test_the_version_of_the_fold_is_of_every_module_that_a_fold_runs() -> None:
    folder = Path(results.snapshot.__file__).parent
    found, waiting = set(), ["view", "snapshot"]
    while waiting:
        name = waiting.pop()
        if name not in found and (folder / f"{name}.py").is_file():
            found.add(name)
            text = (folder / f"{name}.py").read_text(encoding="utf-8")
            waiting += re.findall(r"^\s*from results\.(\w+) import", text, re.MULTILINE)

    # What errors say, how a file is replaced and which metrics there are is not of a fold.
    assert found - {"errors", "atomic", "metrics"} == set(results.snapshot._FOLD)
