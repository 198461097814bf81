"""The shipped recipe on real faces: accuracy on people who were not trained on, by group.

python benchmarks/training.py FACES [--quick] [--mitigations] [--split N] [--json FILE]

FACES is what `frnas data pack` takes, with a column `gender` of `f` and `m`. Of each gender 20
people with at least six pictures are held out and six pictures of each taken; the recipe of
configs/faces.yaml trains on everybody else. Printed is the share of held-out pictures whose
nearest other picture is of the same person (leave-one-out rank-1), with 95 % intervals over
people, beside raw pixels. `--mitigations` trains once more with each mitigation.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frnas_search.config.run_config import RunConfig
from frnas_search.config.run_file import load_run_config
from frnas_search.launch.enqueued import named_configuration
from results.atomic import write_json_atomically
from search_space.candidate import Candidate, Mitigation, Value
from search_space.definition.decode import decode
from workers.data.importing.packing import pack_source
from workers.data.packs.pack import Pack, open_pack
from workers.data.pictures import Pictures, TrainingSet
from workers.data.sources.pack_settings import PackSettings
from workers.evaluation.embedding import embed
from workers.evaluation.ranks import leave_one_out_ranks
from workers.settings import TrainingSettings
from workers.training.loop import start_training, train_epoch
from workers.training.recipe import plan, recipe_of

SIZE = 96
RECIPE = Path(__file__).parents[1] / "configs" / "faces.yaml"
PEOPLE_PER_GENDER = 20
PICTURES_PER_PERSON = 6
N_REPLICATES = 1000
TARGET = 0.80
QUICK_EPOCHS = 1
MITIGATIONS = (
    Mitigation(name="balanced_sampling", strength=1.0),
    Mitigation(name="reweighting", strength=1.0),
    Mitigation(name="group_dro", strength=0.01),
    Mitigation(name="group_margin", margins=(("f", 0.1), ("m", 0.0))),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """Rows of the pack that are asked about: six pictures of each person, person by person."""

    rows: NDArray[np.int64]
    identity: NDArray[np.int64]
    is_woman: NDArray[np.bool_]


def packed(source: Path, size: int) -> Pack:
    """The faces at the recipe's size; splits do not matter here."""
    folder = Path(tempfile.mkdtemp(prefix="frnas-faces-"))
    settings = PackSettings(size=size, groups=("gender",))
    pack_source(source, folder / "faces.pack", settings=settings)
    return open_pack(folder / "faces.pack")


def split(pack: Pack, seed: int) -> tuple[HeldOut, NDArray[np.int64]]:
    """People who are held out, and the rows of all others."""
    generator = np.random.default_rng(seed)
    column = pack.groups["gender"]
    labels = np.array([*column.labels, ""])[column.codes]
    people, counts = np.unique(pack.identity, return_counts=True)
    gender = np.array([labels[pack.identity == person][0] for person in people])
    chosen = []
    for label in ("f", "m"):
        many = people[(gender == label) & (counts >= PICTURES_PER_PERSON)]
        if len(many) < PEOPLE_PER_GENDER:
            raise SystemExit(f"there are only {len(many)} people of gender {label} to hold out")
        chosen.append(generator.permutation(many)[:PEOPLE_PER_GENDER])
    held = np.concatenate(chosen)
    rows = np.concatenate(
        [np.flatnonzero(pack.identity == person)[:PICTURES_PER_PERSON] for person in held]
    )
    is_woman = np.repeat(np.arange(len(held)) < PEOPLE_PER_GENDER, PICTURES_PER_PERSON)
    trained = np.flatnonzero(~np.isin(pack.identity, held))
    return HeldOut(rows=rows, identity=pack.identity[rows], is_woman=is_woman), trained


def training_faces(pack: Pack, rows: NDArray[np.int64]) -> TrainingSet:
    """Everybody who was not held out."""
    people, classes = np.unique(pack.identity[rows], return_inverse=True)
    column = pack.groups["gender"]
    return TrainingSet(
        pictures=Pictures(images=pack.images, rows=rows, device=torch.device("cpu")),
        classes=torch.from_numpy(classes.astype(np.int64)),
        n_classes=len(people),
        group_codes=torch.from_numpy(column.codes[rows].astype(np.int64)),
        group_labels=tuple(column.labels),
    )


def is_right(embeddings: torch.Tensor, held: HeldOut) -> NDArray[np.bool_]:
    """For each held-out picture, whether its nearest other one is of the same person."""
    _, codes = np.unique(held.identity, return_inverse=True)
    right: NDArray[np.bool_] = leave_one_out_ranks(embeddings, codes).rank_by_image == 0
    return right


def accuracies(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Share of pictures that are right: of all, of women, of men, and the gap, with intervals."""
    by_person = right.reshape(-1, PICTURES_PER_PERSON).mean(axis=1)
    women, men = by_person[:PEOPLE_PER_GENDER], by_person[PEOPLE_PER_GENDER:]
    generator = np.random.default_rng(0)
    draws = generator.integers(0, PEOPLE_PER_GENDER, (2, N_REPLICATES, PEOPLE_PER_GENDER))
    f, m = women[draws[0]].mean(axis=1), men[draws[1]].mean(axis=1)
    values = {
        "all": (float(by_person.mean()), (f + m) / 2),
        "women": (float(women.mean()), f),
        "men": (float(men.mean()), m),
        "gap": (float(men.mean() - women.mean()), m - f),
    }
    return {
        name: {"value": value, "interval95": np.percentile(drawn, [2.5, 97.5]).tolist()}
        for name, (value, drawn) in values.items()
    }


def trained_accuracy(
    candidate: Candidate, settings: TrainingSettings, pack: Pack, *, epochs: int, seed: int
) -> dict[str, Any]:
    """Train on everybody else and ask about who was held out."""
    held, rows = split(pack, seed)
    data = training_faces(pack, rows)
    begin = time.perf_counter()
    training = start_training(candidate, settings, data=data, seed=seed)
    schedule = plan(recipe_of(candidate, settings), n_images=len(rows), max_epochs=epochs)
    for _ in range(epochs):
        train_epoch(training, data, schedule=schedule)
    pictures = Pictures(images=pack.images, rows=held.rows, device=torch.device("cpu"))
    embeddings = embed(training.evaluated_network, pictures, batch_size=64, flip=True)
    return {
        **accuracies(is_right(embeddings, held)),
        "seconds": time.perf_counter() - begin,
        "pictures": len(rows),
        "people": data.n_classes,
    }


def pixel_accuracy(pack: Pack, seed: int) -> dict[str, Any]:
    """The same with the pixels themselves for an embedding."""
    held, _ = split(pack, seed)
    pixels = torch.from_numpy(pack.images[held.rows].reshape(len(held.rows), -1)).float()
    centred = pixels - pixels.mean(dim=1, keepdim=True)
    return accuracies(is_right(torch.nn.functional.normalize(centred, dim=1), held))


def row(
    name: str, found: Mapping[str, Any], baseline: float, *, target: float | None
) -> dict[str, Any]:
    """One row of the table."""
    value = found["all"]["value"]
    return {
        "name": name,
        "value": value,
        "unit": "rank-1",
        "baseline": baseline,
        "ratio": value / baseline,
        "target": target,
        "met": None if target is None else value >= target,
        **{key: figure for key, figure in found.items() if key != "all"},
        "interval95": found["all"]["interval95"],
    }


def configured(config: RunConfig) -> tuple[Candidate, TrainingSettings]:
    """The recipe: the one configuration that the run file enqueues, and its training settings."""
    space = config.space.settings()
    (named,) = config.search.enqueue
    configuration: dict[str, Value] = named_configuration(named, space)
    return decode(configuration, space), config.training.settings()


def shown(figure: Mapping[str, Any]) -> str:
    """A value with its interval."""
    low, high = figure["interval95"]
    return f"{figure['value']:.3f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, metavar="FACES")
    parser.add_argument("--quick", action="store_true", help="one epoch, to see that it runs")
    parser.add_argument("--mitigations", action="store_true", help="train with each of them too")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--split", type=int, default=0, help="which people are held out")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    config = load_run_config(RECIPE)
    candidate, settings = configured(config)
    epochs = arguments.epochs or (QUICK_EPOCHS if arguments.quick else config.fidelity.max_epochs)
    pack = packed(arguments.faces, SIZE)
    pixels = pixel_accuracy(pack, arguments.split)
    baseline = pixels["all"]["value"]
    rows = [row("raw pixels", pixels, baseline, target=None)]
    wanted = [Mitigation(), *(MITIGATIONS if arguments.mitigations else ())]
    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{epochs} epochs, split {arguments.split}"
    )
    for mitigation in wanted:
        found = trained_accuracy(
            replace(candidate, mitigation=mitigation),
            settings,
            pack,
            epochs=epochs,
            seed=arguments.split,
        )
        is_recipe = mitigation.name == "none" and not arguments.quick
        name = "recipe" if mitigation.name == "none" else f"recipe, {mitigation.name}"
        rows.append(row(name, found, baseline, target=TARGET if is_recipe else None))
    print(f"{'rank-1':28} {'all':22} {'women':22} {'men':22} {'men - women':22} {'seconds':>8}")
    for line in rows:
        whole = {"value": line["value"], "interval95": line["interval95"]}
        parts = [shown(part) for part in (whole, line["women"], line["men"], line["gap"])]
        print(
            f"{line['name']:28} {' '.join(f'{part:22}' for part in parts)} "
            f"{line.get('seconds', 0.0):8.0f}"
        )
    if arguments.json:
        write_json_atomically(arguments.json, rows)
        print(json.dumps({"written": str(arguments.json)}))


if __name__ == "__main__":
    main()
