"""frnas from Python: start a search, look at runs as data frames, load the models they found.

`import frnas` takes milliseconds: libraries are loaded by the first call that needs them.

    >>> import frnas
    >>> run = frnas.search("configs/demo.yaml", overrides={"stop.trials": 12})
    >>> run.front()[["config_id", "error", "error_low", "error_high"]]
    >>> frnas.open_run("demo").status().state
    'finished'

Everything that is not in `__all__` is internal, and so are the packages `frnas_search`,
`workers`, `search_space` and `results`: they may change from one version to the next.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    from frnas_search.installation import require_own_packages
except ModuleNotFoundError as error:  # whatever else `frnas_search` is here, it is not ours
    _found = getattr(sys.modules.get("frnas_search"), "__file__", None) or "nothing"
    raise ImportError(
        f"Python finds {_found} in place of the package `frnas_search` of frnas in "
        f"{Path(__file__).parent.parent}; rename it or take it off `sys.path`, or "
        "reinstall frnas with `python -m pip install --force-reinstall --no-deps frnas`"
    ) from error
require_own_packages(Path(__file__).parent.parent)

# Only now that they are known to be ours. This loads the four, so they stay ours where Python
# looks for packages in the current folder, and that changes before a module is needed.
from frnas import errors  # noqa: E402
from frnas.launch import resume, search  # noqa: E402
from frnas.models import load_model  # noqa: E402
from frnas.run import Run, open_run  # noqa: E402
from frnas.status import RunStatus  # noqa: E402

__all__ = [
    "Run",
    "RunStatus",
    "__version__",
    "errors",
    "load_model",
    "open_run",
    "resume",
    "search",
]

__version__: str


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # slow to load

        return version("frnas")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
