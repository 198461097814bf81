"""The commands `frnas space ...`: look at a search space before it is searched. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frnas_search.cli.options import DEFAULT_RUNS, RunsDirectory, print_table
from frnas_search.errors import SearchError

if TYPE_CHECKING:
    from frnas_search.config.run_config import RunConfig
    from frnas_search.launch.data_preparation import Pictures
    from frnas_search.launch.space_preparation import PreparedSpace
    from frnas_search.space_documents.drawing import CellArchitecture

# What opens packs and draws samples is imported in the commands, so that help is there at once.

_BAD_INPUT = 2

space_app = typer.Typer(
    name="space",
    help="Look at a search space before it is searched: what is in it, what it costs, what is "
    "wrong with it.",
    no_args_is_help=True,
)

RunFile = Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Override one value of the run file; may be repeated."
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=4096,
        metavar="PIXELS",
        help="Side of the pictures, instead of opening the data of the run file.",
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(metavar="1|3", help="With --size: grey or colour pictures; 3 by default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")]


@space_app.command("show")
def show_command(
    run_file: RunFile,
    *,
    samples: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, help="Configurations over which shares are counted."),
    ] = 10_000,
    set_: Set = None,
    size: Size = None,
    channels: Channels = None,
    as_json: AsJson = False,
) -> None:
    """Print the whole space: size, hyperparameters, timm variants, and what was left out.

    Shares are counted over samples; constraints by predicted cost, without building.

    Example: frnas space show configs/demo.yaml --size 112 --channels 3
    """
    from frnas_search.cli import space_tables
    from frnas_search.launch.space_samples import sample_statistics, share_within
    from frnas_search.space_documents.report import space_document
    from search_space.definition.space import sample

    config, pictures, prepared = _opened(run_file, set_, size, channels)
    limits = config.constraints.limits()
    drawn = sample(prepared.settings, samples, seed=0)
    statistics = sample_statistics(drawn, prepared.settings, prepared.costs, limits)
    within = share_within(statistics, prepared.settings, prepared.costs, limits)
    document = space_document(
        prepared, pictures, statistics, run=config.name, limits=limits, within=within
    )
    if as_json:
        _print_json(document)
        return
    for line in space_tables.summary_lines(document):
        typer.echo(line)
    print_table(space_tables.hyperparameter_table(document))
    if document["families"]:
        print_table(space_tables.family_table(document))
    if document["left_out"]:
        print_table(space_tables.left_out_table(document))


@space_app.command("sample")
def sample_command(
    run_file: RunFile,
    *,
    n: Annotated[
        int, typer.Option("-n", min=1, max=1_000_000, help="Configurations to draw.")
    ] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Another seed, other configurations.")
    ] = 0,
    build: Annotated[
        bool, typer.Option("--build", help="Build each network, without memory for its weights.")
    ] = False,
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput", help="Also measure milliseconds per image on this machine's device."
        ),
    ] = False,
    set_: Set = None,
    size: Size = None,
    channels: Channels = None,
    as_json: AsJson = False,
) -> None:
    """Draw configurations and say what they are and what they cost.

    With --json the configurations themselves are printed too, as `search.enqueue` takes them.

    Example: frnas space sample configs/demo.yaml -n 5 --build
    """
    from frnas_search.cli.space_tables import sample_table, within_lines
    from frnas_search.launch.space_samples import sample_statistics, share_within
    from frnas_search.space_documents.report import sample_document, within_record
    from search_space.definition.space import sample
    from workers.processes.candidate_costs import candidate_costs

    config, pictures, prepared = _opened(run_file, set_, size, channels)
    drawn = sample(prepared.settings, n, seed=seed)
    built = None
    if build or throughput:
        built = candidate_costs(
            prepared.settings,
            drawn,
            in_channels=pictures.in_channels,
            image_size=pictures.image_size,
            measure_throughput=throughput,
        )
    limits = config.constraints.limits()
    statistics = sample_statistics(drawn, prepared.settings, prepared.costs, limits)
    within = share_within(statistics, prepared.settings, prepared.costs, limits)
    document = sample_document(drawn, built, prepared, pictures, seed=seed, limits=limits)
    document |= within_record(within)
    if as_json:
        _print_json(document)
        return
    print_table(sample_table(document))
    for line in within_lines(document):
        typer.echo(line)


@space_app.command("check")
def check_command(
    run_file: RunFile,
    *,
    samples: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Configurations to draw.")
    ] = 1000,
    set_: Set = None,
    size: Size = None,
    channels: Channels = None,
    runs: RunsDirectory = DEFAULT_RUNS,
    as_json: AsJson = False,
) -> None:
    """Look for everything that can be wrong with a space and report all of it at once.

    Draws configurations, decodes each and builds a few. Ends with exit code 2 if there is a fault.

    Example: frnas space check configs/demo.yaml --samples 1000
    """
    from frnas_search.cli.space_tables import check_lines
    from frnas_search.config.requests import preparation_request
    from frnas_search.config.run_file import read_run_file
    from frnas_search.space_documents.check import check_document, check_space
    from frnas_search.space_documents.request import stated_pictures

    stated = stated_pictures(size, channels)
    found = read_run_file(run_file, tuple(set_ or ()))
    request = preparation_request(found, runs_directory=runs)
    findings = check_space(request, stated=stated, n_samples=samples)
    document = check_document(findings, run_file=run_file)
    if as_json:
        _print_json(document)
    else:
        for line in check_lines(document):
            typer.echo(line)
    if findings.faults:
        raise typer.Exit(_BAD_INPUT)


@space_app.command("export")
def export_command(
    run_file: RunFile,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="By default standard output."),
    ] = None,
    overwrite: Overwrite = False,
    set_: Set = None,
    size: Size = None,
    channels: Channels = None,
) -> None:
    """Write the space in ConfigSpace's own JSON, to be narrowed and given back as space.file.

    Example: frnas space export configs/demo.yaml --out space.json
    """
    from results.atomic import write_text_atomically
    from search_space.definition.space import to_json_text

    if out is not None:
        _refuse_place(out, overwrite=overwrite)
    _, _, prepared = _opened(run_file, set_, size, channels)
    text = to_json_text(prepared.settings)
    if out is None:
        typer.echo(text)
    else:
        write_text_atomically(out, f"{text}\n")


@space_app.command("draw")
def draw_command(
    configuration: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A published name (SMAC_301), a JSON object, or with --of the id of a "
            "configuration (c0007).",
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.svg", help="The drawing to write.")
    ],
    run_file: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN.yaml", help="The space that CONFIG belongs to."),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="The run that CONFIG belongs to: name or directory."),
    ] = None,
    overwrite: Overwrite = False,
    set_: Set = None,
    runs: RunsDirectory = DEFAULT_RUNS,
) -> None:
    """Draw a configuration's cell as SVG; what CONFIG leaves out has its default.

    Example: frnas space draw SMAC_301 --out smac-301.svg
    """
    from results.atomic import write_text_atomically
    from search_space.cells.drawing import cell_svg

    if out.suffix != ".svg":
        raise SearchError(f"--out {out}: drawings are SVG; let its name end in .svg")
    _refuse_place(out, overwrite=overwrite)
    architecture, title = _cell(configuration, run_file, of, tuple(set_ or ()), runs)
    write_text_atomically(out, cell_svg(architecture, title))


def _cell(
    text: str, run_file: Path | None, of: str | None, overrides: tuple[str, ...], runs: Path
) -> tuple[CellArchitecture, str]:
    """The cell that CONFIG means, and a title."""
    from frnas_search.space_documents import drawing
    from results.run_directory import resolve_run
    from search_space.candidate import SpaceSettings

    if run_file is not None and of is not None:
        raise SearchError("--run and --of both say which space it is; give one of the two")
    if overrides and run_file is None:
        raise SearchError("--set changes a run file; add --run RUN.yaml")
    run = resolve_run(of, runs_directory=runs) if of is not None else None
    path = run.run_yaml if run is not None else run_file
    settings = drawing.settings_of(path, overrides) if path is not None else None
    if drawing.is_written_out(text):
        named, name = drawing.written_configuration(text), ""
        settings = settings or drawing.settings_that_hold(named)
    else:
        name = f"{text} of {run.name}: " if run is not None else f"{text}: "
        settings = settings or SpaceSettings()
        if run is not None:
            named = drawing.configuration_of_run(run, text)
        else:
            named = drawing.published_of(text, settings)
    architecture, remark = drawing.cell_of(named, settings)
    return architecture, f"{name}{remark}"


def _opened(
    run_file: Path, set_: list[str] | None, size: int | None, channels: int | None
) -> tuple[RunConfig, Pictures, PreparedSpace]:
    """The run file's space, for its data or for pictures of the size that was given."""
    from frnas_search.config.requests import preparation_request
    from frnas_search.config.run_file import read_run_file
    from frnas_search.space_documents.request import shown_space, stated_pictures

    stated = stated_pictures(size, channels)
    found = read_run_file(run_file, tuple(set_ or ()))
    shown = shown_space(preparation_request(found), stated)
    return found.config, shown.pictures, shown.prepared


def _refuse_place(out: Path, *, overwrite: bool) -> None:
    if out.is_dir():
        raise SearchError(f"{out}: a folder; give the new file a name")
    if out.exists() and not overwrite:
        raise SearchError(f"{out}: exists already; choose another name or add --overwrite")
    if not out.absolute().parent.is_dir():
        raise SearchError(f"{out}: its folder does not exist; make it first")


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
