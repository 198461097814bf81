"""Every space built and run: all dual-path cells, random graphs, all shipped timm variants.

python benchmarks/spaces.py [--quick] [--json FILE]

Each network runs forward and backward, cells at a tenth of the width on pictures of 32 pixels,
timm variants at the smallest usual size at which they work. What is not finite, or raises, is
listed. Then configurations of every preset are drawn and decoded, and cells at full width are
decoded and built without memory, against 50 ms of CPU time; Python's garbage collector rests
meanwhile, as it does in timeit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from results.atomic import write_json_atomically
from search_space.backbones.timm_backbones import try_out
from search_space.build import architecture_hash, build_network, build_on_meta
from search_space.candidate import (
    Architecture,
    Candidate,
    DagSettings,
    DualPathArchitecture,
    HeadChoice,
    Preset,
    SpaceSettings,
    TimmArchitecture,
    Value,
)
from search_space.definition.decode import configuration_faults, decode
from search_space.definition.families import SHIPPED_FAMILIES
from search_space.definition.space import fingerprint, sample

WIDTH = 0.1
IMAGE_SIZE = 32
SIZES = (32, 64, 96, 112, 128, 160, 192, 224)
LIMIT_MILLISECONDS = 50.0
N_GRAPHS = 2000
N_SAMPLES = 10_000
BATCH = 2


def candidate(architecture: Architecture) -> Candidate:
    """The architecture with a head and an optimizer that do not matter here."""
    return Candidate(
        architecture=architecture,
        embedding_size=64,
        head=HeadChoice(name="CosFace"),
        optimizer="SGD",
        learning_rate=0.1,
    )


def fault_of(architecture: Architecture, image_size: int) -> str | None:
    """What goes wrong in one step forward and backward; None if nothing does."""
    network = build_network(candidate(architecture), in_channels=3, image_size=image_size, seed=0)
    images = torch.randn(
        BATCH, 3, image_size, image_size, generator=torch.Generator().manual_seed(0)
    )
    embeddings = network(images)
    embeddings.square().mean().backward()
    if not embeddings.isfinite().all():
        return "embeddings are not finite"
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name} is not finite"
    return None


def dual_path_cells(*, quick: bool) -> Iterator[tuple[str, Architecture, int]]:
    """All 729, or some."""
    codes = list(itertools.product(range(9), repeat=3))
    if quick:
        codes = [codes[i] for i in np.random.default_rng(0).choice(len(codes), 20, replace=False)]
    for code in codes:
        first, second, third = code
        yield (
            "".join(map(str, code)),
            DualPathArchitecture(edges=(first, second, third), width=WIDTH, blocks_per_stage=1),
            IMAGE_SIZE,
        )


def graphs(*, quick: bool) -> Iterator[tuple[str, Architecture, int]]:
    """Different cells of three, four and five nodes, drawn at random."""
    wanted, seen = (20 if quick else N_GRAPHS), set()
    per_size = -(-wanted // 3)
    for nodes in (3, 4, 5):
        settings = SpaceSettings(
            preset="dag", width=WIDTH, dag=DagSettings(nodes=nodes, blocks=(1, 2))
        )
        found = 0
        for configuration in sample(settings, 4 * per_size, seed=nodes):
            architecture = decode(configuration, settings).architecture
            code = architecture_hash(architecture)
            if found == per_size or code in seen:
                continue
            seen.add(code)
            found += 1
            yield f"{nodes} nodes {code}", architecture, IMAGE_SIZE


def backbones(*, quick: bool) -> Iterator[tuple[str, Architecture, int]]:
    """Every shipped variant at the smallest size at which it works."""
    for family, variants in SHIPPED_FAMILIES.items():
        for variant in variants[:1] if quick and family in ("test", "resnet") else variants:
            if quick and family not in ("test", "resnet"):
                continue
            size = next(
                (size for size in SIZES if not isinstance(try_out(variant, 3, size), str)), 0
            )
            yield variant, TimmArchitecture(family=family, variant=variant), size


def swept(
    name: str, networks: Iterator[tuple[str, Architecture, int]]
) -> tuple[dict[str, Any], list[str]]:
    """One row of the table, and the faults."""
    begin, faults, sizes = time.perf_counter(), [], Counter[int]()
    for label, architecture, image_size in networks:
        sizes[image_size] += 1
        fault = fault_of(architecture, image_size) if image_size else "works at no usual size"
        if fault is not None:
            faults.append(f"{label}: {fault}")
    total = sum(sizes.values())
    row = {
        "name": f"{name} that run forward and backward",
        "value": total - len(faults),
        "unit": "networks",
        "baseline": total,
        "ratio": (total - len(faults)) / total,
        "target": 1.0,
        "met": not faults,
        "seconds": time.perf_counter() - begin,
        "pixels": {str(size): count for size, count in sorted(sizes.items())},
    }
    return row, faults


def decoded(preset: Preset, *, quick: bool) -> dict[str, Any]:
    """Drawn configurations that are valid, decode and survive JSON."""
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    n_samples = 500 if quick else N_SAMPLES
    begin = time.perf_counter()
    configurations = sample(settings, n_samples, seed=0)
    good = sum(is_sound(configuration, settings) for configuration in configurations)
    return {
        "name": f"{preset} configurations that decode ({fingerprint(settings)[:8]})",
        "value": good,
        "unit": "configurations",
        "baseline": n_samples,
        "ratio": good / n_samples,
        "target": 1.0,
        "met": good == n_samples,
        "seconds": time.perf_counter() - begin,
    }


def is_sound(configuration: dict[str, Value], settings: SpaceSettings) -> bool:
    """Whether the configuration is valid, decodes, and is the same after JSON."""
    decode(configuration, settings)
    is_valid = not configuration_faults(configuration, settings)
    return is_valid and json.loads(json.dumps(configuration)) == configuration


def milliseconds(name: str, settings: SpaceSettings, n: int) -> dict[str, Any]:
    """CPU time from a configuration to a network without memory for its weights."""
    times = []
    configurations = sample(settings, n + 3, seed=1)
    gc.disable()
    for index, configuration in enumerate(configurations):
        begin = time.process_time()
        build_on_meta(decode(configuration, settings), in_channels=3, image_size=112)
        if index >= 3:  # the first ones warm up
            times.append(1e3 * (time.process_time() - begin))
    gc.enable()
    times.sort()
    worst = times[int(0.99 * (len(times) - 1))]
    return {
        "name": f"decode and build {name} at full width, 99 % within",
        "value": worst,
        "unit": "ms",
        "spread": [statistics.median(times), times[-1]],
        "baseline": LIMIT_MILLISECONDS,
        "ratio": worst / LIMIT_MILLISECONDS,
        "target": 1.0,
        "met": worst < LIMIT_MILLISECONDS,
    }


def measure(*, quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and the faults."""
    sources: dict[str, Callable[..., Iterator[tuple[str, Architecture, int]]]] = {
        "dual-path cells": dual_path_cells,
        "random graph cells": graphs,
        "shipped timm variants": backbones,
    }
    rows, faults = [], []
    for name, source in sources.items():
        row, found = swept(name, source(quick=quick))
        rows.append(row)
        faults += found
    rows += [decoded(preset, quick=quick) for preset in get_args(Preset)]
    n = 50 if quick else 300
    largest = DagSettings(nodes=5, widths=(1.0,), blocks=(1, 3))
    rows.append(milliseconds("dual-path cells", SpaceSettings(), n))
    rows.append(milliseconds("graph cells", SpaceSettings(preset="dag", dag=largest), n))
    return rows, faults


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a sample of each")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # networks this small only wait for each other's threads
    rows, faults = measure(quick=arguments.quick)
    threads = torch.get_num_threads()
    print(f"{platform.machine()}, {threads} threads, torch {torch.__version__}")
    for row in rows:
        spread = " (median {:.1f}, worst {:.1f})".format(*row["spread"]) if "spread" in row else ""
        seconds = f" in {row['seconds']:.0f} s" if "seconds" in row else ""
        met = "met" if row["met"] else "NOT MET"
        value = f"{row['value']:.1f}" if isinstance(row["value"], float) else f"{row['value']}"
        print(
            f"{row['name']:58} {value:>8} of {row['baseline']:g} {row['unit']}"
            f"{spread}{seconds}  {met}"
        )
    for fault in faults:
        print(f"  {fault}")
    if arguments.json:
        write_json_atomically(arguments.json, rows)
        print(json.dumps({"written": str(arguments.json)}))


if __name__ == "__main__":
    main()
