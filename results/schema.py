"""The JSON Schemas of the documents, as packaged files."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Literal, TypeAlias

SchemaName: TypeAlias = Literal["pareto", "status", "trials", "runs", "retrained", "importance"]


def schema(name: SchemaName) -> dict[str, Any]:
    """The JSON Schema, draft 2020-12, of the document `frnas.<name>/1`."""
    path = files("results").joinpath("schemas", f"{name}-1.schema.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
