"""How a run is doing as of now: what its log tells, and what its coordinator last said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.clock import utc_now
from results.documents import status_document
from results.live import as_of_now, read_live
from results.sqlite_store import why_shorter

if TYPE_CHECKING:
    from results.documents import Document
    from results.run_directory import RunDirectory
    from results.view import RunState, RunView


def current_status(run: RunDirectory, view: RunView, state: RunState) -> Document:
    """The document `frnas.status/1` of a run.

    Args:
        run: Where it is kept.
        view: As of its last event.
        state: What the run is doing.
    """
    now = utc_now()
    document = status_document(view, run=run.name, state=state, limits=view.limits)
    document = as_of_now(document, view, state=state, now=now, live=read_live(run.live, now=now))
    reason = why_shorter(run.events)
    return document if reason is None else document | {"log_warning": reason}
