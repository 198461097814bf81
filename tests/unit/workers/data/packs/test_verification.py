"""Packs that came to harm, and what this machine remembers of those that did not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.damage import flipped_bit, swapped, with_times_put_back, zeros
from workers.data.packs import integrity, remembered, verification
from workers.data.packs.pack import Pack, open_pack
from workers.data.packs.remembered import is_remembered
from workers.data.packs.tensor_file import TensorFile
from workers.data.packs.verification import Verification, verify_pack
from workers.errors import DataError

DAMAGE: dict[str, Callable[[Path], None]] = {
    **{f"zeros at the {place}": zeros(place, 500) for place in ("start", "middle", "end")},
    "a flipped bit": flipped_bit,
    "a swapped file": swapped,
}


@pytest.fixture
def path(pattern_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a pack, made some while ago, and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_SETTLED_NS", 0)
    path = tmp_path / "faces.pack"
    path.write_bytes(pattern_pack.path.read_bytes())
    os.utime(path, ns=(1_600_000_000 * 10**9,) * 2)
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The packs that were read whole, one entry for each reading."""
    read: list[Path] = []
    require_intact = integrity.require_intact

    def counting(tensors: TensorFile, stream: BinaryIO, **options: Callable[[int], None]) -> None:
        read.append(tensors.path)
        require_intact(tensors, stream, **options)

    monkeypatch.setattr(verification, "require_intact", counting)
    return read


def test_a_pack_is_read_once_and_remembered(path: Path, readings: list[Path]) -> None:
    for _ in range(3):
        verify_pack(open_pack(path))
    Verification(open_pack(path)).require()
    assert readings == [path]
    verify_pack(open_pack(path), again=True)
    assert len(readings) == 2


def test_a_pack_is_remembered_by_its_file_and_not_by_a_link_to_it(
    path: Path, tmp_path: Path, readings: list[Path]
) -> None:
    link = tmp_path / "link.pack"
    link.symlink_to(path)
    verify_pack(open_pack(link))
    verify_pack(open_pack(path))
    assert readings == [link]
    other = tmp_path / "other.pack"
    other.write_bytes(path.read_bytes())
    with_times_put_back(other, flipped_bit)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(DataError, match=r"link\.pack: the content does not match its digest"):
        verify_pack(open_pack(link))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "by a link"])
def test_damage_is_found_although_size_and_time_are_as_before(
    path: Path, damage: Callable[[Path], None], *, is_linked: bool
) -> None:
    name = path.with_name("link.pack") if is_linked else path
    if is_linked:
        name.symlink_to(path)
    digest = open_pack(name).digest
    verify_pack(open_pack(name))
    time.sleep(0.02)  # the clock of the file system ticks
    with_times_put_back(path, damage)
    with pytest.raises(DataError) as caught:  # at the start lies the table, which opening reads
        verify_pack(open_pack(name))
    assert str(caught.value).startswith(f"{name}: ")
    assert "pack it again" in str(caught.value)
    if "does not match" in str(caught.value):
        assert f"does not match its digest {digest[:12]}…, it has " in str(caught.value)


def test_what_was_written_a_moment_ago_is_not_remembered(
    path: Path, monkeypatch: pytest.MonkeyPatch, readings: list[Path]
) -> None:
    """A change of the same tick of the clock would not be seen."""
    monkeypatch.setattr(remembered, "_SETTLED_NS", 10**15)
    verify_pack(open_pack(path))
    verify_pack(open_pack(path))
    assert len(readings) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b'{"format": 1}', b"[" * 100_000, b"1e999"]
)
def test_a_record_that_says_nothing_is_replaced(
    path: Path, content: bytes, readings: list[Path]
) -> None:
    verify_pack(open_pack(path))
    (record,) = remembered.folder().iterdir()
    record.write_bytes(content)
    verify_pack(open_pack(path))
    verify_pack(open_pack(path))
    assert len(readings) == 2


def test_a_cache_that_cannot_be_written_is_warned_of_and_done_without(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))  # a file where a folder should be
    verify_pack(open_pack(path))
    assert not is_remembered(open_pack(path))
    assert "set XDG_CACHE_HOME to a writable folder" in caplog.text


def test_records_of_half_a_year_ago_are_removed(path: Path) -> None:
    verify_pack(open_pack(path))
    (record,) = remembered.folder().iterdir()
    stale = record.with_name("stale.json")
    record.rename(stale)
    os.utime(stale, (time.time() - 181 * 86_400,) * 2)
    verify_pack(open_pack(path))
    assert list(remembered.folder().iterdir()) == [record]


def test_many_processes_may_remember_at_once(path: Path) -> None:
    pack = open_pack(path)
    threads = [threading.Thread(target=remembered.remember, args=[pack]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_remembered(pack)
    assert len(list(remembered.folder().iterdir())) == 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Lets no pack be read before it is set."""
    opened, require_intact = threading.Event(), integrity.require_intact

    def waiting(tensors: TensorFile, stream: BinaryIO, **options: Callable[[int], None]) -> None:
        assert opened.wait(10.0)
        require_intact(tensors, stream, **options)

    monkeypatch.setattr(verification, "require_intact", waiting)
    yield opened
    opened.set()


def test_a_pack_is_in_use_while_it_is_read_and_passed_on_behind_it(
    path: Path, gate: threading.Event
) -> None:
    begun = Verification(open_pack(path))
    assert begun.pack.images[0].shape == (1, 32, 32)
    waiting = threading.Thread(target=begun.require)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    gate.set()
    waiting.join(10.0)
    assert not waiting.is_alive()
    assert is_remembered(begun.pack)


def test_a_damaged_pack_is_told_to_everyone_who_asks(path: Path, gate: threading.Event) -> None:
    flipped_bit(path)
    begun = Verification(open_pack(path))
    gate.set()
    for _ in range(2):
        with pytest.raises(DataError, match="does not match its digest"):
            begun.require()


def test_a_pack_that_changes_while_it_is_read_is_refused(
    path: Path, gate: threading.Event
) -> None:
    begun = Verification(open_pack(path))
    with path.open("ab") as stream:
        stream.write(b"more")
    gate.set()
    with pytest.raises(DataError, match=r"was changed|truncated or overwritten"):
        begun.require()


def test_a_pack_that_changes_behind_its_reading_is_refused(path: Path) -> None:
    begun = Verification(open_pack(path))
    begun.require()
    flipped_bit(path)
    with pytest.raises(DataError, match="was changed while it was in use"):
        begun.require()


def test_a_file_that_takes_the_name_of_an_opened_pack_is_no_change_of_it(path: Path) -> None:
    begun = Verification(open_pack(path))
    begun.require()
    swapped(path)
    begun.require()


def test_a_pack_that_was_replaced_since_it_was_opened_is_not_verified(path: Path) -> None:
    pack = open_pack(path)
    swapped(path)
    with pytest.raises(DataError, match="was changed while it was in use"):
        verify_pack(pack)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Verification(pack)


def test_a_disk_that_fails_in_the_background_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(verification, "require_intact", failing)
    begun = Verification(open_pack(path))
    with pytest.raises(DataError, match=r"faces\.pack: cannot be read \(Input/output error\)"):
        begun.require()


def test_a_reading_that_has_no_memory_lets_nobody_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(verification, "require_intact", failing)
    begun = Verification(open_pack(path))
    with pytest.raises(DataError, match="was not read to its end"):
        begun.require()


def test_long_waits_say_how_far_the_reading_is(
    path: Path,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(verification, "_SAID_SECONDS", 0.01)
    caplog.set_level("INFO")
    begun = Verification(open_pack(path))
    threading.Timer(0.1, gate.set).start()
    begun.require()
    assert "faces.pack: 0.0 of 0.0 GB are read" in caplog.text
