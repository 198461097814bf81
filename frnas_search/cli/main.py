"""The door of the command line: `frnas`. Looks whose packages it finds before it loads them."""

from __future__ import annotations

import sys

from frnas_search.cli.glance import glance
from frnas_search.cli.refusal import INTERRUPTED, refuse
from frnas_search.errors import InstallationError
from frnas_search.installation import require_own_packages


def main() -> None:
    """Run the command line; packages of others in the place of ours end it with exit code 2."""
    try:
        require_own_packages()
        if glance(sys.argv[1:]):
            return
        from frnas_search.cli.app import run  # loads all of them
    except InstallationError as error:
        refuse(str(error))
    except KeyboardInterrupt:  # while all of that is loaded
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
