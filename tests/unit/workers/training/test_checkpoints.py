from __future__ import annotations

import logging
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workers.artefacts.directory import DirectoryStore
from workers.errors import CheckpointError, UnfitWorkerError
from workers.training.checkpoints import (
    Checkpoint,
    FoundCheckpoint,
    fingerprint,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)

C1 = "checkpoints/c1"
NOTHING: Mapping[str, str] = {}
MINE = fingerprint({"configuration": {"edge1": "3"}, "seed": 0})


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the checkpoints of C1 lie on the disk."""
    path = tmp_path / C1
    path.mkdir(parents=True)
    return path


def checkpoint(epochs: int) -> Checkpoint:
    return Checkpoint(
        fingerprint=MINE,
        epochs=epochs,
        losses=[1.0 / (epoch + 1) for epoch in range(epochs)],
        network={"weight": torch.full((3, 2), float(epochs))},
        head={"weight": torch.eye(2)},
        optimizer={"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 0.1}]},
    )


def newest(
    store: DirectoryStore, *, up_to_epochs: int, resume_from: Mapping[str, str] = NOTHING
) -> str | None:
    """The key of the checkpoint that a training with the fingerprint `MINE` goes on from."""
    found = newest_checkpoint(
        store,
        C1,
        expected_fingerprint=MINE,
        up_to_epochs=up_to_epochs,
        resume_from=resume_from,
        prove=lambda _: None,
    )
    return None if found is None else found.file.key


def epochs_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_is_saved_is_loaded(store: DirectoryStore) -> None:
    key = save_checkpoint(store, C1, checkpoint(3)).key
    assert key == f"{C1}/epochs-0003.pt"
    loaded = load_checkpoint(store, key, expected_fingerprint=MINE)
    assert loaded.epochs == 3
    assert loaded.losses == checkpoint(3).losses
    assert torch.equal(loaded.network["weight"], torch.full((3, 2), 3.0))
    assert loaded.optimizer["param_groups"] == [{"lr": 0.1}]
    assert loaded.averaged is None
    assert loaded.group_log_weights is None
    assert loaded.n_splits == 1


def test_a_checkpoint_within_an_epoch_comes_after_that_before_it(store: DirectoryStore) -> None:
    states = [torch.get_rng_state()]
    within = replace(checkpoint(3), steps=120, loss_sum=torch.tensor(7.5), random_states=states)
    save_checkpoint(store, C1, checkpoint(3))
    key = save_checkpoint(store, C1, within).key
    assert key == f"{C1}/epochs-0003+000120.pt"
    assert newest(store, up_to_epochs=4) == key
    assert newest(store, up_to_epochs=3) == f"{C1}/epochs-0003.pt"
    loaded = load_checkpoint(store, key, expected_fingerprint=MINE)
    assert loaded.steps == 120
    assert loaded.loss_sum is not None
    assert float(loaded.loss_sum) == 7.5
    assert torch.equal(loaded.random_states[0], states[0])


def test_weights_of_groups_and_parts_are_saved_too(store: DirectoryStore) -> None:
    weights = torch.tensor([-0.1, -2.4, -torch.inf], dtype=torch.float64)
    made = replace(checkpoint(3), group_log_weights=weights, n_splits=4)
    key = save_checkpoint(store, C1, made).key
    loaded = load_checkpoint(store, key, expected_fingerprint=MINE)
    assert loaded.group_log_weights is not None
    assert torch.equal(loaded.group_log_weights, weights)
    assert loaded.n_splits == 4


def test_a_checkpoint_from_before_there_were_groups_and_parts_is_read(
    store: DirectoryStore,
) -> None:
    key = save_checkpoint(store, C1, checkpoint(3)).key
    path = store.fetch(key)
    content = torch.load(path, weights_only=True)
    del content["group_log_weights"], content["n_splits"]
    torch.save(content, path)
    assert load_checkpoint(store, key, expected_fingerprint=MINE).n_splits == 1


def test_the_latest_is_never_one_beyond_the_asked_epochs(store: DirectoryStore) -> None:
    for epochs in (3, 9):
        save_checkpoint(store, C1, checkpoint(epochs))
    assert newest(store, up_to_epochs=27) == f"{C1}/epochs-0009.pt"
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0009.pt"
    assert newest(store, up_to_epochs=8) == f"{C1}/epochs-0003.pt"
    assert newest(store, up_to_epochs=2) is None


def test_a_folder_that_does_not_exist_has_no_checkpoint(store: DirectoryStore) -> None:
    assert newest(store, up_to_epochs=9) is None


def test_the_newest_two_are_kept_and_the_one_just_written(
    store: DirectoryStore, folder: Path
) -> None:
    for epochs in (2, 4, 8):
        save_checkpoint(store, C1, checkpoint(epochs))
    assert epochs_in(folder) == ["epochs-0004.pt", "epochs-0008.pt"]
    save_checkpoint(store, C1, checkpoint(2))
    assert "epochs-0002.pt" in epochs_in(folder)
    assert "epochs-0008.pt" in epochs_in(folder)


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped"])
def test_a_damaged_file_is_passed_over_with_a_warning(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    key = save_checkpoint(store, C1, checkpoint(9)).key
    path = store.fetch(key)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        place = content.index(torch.full((3, 2), 9.0).numpy().tobytes())
        content[place] ^= 0xFF
    else:
        content = content[: len(content) // 2 if damage == "cut" else 0]
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"
    assert "epochs-0009.pt is damaged" in caplog.text


def test_a_checkpoint_of_another_training_is_refused_by_what_differs(
    store: DirectoryStore,
) -> None:
    key = save_checkpoint(store, C1, checkpoint(3)).key
    other = fingerprint({"configuration": {"edge1": "4"}, "seed": 1})
    with pytest.raises(CheckpointError, match="configuration, seed differ"):
        load_checkpoint(store, key, expected_fingerprint=other)


@pytest.mark.parametrize("content", [{"epochs": 3}, [1, 2], {"unknown": 1}])
def test_a_file_that_is_no_checkpoint_is_refused(
    store: DirectoryStore, folder: Path, content: object
) -> None:
    torch.save(content, folder / "epochs-0003.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(store, f"{C1}/epochs-0003.pt", expected_fingerprint=MINE)


def test_code_in_a_checkpoint_is_refused(store: DirectoryStore, folder: Path) -> None:
    torch.save({"fingerprint": MINE, "epochs": print}, folder / "epochs-0003.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(store, f"{C1}/epochs-0003.pt", expected_fingerprint=MINE)


def test_a_failed_write_leaves_the_folder_as_it_was(store: DirectoryStore, folder: Path) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    broken = Checkpoint(**{**vars_of(checkpoint(9)), "network": {"weight": lambda: 0}})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(store, C1, broken)
    assert epochs_in(folder) == ["epochs-0003.pt"]


def vars_of(value: Checkpoint) -> dict[str, object]:
    return {name: getattr(value, name) for name in Checkpoint.__slots__}


def test_a_fingerprint_does_not_depend_on_the_order_of_its_parts() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


def test_a_place_that_cannot_be_written_is_named_with_a_remedy(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "c1").write_text("a file where a folder should be")
    with pytest.raises(CheckpointError, match=r"c1/epochs-0003\.pt cannot be written .*free some"):
        save_checkpoint(DirectoryStore(tmp_path), "c1", checkpoint(3))


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 8},
        {"epochs": "9"},
        {"epochs": True},
        {"steps": None},
        {"losses": [0.5]},
        {"losses": ["0.5"] * 9},
        {"losses": 9},
        {"network": None},
        {"network": [1]},
        {"optimizer": torch.zeros(2)},
        {"averaged": 1},
        {"n_splits": 0},
        {"n_splits": 1.5},
        {"random_states": [1]},
        {"random_states": {}},
        {"loss_sum": 3.5},
        {"fingerprint": None},
        {"fingerprint": "["},
        {"fingerprint": "[1]"},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_file_that_is_whole_and_no_checkpoint_is_passed_over_for_the_one_before(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    path = store.fetch(save_checkpoint(store, C1, checkpoint(9)).key)
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"
    assert f"{path} " in caplog.text
    assert "it is passed over" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\0" * 1000, b"PK\x05\x06" + b"\0" * 18, b"garbage" * 99]
)
def test_a_file_that_is_no_archive_is_passed_over(
    store: DirectoryStore, folder: Path, content: bytes
) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    (folder / "epochs-0009.pt").write_bytes(content)
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"


def test_an_archive_of_anything_else_is_passed_over(store: DirectoryStore, folder: Path) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    with zipfile.ZipFile(folder / "epochs-0009.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00(U\x01")
        archive.writestr("archive/version", b"3")
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"


def test_a_checkpoint_under_the_name_of_another_is_passed_over(
    store: DirectoryStore, folder: Path
) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    shutil.copy(folder / "epochs-0003.pt", folder / "epochs-0009.pt")
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"


def test_where_no_checkpoint_will_do_the_training_begins_anew_and_says_so(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    other = fingerprint({"configuration": {"edge1": "4"}, "seed": 0})
    save_checkpoint(store, C1, replace(checkpoint(3), fingerprint=other))
    assert newest(store, up_to_epochs=9) is None
    assert "belongs to another training: configuration differ" in caplog.text
    assert "the training begins anew" in caplog.text


def test_what_the_training_does_not_take_is_passed_over(store: DirectoryStore) -> None:
    for epochs in (3, 9):
        save_checkpoint(store, C1, checkpoint(epochs))

    def prove(found: FoundCheckpoint) -> None:
        if found.checkpoint.epochs == 9:
            raise CheckpointError("it does not fit")

    found = newest_checkpoint(
        store,
        C1,
        expected_fingerprint=MINE,
        up_to_epochs=9,
        resume_from=NOTHING,
        prove=prove,
    )
    assert found is not None
    assert found.checkpoint.epochs == 3
    assert found.file.digest == store.digest(found.file.key)


def refusing(*_: object) -> bytes:
    raise PermissionError(13, "Permission denied")


def test_a_file_that_may_not_be_read_is_passed_over_and_a_folder_is_told(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved = save_checkpoint(store, C1, checkpoint(3))
    monkeypatch.setattr(store, "read", refusing)
    assert newest(store, up_to_epochs=9) is None
    assert "epochs-0003.pt cannot be read (Permission denied); mend the permissions" in caplog.text
    with pytest.raises(UnfitWorkerError, match=r"does not see .*Permission denied"):
        newest(store, up_to_epochs=9, resume_from={saved.key: saved.digest})
    monkeypatch.setattr(store, "sizes", refusing)
    with pytest.raises(CheckpointError, match=r"c1 cannot be read \(Permission denied\)"):
        newest(store, up_to_epochs=9)
    with pytest.raises(UnfitWorkerError, match=r"does not see .*let both be the same folder"):
        newest(store, up_to_epochs=9, resume_from={saved.key: saved.digest})


def test_a_named_checkpoint_is_gone_on_from_or_a_later_one_and_never_an_older_one(
    store: DirectoryStore,
) -> None:
    save_checkpoint(store, C1, checkpoint(3))
    named = save_checkpoint(store, C1, checkpoint(6))
    resume_from = {named.key: named.digest}
    assert newest(store, up_to_epochs=9, resume_from=resume_from) == named.key
    later = save_checkpoint(store, C1, checkpoint(9))
    assert newest(store, up_to_epochs=9, resume_from=resume_from) == later.key
    store.remove(later.key)
    store.remove(named.key)
    save_checkpoint(store, C1, checkpoint(3))
    with pytest.raises(UnfitWorkerError, match="there is no such file"):
        newest(store, up_to_epochs=9, resume_from=resume_from)
    other = {named.key: "sha256:" + "0" * 64}
    save_checkpoint(store, C1, checkpoint(6))
    with pytest.raises(
        UnfitWorkerError, match=r"has digest sha256:[0-9a-f]{12}…, not sha256:0000"
    ):
        newest(store, up_to_epochs=9, resume_from=other)


def test_the_last_one_that_is_known_to_be_good_stays_beside_the_newest_two(
    store: DirectoryStore, folder: Path
) -> None:
    good = save_checkpoint(store, C1, checkpoint(2)).key
    for epochs in (4, 6):  # both were found not to load
        (folder / f"epochs-000{epochs}.pt").write_bytes(b"damaged")
    save_checkpoint(store, C1, checkpoint(8), previous=good)
    assert epochs_in(folder) == ["epochs-0002.pt", "epochs-0006.pt", "epochs-0008.pt"]


def test_later_ones_which_are_another_trainings_do_not_push_ours_out(
    store: DirectoryStore, folder: Path
) -> None:
    other = fingerprint({"seed": 1})
    for epochs in (8, 9):
        save_checkpoint(store, C1, replace(checkpoint(epochs), fingerprint=other))
    for epochs in (1, 2, 3):
        save_checkpoint(store, C1, checkpoint(epochs))
    assert epochs_in(folder) == [f"epochs-000{epochs}.pt" for epochs in (2, 3, 8, 9)]
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0003.pt"


def test_nothing_is_removed_before_the_newest_is_seen_to_lie_there_as_it_was_written(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epochs in (1, 2):
        save_checkpoint(store, C1, checkpoint(epochs))
    write = store.write

    def losing(key: str, content: bytes | memoryview) -> None:
        write(key, bytes(content)[:-100])

    monkeypatch.setattr(store, "write", losing)
    with pytest.raises(CheckpointError, match="is not there as it was written; check the disk"):
        save_checkpoint(store, C1, checkpoint(3))
    assert newest(store, up_to_epochs=9) == f"{C1}/epochs-0002.pt"
    assert "epochs-0001.pt" in epochs_in(folder)
