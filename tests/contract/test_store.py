"""What every event store keeps, whether it is a file or lives in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from results.events import Ended, LoggedEvent, StopRequested, Submitted, Told
from results.sqlite_store import SqliteStore
from results.store import EventStore, InMemoryStore
from results.trial import TrialOutcome

TIME = "2026-01-01T00:00:00Z"


def sqlite_store(folder: Path) -> SqliteStore:
    return SqliteStore.create(folder / "events.sqlite")


def in_memory_store(folder: Path) -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture(params=[in_memory_store, sqlite_store])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    make: Callable[[Path], EventStore] = request.param
    made = make(tmp_path)
    yield made
    made.close()


def test_a_new_store_is_empty(store: EventStore) -> None:
    assert store.read() == []


def test_sequences_start_at_one_and_rise_by_one(store: EventStore) -> None:
    assert [store.append(StopRequested(reason=str(i)), time=TIME) for i in range(3)] == [1, 2, 3]


def test_events_read_back_in_order_with_their_times(store: EventStore) -> None:
    outcome = TrialOutcome(
        trial_id="t0001",
        attempt=1,
        costs={"error": 0.1 + 0.2},
        interval95={"error": (0.1, 0.5)},
        metrics={"group": {"é": [1, None, True]}},
    )
    events = [Submitted(trial_id="t0001", attempt=1), Told(outcome=outcome)]
    for minute, event in enumerate(events):
        store.append(event, time=f"2026-01-01T00:0{minute}:00Z")

    assert store.read() == [
        LoggedEvent(sequence=1, time="2026-01-01T00:00:00Z", event=events[0]),
        LoggedEvent(sequence=2, time="2026-01-01T00:01:00Z", event=events[1]),
    ]


@pytest.mark.parametrize(
    ("after", "up_to", "sequences"),
    [
        (0, None, [1, 2, 3, 4]),
        (2, None, [3, 4]),
        (0, 2, [1, 2]),
        (1, 3, [2, 3]),
        (4, None, []),
        (9, None, []),
        (0, 0, []),
        (0, 9, [1, 2, 3, 4]),
        (3, 2, []),
    ],
)
def test_a_part_of_the_log_is_read_by_sequence(
    store: EventStore, after: int, up_to: int | None, sequences: list[int]
) -> None:
    for i in range(4):
        store.append(StopRequested(reason=str(i)), time=TIME)

    part = store.read(after=after, up_to=up_to)

    assert [logged.sequence for logged in part] == sequences


def test_what_was_read_is_not_changed_by_later_events(store: EventStore) -> None:
    store.append(StopRequested(reason="a"), time=TIME)
    before = store.read()
    store.append(Ended(state="stopped", reason="a"), time=TIME)

    assert [logged.sequence for logged in before] == [1]
    assert store.read()[:1] == before


def test_threads_of_one_process_may_append_and_none_gets_anothers_sequence(
    store: EventStore,
) -> None:
    told: dict[int, str] = {}

    def write(name: str) -> None:
        for i in range(10):
            told[store.append(StopRequested(reason=f"{name}{i}"), time=TIME)] = f"{name}{i}"

    threads = [Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {logged.sequence: logged.event for logged in store.read()} == {
        sequence: StopRequested(reason=reason) for sequence, reason in told.items()
    }
    assert sorted(told) == list(range(1, 21))


def test_closing_twice_is_fine(store: EventStore) -> None:
    store.close()
    store.close()


def test_the_clock_of_the_writer_is_kept_to_the_last_bit(store: EventStore) -> None:
    store.append(StopRequested(reason="a"), time=TIME, elapsed_seconds=0.1 + 0.2)
    store.append(StopRequested(reason="b"), time=TIME, elapsed_seconds=3)
    store.append(StopRequested(reason="c"), time=TIME)
    assert [logged.elapsed_seconds for logged in store.read()] == [0.1 + 0.2, 3.0, None]
