"""The HTTP API: reads runs and serves the same documents as the command line. Never steers.

A run's view follows its log, shared by all requests, so the API works beside a running coordinator
and after one was killed, and any number of API processes may serve the same folder. What takes
time runs on a few threads; whether the service is up is answered beside them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, StreamingResponse

from frnas_search.answers import Answer, Answers
from results.documents import (
    Document,
    Page,
    pareto_document,
    runs_document,
    trials_document,
)
from results.errors import LogError, ResultsError, RunNotFoundError, SelectionError
from results.follow import Followers
from results.query import list_runs
from results.run_directory import RunDirectory
from results.schema import SchemaName, schema
from results.selection import max_costs
from results.status import current_status
from results.streams import json_lines
from results.view import RunState, RunView

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STATUS_CODES: dict[type[ResultsError], int] = {
    RunNotFoundError: 404,
    SelectionError: 422,
    LogError: 503,
}
_LINKS = {
    "runs": "/runs",
    "status": "/runs/{run}/status",
    "pareto": "/runs/{run}/pareto",
    "trials": "/runs/{run}/trials",
    "all trials": "/runs/{run}/trials.ndjson",
    "health": "/healthz",
    "documentation": "/docs",
    "openapi": "/openapi.json",
}

_N_THREADS = 4
"""For what takes time; more would only wait for each other, each with a document in memory."""
_PAGE, _LARGEST_PAGE = 100, 1000

RunName = Annotated[str, PathParameter(description="The run's name, as /runs lists it.")]
At = Annotated[
    int | None, Query(ge=1, description="The last event to take into account; default all.")
]
Rung = Annotated[
    int | None, Query(ge=0, description="The fidelity whose front is wanted; default the highest.")
]
Maxima = Annotated[
    list[str] | None,
    Query(
        alias="max",
        description="OBJECTIVE=COST hides entries that cost more; may be given several times.",
        examples=[["error=0.3"]],
    ),
]
FailedOnly = Annotated[bool, Query(alias="failed", description="Only trials that failed.")]
Limit = Annotated[
    int, Query(ge=1, le=_LARGEST_PAGE, description="The most trials to answer with.")
]
Offset = Annotated[int, Query(ge=0, description="Trials to leave out at the beginning.")]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where questions about runs are answered, a few at a time."""

    runs_directory: Path
    followers: Followers
    answers: Answers
    threads: CapacityLimiter

    async def do(self, work: Callable[[], _T]) -> _T:
        return await to_thread.run_sync(work, limiter=self.threads)

    def run(self, name: str) -> RunDirectory:
        """The run called `name`; the name cannot lead out of the folder."""
        run = RunDirectory(self.runs_directory / name) if _NAME.fullmatch(name) else None
        if run is None or not run.exists():
            raise RunNotFoundError(f"there is no run {name!r}; /runs lists those there are")
        return run


def create_app(runs_directory: Path) -> FastAPI:
    """The application that serves the runs under `runs_directory`."""
    followers = Followers()
    desk = _Desk(runs_directory, followers, Answers(followers), CapacityLimiter(_N_THREADS))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        followers.close()

    app = FastAPI(
        title="frnas",
        version="1",
        description="Runs, their progress and their Pareto fronts, read live from the event logs.",
        lifespan=lifespan,
    )
    _add_index(app)
    _add_runs(app, desk)
    _add_front(app, desk)
    _add_trials(app, desk)
    for error in _STATUS_CODES:
        app.add_exception_handler(error, _explain)
    return app


def _add_index(app: FastAPI) -> None:
    @app.get("/", summary="What is here", response_model=None)
    async def index() -> dict[str, Any]:
        """Every address of this service."""
        return {"service": "frnas", "links": _LINKS}

    @app.get("/healthz", summary="Is the service up", response_model=None)
    async def health() -> dict[str, Any]:
        """Always `ok`; says nothing about any run, and waits for nobody."""
        return {"status": "ok"}


def _add_runs(app: FastAPI, desk: _Desk) -> None:
    @app.get("/runs", summary="All runs", response_model=None, responses=_responses("runs"))
    async def runs() -> dict[str, Any]:
        """Every run with its state; one that cannot be read has its reason in `error`."""
        return runs_document(
            await desk.do(partial(list_runs, desk.runs_directory, desk.followers))
        )

    @app.get(
        "/runs/{run}/status",
        summary="How far a run is",
        response_model=None,
        responses=_responses("status"),
    )
    async def status(request: Request, run: RunName) -> Response:
        """Trials, epochs and GPU time spent, failures by kind, limits and the best so far."""

        def make(view: RunView, state: RunState) -> Document:
            return current_status(desk.run(run), view, state)

        def work() -> Answer:
            return desk.answers.document(desk.run(run), ("status",), make, long="progress")

        return _response(request, await desk.do(work))


def _add_front(app: FastAPI, desk: _Desk) -> None:
    @app.get(
        "/runs/{run}/pareto",
        summary="A run's Pareto front",
        response_model=None,
        responses=_responses("pareto"),
    )
    async def pareto(
        request: Request, run: RunName, at: At = None, rung: Rung = None, maxima: Maxima = None
    ) -> Response:
        """The front with costs, intervals, metrics, configurations and provenance."""
        key = ("pareto", at, rung, tuple(maxima or ()))

        def make(view: RunView, state: RunState) -> Document:
            limits = max_costs(maxima or [])
            return pareto_document(view, run=run, state=state, rung=rung, max_costs=limits)

        def work() -> Answer:
            found = desk.run(run)
            if at is None:
                return desk.answers.document(found, key, make, long="front")
            return desk.answers.past(found, key, make, at=at)

        return _response(request, await desk.do(work))


def _add_trials(app: FastAPI, desk: _Desk) -> None:
    @app.get(
        "/runs/{run}/trials",
        summary="A run's trials",
        response_model=None,
        responses=_responses("trials"),
    )
    async def trials(
        request: Request,
        run: RunName,
        *,
        failed_only: FailedOnly = False,
        limit: Limit = _PAGE,
        offset: Offset = 0,
    ) -> Response:
        """A page of trials in the order they were asked, with their costs or their failures.

        `total` counts the trials of all pages; `next`, and the header `Link`, lead to the next.
        """
        page = Page(offset=offset, limit=limit)

        def make(view: RunView, state: RunState) -> Document:
            document = trials_document(
                view, run=run, state=state, failed_only=failed_only, page=page
            )
            following = document["next_offset"]
            if following is None:
                return document
            query = {"limit": limit, "offset": following}
            failed = {"failed": "true"} if failed_only else {}
            address = f"/runs/{run}/trials?{urlencode(query | failed)}"
            return document | {"next": address}

        def work() -> Answer:
            key = ("trials", failed_only, limit, offset)
            return desk.answers.document(desk.run(run), key, make, long="trials")

        return _response(request, await desk.do(work))

    @app.get(
        "/runs/{run}/trials.ndjson",
        summary="All of a run's trials, a line each",
        response_class=Response,
        responses={
            200: {"content": {"application/x-ndjson": {}}, "description": "A trial a line."},
            404: {"description": "There is no such run."},
        },
    )
    async def all_trials(run: RunName, *, failed_only: FailedOnly = False) -> Response:
        """Every trial as in `trials`, one JSON object a line, sent while they are read."""

        def work() -> Iterator[str]:
            listing = desk.answers.trials(desk.run(run), failed_only=failed_only)
            return json_lines(listing.trials())

        lines = await desk.do(work)
        return StreamingResponse(_sent(desk, lines), media_type="application/x-ndjson")


async def _sent(desk: _Desk, pieces: Iterator[str]) -> AsyncIterator[str]:
    """Pieces that are made on the threads of what takes time, one after another."""
    while (piece := await desk.do(partial(next, pieces, None))) is not None:
        yield piece


def _response(request: Request, answer: Answer) -> Response:
    """The document, or that the one who asks has it already."""
    headers = {"ETag": answer.tag, "Cache-Control": "no-cache"}
    if answer.following is not None:
        headers["Link"] = f'<{answer.following}>; rel="next"'
    known = request.headers.get("if-none-match", "").split(",")
    if {answer.tag, "*"} & {tag.strip().removeprefix("W/") for tag in known}:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type="application/json", headers=headers)


def _explain(_request: Request, error: Exception) -> JSONResponse:
    code = next(code for kind, code in _STATUS_CODES.items() if isinstance(error, kind))
    return JSONResponse({"detail": str(error)}, status_code=code)


def _responses(name: SchemaName) -> dict[int | str, dict[str, Any]]:
    """What a route answers with, for the OpenAPI page."""
    document = schema(name)
    content = {"application/json": {"schema": _inlined(document, document.get("$defs", {}))}}
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": document["description"], "content": content},
        503: {"description": "The event log cannot be read."},
    }
    if name != "runs":
        responses[404] = {"description": "There is no such run."}
    return responses


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with its definitions written out: inside OpenAPI a reference would miss them."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].removeprefix("#/$defs/")], definitions)
    kept = {key: item for key, item in value.items() if key not in ("$schema", "$id", "$defs")}
    return {key: _inlined(item, definitions) for key, item in kept.items()}
