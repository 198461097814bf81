"""Which cell `frnas space draw` is asked for. Opens no data: no cell depends on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from frnas_search.config.run_file import load_run_config
from frnas_search.errors import SearchError
from results.query import load_view
from results.run_directory import RunDirectory
from search_space.candidate import (
    TUNABLES,
    DagArchitecture,
    DagSettings,
    DualPathArchitecture,
    SpaceSettings,
    TimmArchitecture,
    Value,
)
from search_space.definition.bounds import MOST_BLOCKS_PER_STAGE
from search_space.definition.decode import complete, decode, describe
from search_space.definition.hyperparameters import (
    ARCHITECTURE,
    DAG_WIDTH,
    EDGES,
    FAMILY,
    edge_name,
    group_margin_name,
    hyperparameters,
    unrestricted,
)
from search_space.definition.published import PUBLISHED, published_configuration
from search_space.definition.suggestions import suggestion

CellArchitecture: TypeAlias = DagArchitecture | DualPathArchitecture
_LARGEST = 5


def is_written_out(text: str) -> bool:
    """Whether the text is meant as a JSON object rather than as a name."""
    return text.lstrip().startswith("{")


def written_configuration(text: str) -> dict[str, Value]:
    """The configuration that is written out as a JSON object.

    Raises:
        SearchError: It is not JSON, or not an object of plain values.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SearchError(
            f"CONFIG is not JSON ({error}); give an object such as "
            '{"edge1": "3", "edge2": "0", "edge3": "1"}'
        ) from error
    nested = [
        name for name, inner in value.items() if not isinstance(inner, bool | int | float | str)
    ]
    if nested:
        raise SearchError(
            f"CONFIG: {', '.join(nested)} holds no plain value; give the object under "
            "`configuration` of `frnas space sample --json`"
        )
    return dict(value)


def configuration_of_run(run: RunDirectory, config_id: str) -> dict[str, Value]:
    """What a run knows under this id, or what is published under this name.

    Raises:
        SearchError: The run has no such configuration; similar ones are named.
    """
    view, _ = load_view(run)
    requests = [trial.request for trial in view.trials.values()]
    known = {request.config_id: request.configuration for request in requests}
    if config_id in known:
        return dict(known[config_id])
    if config_id in PUBLISHED:
        return published_configuration(config_id, settings_of(run.run_yaml))
    close = suggestion(config_id, known).replace("space show", f"trials {run.name}")
    raise SearchError(f"{run.name} has no configuration {config_id!r}; {close}")


def published_of(name: str, settings: SpaceSettings) -> dict[str, Value]:
    """What is published under this name.

    Raises:
        SearchError: Nothing is; similar names are given.
    """
    if name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise SearchError(
            f"there is no published configuration {name!r}; {_meant(name)}choose from {known}, "
            "or add --of RUN for one of a run"
        )
    return published_configuration(name, settings)


def settings_of(run_file: Path, overrides: tuple[str, ...] = ()) -> SpaceSettings:
    """The space of a run file, its timm families as they are written.

    Raises:
        RunFileError: The file has faults.
    """
    return load_run_config(run_file, overrides).space.settings()


def settings_that_hold(configuration: Mapping[str, Value]) -> SpaceSettings:
    """A space wide enough for a configuration of which no run file is known."""
    nodes = next(
        (
            target + 1
            for target in range(_LARGEST - 1, 0, -1)
            if any(edge_name(source, target) in configuration for source in range(target))
        ),
        DagSettings().nodes,
    )
    widths = DagSettings().widths
    width = configuration.get(DAG_WIDTH)
    if isinstance(width, int | float):
        widths = (*(known for known in widths if known != width), float(width))
    dag = DagSettings(nodes=nodes, widths=widths, blocks=(1, MOST_BLOCKS_PER_STAGE))
    return SpaceSettings(preset="joint", sources=("dual_path", "dag"), dag=dag)


def cell_of(
    configuration: Mapping[str, Value], settings: SpaceSettings
) -> tuple[CellArchitecture, str]:
    """The architecture with a cell that the configuration names, and what it is in a few words.

    Raises:
        SearchError: Its architecture is a timm backbone, or it has names that no space knows.
        InvalidConfigurationError: It is not one of the space.
    """
    _refuse_unknown(configuration, settings)
    part = {name: value for name, value in configuration.items() if _is_of_architecture(name)}
    is_timm = settings.sources_in_use == ("timm",) or FAMILY in part
    if is_timm or part.get(ARCHITECTURE) == "timm":
        raise SearchError("this is a timm backbone; only cells, of dual_path and dag, are drawn")
    # The recipe is no part of the drawing, and without it no data need be opened for its groups.
    settings = replace(
        settings, tune=(), fix=_architecture_only(settings.fix), limit={}, priors={}
    )
    candidate = decode(complete(part, settings), settings)
    architecture = candidate.architecture
    assert not isinstance(architecture, TimmArchitecture), "refused above"
    return architecture, describe(candidate).split(" · ")[0]


def _refuse_unknown(configuration: Mapping[str, Value], settings: SpaceSettings) -> None:
    known = {parameter.name for parameter in hyperparameters(settings)}
    everywhere = replace(settings, preset="joint", sources=(), tune=TUNABLES)
    known |= {parameter.name for parameter in unrestricted(everywhere)}
    unknown = [
        name
        for name in configuration
        if name not in known and not name.startswith((group_margin_name(""), "timm.", "dag."))
    ]
    if unknown:
        hints = (f"{name!r} is no hyperparameter; {suggestion(name, known)}" for name in unknown)
        raise SearchError(f"CONFIG: {' '.join(hints)}")


def _is_of_architecture(name: str) -> bool:
    return name in (ARCHITECTURE, *EDGES) or name.startswith(("dag.", "timm."))


def _architecture_only(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if _is_of_architecture(name)}


def _meant(name: str) -> str:
    close = suggestion(name, PUBLISHED)
    return f"{close} " if close.startswith("did you mean") else ""
