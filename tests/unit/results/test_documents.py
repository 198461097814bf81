from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

import results.documents
from results.documents import (
    Page,
    importance_document,
    pareto_csv,
    pareto_document,
    runs_document,
    status_document,
    trial_listing,
    trials_document,
)
from results.errors import SelectionError
from results.events import AttemptLost, RunOpened, Told
from results.importance import importances
from results.objectives import objective
from results.schema import schema
from results.trial import FailureKind, TrialOutcome, outcome_from_json, outcome_to_json
from results.view import RunView


def check(document: dict[str, Any]) -> dict[str, Any]:
    """The document after a trip through JSON text, valid by the schema that it names."""
    read_back = json.loads(json.dumps(document, allow_nan=False))
    assert read_back == document
    name = document["schema"].removeprefix("frnas.").removesuffix("/1")
    Draft202012Validator(schema(name), format_checker=FormatChecker()).validate(read_back)
    return document


def pareto(view: RunView, **options: Any) -> dict[str, Any]:
    return check(pareto_document(view, run="lfw", state="running", **options))


@pytest.fixture
def busy(run):
    """Two points on the front, one dominated, one failed, one running, one at a lower rung."""
    run.trial(1, 0.4, 2.0)
    run.trial(2, 0.2, 5.0)
    run.trial(3, 0.5, 6.0)
    run.trial(4, 0.6, 1.5, config=1, rung=0)
    run.ask(5)
    run.fail(5)
    run.ask(6, rung=1)
    return run


def test_the_front_is_printed_with_everything_that_the_schema_promises(busy) -> None:
    document = pareto(busy.view)

    assert list(document) == [
        "schema",
        "run",
        "state",
        "updated",
        "event",
        "objectives",
        "max_costs",
        "hypervolume",
        "trials",
        "data",
        "space",
        "front",
    ]
    assert document["event"] == 18
    assert document["updated"] == "2026-01-01T00:00:17Z"
    assert document["trials"] == {"finished": 4, "failed": 1, "running": 1, "lost": 0}
    assert document["data"] == {
        "digest": "dddddddd",
        "split": "val",
        "groups": {"gender": ["f", "m"]},
    }
    assert document["space"] == {"preset": "paper", "fingerprint": "ffffffff"}
    assert document["objectives"] == [
        {"name": "error", "unit": "fraction", "direction": "min", "reference": 1.0},
        {"name": "rank_disparity", "unit": "ranks", "direction": "min", "reference": 10.0},
    ]
    # Boxes from (0.2, 5) and (0.4, 2) to the reference (1, 10).
    assert document["hypervolume"] == pytest.approx(0.8 * 5 + 0.6 * 3)


def test_an_entry_of_the_front_carries_its_provenance(busy) -> None:
    first, second = pareto(busy.view)["front"]

    assert (first["trial_id"], second["trial_id"]) == ("t0002", "t0001")
    assert second == {
        "config_id": "c0001",
        "trial_id": "t0001",
        "epochs": 27,
        "rung": 2,
        "seeds": [0],
        "costs": {"error": 0.4, "rank_disparity": 2.0},
        "interval95": {"error": [pytest.approx(0.36), pytest.approx(0.44)]},
        "metrics": {"error": {"f": 0.2, "m": 0.1}},
        "configuration": {"head": "CosFace", "lr_sgd": 0.1, "edge1": 3},
        "architecture": {
            "family": "dual_path",
            "hash": "abc",
            "parameters": 1000,
            "macs": 2000,
            "activation_bytes": 0,
        },
        "gpu_seconds": 20.0,  # both trials of c0001
        "checkpoint": "checkpoints/c0001/last.pt",
    }


def test_the_front_of_a_lower_rung_has_its_own_volume(busy) -> None:
    document = pareto(busy.view, rung=0)

    assert [entry["trial_id"] for entry in document["front"]] == ["t0004"]
    assert document["front"][0]["epochs"] == 3
    assert document["hypervolume"] == pytest.approx(0.4 * 8.5)


def test_the_front_names_the_largest_costs_that_the_run_wants(new_run, busy) -> None:
    assert pareto(busy.view)["max_costs"] == {}
    run = new_run().open(max_costs={"error": 0.3})
    run.trial(1, 0.4, 2.0)
    run.trial(2, 0.2, 5.0)
    document = pareto(run.view)
    assert document["max_costs"] == {"error": 0.3}
    assert [entry["trial_id"] for entry in document["front"]] == ["t0002"]
    assert document["hypervolume"] == pytest.approx(0.8 * 5.0)


def test_largest_costs_hide_entries_and_leave_the_volume(busy) -> None:
    document = pareto(busy.view, max_costs={"error": 0.3})

    assert [entry["trial_id"] for entry in document["front"]] == ["t0002"]
    assert document["hypervolume"] == pareto(busy.view)["hypervolume"]
    assert len(pareto(busy.view, max_costs={"error": 0.4})["front"]) == 2
    assert pareto(busy.view, max_costs={"error": 0.3, "rank_disparity": 4.0})["front"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rung": 3}, r"no rung 3; its rungs are 0 \(3 epochs\), 1 \(9 epochs\), 2 \(27"),
        ({"rung": -1}, "no rung -1"),
        ({"max_costs": {"accuracy": 1}}, "no objective 'accuracy'; .* error, rank_disparity"),
    ],
)
def test_what_the_run_does_not_have_is_answered_with_what_it_has(
    busy, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        pareto(busy.view, **options)


def test_a_run_that_has_just_started_has_valid_documents(run) -> None:
    assert pareto(run.view)["front"] == []
    status = check(status_document(run.view, run="lfw", state="running", limits={}))
    assert status["best"] == {"error": None, "rank_disparity": None}
    assert status["rungs"][2] == {
        "rung": 2,
        "epochs": 27,
        "finished": 0,
        "failed": 0,
        "running": 0,
        "best": {"error": None, "rank_disparity": None},
    }
    assert check(trials_document(run.view, run="lfw"))["trials"] == []


def test_groups_given_as_plain_labels_belong_to_the_group_column(new_run) -> None:
    run = new_run()
    run.log(
        RunOpened(
            run="lfw",
            objectives=(objective("error", n_identities=5),),
            rungs=(1,),
            data={"digest": "d", "split": "val", "group": "age", "groups": ("old", "young")},
            space={"preset": "paper", "fingerprint": "f"},
            seed=0,
            versions={},
            at="2026-01-01T00:00:00Z",
        )
    )

    assert pareto(run.view)["data"]["groups"] == {"age": ["old", "young"]}


def test_the_status_tells_how_far_the_run_is(busy) -> None:
    status = check(
        status_document(
            busy.view, run="lfw", state="running", limits={"trials": 20, "epochs": None}
        )
    )

    assert status["trials"] == {"finished": 4, "failed": 1, "running": 1, "lost": 0}
    assert status["epochs_spent"] == 4 * 6 + 3
    assert status["gpu_seconds"] == 45.0
    assert status["wall_seconds"] == 17.0
    assert status["front_size"] == 2
    assert status["failures"] == {"collapsed": 1}
    assert status["best"]["error"] == {"cost": 0.2, "config_id": "c0002", "trial_id": "t0002"}
    assert [(r["finished"], r["failed"], r["running"]) for r in status["rungs"]] == [
        (1, 0, 0),
        (0, 0, 1),
        (3, 1, 0),
    ]
    assert status["rungs"][0]["best"] == {"error": 0.6, "rank_disparity": 1.5}
    assert status["started"] == "2026-01-01T00:00:00Z"
    assert status["last_event"] == {
        "event": 18,
        "kind": "submitted",
        "time": "2026-01-01T00:00:17Z",
    }
    assert status["limits"] == {"trials": 20, "epochs": None}


def test_the_trials_are_listed_with_their_costs_or_their_failure(busy) -> None:
    trials = check(trials_document(busy.view, run="lfw", state="running"))["trials"]

    assert [(trial["trial_id"], trial["state"]) for trial in trials] == [
        ("t0001", "finished"),
        ("t0002", "finished"),
        ("t0003", "finished"),
        ("t0004", "finished"),
        ("t0005", "failed"),
        ("t0006", "running"),
    ]
    assert trials[0]["costs"] == {"error": 0.4, "rank_disparity": 2.0}
    assert trials[4] == {
        "trial_id": "t0005",
        "config_id": "c0005",
        "configuration": {"head": "CosFace", "lr_sgd": 0.1, "edge1": 3},
        "rung": 2,
        "epochs": 27,
        "seed": 0,
        "origin": "model",
        "state": "failed",
        "attempts": 1,
        "worker": "",
        "asked": "2026-01-01T00:00:13Z",
        "told": "2026-01-01T00:00:15Z",
        "costs": None,
        "failure": "collapsed",
        "detail": "all embeddings are equal",
        "seconds": 5.0,
        "epochs_trained": 3,
        "device": "",
        "log": [],
        "losses": [],
    }


def test_only_the_failed_trials_can_be_asked_for(busy) -> None:
    document = check(trials_document(busy.view, run="lfw", failed_only=True))

    assert [trial["trial_id"] for trial in document["trials"]] == ["t0005"]


def test_nothing_runs_in_a_run_that_stopped(busy) -> None:
    front = check(pareto_document(busy.view, run="lfw", state="stopped"))
    status = check(status_document(busy.view, run="lfw", state="stopped", limits={}))
    trials = check(trials_document(busy.view, run="lfw", state="stopped"))

    assert front["trials"] == {"finished": 4, "failed": 1, "running": 0, "lost": 0}
    assert [rung["running"] for rung in status["rungs"]] == [0, 0, 0]
    assert trials["trials"][-1]["state"] == "interrupted"


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_is_in_the_schemas(run, kind: FailureKind) -> None:
    run.ask(1)
    run.fail(1, kind)

    check(status_document(run.view, run="lfw", state="running", limits={}))
    check(trials_document(run.view, run="lfw"))


def test_runs_are_listed_with_those_that_cannot_be_read() -> None:
    good = {
        "name": "lfw",
        "state": "running",
        "updated": "2026-01-01T00:00:00Z",
        "front_size": 2,
        "hypervolume": 1.5,
        "error": None,
    }
    broken = dict.fromkeys(good) | {"name": "vgg", "error": "it is damaged"}

    assert check(runs_document([good, broken]))["runs"] == [good, broken]


def test_the_csv_holds_the_front_with_one_column_for_each_value(busy) -> None:
    rows = list(csv.DictReader(io.StringIO(pareto_csv(pareto(busy.view)))))

    assert [row["trial_id"] for row in rows] == ["t0002", "t0001"]
    assert rows[1] == {
        "config_id": "c0001",
        "trial_id": "t0001",
        "rung": "2",
        "epochs": "27",
        "gpu_seconds": "20.0",
        "error": "0.4",
        "error_low": rows[1]["error_low"],
        "error_high": rows[1]["error_high"],
        "rank_disparity": "2.0",
        "rank_disparity_low": "",
        "rank_disparity_high": "",
        "configuration.edge1": "3",
        "configuration.head": "CosFace",
        "configuration.lr_sgd": "0.1",
    }
    assert float(rows[1]["error_low"]) == pytest.approx(0.36)
    assert float(rows[1]["error_high"]) == pytest.approx(0.44)


def test_the_csv_of_an_empty_front_is_a_header(run) -> None:
    assert len(pareto_csv(pareto(run.view)).splitlines()) == 1


@pytest.mark.parametrize("name", ["pareto", "status", "trials", "runs", "retrained", "importance"])
def test_the_schemas_are_valid_and_name_what_they_are_for(name: Any) -> None:
    document = schema(name)

    Draft202012Validator.check_schema(document)
    assert document["properties"]["schema"] == {"const": f"frnas.{name}/1"}
    assert document["title"] == f"frnas.{name}/1"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every object in a JSON value whose shape is fixed."""
    free = {"metrics", "configuration", "costs", "interval95", "groups", "limits", "max_costs"}
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, dict | list) and key not in free:
            found += places(each, (*path, key))
    return found


def test_the_schema_of_the_front_is_strict_everywhere_the_shape_is_fixed(busy) -> None:
    document = pareto(busy.view)
    paths = places(document)
    assert len(paths) >= 9

    for path in paths:
        changed: Any = copy.deepcopy(document)
        place = changed
        for key in path:
            place = place[key]
        place["surprise"] = 1
        with pytest.raises(ValidationError):
            check(changed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("updated", "2026-01-01 00:00"),
        ("updated", "2026-01-01T00:00:00+00:00"),
        ("state", "paused"),
        ("event", 0),
        ("hypervolume", None),
        ("schema", "frnas.pareto/2"),
    ],
)
def test_the_schema_of_the_front_refuses_wrong_values(busy, field: str, value: Any) -> None:
    document = pareto(busy.view)
    validator = Draft202012Validator(schema("pareto"), format_checker=FormatChecker())

    assert not validator.is_valid(document | {field: value})


def test_a_failed_trial_has_its_log_and_the_attempts_that_were_lost_before(run) -> None:
    run.ask(1)
    lost = TrialOutcome(
        trial_id="t0001",
        attempt=1,
        failure=FailureKind.DATA_ERROR,
        detail="no pack",
        seconds=2.0,
        worker="tcp://a",
        log=("WARNING a disk is gone",),
    )
    run.log(AttemptLost(outcome=lost))
    last = replace(lost, attempt=2, failure=FailureKind.CRASHED, worker="tcp://b", log=("x",))
    run.log(Told(outcome=last))
    document = check(trials_document(run.view, run="lfw", failed_only=True))
    (trial,) = document["trials"]
    assert (trial["log"], trial["worker"], trial["attempts"]) == (["x"], "tcp://b", 2)
    assert trial["losses"] == [
        {
            "attempt": 1,
            "failure": "data_error",
            "detail": "no pack",
            "worker": "tcp://a",
            "seconds": 2.0,
            "log": ["WARNING a disk is gone"],
        }
    ]


def test_an_outcome_of_an_older_log_has_no_lines() -> None:
    value = outcome_to_json(
        TrialOutcome(trial_id="t", attempt=1, failure=FailureKind.CRASHED, log=("a", "b"))
    )
    assert outcome_from_json(value).log == ("a", "b")
    del value["log"]
    assert outcome_from_json(value).log == ()


def test_the_status_tells_what_the_time_of_slots_went_into_and_how_the_front_grew(busy) -> None:
    status = check(status_document(busy.view, run="lfw", state="running", limits={"trials": 20}))
    assert status["slot_seconds"]["useful"] + status["slot_seconds"]["repeated"] == 40.0
    assert status["slot_seconds"]["failed"] == 5.0
    assert status["slot_seconds"]["waiting"] is None, "the log tells of no slots"
    assert status["lost_epochs"] == 0
    points = status["progress"]
    assert points[-1]["hypervolume"] == status["hypervolume"]
    assert points[-1]["epochs_spent"] == status["epochs_spent"]
    fronts = [point["front"] for point in points]
    assert len(fronts[-1]) == status["front_size"]
    assert all(before != after for before, after in itertools.pairwise(fronts[:-1]))


def test_the_importance_is_a_document(run) -> None:
    for number in range(20):
        run.trial(number, 0.01 * number, 1.0 + number % 3)
    found = importances(run.view, seed=5)
    document = check(importance_document(found, run.view, run="lfw", seed=5))
    assert [each["name"] for each in document["objectives"]] == ["error", "rank_disparity"]
    assert (document["trials"], document["seed"]) == (20, 5)


MANY = (
    "error",
    "rank_disparity",
    "log_rank_disparity",
    "disparity",
    "worst_group_error",
    "ratio",
    "rank_ratio",
    "error_ratio",
    "accuracy_std",
    "min_max_gap",
)


@pytest.fixture
def many(new_run):
    """Thirty points of a front in ten objectives, and as many of a lower rung."""
    run = new_run().open(objectives=MANY)
    objectives = run.view.objectives
    chance = random.Random(0)
    for number in range(60):
        run.ask(number, rung=number % 2 + 1)
        row = [abs(chance.gauss(0.0, 1.0)) for _ in objectives]
        length = math.sqrt(sum(value**2 for value in row))
        costs = {o.name: o.reference * v / length for o, v in zip(objectives, row, strict=True)}
        outcome = TrialOutcome(trial_id=f"t{number:04d}", attempt=1, costs=costs)
        run.log(Told(outcome=outcome))
    return run


def test_an_estimated_volume_has_its_error_in_the_documents_and_an_exact_one_none(
    many, busy
) -> None:
    view = many.view
    front, status = pareto(view), status_of(view)
    lower = pareto(view, rung=1)

    assert front["hypervolume_error"] == status["hypervolume_error"] == view.hypervolume_error
    for document in (front, lower):
        assert 0.0 < document["hypervolume_error"] < 0.1 * document["hypervolume"]
    assert "hypervolume_error" not in pareto(busy.view)
    assert "hypervolume_error" not in status_of(busy.view)


def status_of(view: RunView) -> dict[str, Any]:
    return check(status_document(view, run="lfw", state="running", limits={}))


def test_progress_of_long_fronts_leaves_points_out_and_says_so(
    many, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = status_of(many.view)
    monkeypatch.setattr(results.documents, "_MOST_IDS", 60)
    short = status_of(many.view)

    kept, left_out = short["progress"], short["progress_left_out"]
    assert "progress_left_out" not in whole
    assert len(kept) + left_out == len(whole["progress"]) == 30
    assert kept[0] == whole["progress"][0]
    assert kept[-1] == whole["progress"][-1]
    assert all(point in whole["progress"] for point in kept)
    assert sum(len(point["front"]) for point in kept) <= 60 + len(kept[-1]["front"])


def test_a_page_of_trials_is_a_part_of_the_whole(busy) -> None:
    whole = check(trials_document(busy.view, run="lfw"))
    assert (whole["total"], whole["offset"], whole["next_offset"]) == (6, 0, None)

    for offset, limit, following in ((0, 4, 4), (4, 4, None), (1, 1, 2), (9, 2, None)):
        page = check(trials_document(busy.view, run="lfw", page=Page(offset=offset, limit=limit)))
        assert page["trials"] == whole["trials"][offset : offset + limit]
        assert (page["total"], page["next_offset"]) == (6, following)
    failed = trials_document(busy.view, run="lfw", failed_only=True, page=Page(limit=1))
    assert (failed["total"], failed["next_offset"]) == (1, None)


def test_a_listing_is_of_the_event_that_it_names_whatever_is_applied_later(busy) -> None:
    view = busy.view
    listing = trial_listing(view, run="lfw", page=Page(limit=3))
    before = listing.document()
    busy.trial(7, 0.1, 0.1)
    for logged in busy.store.read(after=view.last_sequence):
        view.apply(logged)

    assert listing.document() == before
