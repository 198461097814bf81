"""What may have been meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, or where to look."""
    close = near_names(name, known)
    return f"did you mean {' or '.join(close)}?" if close else "`frnas space show` lists them"


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that are close to the name, case aside, the closest first."""
    by_lower_case = {known_name.lower(): known_name for known_name in known}
    near = difflib.get_close_matches(name.lower(), list(by_lower_case), n=3)
    return [by_lower_case[lower_case] for lower_case in near]
