"""The package `frnas` as people use it: the examples of the document, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.e2e.conftest import Shell
from tests.places import REPOSITORY

pytestmark = pytest.mark.timeout(240)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program(document: str) -> str:
    """The document's blocks as one program; those without a language are commands."""
    lines = ["import subprocess, sys"]
    for language, text in _BLOCK.findall(document):
        if language == "python":
            lines.append(text)
            continue
        for command in text.splitlines():
            _, *arguments = command.split()
            called = ["-m", "frnas_search.cli.main", *arguments]
            lines.append(f"subprocess.run([sys.executable, *{called}], check=True)")
    return "\n".join(lines)


def test_the_examples_of_the_document_work(shell: Shell) -> None:
    document = (REPOSITORY / "docs/python.md").read_text(encoding="utf-8")
    blocks = [language for language, _ in _BLOCK.findall(document)]
    assert (blocks.count("python"), blocks.count("")) == (5, 1)

    done = subprocess.run(
        [sys.executable, "-c", program(document)],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    state, *rest = done.stdout.splitlines()
    assert state == "finished"
    assert "torch.Size([8, 32]) first" in rest
    assert rest[-1] == "first.yaml: no such run file; configs/ has examples"
    assert shell.frnas("status", "first", "--json").json["trials"]["running"] == 0
    assert (shell.folder / "runs/first/report/front.png").exists()
    assert "t0003" in (shell.folder / "runs/first/logs/coordinator.jsonl").read_text()


def test_ctrl_c_ends_a_search_and_gives_the_run(shell: Shell) -> None:
    text = (
        "import frnas, signal\n"
        "run = frnas.search('tiny.yaml', overrides={'stop.trials': 100})\n"
        "print(run.status().state, run.status().n_running, len(run.trials()) > 0)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    with (shell.folder / "0.log").open("w") as log:
        search = subprocess.Popen(
            [sys.executable, "-c", text],
            cwd=shell.folder,
            env=shell.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    shell.started.append(search)
    shell.wait_for_told(1, search)

    # As a terminal does it: the whole process group is told.
    os.killpg(search.pid, signal.SIGINT)

    assert search.communicate()[0].splitlines() == ["stopped 0 True", "True"], shell.log_of(search)
    assert "t0001" in shell.log_of(search), "a line for each trial"
