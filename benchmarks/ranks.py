"""Leave-one-out ranks: block by block against sorting whole rows, checked to agree, in one run.

python benchmarks/ranks.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
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
from workers.ranks import leave_one_out_ranks

N_DIMENSIONS = 128
IMAGES_PER_IDENTITY = 10
SIZES = (2_000, 5_000, 10_000)
QUICK_SIZES = (500, 2_000)
N_REPEATS = 5


def faces(n_images: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Unit embeddings around a centre for each identity, close enough to be confused."""
    generator = torch.Generator().manual_seed(0)
    identity = np.arange(n_images) // IMAGES_PER_IDENTITY
    n_identities = int(identity.max()) + 1
    centres = torch.randn(n_identities, N_DIMENSIONS, generator=generator)
    noise = torch.randn(n_images, N_DIMENSIONS, generator=generator)
    return F.normalize(centres[torch.from_numpy(identity)] + 1.5 * noise), identity


def ranks_by_sorting(embeddings: Tensor, identity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank by identity from the whole similarity matrix, each row sorted."""
    codes = torch.from_numpy(identity)
    similarity = embeddings @ embeddings.T
    similarity.fill_diagonal_(-torch.inf)
    order = similarity.argsort(dim=1, descending=True)
    neighbours = codes[order]
    first_mate = (neighbours == codes[:, None]).int().argmax(dim=1)
    rows = zip(neighbours.tolist(), first_mate.tolist(), strict=True)
    return np.array([len(set(row[:position])) for row, position in rows])


def seconds(function: Callable[[], object]) -> list[float]:
    """Wall seconds of each repeat, the first run left out."""
    function()
    times = []
    for _ in range(N_REPEATS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return times


def measure(n_images: int) -> dict[str, Any]:
    """One row of the table."""
    embeddings, identity = faces(n_images)
    ours = leave_one_out_ranks(embeddings, identity).rank_by_identity
    n_different = int((ours != ranks_by_sorting(embeddings, identity)).sum())
    blockwise = seconds(lambda: leave_one_out_ranks(embeddings, identity))
    sorting = seconds(lambda: ranks_by_sorting(embeddings, identity))
    return {
        "name": f"ranks of {n_images} images",
        "value": statistics.median(blockwise),
        "unit": "s",
        "spread": [min(blockwise), max(blockwise)],
        "baseline": statistics.median(sorting),
        "baseline_spread": [min(sorting), max(sorting)],
        "ratio": statistics.median(blockwise) / statistics.median(sorting),
        "n_different": n_different,
    }


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rows = [measure(n) for n in (QUICK_SIZES if arguments.quick else SIZES)]
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"leave-one-out ranks, {N_DIMENSIONS} dimensions, median of {N_REPEATS}; {machine}")
    print(f"{'':24} {'blocks':>9} {'sorting':>9} {'ratio':>7} {'different':>10}")
    for row in rows:
        print(
            f"{row['name']:24} {row['value']:8.3f}s {row['baseline']:8.3f}s "
            f"{row['ratio']:7.3f} {row['n_different']:10d}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, {"machine": machine, "rows": rows})
        print(json.dumps({"written": str(arguments.json)}))


if __name__ == "__main__":
    main()
