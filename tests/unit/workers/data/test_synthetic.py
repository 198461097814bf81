from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.places import REPOSITORY
from workers.data.packs.pack import SPLITS, Pack, open_pack, pack_faults
from workers.data.synthetic import SyntheticSettings, synthetic_pack, write_synthetic
from workers.errors import DataError
from workers.evaluation.evaluate import raw_pixel_evaluation
from workers.settings import EvaluationSettings

SMALL = SyntheticSettings(
    size=16, train_identities=6, val_identities=3, test_identities=2, images_per_identity=3
)


@pytest.fixture(scope="module")
def default_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return open_pack(synthetic_pack(SyntheticSettings(), tmp_path_factory.mktemp("cache")))


def small(path, **changes):
    values = {name: getattr(SMALL, name) for name in SyntheticSettings.__dataclass_fields__}
    write_synthetic(SyntheticSettings(**values | changes), path / "x.pack")
    return open_pack(path / "x.pack", verify=True)


def people(pack, split, label):
    column = pack.groups["group"]
    chosen = (pack.split == SPLITS.index(split)) & (column.codes == column.labels.index(label))
    return pack.images[chosen], pack.identity[chosen]


def test_the_pack_can_be_searched(default_pack):
    assert pack_faults(default_pack, "group") == []
    assert (default_pack.size, default_pack.channels) == (32, 1)
    assert default_pack.identities[0] == "a-train-000"
    assert default_pack.sources[1] == "synthetic/a-train-000/1"


def test_fewer_of_group_b_train_but_as_many_are_measured(default_pack):
    n_identities = {
        (split, label): len(np.unique(people(default_pack, split, label)[1]))
        for split in SPLITS
        for label in "ab"
    }
    assert n_identities == {
        ("train", "a"): 40,
        ("train", "b"): 20,
        ("val", "a"): 16,
        ("val", "b"): 16,
        ("test", "a"): 16,
        ("test", "b"): 16,
    }
    assert set(np.bincount(default_pack.identity)) == {8}


def test_people_of_group_b_look_more_alike(tmp_path):
    """Measured without marks and lines, whose contrast is another of the planted differences."""
    pack = small(tmp_path, val_identities=40, fine_detail_b=0.0, images_per_identity=8)
    spread = {}
    for label in "ab":
        images, identity = people(pack, "val", label)
        means = [images[identity == one].mean(axis=0) for one in np.unique(identity)]
        spread[label] = np.std(means, axis=0).mean()
    assert 0.35 < spread["b"] / spread["a"] < 0.85


def test_fine_detail_is_stronger_in_group_b(tmp_path):
    by_contrast = {
        value: small(tmp_path, size=32, fine_detail_b=value) for value in (0.0, 1.0, 2.0)
    }
    for label, grows in (("a", False), ("b", True)):
        plain = people(by_contrast[0.0], "train", label)[0].astype(int)
        changes = [
            np.abs(people(by_contrast[value], "train", label)[0] - plain).mean()
            for value in (1.0, 2.0)
        ]
        if grows:
            assert 1.5 * changes[0] < changes[1] < 2.5 * changes[0]
        else:
            assert changes == [0, 0]


def test_raw_pixels_tell_people_apart_but_worse_in_group_b(default_pack):
    found = raw_pixel_evaluation(
        default_pack, split="val", group="group", settings=EvaluationSettings(n_replicates=10)
    )
    groups = found.metrics["groups"]
    assert 0.3 < found.costs["error"] < 0.8
    assert groups["b"]["error"] > groups["a"]["error"] + 0.1
    assert groups["b"]["mean_rank"] > groups["a"]["mean_rank"]


def test_pictures_of_one_person_differ(default_pack):
    first = default_pack.images[:8].astype(int)
    for other in first[1:]:
        assert np.abs(other - first[0]).mean() > 4


def test_another_process_draws_the_same(tmp_path):
    code = (
        "import sys; from pathlib import Path; from workers.data.synthetic import *; "
        "print(write_synthetic(SyntheticSettings(size=16, train_identities=6, val_identities=3, "
        "test_identities=2, images_per_identity=3), Path(sys.argv[1])))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "y.pack")],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=REPOSITORY,
    )
    assert run.stdout.strip() == small(tmp_path).digest


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 17}, {"spread_b": 0.7}])
def test_other_settings_give_other_pictures(tmp_path, change):
    assert small(tmp_path, **change).digest != small(tmp_path).digest


def test_more_people_leave_the_others_as_they_are(tmp_path):
    few = people(small(tmp_path), "val", "b")[0]
    many = people(small(tmp_path, val_identities=5, train_identities=9), "val", "b")[0]
    np.testing.assert_array_equal(many[: len(few)], few)


def test_the_pack_is_made_once(tmp_path):
    path = synthetic_pack(SMALL, tmp_path / "cache")
    made = path.stat().st_mtime_ns
    assert synthetic_pack(SMALL, tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == made
    assert synthetic_pack(SyntheticSettings(size=16), tmp_path / "cache") != path
    assert len(list(path.parent.iterdir())) == 2


def test_the_place_of_the_cache_does_not_matter(tmp_path):
    packs = [open_pack(synthetic_pack(SMALL, tmp_path / name)) for name in "ab"]
    assert packs[0].digest == packs[1].digest


def test_a_damaged_pack_in_the_cache_is_made_anew(tmp_path):
    path = synthetic_pack(SMALL, tmp_path)
    digest = open_pack(path).digest
    path.write_bytes(path.read_bytes()[:-1])
    assert open_pack(synthetic_pack(SMALL, tmp_path), verify=True).digest == digest


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        synthetic_pack(SMALL, tmp_path / "file")


def test_a_share_of_nearly_nobody_still_trains_one(tmp_path):
    assert len(np.unique(people(small(tmp_path, train_share_b=0.01), "train", "b")[1])) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"size": 15},
        {"images_per_identity": 1},
        {"train_identities": 1},
        {"val_identities": 0},
        {"spread_b": -0.1},
        {"fine_detail_b": float("nan")},
    ],
)
def test_impossible_settings_are_refused(change):
    [(name, value)] = change.items()
    with pytest.raises(DataError, match=f"synthetic {name} {value} is too small"):
        SyntheticSettings(**change)
