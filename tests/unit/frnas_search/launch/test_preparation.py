"""Every fault of a run file, its data and its space, in one round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frnas_search.config.reading import parse_run_file
from frnas_search.config.requests import PreparationRequest, preparation_request
from frnas_search.errors import RunFileError
from frnas_search.launch import space_preparation
from frnas_search.launch.data_preparation import Pictures
from frnas_search.launch.preparation import inspect, prepare
from frnas_search.optimizers import registry
from search_space.definition.variants import Resolution, VariantRecord
from search_space.fault import Fault

FACES = {"synthetic": {"size": 16}}
SMALL = {"width": 0.1}
CAUTION = "(seen without the faulty parts of space)"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """The embedded faces, and a timm that knows every model but those named `no…`."""

    def resolved(
        requested: dict[str, tuple[str, ...]], *, in_channels: int, image_size: int
    ) -> Resolution:
        unknown = {
            family: name
            for family, names in requested.items()
            for name in names
            if name.startswith("no")
        }
        variant = VariantRecord(
            name="m", feature_size=8, options={}, parameters=9, macs=9, accepts_drop_path=True
        )
        return Resolution(
            timm="9.9",
            in_channels=in_channels,
            image_size=image_size,
            families={family: (variant,) for family in requested if family not in unknown},
            drop_path_families=(),
            left_out=(),
            faults=tuple(
                Fault(("space", "families", family), f"knows no model {name}")
                for family, name in unknown.items()
            ),
        )

    monkeypatch.setattr(space_preparation, "resolved_families", resolved)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def request(runs_directory: Path | None = None, **sections: Any) -> PreparationRequest:
    raw = {"name": "faces", "data": FACES, "space": SMALL} | sections
    return preparation_request(parse_run_file(raw, where="f"), runs_directory=runs_directory)


def faults(runs_directory: Path | None = None, **sections: Any) -> list[str]:
    with pytest.raises(RunFileError) as caught:
        prepare(request(runs_directory, **sections))
    lines = str(caught.value).splitlines()
    assert all(line.startswith("f: ") for line in lines)
    assert len(set(lines)) == len(lines)
    return [line.removeprefix("f: ") for line in lines]


def places(runs_directory: Path | None = None, **sections: Any) -> list[str]:
    return [fault.split(": ")[0] for fault in faults(runs_directory, **sections)]


def test_a_run_file_in_order_is_prepared(cache: Path) -> None:
    prepared = prepare(request())
    (pack,) = (cache / "frnas").glob("*.pack")
    assert prepared.data.pack == str(pack)
    assert prepared.data_record["groups"] == {"group": ["a", "b"]}
    assert prepared.warm_started is None


def test_faults_of_file_data_space_search_and_limits_come_in_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda _: None)
    sections = {
        "stop": {"trials": "many"},
        "data": {**FACES, "group": "age"},
        "space": {"preset": "joint", "families": {"x": ["no_model"], "y": ["m"]}, "width": 9},
        "constraints": {"max_cost": {"rank_disparity": 1e6}},
        "search": {"sampler": "tpe", "enqueue": ["SMAC_302", {"edge1": "77"}]},
    }
    assert places(tmp_path, **sections) == [
        "space.width",
        "stop.trials",
        "data",
        "search.sampler",
        "constraints.max_cost.rank_disparity",
        "space.families.x",
        "search.enqueue.0",
        "search.enqueue.1",
    ]
    sections["search"] = {"warm_start": ["none", 3, "nothing"]}
    found = places(tmp_path, **sections)
    assert found[-2:] == ["search.warm_start.0", "search.warm_start.2"]


def test_a_missing_pack_hides_only_what_hangs_on_pictures(tmp_path: Path) -> None:
    found = faults(
        data={"pack": str(tmp_path / "none.pack")},
        space={**SMALL, "fix": {"edge9": "1"}, "file": str(tmp_path / "none.json")},
        constraints={"max_parameters": 1},
        search={"enqueue": ["SMAC_302", {"edge1": "77"}, "SMAC_301"]},
    )
    assert [fault.split(": ")[0] for fault in found] == [
        "space.fix.edge9",
        "data",
        "space.file",
        "search.enqueue.0",
        "search.enqueue.1",
    ]
    assert "none.pack: no such pack" in found[1]


def test_a_misspelt_preset_hides_neither_sizes_nor_names_that_no_space_knows() -> None:
    found = faults(
        space={"preset": "papr", "width": -1, "fix": {"edg1": "3", "edge1": "3"}},
        search={"enqueue": [{"edg2": "1", "dag.tail": "plain"}]},
    )
    assert [fault.split(": ")[0] for fault in found] == [
        "space.preset",
        "space.width",
        "space.fix.edg1",
        "search.enqueue.0",
    ]
    assert found[-1].endswith("edg2 is not a hyperparameter of any space; leave it out")


def test_only_what_hangs_on_the_space_is_told_with_caution() -> None:
    fix = {**SMALL, "fix": {"edge9": "1"}}
    *_, name, value = faults(space=fix, search={"enqueue": ["SMAC_302", {"edge1": "77"}]})
    assert not name.endswith(CAUTION)
    assert value.endswith(CAUTION)
    _, constraints = faults(space=fix, constraints={"max_parameters": 1})
    assert constraints.startswith("constraints: none of 1,000 samples")
    assert constraints.endswith(CAUTION)


@pytest.mark.parametrize(
    ("space", "place"),
    [
        ({"width": 9}, "space.width"),
        ({"preset": "timm", "families": {"x": ["no_model"], "y": ["m"]}}, "space.families.x"),
        ({"preset": "papr"}, "space.preset"),
    ],
)
def test_networks_that_are_not_known_exceed_no_constraint(
    space: dict[str, Any], place: str
) -> None:
    limited = {"constraints": {"max_parameters": 1}}
    assert places(space=space, **limited) == [place]
    enqueued = {"enqueue": [{"lr_sgd": 0.1}]}
    assert places(space=space, search=enqueued, **limited) == [place]


@pytest.mark.parametrize(
    "narrowed",
    [
        {"limit": {"mitigation.margin.a": [0.0, 0.1]}},
        {"fix": {"mitigation": "group_margin"}},
    ],
)
def test_groups_of_a_column_that_is_not_there_are_not_judged(narrowed: dict[str, Any]) -> None:
    space = {"preset": "dag", "tune": ["mitigation"], **SMALL, **narrowed}
    search = {"enqueue": [{"mitigation": "group_margin"}]}
    assert places(data={**FACES, "group": "age"}, space=space, search=search) == ["data"]
    assert places(data={**FACES, "grup": "age"}, space=space) == ["data.grup"]
    other = {"space": {**space, "limit": {"mitigation.margin.z": [0.0, 0.1]}, "fix": {}}}
    assert places(**other) == ["space.limit.mitigation.margin.z"]


def test_families_that_have_a_fault_do_not_make_others_wrong() -> None:
    families = {"x": ["no_model"], "y": ["m"], "z": []}
    space = {"preset": "timm", "families": families, "fix": {"timm.family": "x"}}
    assert places(space=space) == ["space.families.z", "space.families.x"]
    other = {**space, "fix": {"timm.family": "w"}}
    assert places(space=other) == ["space.families.z", "space.fix.timm.family", "space.families.x"]


def test_pictures_that_the_operator_describes_need_no_data() -> None:
    stated = Pictures(image_size=32, in_channels=3)
    found = inspect(request(data={"pack": "none.pack"}), stated=stated)
    assert found.faults == ()
    assert found.data.pack is None
    assert found.space.prepared is not None
