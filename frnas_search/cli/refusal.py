"""How the command line says no. Loads nothing: it must work where an installation is broken."""

from __future__ import annotations

import sys
from typing import NoReturn

BAD_INPUT = 2
INTERRUPTED = 130


def refuse(message: str) -> NoReturn:
    """Write the message to standard error, a line at a time, and end with exit code 2."""
    for line in message.splitlines():
        sys.stderr.write(f"frnas: {line}\n")
    sys.exit(BAD_INPUT)
