"""The HTTP API over run directories on disk, in process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, FormatChecker

from frnas_search.api import create_app
from results.documents import pareto_document, status_document, trials_document
from results.events import Asked, Ended, RunOpened, Told
from results.lock import run_lock
from results.objectives import objective
from results.query import load_view
from results.run_directory import RunDirectory
from results.schema import schema
from results.sqlite_store import SqliteStore
from results.status import current_status
from results.trial import Architecture, FailureKind, TrialOutcome, TrialRequest

TIME = "2026-01-01T00:00:00Z"


def open_run(folder: Path) -> SqliteStore:
    folder.mkdir()
    store = SqliteStore.create(folder / "events.sqlite")
    opened = RunOpened(
        run=folder.name,
        objectives=tuple(objective(n, n_identities=101) for n in ("error", "rank_disparity")),
        rungs=(3, 9),
        data={"digest": "d", "split": "val", "group": "g", "groups": {"g": ["f", "m"]}},
        space={"preset": "paper", "fingerprint": "f"},
        seed=0,
        versions={},
        at=TIME,
        stop={"trials": 20},
    )
    store.append(opened, time=TIME)
    return store


def add_trial(store: SqliteStore, number: int, *costs: float, rung: int = 1) -> None:
    trial_id = f"t{number:04d}"
    request = TrialRequest(
        trial_id=trial_id,
        config_id=f"c{number:04d}",
        configuration={"head": "CosFace"},
        rung=rung,
        epochs=(3, 9)[rung],
        seed=0,
    )
    store.append(Asked(request=request), time=TIME)
    if not costs:
        outcome = TrialOutcome(trial_id=trial_id, attempt=1, failure=FailureKind.COLLAPSED)
    else:
        outcome = TrialOutcome(
            trial_id=trial_id,
            attempt=1,
            costs=dict(zip(("error", "rank_disparity"), costs, strict=True)),
            architecture=Architecture(family="dual_path", hash="a", parameters=1, macs=1),
        )
    store.append(Told(outcome=outcome), time=TIME)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def store(runs: Path) -> Iterator[SqliteStore]:
    """The run `lfw`: two points on the front, one at the lower rung, one failed."""
    runs.mkdir()
    with open_run(runs / "lfw") as store:
        add_trial(store, 1, 0.2, 5.0)
        add_trial(store, 2, 0.4, 2.0)
        add_trial(store, 3, 0.1, 1.0, rung=0)
        add_trial(store, 4)
        yield store


@pytest.fixture
def client(runs: Path) -> Iterator[TestClient]:
    with TestClient(create_app(runs)) as client:
        yield client


@pytest.fixture
def get(client: TestClient) -> Callable[..., Any]:
    """The JSON at an address, valid by the schema that it names."""

    def get(address: str, **query: Any) -> Any:
        response = client.get(address, params=query)
        assert response.status_code == 200, response.text
        document = response.json()
        name = document["schema"].removeprefix("frnas.").removesuffix("/1")
        Draft202012Validator(schema(name), format_checker=FormatChecker()).validate(document)
        return document

    return get


def test_the_documents_are_those_of_the_command_line(store, runs, get) -> None:
    view, state = load_view(RunDirectory(runs / "lfw"))

    assert get("/runs/lfw/pareto") == pareto_document(view, run="lfw", state=state)
    status = status_document(view, run="lfw", state=state, limits={"trials": 20})
    served = get("/runs/lfw/status")  # with what is so right now
    assert {name: served[name] for name in status} == status
    assert get("/runs/lfw/trials") == trials_document(view, run="lfw", state=state)


def test_runs_are_listed_with_their_state(store, runs, get) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "events.sqlite").write_bytes(b"text" * 99)

    broken, lfw = get("/runs")["runs"]

    assert (broken["name"], lfw["name"]) == ("broken", "lfw")
    assert "not an event log" in broken["error"]
    assert (lfw["state"], lfw["front_size"], lfw["error"]) == ("stopped", 2, None)


def test_a_folder_that_does_not_exist_yet_holds_no_runs(get) -> None:
    assert get("/runs")["runs"] == []


def test_the_front_follows_the_writer(store, runs, get) -> None:
    with run_lock(runs / "lfw"):
        before = get("/runs/lfw/pareto")
        add_trial(store, 5, 0.1, 1.0)
        after = get("/runs/lfw/pareto")
    store.append(Ended(state="finished", reason="done"), time=TIME)

    assert (before["state"], len(before["front"])) == ("running", 2)
    assert [entry["trial_id"] for entry in after["front"]] == ["t0005"]
    assert after["event"] == before["event"] + 2
    assert get("/runs/lfw/pareto")["state"] == "finished"


def test_the_front_can_be_asked_for_at_an_earlier_event(store, get) -> None:
    document = get("/runs/lfw/pareto", at=3)

    assert [entry["trial_id"] for entry in document["front"]] == ["t0001"]
    assert document["event"] == 3


def test_the_front_can_be_asked_for_at_another_rung_and_below_largest_costs(store, get) -> None:
    lower = get("/runs/lfw/pareto", rung=0)
    below = get("/runs/lfw/pareto", max=["error=0.3", "rank_disparity=1e1"])

    assert [entry["trial_id"] for entry in lower["front"]] == ["t0003"]
    assert [entry["trial_id"] for entry in below["front"]] == ["t0001"]


def test_only_failed_trials_can_be_asked_for(store, get) -> None:
    (trial,) = get("/runs/lfw/trials", failed=True)["trials"]

    assert (trial["trial_id"], trial["failure"]) == ("t0004", "collapsed")


@pytest.mark.parametrize("part", ["status", "pareto", "trials"])
@pytest.mark.parametrize(
    "name", ["vgg", "..", "%2e%2e", "..%2flfw", "%2e%2e%2fruns%2flfw", "lfw%2f..%2flfw", "%00"]
)
def test_names_of_no_run_are_not_found_and_lead_nowhere(
    store, client: TestClient, part: str, name: str
) -> None:
    response = client.get(f"/runs/{name}/{part}")

    assert response.status_code == 404
    assert "detail" in response.json()


def test_an_unknown_run_is_answered_in_one_sentence(store, client: TestClient) -> None:
    assert client.get("/runs/vgg/status").json() == {
        "detail": "there is no run 'vgg'; /runs lists those there are"
    }


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("at=99", "no event 99; its events are 1 to 9"),
        ("rung=5", "no rung 5"),
        ("max=accuracy=1", "no objective 'accuracy'"),
        ("max=error", "write it as OBJECTIVE=COST"),
        ("max=error=nan", "write it as OBJECTIVE=COST"),
        ("at=0", "greater than or equal to 1"),
        ("rung=-1", "greater than or equal to 0"),
        ("at=x", "valid integer"),
    ],
)
def test_values_that_cannot_be_are_refused_with_what_can(
    store, client: TestClient, query: str, message: str
) -> None:
    response = client.get(f"/runs/lfw/pareto?{query}")

    assert response.status_code == 422
    assert message in response.text


def test_a_log_that_cannot_be_read_is_unavailable_and_not_a_crash(
    runs: Path, client: TestClient
) -> None:
    (runs / "lfw").mkdir(parents=True)
    (runs / "lfw" / "events.sqlite").write_bytes(b"text" * 99)

    response = client.get("/runs/lfw/pareto")

    assert response.status_code == 503
    assert "not an event log" in response.json()["detail"]


def test_the_index_leads_to_every_address(store, client: TestClient) -> None:
    links = client.get("/").json()["links"]

    for address in links.values():
        assert client.get(address.format(run="lfw")).status_code == 200, address
    served = set(client.get("/openapi.json").json()["paths"]) - {"/"}
    assert served <= set(links.values())


def test_the_openapi_page_describes_parameters_and_documents(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    pareto = document["paths"]["/runs/{run}/pareto"]["get"]

    assert {p["name"] for p in pareto["parameters"]} == {"run", "at", "rung", "max"}
    assert all(parameter["description"] for parameter in pareto["parameters"])
    answer = pareto["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["properties"]["front"]["items"]["properties"]["seeds"]["type"] == "array"
    assert "#/$defs" not in client.get("/openapi.json").text


def test_nothing_can_be_written(store, client: TestClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/runs/lfw/pareto").status_code == 405


def test_the_api_never_loads_torch_smac_or_dask() -> None:
    script = (
        "import sys, frnas_search.api; "
        "print(sorted({'torch', 'smac', 'distributed', 'ConfigSpace'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_trials_come_in_pages_that_lead_to_each_other(store, client: TestClient, get) -> None:
    whole = get("/runs/lfw/trials")
    address, seen, n_pages = "/runs/lfw/trials?limit=3", [], 0
    while address:
        response = client.get(address)
        page = response.json()
        seen += page["trials"]
        n_pages += 1
        assert (page["total"], page["offset"]) == (4, 3 * (n_pages - 1))
        address = page.get("next")
        assert response.headers.get("link") == (f'<{address}>; rel="next"' if address else None)

    assert (seen, n_pages) == (whole["trials"], 2)
    get("/runs/lfw/trials", limit=2, offset=1)
    assert get("/runs/lfw/trials", offset=99)["trials"] == []
    assert get("/runs/lfw/trials", failed=True, limit=1)["total"] == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x"])
def test_pages_that_cannot_be_are_refused(store, client: TestClient, query: str) -> None:
    assert client.get(f"/runs/lfw/trials?{query}").status_code == 422


def test_a_page_is_a_hundred_trials_unless_told_otherwise(store, get) -> None:
    for number in range(5, 130):
        add_trial(store, number, 0.5, 5.0)

    page = get("/runs/lfw/trials")

    assert (len(page["trials"]), page["total"], page["next_offset"]) == (100, 129, 100)
    assert page["next"] == "/runs/lfw/trials?limit=100&offset=100"


def test_all_trials_come_a_line_each(store, client: TestClient, get) -> None:
    for number in range(5, 120):
        add_trial(store, number, 0.5, 5.0)
    with client.stream("GET", "/runs/lfw/trials.ndjson") as response:
        assert response.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in response.iter_lines()]

    assert len(lines) == 119
    assert lines[:100] == get("/runs/lfw/trials")["trials"]
    (failed,) = client.get("/runs/lfw/trials.ndjson?failed=true").text.splitlines()
    assert json.loads(failed)["trial_id"] == "t0004"
    assert client.get("/runs/vgg/trials.ndjson").status_code == 404


@pytest.mark.parametrize("part", ["status", "pareto", "pareto?at=3", "trials"])
def test_a_document_that_is_known_is_not_sent_again(store, client: TestClient, part: str) -> None:
    address = f"/runs/lfw/{part}"
    first = client.get(address)
    tag = first.headers["etag"]

    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get(address, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(address, headers={"If-None-Match": '"other"'}).json() == first.json()
    add_trial(store, 5, 0.1, 1.0)
    changed = client.get(address, headers={"If-None-Match": tag})
    assert changed.status_code == (304 if "at" in part.split("?")[-1] and "?" in part else 200)


def test_an_earlier_event_of_another_log_in_the_same_place_is_anothers(
    store, runs: Path, client: TestClient, get
) -> None:
    before = get("/runs/lfw/pareto", at=3)
    store.close()
    for path in (runs / "lfw").glob("events.sqlite*"):
        path.unlink()
    with open_run(runs / "other") as other:
        add_trial(other, 1, 0.9, 9.0)
        add_trial(other, 2, 0.9, 9.0)
    (runs / "other" / "events.sqlite").rename(runs / "lfw" / "events.sqlite")

    assert get("/runs/lfw/pareto", at=3)["front"] != before["front"]


def test_whether_the_service_is_up_is_answered_while_all_its_threads_are_at_work(
    store, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any, **named: Any) -> Any:
        asked.set()
        assert go_on.wait(30)
        return current_status(*arguments, **named)

    monkeypatch.setattr("frnas_search.api.current_status", slow)
    with TestClient(create_app(runs)) as client:
        waiting = [
            threading.Thread(target=client.get, args=("/runs/lfw/status",)) for _ in range(20)
        ]
        for thread in waiting:
            thread.start()
        assert asked.wait(30)
        try:
            assert client.get("/healthz").json() == {"status": "ok"}
        finally:
            go_on.set()
            for thread in waiting:
                thread.join()
