"""The HTTP API: reads runs and serves the same documents as the command line. Never writes.

Each request reads the event log anew, so it works beside a running coordinator and after one was
killed, and any number of API processes may serve the same folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse

from results.documents import pareto_document, runs_document, status_document, trials_document
from results.errors import LogError, ResultsError, RunNotFoundError, SelectionError
from results.query import list_runs, load_view
from results.run_directory import RunDirectory
from results.schema import SchemaName, schema
from results.selection import max_costs

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
    "health": "/healthz",
    "documentation": "/docs",
    "openapi": "/openapi.json",
}

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


def create_app(runs_directory: Path) -> FastAPI:
    """The application that serves the runs under `runs_directory`."""
    app = FastAPI(
        title="frnas",
        version="1",
        description="Runs, their progress and their Pareto fronts, read live from the event logs.",
    )
    _add_index(app)
    _add_runs(app, runs_directory)
    for error in _STATUS_CODES:
        app.add_exception_handler(error, _explain)
    return app


def _add_index(app: FastAPI) -> None:
    @app.get("/", summary="What is here", response_model=None)
    def index() -> dict[str, Any]:
        """Every address of this service."""
        return {"service": "frnas", "links": _LINKS}

    @app.get("/healthz", summary="Is the service up", response_model=None)
    def health() -> dict[str, Any]:
        """Always `ok`; says nothing about any run."""
        return {"status": "ok"}


def _add_runs(app: FastAPI, runs_directory: Path) -> None:
    @app.get("/runs", summary="All runs", response_model=None, responses=_responses("runs"))
    def runs() -> dict[str, Any]:
        """Every run with its state; one that cannot be read has its reason in `error`."""
        return runs_document(list_runs(runs_directory))

    @app.get(
        "/runs/{run}/status",
        summary="How far a run is",
        response_model=None,
        responses=_responses("status"),
    )
    def status(run: RunName) -> dict[str, Any]:
        """Trials, epochs and GPU time spent, failures by kind, limits and the best so far."""
        view, state = load_view(_run(runs_directory, run))
        return status_document(view, run=run, state=state, limits=view.limits)

    @app.get(
        "/runs/{run}/pareto",
        summary="A run's Pareto front",
        response_model=None,
        responses=_responses("pareto"),
    )
    def pareto(
        run: RunName, at: At = None, rung: Rung = None, maxima: Maxima = None
    ) -> dict[str, Any]:
        """The front with costs, intervals, metrics, configurations and provenance."""
        view, state = load_view(_run(runs_directory, run), at=at)
        limits = max_costs(maxima or [])
        return pareto_document(view, run=run, state=state, rung=rung, max_costs=limits)

    @app.get(
        "/runs/{run}/trials",
        summary="A run's trials",
        response_model=None,
        responses=_responses("trials"),
    )
    def trials(run: RunName, *, failed_only: FailedOnly = False) -> dict[str, Any]:
        """Every trial in the order they were asked, with its costs or its failure."""
        view, state = load_view(_run(runs_directory, run))
        return trials_document(view, run=run, state=state, failed_only=failed_only)


def _explain(_request: Request, error: Exception) -> JSONResponse:
    code = next(code for kind, code in _STATUS_CODES.items() if isinstance(error, kind))
    return JSONResponse({"detail": str(error)}, status_code=code)


def _run(runs_directory: Path, name: str) -> RunDirectory:
    """The run called `name`; the name cannot lead out of the folder."""
    run = RunDirectory(runs_directory / name) if _NAME.fullmatch(name) else None
    if run is None or not run.exists():
        raise RunNotFoundError(f"there is no run {name!r}; /runs lists those there are")
    return run


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
