"""The commands `frnas scheduler` and `frnas worker`: what a cluster runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frnas_search.cli.options import JsonLogs, Verbose, prepare_logging, require_host
from frnas_search.errors import SearchError


def scheduler_command(
    *,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 lets other machines attach."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8786,
    scheduler_file: Annotated[
        Path | None,
        typer.Option(
            help="Write the address to this file; workers and searches on a shared file system "
            "may give the file as --scheduler."
        ),
    ] = None,
    dashboard: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Serve Dask's own web page there, such as :8787."),
    ] = None,
    json_logs: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Run a scheduler that searches and workers meet at; Ctrl-C ends it.

    It has no password: whoever reaches the port can run code on the workers. Listen on loopback
    or inside a network you trust.

    Example: frnas scheduler --host 0.0.0.0 --port 8786
    """
    require_host(host)
    if scheduler_file is not None and not scheduler_file.absolute().parent.is_dir():
        raise SearchError(f"{scheduler_file}: its folder does not exist; make it first")
    prepare_logging(json_logs=json_logs, verbose=verbose)
    from frnas_search.executors.cluster import serve_scheduler

    serve_scheduler(host=host, port=port, scheduler_file=scheduler_file, dashboard=dashboard)


def worker_command(
    *,
    scheduler: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="host:port, tcp://host:port or a scheduler file."),
    ],
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="GPUs to use, such as 0,1 or none; one worker for each. By default all that "
            "CUDA_VISIBLE_DEVICES or nvidia-smi name, or the CPU where there are none.",
        ),
    ] = None,
    cpu_workers: Annotated[
        int, typer.Option(min=1, max=1024, help="Workers to run when training on the CPU.")
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="CPU threads of each worker; by default the cores are shared."
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long to wait for a scheduler that does not answer."
        ),
    ] = 600.0,
    json_logs: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Attach workers to a scheduler: one process for each GPU, or some on the CPU.

    They may come late, leave at any time and return: a trial that was running goes on elsewhere
    from its last checkpoint. They need the same files as the search under the same paths: the
    pack and the run directory.

    Example: frnas worker --scheduler tcp://node1:8786 --gpus 0,1
    """
    prepare_logging(json_logs=json_logs, verbose=verbose)
    from frnas_search.executors.cluster import (
        absent_gpus,
        present_gpus,
        serve_workers,
        worker_slots,
    )

    names = present_gpus() if gpus is None else _gpu_names(gpus)
    absent = absent_gpus(names)
    if absent:
        raise SearchError(
            f"--gpus {','.join(names)}: nvidia-smi knows no GPU {', '.join(absent)} here; name "
            "others, or none to train on the CPU"
        )
    slots = worker_slots(gpus=names, n_cpu_workers=cpu_workers, n_threads=threads)
    serve_workers(scheduler, slots, patience_seconds=patience)


def _gpu_names(text: str) -> list[str]:
    if text.strip().lower() == "none":
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise SearchError(f"--gpus {text}: write it as 0,1 with each GPU once, or as none")
    return names
