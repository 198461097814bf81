from __future__ import annotations

import os

import pytest

from workers.data.sources.folder_walk import walk_folder
from workers.errors import DataError


@pytest.fixture
def root(tmp_path):
    """A folder `root` with one person, and beside it a store of others."""
    for name in ("root/a/1.png", "store/b/1.png", "store/b/2.png", "store/c/1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "root"


def link(root, name, target):
    (root / name).symlink_to(target)


def test_linked_folders_are_walked(root):
    link(root, "b", root.parent / "store/b")
    link(root, "more", "../store")
    content = walk_folder(root)
    assert sorted(content.files) == ["a/1.png", "b/1.png", "b/2.png", "more/c/1.png"]
    assert content.repeated == [("more/b", "b")]


def test_a_linked_file_is_a_file(root):
    link(root, "a/2.png", root.parent / "store/b/2.png")
    assert sorted(walk_folder(root).files) == ["a/1.png", "a/2.png"]


def test_two_links_to_one_folder_are_followed_once(root):
    link(root, "z", root.parent / "store/b")
    link(root, "b", root.parent / "store/b")
    content = walk_folder(root)
    assert sorted(content.files) == ["a/1.png", "b/1.png", "b/2.png"]
    assert content.repeated == [("z", "b")]


def test_a_folder_keeps_its_own_name_where_a_link_leads_to_it(root):
    link(root, "0", root / "a")
    content = walk_folder(root)
    assert content.files == ["a/1.png"]
    assert content.repeated == [("0", "a")]


@pytest.mark.parametrize("target", [".", "..", "../..", "/", "a/..", "up"])
def test_a_loop_is_refused_with_the_link(root, target):
    link(root, "up", target)
    with pytest.raises(DataError, match=r"root/up: a link to a folder that it lies in.*remove"):
        walk_folder(root)


def test_a_loop_through_another_folder_is_refused(root):
    link(root, "b", root.parent / "store/b")
    link(root.parent / "store/b", "back", root / "b")
    with pytest.raises(DataError, match="b/back: a link to a folder that it lies in"):
        walk_folder(root)


def test_a_loop_back_to_the_root_is_refused(root):
    link(root, "b", root.parent / "store/b")
    link(root.parent / "store/b", "back", root)
    with pytest.raises(DataError, match="b/back: a link to a folder that it lies in"):
        walk_folder(root)


def test_what_is_there_and_no_file_is_told(root):
    link(root, "gone", root / "none")
    os.mkfifo(root / "a/2.png")
    link(root, "a/3.png", "/dev/zero")
    content = walk_folder(root)
    assert content.files == ["a/1.png"]
    assert content.dangling == ["gone"]
    assert content.special == [("a/2.png", "a pipe"), ("a/3.png", "a device")]


def test_hidden_names_are_passed_over(root):
    link(root, ".up", "..")
    (root / ".git").mkdir()
    (root / ".git/1.png").touch()
    assert walk_folder(root).files == ["a/1.png"]
