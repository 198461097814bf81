"""A configuration in words, for tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_space.cell import NO_OPERATION
from search_space.definition.decode import operation_name
from search_space.definition.hyperparameters import (
    DAG_TAIL,
    EDGES,
    FAMILY,
    HEAD,
    MITIGATION,
    OPTIMIZER,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def described(configuration: Mapping[str, Any]) -> str:
    """A configuration in one short line."""
    rate = next((v for name, v in configuration.items() if name.startswith("lr_")), None)
    parts = [
        _describe_architecture(configuration),
        str(configuration.get(HEAD, "")),
        str(configuration.get(OPTIMIZER, "")),
        f"{rate:.3g}" if isinstance(rate, float) else "",
        str(configuration.get(MITIGATION, "none")).removeprefix("none"),
    ]
    return " ".join(part for part in parts if part)


def _describe_architecture(configuration: Mapping[str, Any]) -> str:
    if all(name in configuration for name in EDGES):
        edges = [str(configuration[name]) for name in EDGES]
        return f"{''.join(edges)} ({'-'.join(operation_name(int(edge)) for edge in edges)})"
    if FAMILY in configuration:
        return str(configuration.get(f"timm.variant.{configuration[FAMILY]}", "timm"))
    edges = [
        f"{name.removeprefix('dag.op.')} {operation}"
        for name, operation in configuration.items()
        if name.startswith("dag.op.") and operation != NO_OPERATION
    ]
    return f"dag ({', '.join(edges)}; {configuration.get(DAG_TAIL, 'no')} tail)"
