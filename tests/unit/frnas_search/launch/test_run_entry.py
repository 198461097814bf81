from __future__ import annotations

from pathlib import Path

import pytest

from frnas_search.config.reading import parse_run_config
from frnas_search.config.run_file import to_yaml
from frnas_search.errors import RunChangedError, RunFileError
from frnas_search.launch.run_entry import begun_directory, refuse_other_run, resumed_config
from results.errors import RunExistsError, RunLockedError
from results.events import LimitsChanged
from results.run_directory import RunDirectory
from results.sqlite_store import SqliteStore
from tests.unit.frnas_search.conftest import OPENED


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs/x")


def begin(run: RunDirectory) -> None:
    with SqliteStore.create(run.events) as store:
        store.append(OPENED, time=OPENED.at)


def test_a_directory_that_is_not_there_may_be_begun(run: RunDirectory) -> None:
    refuse_other_run(run)
    with begun_directory(run):
        begin(run)
    assert run.exists()


def test_a_start_that_fails_leaves_nothing(run: RunDirectory) -> None:
    def write_and_fail() -> None:
        with begun_directory(run):
            run.run_yaml.write_text("x")
            SqliteStore.create(run.events).close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert not run.path.exists()


def test_a_start_that_was_killed_may_be_made_again(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    run.run_yaml.write_text("x")
    (run.path / ".manifest.0f.tmp.json").write_text("{")
    SqliteStore.create(run.events).close()
    refuse_other_run(run)


def test_a_run_that_began_is_kept_whatever_happens(run: RunDirectory) -> None:
    def begin_and_fail() -> None:
        with begun_directory(run):
            begin(run)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()
    with pytest.raises(RunExistsError, match="--resume"):
        refuse_other_run(run)


def test_two_may_not_begin_at_once(run: RunDirectory) -> None:
    with begun_directory(run):
        run.run_yaml.write_text("x")
        with pytest.raises(RunLockedError), begun_directory(run):
            pass
        assert run.run_yaml.exists()


def test_a_file_in_the_way_is_refused(run: RunDirectory) -> None:
    run.path.parent.mkdir()
    run.path.write_text("x")
    with pytest.raises(RunExistsError):
        refuse_other_run(run)


def with_run_file(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    config = parse_run_config({"name": "x", "data": {"synthetic": {}}}, where="test")
    run.run_yaml.write_text(to_yaml(config))
    begin(run)


def test_limits_that_an_earlier_session_raised_stay_raised(run: RunDirectory) -> None:
    with_run_file(run)
    with SqliteStore.open(run.events) as store:
        store.append(LimitsChanged(stop={"trials": 400, "epochs": 7}), time=OPENED.at)
    config = resumed_config(run, ("stop.wall_hours=2",))
    assert (config.stop.trials, config.stop.epochs, config.stop.wall_hours) == (400, 7, 2.0)


def test_a_pack_may_have_moved(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    config = parse_run_config({"name": "x", "data": {"pack": "a.pack"}}, where="test")
    run.run_yaml.write_text(to_yaml(config))
    begin(run)
    assert resumed_config(run, ("data.pack=/b.pack",)).data.pack == Path("/b.pack")
    with pytest.raises(RunChangedError, match="data cannot change"):
        resumed_config(run, ("data.group=age",))


def test_limits_and_workers_may_change_on_resuming(run: RunDirectory) -> None:
    with_run_file(run)
    config = resumed_config(run, ("stop.trials=500", "workers.local=4", "stop.gpu_hours=1.5"))
    assert (config.stop.trials, config.workers.local, config.stop.gpu_hours) == (500, 4, 1.5)


def test_nothing_else_may(run: RunDirectory) -> None:
    with_run_file(run)
    overrides = ("seed=3", "training.batch_size=32", "stop.trials=9")
    with pytest.raises(RunChangedError, match=r"^seed, training cannot change"):
        resumed_config(run, overrides)


def test_a_wrong_override_is_a_fault_of_the_run_file(run: RunDirectory) -> None:
    with_run_file(run)
    with pytest.raises(RunFileError, match=r"stop\.trails"):
        resumed_config(run, ("stop.trails=9",))
