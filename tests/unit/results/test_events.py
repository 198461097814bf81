from __future__ import annotations

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.errors import LogError
from results.events import (
    _DECODERS,
    _KIND_OF,
    Asked,
    AttemptLost,
    Ended,
    Event,
    LimitsChanged,
    Recalled,
    Resumed,
    Retrained,
    RunOpened,
    SlotsChanged,
    StopRequested,
    Submitted,
    Told,
    WarmStarted,
    event_from_json,
    event_to_json,
    storable,
)
from results.objectives import Objective
from results.trial import (
    Architecture,
    EarlierResult,
    FailureKind,
    Origin,
    TrialOutcome,
    TrialRequest,
)

words = st.text(max_size=8)
counts = st.integers(0, 2**40)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | counts | finite | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(words, json_values, max_size=3)
names = st.dictionaries(words, words, max_size=3)
objectives = st.builds(
    Objective,
    name=words,
    unit=words,
    reference=finite,
    bound=finite,
    scale=st.sampled_from(["linear", "log"]),
)
requests = st.builds(
    TrialRequest,
    trial_id=words,
    config_id=words,
    configuration=st.dictionaries(words, st.booleans() | counts | finite | words, max_size=3),
    rung=counts,
    epochs=counts,
    seed=counts,
    attempt=counts,
    origin=st.sampled_from(get_args(Origin)),
)
outcomes = st.builds(
    TrialOutcome,
    trial_id=words,
    attempt=counts,
    costs=st.dictionaries(words, finite, max_size=3),
    interval95=st.dictionaries(words, st.tuples(finite, finite), max_size=3),
    metrics=mappings,
    architecture=st.none()
    | st.builds(Architecture, family=words, hash=words, parameters=counts, macs=counts),
    seconds=finite,
    epochs_trained=counts,
    checkpoint=st.none() | words,
) | st.builds(
    TrialOutcome,
    trial_id=words,
    attempt=counts,
    failure=st.sampled_from(FailureKind),
    detail=words,
)
earlier_results = st.builds(
    EarlierResult,
    run=words,
    trial_id=words,
    configuration=st.dictionaries(words, st.booleans() | counts | finite | words, max_size=3),
    epochs=counts,
    costs=st.dictionaries(words, finite, max_size=3),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        RunOpened,
        run=words,
        objectives=st.lists(objectives, max_size=3).map(tuple),
        rungs=st.lists(counts, max_size=3).map(tuple),
        data=mappings,
        space=mappings,
        seed=counts,
        versions=names,
        at=words,
        stop=mappings,
        max_costs=st.dictionaries(words, finite, max_size=3),
    ),
    st.builds(
        WarmStarted,
        results=st.lists(earlier_results, max_size=3).map(tuple),
        left_out=st.dictionaries(words, counts, max_size=3),
    ),
    st.builds(Asked, request=requests),
    st.builds(Submitted, trial_id=words, attempt=counts, worker=words),
    st.builds(Told, outcome=outcomes),
    st.builds(Resumed, reissued=st.lists(words, max_size=3).map(tuple), versions=names),
    st.builds(LimitsChanged, stop=mappings),
    st.builds(StopRequested, reason=words),
    st.builds(Ended, state=st.sampled_from(["finished", "stopped", "failed"]), reason=words),
    st.builds(AttemptLost, outcome=outcomes),
    st.builds(Recalled, trial_ids=st.lists(words, max_size=3).map(tuple)),
    st.builds(SlotsChanged, n_slots=counts),
    st.builds(
        Retrained,
        config_id=words,
        seed=counts,
        epochs=counts,
        outcome=outcomes,
        model=st.none() | words,
    ),
)


@given(event=events)
def test_an_event_is_the_same_after_a_trip_through_json_text(event: Event) -> None:
    text = json.dumps(event_to_json(event), allow_nan=False)

    assert event_from_json(json.loads(text)) == event


def test_every_event_has_its_own_kind_and_a_decoder() -> None:
    assert set(_KIND_OF) == set(get_args(Event))
    assert sorted(_KIND_OF.values()) == sorted(_DECODERS)


def test_the_kinds_on_disk_do_not_change() -> None:
    assert sorted(_DECODERS) == [
        "asked",
        "attempt_lost",
        "ended",
        "epochs_trained",
        "given_up",
        "limits_changed",
        "recalled",
        "resumed",
        "retrained",
        "run_opened",
        "slots_changed",
        "stop_requested",
        "submitted",
        "told",
        "warm_started",
        "worker_judged",
    ]


def test_metrics_that_are_not_finite_become_null_and_such_intervals_are_left_out() -> None:
    outcome = TrialOutcome(
        trial_id="t0001",
        attempt=1,
        costs={"error": 0.5},
        interval95={"error": (0.4, math.inf), "disparity": (0.1, 0.2)},
        metrics={"ratio": {"f": math.nan, "m": [1.0, -math.inf]}, "name": "x", "n": 3},
    )

    clean = storable(outcome)

    assert clean.metrics == {"ratio": {"f": None, "m": [1.0, None]}, "name": "x", "n": 3}
    assert clean.interval95 == {"disparity": (0.1, 0.2)}
    assert clean.costs == {"error": 0.5}
    json.dumps(event_to_json(Told(outcome=outcome)), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "from_the_future", "payload": {}}, "newer frnas"),
        ({"payload": {}}, "unknown event kind None"),
        ({"kind": "asked", "payload": {}}, "'asked' has a wrong payload"),
        ({"kind": "submitted", "payload": {"trial": 1}}, "'submitted' has a wrong payload"),
        ({"kind": "told", "payload": {"outcome": {"trial_id": "t1", "attempt": 1}}}, "either"),
    ],
)
def test_json_that_is_no_event_is_refused_with_its_reason(
    value: dict[str, Any], message: str
) -> None:
    with pytest.raises(LogError, match=message):
        event_from_json(value)


def test_a_log_from_before_there_were_largest_costs_is_still_read(run) -> None:
    written = event_to_json(run.view.opened)
    del written["payload"]["max_costs"]
    opened = event_from_json(written)
    assert opened == run.view.opened
    assert isinstance(opened, RunOpened)
    assert opened.max_costs == {}
