"""The way of a picture into the network: from a pack against decoding it anew in every epoch.

python benchmarks/data_path.py [--quick] [--json FILE] [--device cpu|cuda]

Both ways end in the same augmented batches. Measured with one thread, decoding too: on a machine
that others use as well, torch's threads wait for each other. On a CPU seconds are those the
processor spent on this process, which others' load changes least; on a GPU they are wall seconds.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from results.atomic import write_json_atomically
from search_space.candidate import Candidate, HeadChoice, TimmArchitecture
from workers.data.importing.decoding import to_array
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import Pack, open_pack
from workers.data.pictures import TrainingSet, training_set
from workers.data.sources.pack_settings import PackSettings
from workers.settings import Device, TrainingSettings
from workers.training.augmentation import augment, draw_changes
from workers.training.loop import start_training, train_epoch
from workers.training.recipe import plan

BACKBONE = "mobilenetv3_small_050"
SOURCE_SIZE = (178, 218)
"""Width and height of CelebA's aligned pictures."""
BATCH = 64
STRENGTH = 0.5
N_IMAGES_EACH = 8
TARGET_RATIO = 8.0
TARGET_SHARE = 0.05


def face(seed: int) -> Image.Image:
    """A smooth picture with some grain, whose JPEG is about as large as a photograph's."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 10, 3), np.uint8))
    smooth = np.asarray(coarse.resize(SOURCE_SIZE, Image.Resampling.BICUBIC), np.float32)
    grain = generator.normal(0, 3, smooth.shape)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def write_faces(folder: Path, n_images: int) -> list[Path]:
    """One folder for each person, and their labels."""
    paths: list[Path] = []
    lines = ["identity,gender"]
    for person in range(n_images // N_IMAGES_EACH):
        (folder / f"p{person:04d}").mkdir(parents=True)
        lines.append(f"p{person:04d},{'fm'[person % 2]}")
        for number in range(N_IMAGES_EACH):
            path = folder / f"p{person:04d}" / f"{number}.jpg"
            face(len(paths)).save(path, quality=88)
            paths.append(path)
    (folder / "labels.csv").write_text("\n".join(lines))
    return paths


def packed(folder: Path, size: int) -> Pack:
    """All pictures, in the train split."""
    out = folder.with_name(f"{size}.pack")
    pack_source(folder, out, settings=PackSettings(size=size, val_fraction=0, test_fraction=0))
    return open_pack(out)


def batches(n_images: int) -> Iterator[Tensor]:
    """The rows of one epoch, in an order of its own."""
    order = torch.randperm(n_images, generator=torch.Generator().manual_seed(0))
    yield from torch.split(order[: n_images // BATCH * BATCH], BATCH)


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """As in training."""
    changes = draw_changes(len(pictures), generator=generator).to(pictures.device)
    return augment(pictures, changes, strength=STRENGTH)


def read_pack(data: TrainingSet) -> int:
    """One epoch from the pack; how many pictures it had."""
    generator = torch.Generator().manual_seed(1)
    n_read = 0
    for rows in batches(len(data.pictures)):
        n_read += len(augmented(data.pictures.gather(rows), generator))
    wait(data.pictures.device)
    return n_read


def decode_files(paths: list[Path], size: int, device: torch.device) -> int:
    """One epoch from the JPEG files, decoded by PIL."""
    generator = torch.Generator().manual_seed(1)
    n_read = 0
    for rows in batches(len(paths)):
        arrays = [
            to_array(Image.open(io.BytesIO(paths[row].read_bytes())), channels=3, size=size)
            for row in rows.tolist()
        ]
        n_read += len(augmented(torch.from_numpy(np.stack(arrays)).to(device), generator))
    wait(device)
    return n_read


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(*functions: Callable[[], int], repeats: int, device: torch.device) -> list[float]:
    """Median pictures per second of each; in turns, so that a busy moment hits all alike."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    rates: list[list[float]] = [[] for _ in functions]
    for repeat in range(repeats + 1):
        for own, function in zip(rates, functions, strict=True):
            begin = clock()
            n_images = function()
            if repeat:
                own.append(n_images / (clock() - begin))
    return [statistics.median(own) for own in rates]


def pace(data: TrainingSet, paths: list[Path], size: int, repeats: int) -> dict[str, Any]:
    """Pictures per second, of the pack and of the files."""
    device = data.pictures.device
    ours, theirs = in_turns(
        lambda: read_pack(data),
        lambda: decode_files(paths, size, device),
        repeats=repeats,
        device=device,
    )
    return {
        "name": f"augmented pictures of {size} px from the pack, {device.type}",
        "value": ours,
        "unit": "pictures/s",
        "baseline": theirs,
        "ratio": ours / theirs,
        "target": TARGET_RATIO,
        "met": ours / theirs >= TARGET_RATIO,
    }


def gathering(data: TrainingSet, paths: list[Path], size: int, repeats: int) -> dict[str, Any]:
    """The same without augmentation, which both ways share: what the pack alone saves."""

    def gather() -> int:
        n_read = sum(len(data.pictures.gather(rows)) for rows in batches(len(paths)))
        wait(data.pictures.device)
        return n_read

    def decode() -> int:
        for path in paths:
            to_array(Image.open(io.BytesIO(path.read_bytes())), channels=3, size=size)
        return len(paths)

    ours, theirs = in_turns(gather, decode, repeats=repeats, device=data.pictures.device)
    return {
        "name": f"pictures of {size} px from the pack, not augmented, {data.pictures.device.type}",
        "value": ours,
        "unit": "pictures/s",
        "baseline": theirs,
        "ratio": ours / theirs,
        "target": TARGET_RATIO,
        "met": ours / theirs >= TARGET_RATIO,
    }


def share(data: TrainingSet, size: int, repeats: int) -> dict[str, Any]:
    """How much of a training step goes by before the network has its pictures."""
    device = data.pictures.device
    candidate = Candidate(
        architecture=TimmArchitecture(family="MobileNetV3", variant=BACKBONE),
        embedding_size=128,
        head=HeadChoice(name="CosFace"),
        optimizer="AdamW",
        learning_rate=1e-3,
    )
    settings = TrainingSettings(batch_size=BATCH, augmentation=STRENGTH, precision="float32")
    training = start_training(candidate, settings, data=data, seed=0)
    schedule = plan(training.recipe, n_images=len(data.pictures), max_epochs=10 * repeats)

    def train() -> int:
        train_epoch(training, data, schedule=schedule)
        wait(device)
        return schedule.steps_per_epoch * BATCH

    loading, stepping = in_turns(lambda: read_pack(data), train, repeats=repeats, device=device)
    part = stepping / loading
    return {
        "name": f"loading and augmenting, {BACKBONE} at {size} px, {device.type}",
        "value": part,
        "unit": "of a step",
        "baseline": None,
        "ratio": None,
        "target": TARGET_SHARE,
        "met": part < TARGET_SHARE,
    }


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer pictures, under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    rows = measure(512 if arguments.quick else 4096, 3 if arguments.quick else 5, arguments.device)
    print(f"{platform.machine()}, 1 thread, torch {torch.__version__}")
    for row in rows:
        against = (
            "" if row["baseline"] is None else f"{row['baseline']:10.0f} {row['ratio']:7.1f}x"
        )
        verdict = "met" if row["met"] else "not met"
        print(f"{row['name']:66} {row['value']:10.4g} {against:20} {row['target']:g} {verdict}")
    if arguments.json:
        write_json_atomically(arguments.json, rows)


def measure(n_images: int, repeats: int, device_name: Device) -> list[dict[str, Any]]:
    """All rows of the table."""
    torch.set_num_threads(1)
    device = torch.device(device_name)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_faces(Path(folder) / "faces", n_images)
        large = training_set(packed(Path(folder) / "faces", 112), device, group="gender")
        small = training_set(packed(Path(folder) / "faces", 64), device, group="gender")
        return [
            pace(large, paths, 112, repeats),
            gathering(large, paths, 112, repeats),
            share(small, 64, repeats),
        ]


if __name__ == "__main__":
    main()
