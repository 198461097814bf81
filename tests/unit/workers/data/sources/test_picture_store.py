from __future__ import annotations

import threading
import zipfile

import pytest

from workers.data.sources.picture_store import find_file, open_store
from workers.errors import DataError

FILES = {
    "b/2.JPG": b"two",
    "a/1.png": b"one",
    "a/notes.txt": b"",
    "labels.csv": b"top",
    "a/Labels.csv": b"deep",
    ".hidden/3.png": b"",
    "a/._1.png": b"shadow",
    "__MACOSX/a/1.png": b"shadow",
}


@pytest.fixture(params=["folder", "zip"])
def source(request, tmp_path):
    if request.param == "zip":
        return make_zip(tmp_path / "faces.zip", FILES)
    for name, data in FILES.items():
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "faces"


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_pictures_are_sorted_and_hidden_files_passed_over(source):
    with open_store(source) as store:
        assert store.pictures == ["a/1.png", "b/2.JPG"]
        assert store.read("b/2.JPG") == b"two"


def test_the_label_file_nearest_the_top_comes_first(source):
    with open_store(source) as store:
        assert store.label_files == ["labels.csv", "a/Labels.csv"]


def test_several_threads_may_read_at_once(tmp_path):
    files = {f"{i}.png": bytes([i]) * 5000 for i in range(40)}
    wrong = []
    with open_store(make_zip(tmp_path / "x.zip", files)) as store:

        def read_all():
            wrong.extend(name for name in files if store.read(name) != files[name])

        threads = [threading.Thread(target=read_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "..\\x.png", "C:\\x.png"]
)
def test_an_archive_that_names_a_file_outside_is_refused(tmp_path, name):
    source = make_zip(tmp_path / "x.zip", {"a/1.png": b"", name: b""})
    with pytest.raises(DataError, match="lies outside the archive"), open_store(source):
        pass


def test_backslashes_separate_folders(tmp_path):
    with open_store(make_zip(tmp_path / "x.zip", {"a\\1.png": b"one"})) as store:
        assert store.pictures == ["a/1.png"]
        assert store.read("a/1.png") == b"one"


def test_a_damaged_archive_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="damaged zip archive"), open_store(tmp_path / "x.zip"):
        pass


def test_an_encrypted_member_is_refused(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a/1.png": b"one"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"'a/1.png' is encrypted"), open_store(path):
        pass


def test_a_member_whose_bytes_are_wrong_fails_when_read(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a/1.png": b"some picture"})
    path.write_bytes(path.read_bytes().replace(b"some picture", b"same picture"))
    with open_store(path) as store, pytest.raises(zipfile.BadZipFile):
        store.read("a/1.png")


def test_a_member_that_would_fill_the_memory_is_not_read(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a/1.png": b"one"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with open_store(path) as store, pytest.raises(OSError, match="larger than 256 MiB"):
        store.read("a/1.png")


def test_a_missing_source_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), open_store(tmp_path / "no.zip"):
        pass


def test_archives_count_where_a_folder_has_no_pictures_itself(tmp_path):
    make_zip(tmp_path / "a.zip", {"x/1.jpg": b"one"})
    (tmp_path / "list.txt").write_text("text")
    with open_store(tmp_path) as store:
        assert store.pictures == ["x/1.jpg"]
        assert store.read("x/1.jpg") == b"one"
        assert store.read("list.txt") == b"text"
        assert find_file(store, "LIST.txt") == "list.txt"
        assert find_file(store, "none.txt") is None
    (tmp_path / "2.jpg").write_bytes(b"two")
    with open_store(tmp_path) as store:
        assert store.pictures == ["2.jpg"]


def test_a_member_without_a_name_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"x": b"one"})
    path.write_bytes(path.read_bytes().replace(b"x", b"\0"))
    with pytest.raises(DataError, match="a member has no name"), open_store(path):
        pass
