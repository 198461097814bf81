"""Packages of others in the place of ours are noticed; nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from frnas_search.installation import PACKAGES, require_own_packages
from tests.places import REPOSITORY

IMPORT = ("-c", "import frnas, results; print(frnas.__file__, results.__file__)")
COMMAND = ("-m", "frnas_search.cli.main", "--version")


def python(
    *arguments: str, path: tuple[Path, ...], folder: Path
) -> subprocess.CompletedProcess[str]:
    """A Python started in a folder with a PYTHONPATH; `-c` and `-m` put the folder before it."""
    return subprocess.run(
        (sys.executable, *arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(*words: str, path: tuple[Path, ...], folder: Path) -> None:
    """Refused by an import and by the command line, in one and the same sentence."""
    imported = python(*IMPORT, path=path, folder=folder)
    assert imported.returncode == 1
    kind, _, sentence = imported.stderr.splitlines()[-1].partition(": ")
    assert kind == "frnas_search.errors.InstallationError"
    command = python(*COMMAND, path=path, folder=folder)
    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr == f"frnas: {sentence}\n"
    for word in words:
        assert word in sentence


def assert_accepted(*, path: tuple[Path, ...], folder: Path) -> None:
    imported = python(*IMPORT, path=path, folder=folder)
    assert imported.returncode == 0, imported.stderr
    assert all(place.startswith(f"{path[0]}{os.sep}") for place in imported.stdout.split())
    assert python(*COMMAND, path=path, folder=folder).stderr == ""


def write_package(folder: Path, name: str, text: str = "") -> Path:
    package = folder / name
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").unlink(missing_ok=True)
    (package / "__init__.py").write_text(text)
    return package


def write_distribution(folder: Path, name: str, *files: str) -> None:
    """What pip leaves of a distribution beside its files."""
    information = folder / f"{name}-2.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with all our packages, each file a link into the repository."""
    site = tmp_path / "site"
    for name in (*PACKAGES, "frnas"):
        shutil.copytree(
            REPOSITORY / name,
            site / name,
            copy_function=os.symlink,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    return site


def test_the_repository_is_in_order(tmp_path: Path) -> None:
    require_own_packages()
    assert_accepted(path=(REPOSITORY,), folder=tmp_path)


def test_a_site_of_links_is_in_order_wherever_python_starts(site: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, site, REPOSITORY / "tests/unit"):
        assert_accepted(path=(site,), folder=folder)


def test_a_site_that_is_reached_by_a_link_is_in_order(site: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(site)
    assert_accepted(path=(linked, site), folder=tmp_path)
    program = (
        "import pathlib, frnas_search.installation as installation\n"
        f"installation.require_own_packages(pathlib.Path({str(linked)!r}))"
    )
    done = python("-c", program, path=(site,), folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_zip_file_is_in_order(site: Path, tmp_path: Path) -> None:
    archive = tmp_path / "frnas.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for file in site.rglob("*.py"):
            content.write(file, file.relative_to(site))
    assert_accepted(path=(archive,), folder=tmp_path)


def test_folders_without_an_init_hide_nothing(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for name in PACKAGES:
        (mine / name).mkdir(parents=True)
        (mine / name / "plot.py").touch()
    assert_accepted(path=(site,), folder=mine)
    assert_accepted(path=(site, mine), folder=tmp_path)


def test_a_package_in_the_current_folder_is_refused(site: Path, tmp_path: Path) -> None:
    mine = write_package(tmp_path / "mine", "workers")
    assert_refused(
        f"finds {mine} in place of the package `workers` of frnas in {site}",
        "rename it, or start Python in another folder",
        path=(site,),
        folder=mine.parent,
    )


def test_without_a_pythonpath_nobody_is_told_to_change_it(site: Path, tmp_path: Path) -> None:
    mine = write_package(tmp_path / "mine", "workers").parent
    program = f"import sys; sys.path.insert(1, {str(site)!r}); import frnas"
    done = python("-c", program, path=(), folder=mine)
    assert done.stderr.endswith("rename it, or start Python in another folder\n")


def test_a_module_on_the_path_is_refused(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "results.py").touch()
    assert_refused(
        str(mine / "results.py"), f"take {mine} off PYTHONPATH", path=(mine, site), folder=tmp_path
    )


def test_a_package_of_another_distribution_that_comes_first_is_refused(
    site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_package(other, "results")
    write_distribution(other, "results-of-others", "results/__init__.py")
    assert_refused(
        str(other / "results"),
        "uninstall it with `python -m pip uninstall results-of-others`",
        path=(other, site),
        folder=tmp_path,
    )


def test_a_package_that_was_overwritten_is_refused(site: Path, tmp_path: Path) -> None:
    write_package(site, "results", "from results.command import *\n")
    write_distribution(site, "frnas", "results/__init__.py")
    write_distribution(site, "results", "results/__init__.py")
    assert_refused(
        "overwritten by another of that name, of the distribution results",
        "`python -m pip uninstall results`, then reinstall frnas",
        path=(site,),
        folder=tmp_path,
    )


def test_a_package_that_nobody_knows_to_have_overwritten_is_refused_too(
    site: Path, tmp_path: Path
) -> None:
    write_package(site, "results")
    write_distribution(site, "frnas", "results/__init__.py")
    assert_refused(
        "overwritten by another of that name; reinstall frnas", path=(site,), folder=tmp_path
    )


def test_a_package_without_its_init_is_refused(site: Path, tmp_path: Path) -> None:
    (site / "results/__init__.py").unlink()
    # Elsewhere on the path there may be a whole one, of another frnas: that is as wrong.
    for words, path in (("lacks", (site,)), (str(REPOSITORY), (site, REPOSITORY))):
        done = python("-S", *IMPORT, path=path, folder=tmp_path)
        assert "InstallationError" in done.stderr
        assert words in done.stderr.splitlines()[-1]


def test_another_package_for_the_search_is_told_by_an_import(site: Path, tmp_path: Path) -> None:
    mine = write_package(tmp_path / "mine", "frnas_search")
    done = python(*IMPORT, path=(site,), folder=mine.parent)
    found = mine / "__init__.py"
    sentence = f"Python finds {found} in place of the package `frnas_search` of frnas in {site};"
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: {sentence}")


def test_packages_stay_ours_when_the_folder_changes_later(site: Path, tmp_path: Path) -> None:
    mine = write_package(tmp_path / "mine", "results").parent
    program = f"import frnas, os; os.chdir({str(mine)!r}); import results.errors as e; print(e)"
    done = python("-c", program, path=(), folder=site)
    assert str(site) in done.stdout, done.stderr
