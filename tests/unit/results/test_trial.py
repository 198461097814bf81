from __future__ import annotations

import json
import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.trial import (
    Configuration,
    Origin,
    TrialRequest,
    configuration_key,
    request_from_json,
    request_to_json,
)

configurations = st.dictionaries(
    st.text(max_size=4),
    st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    max_size=5,
)


@given(configurations, st.integers(0, 99))
def test_the_order_of_hyperparameters_changes_no_key(
    configuration: Configuration, seed: int
) -> None:
    items = list(configuration.items())
    random.Random(seed).shuffle(items)
    assert configuration_key(dict(items)) == configuration_key(configuration)
    assert {configuration_key(configuration)} == {configuration_key(dict(items))}


@given(configurations, configurations)
def test_keys_are_equal_when_configurations_are(one: Configuration, other: Configuration) -> None:
    assert (configuration_key(one) == configuration_key(other)) == (dict(one) == dict(other))


def test_the_key_of_what_came_back_from_a_log_is_the_same() -> None:
    configuration = {"lr": 0.1 + 0.2, "depth": 3, "head": "CosFace", "is_wide": True}
    again = json.loads(json.dumps(configuration))
    assert configuration_key(again) == configuration_key(configuration)


@pytest.mark.parametrize("origin", get_args(Origin))
def test_a_request_keeps_why_it_was_proposed(origin: Origin) -> None:
    request = TrialRequest(
        trial_id="t1",
        config_id="c1",
        configuration={"head": "CosFace"},
        rung=0,
        epochs=1,
        seed=0,
        origin=origin,
    )
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request


def test_a_request_of_a_log_from_before_it_was_kept_says_nothing_of_it() -> None:
    written = {
        "trial_id": "t1",
        "config_id": "c1",
        "configuration": {"head": "CosFace"},
        "rung": 0,
        "epochs": 1,
        "seed": 0,
        "attempt": 2,
    }
    request = request_from_json(written)
    assert (request.origin, request.attempt) == ("", 2)
