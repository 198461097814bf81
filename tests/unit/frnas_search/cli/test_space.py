from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from jsonschema import Draft202012Validator
from rich.console import Console
from typer.testing import CliRunner

from frnas_search.cli.space import space_app
from frnas_search.cli.space_tables import (
    check_lines,
    family_table,
    hyperparameter_table,
    left_out_table,
    sample_table,
    summary_lines,
)
from frnas_search.config.reading import parse_run_config
from frnas_search.config.requests import preparation_request
from frnas_search.config.run_file import read_run_file
from frnas_search.errors import RunFileError, SearchError
from frnas_search.launch.constraints import CostModel
from frnas_search.launch.data_preparation import Pictures
from frnas_search.launch.space_preparation import PreparedSpace
from frnas_search.launch.space_samples import sample_statistics
from frnas_search.space_documents.check import (
    Findings,
    build_faults,
    check_document,
    check_space,
    sample_faults,
)
from frnas_search.space_documents.report import sample_document, space_document, space_schema
from search_space.candidate import DagSettings, SpaceSettings
from search_space.definition.decode import complete, decode
from search_space.definition.space import sample, to_json_text
from search_space.definition.variants import LeftOut, VariantRecord
from search_space.errors import InvalidConfigurationError
from workers.processes.candidate_costs import BuildReport, BuiltCost

PICTURES = Pictures(image_size=32, in_channels=3, groups=("f", "m"))
STATED = ("--size", "32", "--channels", "3")
PAPER = {"name": "tiny", "data": {"pack": "nowhere.pack"}, "space": {"width": 0.1}}
DAG = {**PAPER, "space": {"preset": "dag", "width": 0.1, "dag": {"nodes": 5}}}


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run_file(tmp_path):
    def write(content) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def invoke(*arguments):
    return CliRunner().invoke(space_app, [str(each) for each in arguments], catch_exceptions=False)


def run(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def variant(name, parameters):
    return VariantRecord(
        name=name,
        feature_size=8,
        options={},
        parameters=parameters,
        macs=10 * parameters,
        accepts_drop_path=parameters > 1000,
    )


def prepared(settings, **changes):
    names = [name for variants in settings.families.values() for name in variants]
    records = {name: variant(name, 1000 * (i + 1)) for i, name in enumerate(names)}
    known = {
        "settings": settings,
        "enqueued": (),
        "costs": CostModel(in_channels=3, image_size=32, backbones=records),
        "left_out": (),
        "timm": "1.0" if records else None,
    }
    return PreparedSpace(**known | changes)


JOINT = SpaceSettings(
    preset="joint",
    width=0.1,
    dag=DagSettings(nodes=3),
    families={"big": ("b2",), "small": ("s1", "s2")},
    drop_path_families=("small",),
    groups=("f", "m"),
    fix={"scale": 30.0},
    limit={"lr_sgd": (0.1, 0.5)},
    priors={"head": {"CosFace": 5.0}, "lr_adam": {"center": 1e-3, "spread": 3.0}},
)
LEFT_OUT = LeftOut(family="big", name="b9", reason="too small", works_at=96)


def documented(settings, limits=None, n=300, **changes):
    space = prepared(settings, **changes)
    limits = limits or {}
    drawn = sample(settings, n, seed=0)
    statistics = sample_statistics(drawn, settings, space.costs, limits)
    document = space_document(space, PICTURES, statistics, run="tiny", limits=limits)
    Draft202012Validator(space_schema("space")).validate(json.loads(json.dumps(document)))
    return document


def cells(table):
    printed = io.StringIO()
    Console(width=200, file=printed).print(table)
    return [line.split() for line in printed.getvalue().splitlines()]


# show


def test_the_published_space_is_shown_with_its_size(run_file):
    shown = run("show", run_file(PAPER), *STATED, "--samples", "50")
    assert "size: 6,561 discrete combinations (10^3.8) and 2 continuous dimensions" in shown
    assert "dual_path 100.0% (of 50 samples)" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["lr_adam", "1e-05", "to", "0.01", "(log)", "0.001"] in [row[:6] for row in rows]
    assert any(row[-5:] == ["optimizer", "=", "Adam", "or", "AdamW"] for row in rows)


def test_the_document_says_all_about_every_hyperparameter():
    rows = {row["name"]: row for row in documented(JOINT)["hyperparameters"]}
    assert rows["scale"]["fixed"]
    assert rows["scale"]["choices"] == [30.0]
    assert rows["lr_sgd"]["limited"]
    assert (rows["lr_sgd"]["lower"], rows["lr_sgd"]["upper"]) == (0.1, 0.5)
    assert rows["lr_sgd"]["log"]
    assert rows["lr_adam"]["prior"] == {"center": 1e-3, "spread": 3.0}
    assert rows["head"]["prior"] == {"CosFace": 5.0}
    assert rows["dag.blocks.1"]["kind"] == "integer"
    assert rows["edge1"]["condition"] == "architecture = dual_path"
    assert rows["drop_path"]["condition"] == (
        "architecture = dual_path, or dag.tail = residual or dual_path, or timm.family = small"
    )
    assert rows["head"]["condition"] is None
    assert rows["mitigation.margin.m"]["condition"] == "mitigation = group_margin"


def test_the_document_counts_dimensions_sources_and_variants():
    document = documented(JOINT, left_out=(LEFT_OUT,))
    rows = document["hyperparameters"]
    assert document["size"]["continuous_dimensions"] == sum(r["kind"] == "float" for r in rows)
    assert document["size"]["hyperparameters"] == len(rows)
    shares = document["samples"]["by_source"]
    assert set(shares) == {"dual_path", "dag", "timm"}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(0.2 < share < 0.5 for share in shares.values())
    assert document["families"] == [
        {
            "family": "big",
            "variants": [{"name": "b2", "parameters": 1000, "macs": 10_000, "drop_path": False}],
        },
        {
            "family": "small",
            "variants": [
                {"name": "s1", "parameters": 2000, "macs": 20_000, "drop_path": True},
                {"name": "s2", "parameters": 3000, "macs": 30_000, "drop_path": True},
            ],
        },
    ]
    assert document["left_out"] == [
        {"family": "big", "name": "b9", "reason": "too small", "works_at": 96}
    ]


def test_constraints_are_shown_with_what_they_refuse():
    settings = SpaceSettings(
        preset="timm",
        families={"a": ("v1", "v2", "v3", "v4")},
        embedding_size=8,
        drop_path_families=(),
    )
    # A neck of 8 * 8 + 8 on top of 1000, 2000, 3000 and 4000.
    document = documented(settings, {"max_parameters": 2072.0, "max_activation_bytes": 9.0})
    foreseen, measured = document["constraints"]
    assert foreseen["foreseen"]
    assert 0.4 < foreseen["refused_share"] < 0.6
    assert document["samples"]["refused_share"] == foreseen["refused_share"]
    assert not measured["foreseen"]
    assert measured["refused_share"] is None
    lines = "\n".join(summary_lines(document))
    assert f"max_parameters 2,072: refuses {foreseen['refused_share']:.1%}" in lines
    assert "max_activation_bytes 9: is measured when a trial begins" in lines


def test_repaired_pruned_and_distinct_cells_are_counted():
    settings = SpaceSettings(
        preset="dag", dag=DagSettings(nodes=3, operations=("Skip",), tails=("plain",))
    )

    def proposal(*edges):
        names = {"dag.op.0->1": "None", "dag.op.0->2": "None", "dag.op.1->2": "None"}
        return complete(names | {f"dag.op.{edge}": "Skip" for edge in edges}, settings)

    proposals = [
        proposal("0->1", "1->2"),  # as it is
        proposal("0->1", "0->2", "1->2"),  # as it is
        proposal("0->2"),  # node 1 is lost
        proposal("0->2", "1->2"),  # node 1 is lost
        proposal("0->1"),  # no way
        proposal(),  # no way
    ]
    space = prepared(settings)
    statistics = sample_statistics(proposals, settings, space.costs, {})
    found = statistics.cells
    assert (found.n, found.repaired, found.pruned, found.distinct) == (6, 2, 2, 3)
    document = space_document(space, PICTURES, statistics, run="tiny", limits={})
    line = next(line for line in summary_lines(document) if line.startswith("dag cells"))
    assert "3 different ones in 6 samples; 33.3% had no way" in line
    assert "33.3% lost nodes" in line


def test_tables_name_what_the_document_holds():
    document = documented(JOINT, left_out=(LEFT_OUT,))
    assert ["big", "b2", "1,000", "10,000", "no"] in cells(family_table(document))
    assert ["s2", "3,000", "30,000", "yes"] in cells(family_table(document))
    assert ["big", "b9", "96", "pixels", "too", "small"] in cells(left_out_table(document))
    rows = {row[0]: row for row in cells(hyperparameter_table(document)) if row}
    assert rows["scale"][-1] == "fixed"
    assert rows["lr_sgd"][-1] == "limited"
    assert rows["lr_adam"][-5:] == ["prior", "center", "0.001", "spread", "3"]
    assert rows["dag.op.0->2"][1:3] == ["as", "above"]


def test_a_space_of_the_users_own_is_shown_beside_the_preset():
    narrower = replace(JOINT, priors={}, fix={"head": "ArcFace", "scale": 30.0})
    narrow = replace(JOINT, definition=to_json_text(narrower))
    rows = {row["name"]: row for row in documented(narrow)["hyperparameters"]}
    assert rows["head"]["in_file"]["value"] == "ArcFace"
    table = {row[0]: row for row in cells(hyperparameter_table(documented(narrow))) if row}
    assert table["head"][-4:] == ["in", "the", "file", "ArcFace"]
    assert table["edge1"][-3:] == ["architecture", "=", "dual_path"]  # as the preset has it
    assert table["margin.CosFace"][-6:] == ["in", "the", "file:", "has", "its", "default"]


def test_json_of_show_follows_its_schema(run_file):
    document = json.loads(run("show", run_file(DAG), *STATED, "--samples", "50", "--json"))
    Draft202012Validator(space_schema("space")).validate(document)
    assert document["schema"] == "frnas.space/1"
    assert document["pictures"] == {"image_size": 32, "channels": 3, "groups": [], "pack": None}
    assert document["samples"]["n"] == 50


def test_overrides_reach_the_space(run_file):
    shown = json.loads(run("show", run_file(PAPER), *STATED, "--set", "space.fix.edge1=3",
                           "--samples", "5", "--json"))  # fmt: skip
    assert shown["size"]["discrete_combinations"] == 729


# The data


def test_a_missing_pack_is_named_with_the_way_around_it(run_file):
    for command in ("show", "sample", "export"):
        with pytest.raises(RunFileError, match=r"nowhere\.pack: no such pack.*--size PIXELS"):
            run(command, run_file(PAPER))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--channels", "1"), "--channels counts only together with --size"),
        (("--size", "32", "--channels", "2"), "--channels 2: give 1 for grey or 3 for colour"),
    ],
)
def test_half_a_description_of_pictures_is_refused(run_file, options, words):
    for command in ("show", "check"):
        with pytest.raises(RunFileError, match=words):
            run(command, run_file(PAPER), *options)


# sample


def test_samples_are_drawn_from_the_seed_and_can_be_enqueued(run_file):
    path = run_file(DAG)
    first = json.loads(run("sample", path, *STATED, "-n", "4", "--json"))
    Draft202012Validator(space_schema("space-sample")).validate(first)
    assert first == json.loads(run("sample", path, *STATED, "-n", "4", "--json"))
    assert first != json.loads(run("sample", path, *STATED, "-n", "4", "--seed", "1", "--json"))
    configurations = [each["configuration"] for each in first["samples"]]
    assert len(configurations) == 4
    again = found(run_file, {**DAG, "search": {"enqueue": configurations}}, n_samples=1)
    assert again.faults == []
    assert again.checked["enqueued configurations"] == 4


def test_samples_are_described_with_predicted_costs(run_file):
    document = json.loads(run("sample", run_file(PAPER), *STATED, "-n", "3", "--json"))
    settings = SpaceSettings(width=0.1)
    costs = CostModel(in_channels=3, image_size=32, backbones={})
    for each in document["samples"]:
        expected = costs.predicted(decode(each["configuration"], settings))
        assert (each["parameters"], each["macs"]) == expected
        assert each["description"].startswith("dual_path ")
        assert each["built"] is None
    shown = run("sample", run_file(PAPER), *STATED, "-n", "3")
    assert all(each["description"] in shown for each in document["samples"])


def test_built_samples_say_whether_they_could_be_built_and_what_they_exceed():
    settings = SpaceSettings(width=0.1)
    space = prepared(settings)
    drawn = sample(settings, 2, seed=0)
    cost = BuiltCost(
        family="dual_path",
        hash="0" * 12,
        parameters=1,
        macs=2,
        activation_bytes=3_000_000,
        milliseconds_per_image=1.5,
        device="cpu",
    )
    reports = [BuildReport(seconds=0.5, cost=cost), BuildReport(seconds=0.1, fault="no room")]
    limits = {"max_activation_bytes": 1e6, "max_macs": 1.0}
    document = sample_document(drawn, reports, space, PICTURES, seed=0, limits=limits)
    Draft202012Validator(space_schema("space-sample")).validate(json.loads(json.dumps(document)))
    good, bad = document["samples"]
    assert good["built"]["buildable"]
    assert not bad["built"]["buildable"]
    assert good["exceeds"][1] == "activation_bytes 3e+06 exceeds max_activation_bytes 1e+06"
    assert len(bad["exceeds"]) == 1
    text = "\n".join(" ".join(row) for row in cells(sample_table(document)))
    assert "3.00 MB dual_path 000000000000 0.50 yes 1.500 (cpu)" in text
    assert "0.10 no" in text
    assert "no room" in text


# check


def found(run_file, content, *overrides, n_samples=20, n_built=0, stated=PICTURES):
    request = preparation_request(read_run_file(run_file(content), overrides))
    return check_space(request, stated=stated, n_samples=n_samples, n_built=n_built)


def test_a_space_in_order_is_checked_whole(run_file):
    findings = found(run_file, DAG, n_samples=60, n_built=3)
    assert findings.faults == findings.not_checked == []
    assert findings.checked == {"run file": 1, "samples": 60, "networks built": 3}
    assert any("of 60 proposed cells lost nodes" in each for each in findings.corners)
    document = check_document(findings, run_file=Path("run.yaml"))
    Draft202012Validator(space_schema("space-check")).validate(document)
    assert list(check_lines(document))[-1] == "run.yaml: in order"


def test_faults_of_all_kinds_are_found_at_once(run_file):
    findings = found(
        run_file,
        {
            "data": {"pack": 3, "synthetic": {}},
            "stop": {"trials": 0},
            "foo": 1,
            "space": {"fix": {"edge9": "1"}, "limit": {"head": ["CosFaec"]}, "file": "no.json"},
            "search": {"enqueue": ["SMAC_302"]},
        },
    )
    text = "\n".join(findings.faults)
    for words in (
        "name: is missing",
        "stop.trials",
        "foo: unknown key",
        "space.fix.edge9: is not a hyperparameter of this paper space; did you mean edge",
        "space.limit.head: 'CosFaec' is not one of the strings CosFace",
        "space.file: ",
        "search.enqueue.0: there is no configuration 'SMAC_302'; did you mean SMAC_",
    ):
        assert words in text
    assert len(findings.faults) == len(set(findings.faults))
    # What is left of the file is looked at all the same.
    assert findings.checked["samples"] == 20


def test_what_was_seen_without_a_part_of_the_space_says_so(run_file):
    findings = found(
        run_file,
        {**PAPER, "space": {"fix": {"edge9": "1"}}, "search": {"enqueue": [{"edge1": "77"}]}},
    )
    first, second = findings.faults
    assert first.startswith("space.fix.edge9: ")
    assert second.startswith("search.enqueue.0: edge1 is '77'")
    assert second.endswith("(seen without the faulty parts of space)")


@pytest.mark.parametrize(
    "space",
    [
        {"preset": "papers"},
        {"sources": ["dag"]},
        3,
        {"preset": "timm", "families": {"x": []}, "width": 0},
    ],
)
def test_what_decides_the_meaning_of_the_rest_ends_the_check(run_file, space):
    findings = found(run_file, {**PAPER, "space": space})
    assert findings.faults
    assert "samples" not in findings.checked
    assert "samples of the space (20)" in findings.not_checked[0]


def test_a_missing_pack_is_a_fault_like_others(run_file):
    findings = found(run_file, {**PAPER, "stop": {"trials": 0}}, stated=None)
    assert any(each.startswith("stop.trials") for each in findings.faults)
    assert any("no such pack" in each and "--size" in each for each in findings.faults)
    assert findings.not_checked


def test_constraints_are_counted_among_the_corners(run_file):
    findings = found(run_file, {**PAPER, "constraints": {"max_parameters": 10}})
    assert "100.0% of the samples exceed max_parameters and would not be trained" in (
        findings.corners
    )


def test_how_much_keeps_within_all_constraints_is_told_with_its_uncertainty(run_file):
    content = {**PAPER, "constraints": {"max_parameters": 1_300_000}}
    (corner,) = [
        corner for corner in found(run_file, content).corners if "all constraints" in corner
    ]
    assert re.fullmatch(
        r"within all constraints lies [0-9.]+% \([0-9,]+ of [0-9,]+; 95 % interval [0-9.]+% to "
        r"[0-9.]+%\) of the space",
        corner,
    )
    path = run_file(content)
    document = json.loads(run("sample", path, *STATED, "-n", 2, "--json"))
    Draft202012Validator(space_schema("space-sample")).validate(document)
    within = document["within_constraints"]
    assert within["share_low"] < within["share"] < within["share_high"]
    assert "within all constraints" in run("sample", path, *STATED, "-n", 2)
    assert "within all constraints" in run("show", path, *STATED, "--samples", 50)
    shown = json.loads(run("show", path, *STATED, "--samples", 50, "--json"))
    Draft202012Validator(space_schema("space")).validate(shown)
    assert shown["samples"]["within_constraints"]["draws"] >= 50


def test_what_a_sample_misses_is_not_called_impossible(run_file):
    """Every sample is above, and nothing says that all of the space is."""
    content = {**PAPER, "constraints": {"max_parameters": 10}}
    corners = "; ".join(found(run_file, content, n_samples=20).corners)
    assert "lies less than 0.018% (none of 20,020) of the space" in corners


def test_constraints_that_leave_nothing_are_a_fault(run_file):
    content = {**PAPER, "constraints": {"max_parameters": 10}}
    findings = found(run_file, content, n_samples=1000)
    assert findings.faults == [
        "constraints: none of 1,000 samples of the space keeps within max_parameters; loosen it, "
        "or narrow the space to smaller networks (`frnas space sample` shows what they cost)"
    ]


def test_a_users_file_is_checked(run_file, tmp_path):
    own = tmp_path / "own.json"
    own.write_text(to_json_text(SpaceSettings(width=0.1, fix={"head": "ArcFace"})))
    content = {**PAPER, "space": {"width": 0.1, "file": str(own)}}
    assert found(run_file, content).checked[f"hyperparameters of {own}"] == 7
    own.write_text(to_json_text(SpaceSettings(preset="dual_path")))
    assert any(
        each.startswith("space.file: head may be 'SphereFace2'")
        for each in found(run_file, content).faults
    )


def test_a_check_with_faults_ends_with_exit_code_2(run_file):
    result = invoke("check", run_file({**PAPER, "space": {"preset": "x"}}), *STATED, "--json")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    Draft202012Validator(space_schema("space-check")).validate(document)
    assert not document["in_order"]
    assert len(document["faults"]) == 1
    printed = invoke("check", run_file({**PAPER, "space": {"preset": "x"}}), *STATED)
    assert printed.exit_code == 2
    assert f"fault: {document['faults'][0]}" in printed.stdout


def test_a_sample_that_is_no_configuration_is_a_fault():
    settings = SpaceSettings()
    good = sample(settings, 1, seed=0)[0]
    assert sample_faults(good, settings) == []
    assert "edge1 is '9'" in sample_faults({**good, "edge1": "9"}, settings)[0]


def test_a_network_that_is_not_as_predicted_is_a_fault():
    settings = SpaceSettings(width=0.1)
    space = prepared(settings)
    configuration = sample(settings, 1, seed=0)[0]
    expected = space.costs.predicted(decode(configuration, settings))
    cost = BuiltCost(
        family="dual_path",
        hash="0" * 12,
        parameters=expected.parameters,
        macs=expected.macs,
        activation_bytes=1,
    )
    assert build_faults(configuration, BuildReport(seconds=1.0, cost=cost), space) == []
    other = replace(cost, macs=expected.macs + 1)
    (fault,) = build_faults(configuration, BuildReport(seconds=1.0, cost=other), space)
    assert f"{expected.macs + 1:,} multiply-accumulates where {expected.macs:,}" in fault
    (fault,) = build_faults(configuration, BuildReport(seconds=1.0, fault="no room"), space)
    assert fault.startswith("a sample cannot be built: no room; it is {")


def test_faults_are_printed_last_but_one():
    findings = Findings(faults=["a: b", "c: d"], checked={"run file": 1}, corners=["x"])
    assert list(check_lines(check_document(findings, run_file=Path("r.yaml")))) == [
        "checked run file: 1",
        "to know: x",
        "fault: a: b",
        "fault: c: d",
        "r.yaml: 2 faults",
    ]


# export


def test_what_is_exported_can_be_given_back(run_file, tmp_path):
    out = tmp_path / "space.json"
    assert run("export", run_file(PAPER), *STATED, "--out", out) == ""
    assert json.loads(run("export", run_file(PAPER), *STATED)) == json.loads(out.read_text())
    content = {**PAPER, "space": {"width": 0.1, "file": str(out)}}
    assert found(run_file, content).faults == []
    with pytest.raises(SearchError, match="exists already"):
        run("export", run_file(PAPER), *STATED, "--out", out)
    run("export", run_file(PAPER), *STATED, "--out", out, "--overwrite")


@pytest.mark.parametrize(
    ("out", "words"), [(".", "a folder"), ("no/such/file.json", "its folder does not exist")]
)
def test_a_place_that_cannot_be_written_is_refused(run_file, tmp_path, out, words):
    with pytest.raises(SearchError, match=words):
        run("export", run_file(PAPER), *STATED, "--out", tmp_path / out)


# draw


def texts(path):
    return [text.text for text in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def draw(tmp_path, *arguments):
    out = tmp_path / "cell.svg"
    run("draw", *arguments, "--out", out, "--overwrite")
    return texts(out)


def test_a_published_cell_is_drawn(run_file, tmp_path):
    drawn = draw(tmp_path, "SMAC_301")
    assert {"SMAC_301: dual_path 3-0-1", "Conv3x3", "BnActConv3x3", "BnActConv1x1"} <= set(drawn)
    assert "stem: 128 channels, 1/4 of the picture's side" in drawn
    narrow = draw(tmp_path, "SMAC_301", "--run", run_file(PAPER))
    assert "stem: 16 channels, 1/4 of the picture's side" in narrow
    narrower = draw(tmp_path, "SMAC_301", "--run", run_file(PAPER), "--set", "space.width=0.5")
    assert "stem: 64 channels, 1/4 of the picture's side" in narrower


def test_a_configuration_that_is_written_out_is_drawn(tmp_path):
    settings = SpaceSettings(
        preset="dag", dag=DagSettings(nodes=5, widths=(0.3,), blocks=(2, 5)), tune=("margin",)
    )
    configuration = sample(settings, 1, seed=3)[0]
    drawn = draw(tmp_path, json.dumps(configuration))
    architecture = decode(configuration, settings).architecture
    assert {edge.operation for edge in architecture.cell.edges} <= set(drawn)
    blocks = architecture.blocks
    for stage in range(4):
        assert any(each.startswith(f"stage {stage + 1}: {blocks[stage]} b") for each in drawn)
    assert "stem: 40 channels, 1/4 of the picture's side" in drawn


def test_a_configuration_of_a_run_file_with_groups_needs_no_data(run_file, tmp_path):
    content = {**PAPER, "space": {"preset": "joint", "families": ["test"]}}
    configuration = {
        "edge1": "3",
        "mitigation": "group_margin",
        "mitigation.margin.someone": 0.1,
        "scale": 12.0,
    }
    drawn = draw(tmp_path, json.dumps(configuration), "--run", run_file(content))
    assert "dual_path 3-0-1" in drawn


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SMAC_302", "no published configuration 'SMAC_302'; did you mean SMAC_301"),
        ("c0001", r"no published configuration 'c0001';.* choose from SMAC_301.*add --of RUN"),
        ("{", "CONFIG is not JSON"),
        ('{"edge1": [1]}', "edge1 holds no plain value"),
        ('{"egde1": "1"}', "'egde1' is no hyperparameter; did you mean edge1"),
        ('{"timm.family": "resnet"}', "this is a timm backbone"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, text, words):
    out = tmp_path / "x.svg"
    with pytest.raises(SearchError, match=words):
        run("draw", text, "--out", out)
    assert not out.exists()


def test_a_configuration_of_another_space_is_refused(run_file, tmp_path):
    with pytest.raises(InvalidConfigurationError, match="edge1 is not a hyperparameter"):
        draw(tmp_path, "SMAC_301", "--run", run_file(DAG))
    with pytest.raises(InvalidConfigurationError, match="edge1 is '9'; give one of"):
        draw(tmp_path, '{"edge1": "9"}', "--run", run_file(PAPER))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--run", "a.yaml", "--of", "b"), "give one of the two"),
        (("--set", "space.width=1"), "add --run RUN.yaml"),
    ],
)
def test_options_of_draw_that_contradict_each_other_are_refused(tmp_path, options, words):
    with pytest.raises(SearchError, match=words):
        run("draw", "SMAC_301", "--out", tmp_path / "x.svg", *options)


def test_drawings_are_svg_and_not_overwritten(tmp_path):
    with pytest.raises(SearchError, match=r"let its name end in \.svg"):
        run("draw", "SMAC_301", "--out", tmp_path / "x.png")
    out = tmp_path / "x.svg"
    out.write_text("mine")
    with pytest.raises(SearchError, match="exists already"):
        run("draw", "SMAC_301", "--out", out)
    assert out.read_text() == "mine"


# Help


@pytest.mark.parametrize("command", ["show", "sample", "check", "export", "draw"])
def test_each_command_shows_an_example(command):
    assert f"Example: frnas space {command} " in " ".join(run(command, "--help").split())


def test_neither_the_help_nor_the_commands_load_more_than_they_need():
    def loaded(modules):
        code = f"import sys\nimport {modules}\nprint(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    assert loaded("frnas_search.cli.space").isdisjoint({"numpy", "ConfigSpace", "torch"})
    commands = loaded(
        "frnas_search.space_documents.check, frnas_search.space_documents.report, "
        "frnas_search.space_documents.drawing, frnas_search.cli.space_tables, "
        "search_space.cells.drawing, workers.processes.candidate_costs"
    )
    assert "ConfigSpace" in commands
    assert commands.isdisjoint({"torch", "timm"})


def test_the_run_files_of_these_tests_are_in_order():
    for content in (PAPER, DAG):
        parse_run_config(content, where="")
