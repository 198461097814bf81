from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from search_space.build import network_cost
from search_space.candidate import SpaceSettings
from search_space.definition.decode import complete, decode
from workers.processes.candidate_costs import candidate_costs

SETTINGS = SpaceSettings(
    preset="joint", width=0.05, embedding_size=16, families={"test": ("test_resnet",)}
)
SIZE = {"in_channels": 1, "image_size": 32}
ONE_OF_EACH = [
    complete({"architecture": source}, SETTINGS) for source in ("dual_path", "dag", "timm")
]


@pytest.fixture(scope="module")
def reports():
    return candidate_costs(SETTINGS, ONE_OF_EACH, **SIZE, measure_throughput=True)


def test_each_report_is_what_the_built_network_costs(reports):
    assert len(reports) == 3
    for configuration, report in zip(ONE_OF_EACH, reports, strict=True):
        expected = network_cost(decode(configuration, SETTINGS), **SIZE)
        assert report.fault is None
        assert report.seconds > 0
        for name in ("family", "hash", "parameters", "macs", "activation_bytes"):
            assert getattr(report.cost, name) == getattr(expected, name)
    assert [report.cost.family for report in reports] == ["dual_path", "dag", "test"]


def test_throughput_is_measured_on_a_named_device(reports):
    assert all(report.cost.milliseconds_per_image > 0 for report in reports)
    assert all(report.cost.device for report in reports)


def test_what_cannot_be_built_says_why_and_the_others_are_built_all_the_same():
    unfit = replace(SETTINGS, families={"inception": ("inception_v4",), "test": ("test_resnet",)})
    configurations = [
        complete({"timm.family": "inception"}, unfit),
        {"head": "none"},
        complete({"timm.family": "test"}, unfit),
    ]
    too_small, nonsense, good = candidate_costs(unfit, configurations, **SIZE)
    assert "'inception_v4' cannot embed pictures of 32 pixels" in too_small.fault
    assert "head is 'none'" in nonsense.fault
    assert too_small.cost is nonsense.cost is None
    assert good.fault is None
    assert good.cost.milliseconds_per_image is good.cost.device is None


def test_nothing_is_asked_for_no_configuration(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    assert candidate_costs(SETTINGS, [], **SIZE) == ()


def test_who_asks_does_not_load_torch():
    code = (
        "import sys, workers.processes.candidate_costs; "
        "print({'torch', 'timm'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert printed.stdout.decode().strip() == "set()"
