"""Looking at a search space before it is searched."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.e2e.conftest import RUN_FILE, Shell

pytestmark = pytest.mark.timeout(180)

JOINT = """
name: joint
data: {synthetic: {size: 32}, group: group}
space:
  preset: joint
  width: 0.05
  families: {test: [test_resnet], other: ["test_efficientnet", "inception_v*"]}
search: {enqueue: [SMAC_301]}
"""


@pytest.fixture
def joint(shell: Shell) -> Shell:
    (shell.folder / "joint.yaml").write_text(JOINT)
    return shell


def test_a_joint_space_is_shown_for_the_data_of_its_run_file(joint: Shell) -> None:
    document = joint.frnas("space", "show", "joint.yaml", "--samples", "300", "--json").json
    assert document["pictures"]["image_size"] == 32
    assert document["pictures"]["groups"] == ["a", "b"]
    names = {row["name"] for row in document["hyperparameters"]}
    assert {"mitigation.margin.a", "mitigation.margin.b"} <= names
    variants = {f["family"]: [v["name"] for v in f["variants"]] for f in document["families"]}
    assert variants == {"test": ["test_resnet"], "other": ["test_efficientnet"]}
    left_out = {each["name"]: each["works_at"] for each in document["left_out"]}
    assert left_out == {"inception_v3": 96, "inception_v4": 96}
    assert document["samples"]["cells"]["n"] > 50
    # For other pictures, other variants; and no data to know groups from.
    larger = joint.frnas(
        "space", "show", "joint.yaml", "--size", "112", "--samples", "10", "--json"
    ).json
    assert larger["left_out"] == []
    assert larger["pictures"] == {"image_size": 112, "channels": 3, "groups": [], "pack": None}


def test_samples_are_built_and_timed(joint: Shell) -> None:
    done = joint.frnas("space", "sample", "joint.yaml", "-n", "5", "--throughput", "--json")
    for each in done.json["samples"]:
        built = each["built"]
        assert built["buildable"]
        assert built["cost"]["parameters"] == each["parameters"]
        assert built["cost"]["macs"] == each["macs"]
        assert built["cost"]["activation_bytes"] > 0
        assert built["cost"]["milliseconds_per_image"] > 0


def test_a_space_in_order_is_checked_with_exit_code_0(joint: Shell) -> None:
    done = joint.frnas("space", "check", "joint.yaml", "--samples", "100")
    assert done.code == 0, done.errors
    assert "pack: 1, timm variants: 4, enqueued configurations: 1" in done.output
    assert "samples: 100, networks built: 20" in done.output
    assert "inception_v3 is left out at 32 pixels" in done.output
    assert done.output.endswith("joint.yaml: in order\n")


def test_every_fault_of_a_space_is_in_one_report_with_exit_code_2(joint: Shell) -> None:
    done = joint.frnas(
        "space", "check", "joint.yaml", "--samples", "20",
        "--set", "stop.trials=0",
        "--set", "data.group=age",
        "--set", "space.fix={edge9: '1'}",
        "--set", "space.families={test: [test_resnet], other: [inception_v3, resnet_18]}",
        "--set", "search.enqueue=[SMAC_302]",
        "--json",
    )  # fmt: skip
    assert done.code == 2
    assert "Traceback" not in done.errors
    faults = "\n".join(done.json["faults"])
    for words in (
        "stop.trials: ",
        "no group column 'age'",
        "space.fix.edge9: is not a hyperparameter",
        "'inception_v3' cannot embed pictures of 32 pixels",
        "knows no model 'resnet_18'",
        "search.enqueue.0: there is no configuration 'SMAC_302'",
    ):
        assert words in faults, faults


def test_what_is_exported_is_a_space_of_the_users_own(shell: Shell) -> None:
    assert shell.frnas("space", "export", "tiny.yaml", "--out", "own.json").code == 0
    exported = json.loads((shell.folder / "own.json").read_text())
    exported["hyperparameters"] = [
        {**each, "choices": ["CosFace"], "default_value": "CosFace"}
        if each["name"] == "head"
        else each
        for each in exported["hyperparameters"]
    ]
    (shell.folder / "own.json").write_text(json.dumps(exported))
    drawn = shell.frnas(
        "space", "sample", "tiny.yaml", "--set", "space.file=own.json", "-n", "20", "--json"
    ).json
    assert {each["configuration"]["head"] for each in drawn["samples"]} == {"CosFace"}


def test_a_configuration_of_a_run_is_drawn(shell: Shell) -> None:
    searched = shell.frnas("search", "tiny.yaml", "--set", "stop.trials=1", timeout=170)
    assert searched.code == 0, searched.errors
    (trial,) = shell.trials()
    done = shell.frnas("space", "draw", trial["config_id"], "--of", "tiny", "--out", "cell.svg")
    assert done.code == 0, done.errors
    root = ElementTree.parse(shell.folder / "cell.svg").getroot()
    edges = "-".join(trial["configuration"][name] for name in ("edge1", "edge2", "edge3"))
    title = root.findtext("{http://www.w3.org/2000/svg}title")
    assert title == f"{trial['config_id']} of tiny: dual_path {edges}"
    wrong = shell.frnas("space", "draw", "c9999", "--of", "tiny", "--out", "other.svg")
    assert wrong.code == 2
    assert "tiny has no configuration 'c9999'" in wrong.errors
    assert not (shell.folder / "other.svg").exists()


def test_bad_input_is_one_sentence_with_exit_code_2(shell: Shell) -> None:
    (shell.folder / "lost.yaml").write_text(RUN_FILE.replace("synthetic: {size: 24}", "pack: x"))
    for arguments, words in (
        (("show", "lost.yaml"), "or describe the pictures with --size PIXELS --channels 1|3"),
        (("show", "none.yaml"), "none.yaml: no such run file"),
        (("draw", "SMAC_31", "--out", "x.svg"), "did you mean SMAC_301"),
        (("sample", "tiny.yaml", "--set", "space.fix.hed=CosFace"), "did you mean head"),
    ):
        done = shell.frnas("space", *arguments)
        assert done.code == 2
        assert done.output == ""
        assert words in done.errors
        assert "Traceback" not in done.errors
