from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frnas_search.config.reading import RunFile, parse_run_file
from frnas_search.config.requests import preparation_request
from frnas_search.config.run_file import read_run_file

MINIMAL: dict[str, Any] = {"name": "faces", "data": {"synthetic": {}}}


def parsed(**sections: Any) -> RunFile:
    return parse_run_file(MINIMAL | sections, where="f")


def faults(**sections: Any) -> list[str]:
    return [str(fault) for fault in parsed(**sections).found.faults]


def places(**sections: Any) -> list[str]:
    return [fault.split(": ")[0] for fault in faults(**sections)]


def test_a_run_file_in_order_is_read_whole() -> None:
    run_file = parsed(stop={"trials": 7})
    assert run_file.found.faults == run_file.found.unread == ()
    assert not run_file.unknown
    assert run_file.config.stop.trials == 7


def test_what_is_sound_is_there_although_its_neighbours_are_not() -> None:
    config = parsed(
        stop={"trials": "many", "epochs": 5},
        space={"preset": "dag", "dag": {"nodes": 3, "blocks": [1]}, "fix": {"a": [1], "b": "x"}},
        search={"enqueue": ["SMAC_301", [1], {"edge1": "3"}], "warm_start": ["a", 3, "b"]},
        objectives=["error", 3],
        foo=1,
    ).config
    assert (config.stop.trials, config.stop.epochs) == (200, 5)
    assert (config.space.preset, config.space.dag.nodes) == ("dag", 3)
    assert config.space.dag.blocks == (1, 3)
    assert config.space.fix == {"b": "x"}
    assert config.search.enqueue[0] == "SMAC_301"
    assert config.search.enqueue[2] == {"edge1": "3"}
    assert config.search.warm_start[2] == "b"
    assert config.objectives == ("error", "rank_disparity")


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"space": {"preset": "papr", "width": -1}}, ["space.preset", "space.width"]),
        ({"space": {"width": "w", "fix": {"hed": "CosFace"}}}, ["space.width", "space.fix.hed"]),
        ({"space": {"tune": 3, "embedding_size": 1}}, ["space.tune", "space.embedding_size"]),
        (
            {"fidelity": {"min_epochs": 30, "eta": 1}, "stop": {"trials": None, "plateu": 3}},
            ["fidelity.eta", "fidelity", "stop.plateu"],
        ),
        (
            {"search": {"slots": 3, "sampler": "smca"}, "seed": "x"},
            ["seed", "search.sampler", "search"],
        ),
        ({"data": {"pack": 3, "synthetic": {}}}, ["data.pack", "data"]),
        ({"data": {"pack": "a", "synthetic": {"size": 1}}}, ["data.synthetic.size", "data"]),
        (
            {"objectives": ["error", "beauty", 3], "constraints": {"max_cost": {"eror": 1}}},
            ["objectives.2", "objectives", "constraints.max_cost.eror"],
        ),
    ],
)
def test_all_faults_come_in_one_round(sections: dict[str, Any], expected: list[str]) -> None:
    assert places(**sections) == expected


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        # What stands in for a broken value contradicts nothing.
        ({"fidelity": {"min_epochs": 40, "max_epochs": "x"}}, ["fidelity.max_epochs"]),
        ({"stop": {"trials": None, "epochs": -1}}, ["stop.epochs"]),
        ({"search": {"slots": 3, "virtual_time": "x"}}, ["search.virtual_time"]),
        ({"data": {"pack": 3}}, ["data.pack"]),
        ({"data": 3}, ["data"]),
        ({"objectives": ["eror", "garbe"], "evaluation": {"verification": [1]}},
         ["evaluation.verification", "objectives"]),
        ({"objectives": ["eror", "disparity"], "constraints": {"max_cost": {"error": 0.1}}},
         ["objectives"]),
        ({"space": {"preset": 3, "fix": {"dag.tail": "plain"}, "tune": ["scale"]}},
         ["space.preset"]),
        ({"space": {"preset": "dag", "dag": {"nodes": "x"}, "fix": {"dag.op.0->4": "Skip"}}},
         ["space.dag.nodes"]),
        # What a misspelt key may mean is not taken for left out.
        ({"fidelity": {"min_epochs": 40, "max_epoch": 81}}, ["fidelity.max_epoch"]),
        ({"data": {"pak": "a.pack"}}, ["data.pak"]),
        ({"space": {"presett": "dag", "fix": {"dag.tail": "plain"}}}, ["space.presett"]),
        ({"evaluations": {"verification": True}, "objectives": ["error", "garbe"]},
         ["evaluations"]),
    ],
)  # fmt: skip
def test_no_fault_follows_from_another(sections: dict[str, Any], expected: list[str]) -> None:
    assert places(**sections) == expected


def test_what_hangs_on_a_fault_is_not_asked_for() -> None:
    request = preparation_request(
        parsed(
            data={"pack": 3},
            search={"sampler": "x", "enqueue": [3, "SMAC_301"], "warm_start": ["a", 3, "b"]},
        ),
        runs_directory=Path("runs"),
    )
    assert (request.data, request.sampler) == (None, None)
    assert request.space.enqueued == {1: "SMAC_301"}
    assert request.warm_start is not None
    assert request.warm_start.runs == {0: "a", 2: "b"}
    grouped = preparation_request(parsed(data={"synthetic": {"size": 64}, "grup": "age"})).data
    assert grouped is not None
    assert grouped.synthetic is not None
    assert (grouped.synthetic.size, grouped.group) == (64, None)


def test_overrides_and_keys_that_cannot_be_read_hide_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: a\nname: b\ndata: {pack: x, pack: y}\nstop: {trials: 0, epochs: 3}\n")
    run_file = read_run_file(path, ("nonsense", "stop.epochs=[", "space.width=9"))
    *repeated, first, second = run_file.found.unread
    assert repeated == [
        f"{path}: not YAML; line 2: 'name' is named twice; name it once",
        f"{path}: not YAML; line 3: 'pack' is named twice; name it once",
    ]
    assert first == "--set nonsense: write it as `section.key=value`"
    assert second.startswith("--set stop.epochs=[: not YAML; ")
    assert [fault.path for fault in run_file.found.faults] == [
        ("space", "width"),
        ("stop", "trials"),
    ]
    assert preparation_request(run_file).data is None
    assert str(run_file.found.refusal(run_file.found.faults)).splitlines()[-1] == (
        f"{path}: stop.trials: input should be greater than or equal to 1 (it is 0)"
    )
