"""What every artefact store keeps to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import InMemoryArtefacts
from workers.artefacts.digest import digest_of
from workers.artefacts.directory import DirectoryStore
from workers.artefacts.store import ArtefactStore

KEY = "checkpoints/c0007/epochs-0009.pt"

STORES: dict[str, Callable[[Path], ArtefactStore]] = {
    "directory": lambda folder: DirectoryStore(folder / "not there yet"),
    "in memory": InMemoryArtefacts,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtefactStore:
    return STORES[request.param](tmp_path)


def test_what_was_written_is_read_and_fetched(store: ArtefactStore) -> None:
    store.write(KEY, b"one")
    store.write(KEY, memoryview(b"two"))
    assert store.read(KEY) == b"two"
    assert store.fetch(KEY).read_bytes() == b"two"
    assert store.read("checkpoints/./c0007//epochs-0009.pt") == b"two", "one spelling of a key"


def test_what_is_not_there_is_a_file_not_found(store: ArtefactStore) -> None:
    store.write("checkpoints/c1/a", b"a")
    for key in (KEY, "models", "checkpoints/c1/a2"):
        with pytest.raises(FileNotFoundError):
            store.read(key)
        with pytest.raises(FileNotFoundError):
            store.fetch(key)


def test_a_digest_is_of_the_bytes_that_are_there_now(store: ArtefactStore) -> None:
    assert store.digest(KEY) is None, "of nothing"
    store.write(KEY, b"abc")
    # The digest of "abc" that NIST publishes with the algorithm (FIPS 180-4).
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.digest(KEY) == f"sha256:{abc}"
    assert store.digest("checkpoints/./c0007//epochs-0009.pt") == store.digest(KEY)
    store.write(KEY, b"other")
    assert store.digest(KEY) == digest_of(b"other")
    for key in ("checkpoints/c0007", f"{KEY}/below", "models"):
        assert store.digest(key) is None
    store.remove(KEY)
    assert store.digest(KEY) is None


def test_a_file_is_kept_when_its_block_ends_well(store: ArtefactStore) -> None:
    with store.replacing(KEY) as path:
        path.write_bytes(b"large")
        assert store.sizes("checkpoints") == {}, "not before"
    assert store.read(KEY) == b"large"


def test_a_file_whose_block_fails_leaves_what_was_there(store: ArtefactStore) -> None:
    store.write(KEY, b"old")

    def fail() -> None:
        with store.replacing(KEY) as path:
            path.write_bytes(b"half of it")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.read(KEY) == b"old"
    assert store.sizes("") == {KEY: 3}


def test_a_folder_lists_all_below_it_and_nothing_beside_it(store: ArtefactStore) -> None:
    for key, content in (("c/1/a", b"a"), ("c/1/b", b"bb"), ("c/10/a", b"ccc"), ("d", b"dddd")):
        store.write(key, content)
    assert store.sizes("c/1") == {"c/1/a": 1, "c/1/b": 2}
    assert store.sizes("c") == {"c/1/a": 1, "c/1/b": 2, "c/10/a": 3}
    assert store.sizes("") == {"c/1/a": 1, "c/1/b": 2, "c/10/a": 3, "d": 4}
    assert store.sizes("none") == {}


def test_artefacts_and_folders_are_removed_and_nothing_beside_them(store: ArtefactStore) -> None:
    for key in ("c/1/a", "c/1/b", "c/10/a"):
        store.write(key, b".")
    store.remove("c/1/a")
    assert set(store.sizes("")) == {"c/1/b", "c/10/a"}
    store.remove("c/1")
    assert set(store.sizes("")) == {"c/10/a"}
    store.remove("c/1")
    store.remove("none/at/all")
    assert set(store.sizes("")) == {"c/10/a"}


@pytest.mark.parametrize("key", ["/etc/passwd", "../other/run", "checkpoints/../../x"])
def test_a_key_that_leads_out_of_the_store_is_refused(store: ArtefactStore, key: str) -> None:
    for use in (
        store.read,
        store.fetch,
        store.digest,
        store.sizes,
        store.remove,
        store.describe,
    ):
        with pytest.raises(ValueError, match="no key of an artefact"):
            use(key)
    with pytest.raises(ValueError, match="no key of an artefact"):
        store.write(key, b"")
    with pytest.raises(ValueError, match="no key of an artefact"), store.replacing(key):
        pass


def test_people_are_told_where_it_is(store: ArtefactStore) -> None:
    assert store.describe(KEY).endswith(KEY)
