"""The examples for those who use SMAC alone do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.places import REPOSITORY

DOCUMENT = REPOSITORY / "docs/smac.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^\|[^|]*\| `([\w.]+)` \|", re.MULTILINE)


def test_the_examples_work(tmp_path: Path) -> None:
    blocks = _BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(blocks) == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if not line.startswith("[")]
    names = [line.split()[0] for line in printed]
    assert list(dict.fromkeys(names)) == [
        "full",
        "budgets",
        "limits",
        "asked",
        "intensifier",
        "model",
    ]
    assert names.count("full") >= 3
    assert printed[names.index("budgets")].endswith("[3.0, 9.0, 27.0]")
    errors = [float(line.split("[")[1].split(",")[0]) for line in printed if "limits" in line]
    assert errors
    assert max(errors) <= 0.3
    assert printed[names.index("asked")].startswith("asked 20 ")


def test_the_parts_are_where_the_table_says() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    named = _PART.findall(text)
    assert len(named) == 17
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "frnas_search/optimizers/smac").rglob("*.py")
    )
    for name in named:
        last = name.rpartition(".")[2]
        assert (
            f"class {last}(" in sources
            or (
                REPOSITORY / "frnas_search/optimizers/smac" / f"{name.replace('.', '/')}.py"
            ).exists()
        ), name
