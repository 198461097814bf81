"""What lies in a folder, links included: each folder once, loops refused, nothing passed over.

Looks at names and kinds only and opens no file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from workers.data.formats.bounded_file import kind_of
from workers.errors import DataError

_Key: TypeAlias = tuple[int, int]
"""Device and number, by which a folder is the same under two names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContent:
    """What lies in a folder; all names are relative to it, with `/` between folders.

    Attributes:
        files: Also files behind links.
        repeated: Links to folders that are read already -> the name under which they are.
        dangling: Links that lead nowhere.
        special: Pipes, devices and sockets, with what they are.
    """

    files: Sequence[str]
    repeated: Sequence[tuple[str, str]]
    dangling: Sequence[str]
    special: Sequence[tuple[str, str]]


class _Place(NamedTuple):
    """A folder to look into, what its names begin with, and the folders that it lies in."""

    path: str
    prefix: str
    inside: tuple[_Key, ...]


@dataclass(slots=True, kw_only=True)
class _Walk:
    root: str
    seen: dict[_Key, str] = field(default_factory=dict)
    links: deque[_Place] = field(default_factory=deque)
    files: list[str] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    special: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> None:
        """All that is really there first, then what links lead to, in the order of their names."""
        self._descend(_Place(self.root, "", ()))
        self.links = deque(sorted(self.links))
        while self.links:
            self._follow(self.links.popleft())

    def _descend(self, place: _Place) -> None:
        pending = [place]
        while pending:
            place = pending.pop()
            key = _key(Path(place.path).stat())
            if key in self.seen:
                self.repeated.append((place.prefix, self.seen[key]))
                continue
            self.seen[key] = place.prefix
            inside = (*place.inside, key)
            with os.scandir(place.path) as entries:
                for entry in entries:
                    found = self._sort(entry, place.prefix, inside)
                    if found is not None:
                        pending.append(found)

    def _sort(
        self, entry: os.DirEntry[str], prefix: str, inside: tuple[_Key, ...]
    ) -> _Place | None:
        """Put an entry where it belongs; a folder is returned, to look into."""
        name = prefix + entry.name
        if is_hidden(entry.name):
            return None
        if entry.is_symlink():
            self._sort_link(entry, name, inside)
        elif entry.is_dir(follow_symlinks=False):
            return _Place(entry.path, name + "/", inside)
        elif entry.is_file(follow_symlinks=False):
            self.files.append(name)
        else:
            self.special.append((name, kind_of(entry.stat(follow_symlinks=False).st_mode)))
        return None

    def _sort_link(self, entry: os.DirEntry[str], name: str, inside: tuple[_Key, ...]) -> None:
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _loop(entry.path) from None
            self.dangling.append(name)
            return
        if stat.S_ISDIR(mode):
            self.links.append(_Place(entry.path, name + "/", inside))
        elif stat.S_ISREG(mode):
            self.files.append(name)
        else:
            self.special.append((name, kind_of(mode)))

    def _follow(self, link: _Place) -> None:
        target = os.path.realpath(link.path)
        is_above = Path(os.path.realpath(self.root)).is_relative_to(target)
        if is_above or _key(Path(link.path).stat()) in link.inside:
            raise _loop(link.path)
        self._descend(link)


def walk_folder(folder: Path) -> FolderContent:
    """Look through a folder and what its links lead to; hidden names are passed over.

    A folder that several names lead to is read once, under its own name if it lies inside.

    Raises:
        DataError: A link leads to a folder that it lies in itself.
        OSError: A folder cannot be listed, for it must not pass for an empty one.
    """
    walk = _Walk(root=str(folder))
    walk.run()
    return FolderContent(
        files=walk.files,
        repeated=sorted((name.rstrip("/"), first.rstrip("/")) for name, first in walk.repeated),
        dangling=sorted(walk.dangling),
        special=sorted(walk.special),
    )


def is_hidden(part: str) -> bool:
    """Such as the shadow files that macOS puts into archives; `part` is a name between two `/`."""
    return part.startswith((".", "__MACOSX"))


def _key(found: os.stat_result) -> _Key:
    return found.st_dev, found.st_ino


def _loop(path: str) -> DataError:
    return DataError(
        f"{path}: a link to a folder that it lies in, so that there would be no end; remove the "
        "link"
    )
