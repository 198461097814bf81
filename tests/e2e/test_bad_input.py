"""Bad input: one clear sentence with the place and the remedy, exit code 2, nothing written."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import RUN_FILE, CompletedCommand, Shell
from workers.data.packs.pack import GroupColumn, PackTable, write_pack
from workers.data.packs.tensor_file import encode_header, open_tensor_file

pytestmark = pytest.mark.timeout(120)


def assert_refused(done: CompletedCommand, *words: str) -> None:
    assert done.code == 2, (done.code, done.output, done.errors)
    assert "Traceback" not in done.errors + done.output
    assert done.output == ""
    for word in words:
        assert word in done.errors, done.errors


def assert_nothing_written(shell: Shell) -> None:
    assert not (shell.folder / "runs/tiny").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("space.wdith=1", ("space.wdith: unknown key", "width")),
        ("stop.trials=many", ("stop.trials", "many")),
        ("fidelity.min_epochs=9", ("fidelity: min_epochs is 9 and max_epochs is 4",)),
        ("data.pack=no.pack", ("data: give either `pack: FILE` or `synthetic: {}`",)),
        ("data.group=age", ("no group column 'age'", "its columns are: group")),
        ("space.width=0", ("space.width: 0.0 is outside 0.02 to 4",)),
        (
            "constraints.max_parameters=10",
            ("none of 1,000 samples of the space keeps within max",),
        ),
        ("objectives=[error, beauty]", ("objectives: 'beauty' is not one of error,",)),
        ("name=a/b", ("name: 'a/b' cannot be a folder's name",)),
        ("nonsense", ("--set nonsense: write it as `section.key=value`",)),
        ("workers.scheduler=127.0.0.1:9", ("no scheduler answers", "frnas scheduler")),
        ("workers.scheduler=none.json", ("none.json: no scheduler file",)),
    ],
)
def test_a_fault_of_the_run_file_is_named(
    shell: Shell, setting: str, words: tuple[str, ...]
) -> None:
    assert_refused(shell.frnas("search", "tiny.yaml", "--set", setting), *words)
    assert_nothing_written(shell)


def test_all_faults_of_a_run_file_are_reported_at_once(shell: Shell) -> None:
    (shell.folder / "bad.yaml").write_text(
        "name: x\ndata: {synthetic: {size: 1}}\nfidelity: {min_epochs: 5, max_epochs: 2}\n"
        "stop: {trials: 0}\nspace: {preset: papers}\nfoo: 1\n"
    )
    done = shell.frnas("search", "bad.yaml")
    assert_refused(done, "data.synthetic.size", "fidelity", "stop.trials", "space", "foo")
    assert len(done.errors.splitlines()) >= 5
    assert all(line.startswith("frnas: bad.yaml: ") for line in done.errors.splitlines())


def test_data_space_and_search_are_checked_although_the_file_has_faults(shell: Shell) -> None:
    (shell.folder / "bad.yaml").write_text(
        "name: x\ndata: {pack: no.pack}\nspace: {preset: papr, width: -1, fix: {edg1: '3'}}\n"
        "stop: {trials: many}\nsearch: {enqueue: [SMAC_302], warm_start: [none]}\n"
    )
    told = (
        "--set nonsense: write it as",
        "bad.yaml: space.preset: input should be",
        "bad.yaml: space.width: -1.0 is outside",
        "bad.yaml: space.fix.edg1: is not a hyperparameter",
        "bad.yaml: stop.trials: input should be",
        "no.pack: no such pack",
        "bad.yaml: search.enqueue.0: there is no configuration",
        "bad.yaml: search.warm_start.0: there is no run 'none'",
    )
    reports = set()
    for command in (("search",), ("search", "--check"), ("plan",)):
        done = shell.frnas(*command, "bad.yaml", "--set", "nonsense")
        assert_refused(done, *told)
        assert len(done.errors.splitlines()) == len(told)
        reports.add(done.errors)
    assert len(reports) == 1
    checked = shell.frnas("space", "check", "bad.yaml", "--set", "nonsense", "--json")
    assert checked.code == 2
    assert len(checked.json["faults"]) == len(told)
    assert not (shell.folder / "runs").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("tiny2.yaml: no such run file",)),
        ("name: [", ("tiny2.yaml: not YAML",)),
        ("- 1", ("tiny2.yaml: holds no mapping",)),
        ("", ("tiny2.yaml: holds no mapping",)),
    ],
)
def test_a_file_that_is_no_run_file_is_named(
    shell: Shell, content: str | None, words: tuple[str, ...]
) -> None:
    if content is not None:
        (shell.folder / "tiny2.yaml").write_text(content)
    assert_refused(shell.frnas("search", "tiny2.yaml"), *words)


@pytest.mark.parametrize(
    ("families", "words"),
    [
        ("{empty: []}", ("space.families.empty: has no variants",)),
        ("{x: [no_such_model]}", ("space.families.x", "knows no model 'no_such_model'")),
        ("{x: [hrnet_w18_small, test_resnet]}", ("'hrnet_w18_small'", "24 pixels")),
    ],
)
def test_a_space_without_a_network_is_refused(
    shell: Shell, families: str, words: tuple[str, ...]
) -> None:
    done = shell.frnas(
        "search", "tiny.yaml", "--set", "space.preset=timm", "--set", f"space.families={families}"
    )
    assert_refused(done, *words)
    assert_nothing_written(shell)


def make_pack(path: Path, change: Callable[[PackTable], None] = lambda table: None) -> None:
    """Ten identities of two groups with two images each, in all splits."""
    identity = np.repeat(np.arange(10, dtype=np.int32), 2)
    table = PackTable(
        identity=identity,
        identities=tuple(f"p{i}" for i in range(10)),
        split=np.repeat([0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 2).astype(np.uint8),
        groups={"group": GroupColumn(labels=("f", "m"), codes=(identity % 2).astype(np.int16))},
        sources=[str(i) for i in range(20)],
    )
    change(table)
    images = np.random.default_rng(0).integers(0, 255, (20, 1, 24, 24)).astype(np.uint8)
    write_pack(path, images=images, table=table, channels=1, size=24)


@pytest.fixture
def with_pack(shell: Shell) -> Iterator[Shell]:
    """The run file names a pack of its own, `faces.pack`."""
    text = RUN_FILE.replace("{synthetic: {size: 24}, group: group}", "{pack: faces.pack}")
    assert "faces.pack" in text
    (shell.folder / "tiny.yaml").write_text(text)
    return shell


def test_a_missing_pack_is_named(with_pack: Shell) -> None:
    assert_refused(with_pack.frnas("search", "tiny.yaml"), "faces.pack: no such pack", "data pack")
    assert_nothing_written(with_pack)


@pytest.mark.parametrize("n_bytes", [0, 5, 100, 3000, -1])
def test_a_truncated_pack_is_named(with_pack: Shell, n_bytes: int) -> None:
    path = with_pack.folder / "faces.pack"
    make_pack(path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert_refused(with_pack.frnas("search", "tiny.yaml"), "faces.pack: ")
    assert_refused(with_pack.frnas("data", "info", "faces.pack"), "faces.pack: ")
    assert_nothing_written(with_pack)


def test_a_pack_that_is_something_else_is_named(with_pack: Shell) -> None:
    (with_pack.folder / "faces.pack").write_bytes(b"\x00" * 10_000)
    assert_refused(with_pack.frnas("search", "tiny.yaml"), "faces.pack: not a pack")


def test_an_identity_in_two_splits_is_named(with_pack: Shell) -> None:
    def tear(table: PackTable) -> None:
        table.split[0] = 1

    make_pack(with_pack.folder / "faces.pack", tear)
    done = with_pack.frnas("search", "tiny.yaml")
    assert_refused(done, "identity 'p0' has images in train and val", "pack again")


def test_a_group_without_identities_in_a_split_is_named(with_pack: Shell) -> None:
    def empty(table: PackTable) -> None:
        table.groups["group"].codes[table.split == 1] = 0

    make_pack(with_pack.folder / "faces.pack", empty)
    done = with_pack.frnas("search", "tiny.yaml")
    assert_refused(done, "group 'm' has no identities in val", "pack again")
    assert_nothing_written(with_pack)


def test_a_run_directory_that_holds_another_run_is_kept(shell: Shell) -> None:
    assert shell.frnas("search", "tiny.yaml", "--set", "stop.trials=1").code == 0
    before = shell.frnas("trials", "tiny", "--json").output
    done = shell.frnas("search", "tiny.yaml")
    assert_refused(done, "runs/tiny: holds another run", "--resume")
    assert shell.frnas("trials", "tiny", "--json").output == before
    refused = shell.frnas("search", "--resume", "tiny", "--set", "seed=3")
    assert_refused(refused, "seed cannot change")
    assert_refused(
        shell.frnas("retrain", "tiny", "--select", "c9999"), "the run has no c9999", "c0001"
    )


def test_a_run_is_not_resumed_on_other_data(with_pack: Shell) -> None:
    path = with_pack.folder / "faces.pack"
    make_pack(path)
    done = with_pack.frnas("search", "tiny.yaml", "--set", "stop.trials=1")
    assert done.code == 0, done.errors

    def rename(table: PackTable) -> None:
        table.sources[0] = "another"  # type: ignore[index]

    make_pack(path, rename)
    assert_refused(with_pack.frnas("search", "--resume", "tiny"), "its data digest was")


def test_a_folder_with_other_files_is_no_run_directory(shell: Shell) -> None:
    kept = shell.folder / "runs/tiny/thesis.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    assert_refused(shell.frnas("search", "tiny.yaml"), "runs/tiny: holds other files")
    assert kept.read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search",), ("give either a run file or --resume RUN",)),
        (("search", "--resume", "none"), ("there is no run 'none'",)),
        (("pareto", "none"), ("there is no run 'none'",)),
        (("status", "none"), ("there is no run 'none'",)),
        (("trials", "none"), ("there is no run 'none'",)),
        (("retrain", "none"), ("there is no run 'none'",)),
        (("serve", "none"), ("none: no such folder",)),
        (("worker", "--scheduler", "127.0.0.1:9", "--patience", "0"), ("no scheduler answered",)),
        (("worker", "--scheduler", "x:1", "--gpus", "0,0"), ("--gpus 0,0",)),
        (("worker", "--scheduler", "x:1", "--gpus", "77"), ("nvidia-smi knows no GPU 77",)),
        (("worker", "--scheduler", "127.0.0.1", "--patience", "0"), ("host:port",)),
        (("search", "--resume", ""), ("there is no run ''",)),
        (("status", "x" * 3000), ("there is no run",)),
        (("serve", ".", "--host", ""), ("--host is empty",)),
        (("scheduler", "--port", "0", "--scheduler-file", "."), (".: cannot be written",)),
        (("scheduler", "--host", "192.0.2.1", "--port", "0"), ("cannot listen there",)),
        (("data", "info", "none.pack"), ("none.pack: no such pack",)),
        (("data", "pack", "none", "--out", "x.pack"), ("none",)),
    ],
)
def test_a_command_that_cannot_do_its_work_says_why(
    shell: Shell, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(shell.frnas(*arguments), *words)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_from_the_beginning_leaves_nothing(
    shell: Shell, small_disk: Path
) -> None:
    (small_disk / "ballast").write_bytes(b"\0" * 200_000)
    done = shell.frnas("search", "tiny.yaml", "--runs", str(small_disk))
    assert_refused(done, "the disk is full")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_disk_with_little_room_is_waited_for_and_costs_no_trial_an_attempt(
    shell: Shell, small_disk: Path
) -> None:
    search = shell.start("search", "tiny.yaml", "--runs", str(small_disk))
    shell.wait_until(lambda: "waiting: no worker is fit" in shell.log_of(search), search)
    log = shell.log_of(search)
    assert "MB left, and checkpoints need 50 MB; free some space" in log
    assert "Traceback" not in log
    search.send_signal(signal.SIGINT)
    assert shell.wait(search) == 130, shell.log_of(search)
    trials = shell.frnas("trials", str(small_disk / "tiny"), "--json")
    assert trials.code == 0, trials.errors
    assert all(trial["losses"] == [] for trial in trials.json["trials"])


def test_a_pack_does_not_fit_on_a_full_disk(shell: Shell, small_disk: Path) -> None:
    done = shell.frnas("data", "synthetic", "--out", str(small_disk / "x.pack"))
    assert_refused(done, "the disk is full", "MB")
    assert list(small_disk.iterdir()) == []


def test_a_header_that_lies_is_damage(with_pack: Shell) -> None:
    path = with_pack.folder / "faces.pack"
    make_pack(path)
    file = open_tensor_file(path)
    header = encode_header(list(file.entries.values()), {**file.metadata, "names": "{}"})
    path.write_bytes(header + path.read_bytes()[len(header) :])
    assert_refused(with_pack.frnas("search", "tiny.yaml"), "faces.pack: ")
