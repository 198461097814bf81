"""The commands `frnas data ...`: make packs of faces and say what is in them. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from workers.data.sources.pack_settings import DEFAULT_LEFT_OUT_FRACTION, DEFAULT_MEMORY_GB
from workers.data.sources.specs import FORMATS

# What reads pictures is imported in the commands, so that the help is there at once.

if TYPE_CHECKING:
    SourceFormat: TypeAlias = str
else:
    SourceFormat = Literal[FORMATS]

data_app = typer.Typer(
    name="data", help="Pack faces for training and say what a pack holds.", no_args_is_help=True
)

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="The pack to write, such as lfw.pack.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")]


@data_app.command("pack")
def pack_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A folder or archive of pictures of a known data set, or with one folder for "
            "each person, or an .npz, .rec or .bin file.",
        ),
    ],
    *,
    out: Out,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to compare people by, such as gender, or 'gender*race' for both at "
            "once; may be given several times. People without a value are left out. By default "
            "every column with few values."
        ),
    ] = None,
    form: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="What SOURCE is. By default found out by what lies there."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Label file with a column path or identity, one for each group, and if wanted "
            "split. By default the labels.csv inside SOURCE.",
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Who is in which split: columns identity and split. By default the data set's "
            "own splits, or drawn ones.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Pairs to verify, a list like LFW's pairs.txt. By default the one inside SOURCE.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Height and width in pixels. By default the pictures' own, up to 112."),
    ] = None,
    colour: Annotated[
        Literal["auto", "grey", "colour"],
        typer.Option(help="auto packs grey where all pictures looked at are grey."),
    ] = "auto",
    min_images: Annotated[
        int | None,
        typer.Option(
            help="Leave out people with fewer images than this. By default 2, or 1 where SOURCE "
            "lists pairs.",
            show_default=False,
        ),
    ] = None,
    val: Annotated[
        float, typer.Option(help="Share of people that choose between networks, 0 to 1.")
    ] = 0.2,
    test: Annotated[
        float, typer.Option(help="Share of people kept unseen until the end, 0 to 1.")
    ] = 0.2,
    max_val: Annotated[
        int | None,
        typer.Option(
            "--val-identities",
            help="At most so many people of each group choose, whatever their share. By default "
            "200 for VGGFace2.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another draw of the splits.")] = 0,
    max_broken: Annotated[
        float,
        typer.Option(help="Share of unreadable pictures above which nothing is packed, 0 to 1."),
    ] = 0.05,
    max_left_out: Annotated[
        float,
        typer.Option(
            help="Share of pictures, people or pairs that SOURCE announces and does not have, or "
            "has and that nothing is known of, above which nothing is packed, 0 to 1."
        ),
    ] = DEFAULT_LEFT_OUT_FRACTION,
    memory_gb: Annotated[
        float,
        typer.Option(
            "--memory-gb",
            help="Gigabytes that pictures take at once while they are decoded, and that an .npz "
            "or .bin file takes in memory, at most.",
        ),
    ] = DEFAULT_MEMORY_GB,
    overwrite: Overwrite = False,
) -> None:
    """Pack the faces of CelebA, VGGFace2, LFW, RFW, AgeDB, ORL or your own into one FILE.

    People, not images, are dealt out to train, val and test, within each group alike, unless the
    data set has splits of its own. Pictures are cut to their centre square. What is interrupted
    goes on where it was when the same command is given again. Nothing is ever fetched.

    Example: frnas data pack lfw.zip --out lfw.pack --group gender --size 112
    """
    from workers.data.importing.packing import pack_source
    from workers.data.sources.pack_settings import PackSettings

    settings = PackSettings(
        size=size,
        colour=colour,
        form=form,
        groups=tuple(group) if group else None,
        min_images=min_images,
        val_fraction=val,
        test_fraction=test,
        max_val_identities=max_val,
        seed=seed,
        splits=splits,
        labels=labels,
        pairs=pairs,
        max_broken_fraction=max_broken,
        max_left_out_fraction=max_left_out,
        memory_gb=memory_gb,
    )
    with _progress() as progress:
        report = pack_source(
            source, out, settings=settings, overwrite=overwrite, progress=progress
        )
    for name, why in report.broken.items():
        typer.echo(f"cannot be read: {name} ({why})", err=True)
    _print_info(out, is_json=False, verify=False)


@data_app.command("info")
def info_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pack.")],
    *,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, schema frnas.pack-info/1.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read all images and compare the digest, also if this was done here before.",
        ),
    ] = False,
) -> None:
    """Say what a pack holds: people, images and groups of each split, digest and warnings.

    A pack that this machine has not read whole yet is compared with its digest first.

    Example: frnas data info lfw.pack --verify
    """
    _print_info(file, is_json=is_json, verify=True, again=verify)


@data_app.command("splits")
def splits_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pack.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="CSV", help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace CSV.")] = False,
) -> None:
    """Write who is in which split, for --splits of another pack.

    Example: frnas data splits lfw.pack --out lfw-splits.csv
    """
    from workers.data.importing.packing import check_out
    from workers.data.importing.split_file import splits_of, write_split_file
    from workers.data.packs.stored import fetched_pack

    check_out(out, overwrite=overwrite)
    _check_pack(file)
    pack = fetched_pack(str(file))
    write_split_file(out, splits_of(pack))
    typer.echo(f"{out}: digest of the splits {pack.splits_digest}")


@data_app.command("baseline")
def baseline_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pack.")],
    *,
    group: Annotated[str, typer.Option(help="Column whose groups are compared.")] = "group",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure raw pixels as a trained network is measured: what a search has to beat.

    Example: frnas data baseline lfw.pack --group gender
    """
    from workers.processes.baseline import raw_pixel_baseline
    from workers.settings import EvaluationSettings

    answer = raw_pixel_baseline(file, split=split, group=group, settings=EvaluationSettings())
    if is_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from frnas_search.cli.options import print_table
    from frnas_search.cli.run_tables import baseline_table

    print_table(baseline_table(answer, title=f"{file}: raw pixels on the {split} split"))


@data_app.command("synthetic")
def synthetic_command(
    *,
    out: Out,
    seed: Annotated[int, typer.Option(help="Other people, other pictures.")] = 0,
    size: Annotated[int, typer.Option(help="Height and width in pixels, 16 or more.")] = 32,
    identities: Annotated[int, typer.Option(help="People of group a that train.")] = 40,
    share: Annotated[
        float, typer.Option(help="People of group b that train, as a share of group a's.")
    ] = 0.5,
    images: Annotated[int, typer.Option(help="Pictures of each person.")] = 8,
    spread: Annotated[
        float, typer.Option(help="How much group b's people differ; group a's differ by 1.")
    ] = 0.6,
    overwrite: Overwrite = False,
) -> None:
    """Draw the embedded data set: cartoon faces of two groups, b harder to tell apart than a.

    Nothing is downloaded; equal options give equal pictures.

    Example: frnas data synthetic --out faces.pack --seed 1
    """
    from workers.data.importing.packing import check_out
    from workers.data.synthetic import SyntheticSettings, write_synthetic

    settings = SyntheticSettings(
        seed=seed,
        size=size,
        train_identities=identities,
        train_share_b=share,
        images_per_identity=images,
        spread_b=spread,
    )
    check_out(out, overwrite=overwrite)
    write_synthetic(settings, out)
    _print_info(out, is_json=False, verify=False)


def _print_info(file: Path, *, is_json: bool, verify: bool, again: bool = False) -> None:
    from rich.console import Console

    from frnas_search.cli.pack_tables import print_pack_info
    from workers.data.packs.info import pack_info
    from workers.data.packs.stored import fetched_pack

    _check_pack(file)
    pack = fetched_pack(str(file), verify=verify, again=again)
    document = pack_info(pack, is_verified=verify)
    if is_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        print_pack_info(document, Console())


def _check_pack(file: Path) -> None:
    """A pipe would be waited for without end."""
    from workers.data.formats.bounded_file import check_regular

    if file.exists():
        check_regular(file, "give a pack")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Shows progress on stderr: a bar on a terminal, else a line for every tenth of the work."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_tenths
        return
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("packing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _log_tenths(done: int, total: int) -> None:
    if done * 10 // total > (done - 1) * 10 // total:
        typer.echo(f"packed {done} of {total} pictures", err=True)
