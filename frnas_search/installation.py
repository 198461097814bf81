"""Whether Python finds the packages of this frnas, or others of the same names in their place.

`results` and `workers` are names that others use as well: another distribution may have written
over them, a folder of a user's own may come first on the path. Knows the standard library only,
and runs nothing of a package before it is known to be ours.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from frnas_search.errors import InstallationError

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

PACKAGES = ("frnas_search", "workers", "search_space", "results")
MARK = b"Part of frnas."
"""In the docstring of each of the packages, and in nobody else's."""

_REINSTALL = "`python -m pip install --force-reinstall --no-deps frnas`"


def require_own_packages(root: Path = Path(__file__).parent.parent) -> None:
    """Refuse to go on with a package that is not the one of this frnas.

    All packages lie beside each other, wherever frnas is installed, unpacked or zipped; so one
    that Python finds elsewhere is another's, and so is one beside them without our mark. A folder
    without an `__init__.py` does not hide a package and is no reason to refuse.

    Args:
        root: The folder, or the zip file, that holds the packages.

    Raises:
        InstallationError: The first package that is another's, with where it is and what to do.
    """
    for name in PACKAGES:
        fault = _fault(name, root)
        if fault is not None:
            raise InstallationError(fault)


def _fault(name: str, root: Path) -> str | None:
    spec = _spec(name)
    if spec is None or spec.origin is None:
        return (
            f"the package `{name}` of frnas in {root} lacks its `__init__.py`, as it does after "
            f"another package of that name was uninstalled; reinstall frnas with {_REINSTALL}"
        )
    found = Path(spec.origin)
    if not _is_in(found, root / name):
        return (
            f"Python finds {_place(found)} in place of the package `{name}` of frnas in {root}; "
            + (_remedy(name, found))
        )
    if _is_marked(spec):
        return None
    other = _distribution(name, root)
    uninstall = f"uninstall it with `python -m pip uninstall {other}`, then " if other else ""
    return (
        f"the package `{name}` of frnas in {root} was overwritten by another of that name"
        f"{f', of the distribution {other}' if other else ''}; {uninstall}"
        f"reinstall frnas with {_REINSTALL}"
    )


def _spec(name: str) -> ModuleSpec | None:
    """What an import of the package would load, or has loaded."""
    try:
        return find_spec(name)
    except ValueError:  # a module that somebody made by hand
        return None


def _is_in(file: Path, package: Path) -> bool:
    """Whether a file is the package's own; links are followed of folders, never of the file.

    Some installers make each file a link into a store, where packages may lie apart.
    """
    if file.stem != "__init__":
        return False
    return file.parent == package or os.path.realpath(file.parent) == os.path.realpath(package)


def _is_marked(spec: ModuleSpec) -> bool:
    """Whether the package's docstring is ours; yes where there is no source to look into."""
    read = getattr(spec.loader, "get_data", None)
    if read is None or not str(spec.origin).endswith(".py"):
        return True
    try:
        return MARK in read(spec.origin)
    except OSError:
        return True


def _place(found: Path) -> Path:
    return found.parent if found.stem == "__init__" else found


def _remedy(name: str, found: Path) -> str:
    """What to do about a package that comes first on the path."""
    place = _place(found)
    other = _distribution(name, place.parent)
    if other is not None:
        return f"uninstall it with `python -m pip uninstall {other}`"
    listed = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if str(place.parent) in map(os.path.abspath, listed):
        return f"take {place.parent} off PYTHONPATH, or rename it"
    if place.parent == Path.cwd():
        return "rename it, or start Python in another folder"
    return f"rename it, or take {place.parent} off `sys.path`"


def _distribution(name: str, folder: Path) -> str | None:
    """The other distribution that installed a package of that name in a folder."""
    from importlib.metadata import distributions  # slow to load, and rarely needed

    for distribution in distributions(path=[str(folder)]):
        tops = {file.parts[0].removesuffix(".py") for file in distribution.files or ()}
        if name in tops and distribution.name != "frnas":
            return distribution.name
    return None
