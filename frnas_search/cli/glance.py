"""`frnas status`, which people and their scripts ask for again and again, without a detour.

The library that reads commands takes longer to load than all else that `status` does; its plain
forms need none of it. Whatever is not one of them, a mistake above all, is left to the library.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import NamedTuple

_INTERRUPTED = 130


class _Question(NamedTuple):
    run: str
    as_json: bool
    runs: str | None


def glance(words: list[str]) -> bool:
    """Answer `status RUN [--json] [--runs DIR]`; False where the words are others.

    Args:
        words: Of the command line, without the program's name.
    """
    question = _question(words)
    if question is None:
        return False
    gc.disable()  # there is an end soon, and little to collect before

    from frnas_search.cli.refusal import refuse
    from results.errors import ResultsError
    from results.run_directory import RUNS_DIRECTORY

    runs = RUNS_DIRECTORY if question.runs is None else Path(question.runs)
    try:
        print_status(question.run, as_json=question.as_json, runs=runs)
    except ResultsError as error:
        refuse(str(error))
    except OSError:
        return False  # whoever knows what to do about it is asked
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    return True


def print_status(run: str, *, as_json: bool, runs: Path) -> None:
    """Print how far a run is.

    Args:
        run: Its name, or the path of its directory.
        as_json: As the document; else as a table.
        runs: The folder that holds the runs.

    Raises:
        ResultsError: There is no such run, or its log cannot be read.
    """
    from results.query import load_view
    from results.run_directory import resolve_run
    from results.status import current_status

    found = resolve_run(run, runs_directory=runs)
    view, state = load_view(found)
    document = current_status(found, view, state)
    if "log_warning" in document:
        sys.stderr.write(f"frnas: warning: {document['log_warning']}\n")
    if as_json:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        sys.stdout.write(f"{text}\n")
    else:
        from frnas_search.cli.printing import print_table
        from frnas_search.cli.run_tables import status_table

        print_table(status_table(document))


def _question(words: list[str]) -> _Question | None:
    if words[:1] != ["status"]:
        return None
    names, as_json, runs = [], False, None
    remaining = iter(words[1:])
    for word in remaining:
        if word == "--json":
            as_json = True
        elif word == "--runs":
            runs = next(remaining, "-")
        elif word.startswith("--runs="):
            runs = word.removeprefix("--runs=")
        else:
            names.append(word)
    # What looks like an option, or an empty name, is for those who explain it.
    is_plain = len(names) == 1 and all(
        text and not text.startswith("-") for text in (*names, *(() if runs is None else (runs,)))
    )
    return _Question(names[0], as_json, runs) if is_plain else None
