"""Leave-one-out ranks: tile by tile against sorting a whole distance matrix, and their memory.

python benchmarks/ranks.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from results.atomic import write_json_atomically
from workers.evaluation.ranks import leave_one_out_ranks

N_DIMENSIONS = 512
IMAGES_PER_IDENTITY = 10
N_THREADS = 2
MEBIBYTE = 2**20


def faces(n_images: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Unit embeddings around a centre for each identity, close enough to be confused."""
    generator = torch.Generator().manual_seed(0)
    identity = np.arange(n_images) // IMAGES_PER_IDENTITY
    n_identities = int(identity.max()) + 1
    centres = torch.randn(n_identities, N_DIMENSIONS, generator=generator)
    vectors = torch.randn(n_images, N_DIMENSIONS, generator=generator).mul_(4.0)
    for part in torch.split(torch.arange(n_images), 4096):
        vectors[part] += centres[part // IMAGES_PER_IDENTITY]
        vectors[part] = F.normalize(vectors[part])
    return vectors, identity


def ranks_by_sorting(embeddings: Tensor, identity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank by image from the whole distance matrix, every row sorted, as the predecessor did.

    Its ranks by identity are left out: they would add a walk through the rows in Python.
    """
    codes = torch.from_numpy(identity)
    distance = torch.cdist(embeddings, embeddings)
    distance.fill_diagonal_(torch.inf)
    order = distance.argsort(dim=1)
    del distance
    parts = [
        (codes[part] == own[:, None]).int().argmax(dim=1)
        for part, own in zip(torch.split(order, 1024), torch.split(codes, 1024), strict=True)
    ]
    return torch.cat(parts).numpy()


def timed(
    function: Callable[[], NDArray[np.int64]], n_repeats: int
) -> tuple[list[float], NDArray[np.int64]]:
    """Wall seconds of each repeat, and what the last one gave."""
    times = []
    found = np.zeros(0, dtype=np.int64)
    for _ in range(n_repeats):
        begin = time.perf_counter()
        found = function()
        times.append(time.perf_counter() - begin)
    return times, found


def speed(n_images: int, n_repeats: int) -> dict[str, Any]:
    """Seconds of both, and on how many images they differ.

    Sorting rounds its distances otherwise, so that a few close decisions may fall differently.
    """
    embeddings, identity = faces(n_images)
    leave_one_out_ranks(embeddings[:1000].clone(), identity[:1000])
    tiles, ours = timed(lambda: leave_one_out_ranks(embeddings, identity).rank_by_image, n_repeats)
    sorting, theirs = timed(lambda: ranks_by_sorting(embeddings, identity), n_repeats)
    ratio = statistics.median(sorting) / statistics.median(tiles)
    return {
        "name": f"ranks of {n_images} images",
        "value": statistics.median(tiles),
        "unit": "s",
        "baseline": statistics.median(sorting),
        "ratio": ratio,
        "target": 8.0,
        "met": ratio >= 8.0,
        "spread": [min(tiles), max(tiles)],
        "baseline_spread": [min(sorting), max(sorting)],
        "n_different": int((ours != theirs).sum()),
    }


def memory(n_images: int, target_mebibytes: float) -> dict[str, Any]:
    """Peak extra memory, in a process of its own, whose peak nothing before has raised."""
    command = [sys.executable, __file__, "--measure-memory", str(n_images)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answer = json.loads(printed)
    full = n_images * n_images * (4 + 8) / MEBIBYTE
    return {
        "name": f"peak extra memory for {n_images} images, {answer['seconds']:.1f} s",
        "value": answer["mebibytes"],
        "unit": "MiB",
        "baseline": full,
        "ratio": full / max(answer["mebibytes"], 1e-9),
        "target": target_mebibytes,
        "met": answer["mebibytes"] < target_mebibytes,
    }


class ResidentPeak:
    """The largest resident size of this process while the block runs, looked at every 2 ms.

    The kernel's own peak cannot be set back, and holds what loading libraries took.
    """

    def __init__(self) -> None:
        self.n_bytes = resident_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self.n_bytes = max(self.n_bytes, resident_bytes())

    def __enter__(self) -> ResidentPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def resident_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def print_memory(n_images: int) -> None:
    """By how much the ranks raise the resident size of this process, after a warm-up."""
    embeddings, identity = faces(n_images)
    leave_one_out_ranks(embeddings[:100].clone(), identity[:100])
    before, begin = resident_bytes(), time.perf_counter()
    with ResidentPeak() as peak:
        leave_one_out_ranks(embeddings, identity)
    took = time.perf_counter() - begin
    print(json.dumps({"mebibytes": (peak.n_bytes - before) / MEBIBYTE, "seconds": took}))


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table."""
    if arguments.quick:
        return [speed(4_000, 3), memory(4_000, 300.0)]
    rows = [speed(20_000, 1), memory(20_000, 300.0)]
    if not arguments.no_large:
        rows.append(memory(170_000, 1.5e9 / MEBIBYTE))
    return rows


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images")
    parser.add_argument("--no-large", action="store_true", help="without 170,000 images")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--measure-memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Quick runs share their cores with others, and two threads would mostly wait for each other.
    torch.set_num_threads(1 if arguments.quick else min(N_THREADS, os.cpu_count() or 1))
    if arguments.measure_memory:
        print_memory(arguments.measure_memory)
        return
    rows = measured(arguments)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"leave-one-out ranks, {N_DIMENSIONS} dimensions; {machine}")
    for row in rows:
        print(
            f"{row['name']:50} {row['value']:9.2f} {row['unit']:4} "
            f"baseline {row['baseline']:10.2f}  ratio {row['ratio']:8.2f}  "
            f"target {row['target']:g}  {'met' if row['met'] else 'NOT MET'}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, rows)


if __name__ == "__main__":
    main()
