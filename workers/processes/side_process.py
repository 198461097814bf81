"""One question, one answer, in a process of its own: what needs torch where torch must not be.

Both are JSON; the module that answers is run with `python -m` and calls `answer_with`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any


def ask(module: str, question: Mapping[str, Any]) -> Any:
    """The answer of `python -m module`.

    Raises:
        subprocess.CalledProcessError: The process itself failed, which is a bug.
    """
    answer = subprocess.run(  # noqa: S603 - our own interpreter and modules
        (sys.executable, "-P", "-m", module),  # -P: not from whatever folder this is
        input=json.dumps(question),
        stdout=subprocess.PIPE,  # what it has to say of its failure goes to standard error
        text=True,
        check=True,
        start_new_session=True,  # Ctrl-C is for whoever asked
    )
    return json.loads(answer.stdout)


def answer_with(function: Callable[[Mapping[str, Any]], Any]) -> None:
    """Answer the question on standard input; what libraries print meanwhile is no answer."""
    with contextlib.redirect_stdout(sys.stderr):
        answer = function(json.load(sys.stdin))
    sys.stdout.write(json.dumps(answer))
