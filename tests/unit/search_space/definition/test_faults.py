from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from search_space.candidate import DagSettings, Preset, SpaceSettings
from search_space.definition.families import families_in_use
from search_space.definition.faults import space_faults
from search_space.definition.space import build_space, fingerprint, size_of_discrete_part
from search_space.definition.suggestions import suggestion
from search_space.errors import EmptySpaceError

PRESETS: tuple[Preset, ...] = get_args(Preset)


def fields(settings: SpaceSettings) -> list[str]:
    return [".".join(fault.path) for fault in space_faults(settings)]


def test_sound_settings_have_no_faults() -> None:
    for preset in PRESETS:
        assert space_faults(SpaceSettings(preset=preset)) == []
        small = SpaceSettings(preset=preset, width=0.04, blocks_per_stage=8, embedding_size=8)
        assert space_faults(small) == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            SpaceSettings(preset="joint", families={"mine": ()}),
            "space.families.mine: has no variants; name at least one timm model",
        ),
        (
            SpaceSettings(preset="timm", families={"a": ("resnet18", "resnet18")}),
            "space.families.a: names resnet18 2 times; name it once",
        ),
        (
            SpaceSettings(preset="timm", families={"": ("resnet18",)}),
            "space.families: a family has an empty name; name it",
        ),
        (SpaceSettings(width=0.01), "space.width: 0.01 is outside 0.02 to 4; "),
        (SpaceSettings(width=4.5), "space.width: 4.5 is outside 0.02 to 4; "),
        (SpaceSettings(width=float("nan")), "space.width: nan is outside 0.02 to 4; "),
        (SpaceSettings(blocks_per_stage=0), "space.blocks_per_stage: 0 is outside 1 to 8"),
        (SpaceSettings(blocks_per_stage=9), "space.blocks_per_stage: 9 is outside 1 to 8"),
        (SpaceSettings(embedding_size=7), "space.embedding_size: 7 is outside 8 to 16384"),
        (
            SpaceSettings(embedding_size=10**12),
            "space.embedding_size: 1000000000000 is outside 8 to 16384",
        ),
        (
            SpaceSettings(preset="darts"),  # type: ignore[arg-type]
            "space.preset: 'darts' is not known; choose from paper, dual_path, dag, timm, joint",
        ),
    ],
)
def test_each_fault_names_its_field(settings: SpaceSettings, fault: str) -> None:
    (found,) = space_faults(settings)
    assert str(found).startswith(fault)


def test_all_faults_are_reported_together() -> None:
    settings = SpaceSettings(
        preset="timm",
        width=9.0,
        blocks_per_stage=0,
        embedding_size=1,
        families={"a": (), "b": (), "c": ("resnet18",)},
    )
    assert fields(settings) == [
        "space.width",
        "space.blocks_per_stage",
        "space.embedding_size",
        "space.families.a",
        "space.families.b",
    ]


def test_each_fault_of_a_graph_names_its_field() -> None:
    dag = DagSettings(
        nodes=6,
        operations=("Conv3x3", "Conv7x7", "Conv3x3"),
        joins=(),
        tails=("residual", "loop"),  # type: ignore[arg-type]
        widths=(0.5, 9.0),
        blocks=(3, 2),
    )
    settings = SpaceSettings(preset="dag", dag=dag)
    assert fields(settings) == [
        "space.dag.operations",
        "space.dag.tails",
        "space.dag.joins",
        "space.dag.operations",
        "space.dag.nodes",
        "space.dag.widths",
        "space.dag.blocks",
    ]
    first = space_faults(settings)[0].message
    assert first.startswith("'Conv7x7' is not known; choose from BnActConv3x3, ")
    assert space_faults(SpaceSettings(preset="paper", dag=dag)) == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            SpaceSettings(sources=("dag",)),
            "space.sources: counts only with preset joint, and this is paper",
        ),
        (
            SpaceSettings(preset="joint", sources=("darts",)),  # type: ignore[arg-type]
            "space.sources: 'darts' is not known; choose from dual_path, dag, timm",
        ),
        (
            SpaceSettings(tune=("scale",)),
            "space.tune: the paper preset is the published space and tunes nothing else",
        ),
        (
            SpaceSettings(preset="dag", tune=("beauty",)),  # type: ignore[arg-type]
            "space.tune: 'beauty' is not known; choose from margin, scale, ",
        ),
        (
            SpaceSettings(fix={"heads": "CosFace"}),
            "space.fix.heads: is not a hyperparameter of this paper space; did you mean head?",
        ),
        (
            SpaceSettings(fix={"lr_sgd": 0.9}),
            "space.fix.lr_sgd: 0.9 is not a number from 0.09 to 0.8",
        ),
        (SpaceSettings(fix={"edge1": 9}), "space.fix.edge1: 9 is not one of the strings 0, 1, "),
        (SpaceSettings(fix={"edge1": True}), "space.fix.edge1: True is not one of the strings"),
        (
            SpaceSettings(fix={"head": "AdaFace"}),
            "space.fix.head: 'AdaFace' is not one of the strings CosFace, ArcFace, MagFace",
        ),
        (
            SpaceSettings(fix={"optimizer": "SGD", "lr_adam": 1e-3}),
            "space.fix.lr_adam: never counts, because nothing that is left gives optimizer = Adam "
            "or AdamW; leave it out",
        ),
        (
            SpaceSettings(
                preset="joint", limit={"head": ("CosFace",)}, fix={"margin.AdaFace": 0.3}
            ),
            "space.fix.margin.AdaFace: never counts, because nothing that is left gives head = "
            "AdaFace; leave it out",
        ),
        (
            SpaceSettings(limit={"lr_sgd": (0.5,)}),
            "space.limit.lr_sgd: [0.5] is not a lower and an upper bound",
        ),
        (
            SpaceSettings(limit={"lr_sgd": (0.5, 0.5)}),
            "space.limit.lr_sgd: the lower bound 0.5 is not below the upper bound 0.5; to have "
            "one value, use space.fix",
        ),
        (
            SpaceSettings(limit={"lr_sgd": (0.5, float("nan"))}),
            "space.limit.lr_sgd: nan is not a number from 0.09 to 0.8",
        ),
        (SpaceSettings(limit={"head": ()}), "space.limit.head: leaves no choice"),
        (
            SpaceSettings(limit={"head": ("CosFace", "CosFace")}),
            "space.limit.head: names CosFace 2 times",
        ),
        (
            SpaceSettings(limit={"head": ("CosFace",)}, fix={"head": "CosFace"}),
            "space.limit.head: is fixed by space.fix as well; give one of the two",
        ),
        (
            SpaceSettings(priors={"head": {"SoftFace": 1.0}}),
            "space.priors.head: 'SoftFace' is not one of the strings CosFace",
        ),
        (
            SpaceSettings(priors={"head": {"CosFace": 0.0, "ArcFace": 0.0, "MagFace": 0.0}}),
            "space.priors.head: all weights are 0; leave one above it",
        ),
        (
            SpaceSettings(priors={"head": {"CosFace": -1.0}}),
            "space.priors.head: the weight of CosFace is -1.0; give 0 to 1e+09",
        ),
        (
            SpaceSettings(priors={"lr_sgd": {"center": 0.1, "spread": 1e300}}),
            "space.priors.lr_sgd.spread: 1e+300 is not a factor above 1, at most 1e+09",
        ),
        (
            SpaceSettings(limit={"lr_sgd": (0.1, 0.10000000000000002)}),
            "space.limit.lr_sgd: the lower bound 0.1 is not below the upper bound 0.1",
        ),
        (
            SpaceSettings(preset="joint", sources=("dag", "dag")),
            "space.sources: names dag 2 times; name it once",
        ),
        (
            SpaceSettings(preset="dag", tune=("scale", "scale")),
            "space.tune: names scale 2 times; name it once",
        ),
        (
            SpaceSettings(priors={"lr_sgd": {"center": 0.1}}),
            "space.priors.lr_sgd: give `center` and `spread`, it has center",
        ),
        (
            SpaceSettings(priors={"lr_sgd": {"center": 5.0, "spread": 2.0}}),
            "space.priors.lr_sgd.center: 5.0 is not a number from 0.09 to 0.8",
        ),
        (
            SpaceSettings(priors={"lr_sgd": {"center": 0.1, "spread": 1.0}}),
            "space.priors.lr_sgd.spread: 1.0 is not a factor above 1",
        ),
        (
            SpaceSettings(
                preset="dag",
                tune=("momentum",),
                priors={"momentum": {"center": 0.9, "spread": 0.0}},
            ),
            "space.priors.momentum.spread: 0.0 is not a standard deviation above 0",
        ),
        (
            SpaceSettings(
                limit={"lr_sgd": (0.1, 0.2)}, priors={"lr_sgd": {"center": 0.4, "spread": 2.0}}
            ),
            "space.priors.lr_sgd.center: 0.4 is not a number from 0.1 to 0.2",
        ),
        (
            SpaceSettings(
                limit={"optimizer": ("SGD", "Adam")},
                priors={"optimizer": {"SGD": 0.0, "Adam": 0.0}},
            ),
            "space.priors.optimizer: all weights are 0; leave one above it",
        ),
        (
            SpaceSettings(fix={"edge1": "3"}, priors={"edge1": {"3": 2.0}}),
            "space.priors.edge1: is fixed by space.fix; leave the prior out",
        ),
    ],
)
def test_each_fault_of_what_a_user_narrows_names_its_field(
    settings: SpaceSettings, fault: str
) -> None:
    (found,) = space_faults(settings)
    assert str(found).startswith(fault)


def test_faults_of_every_kind_come_in_one_report() -> None:
    settings = SpaceSettings(
        preset="joint",
        dag=DagSettings(operations=("Conv9x9",)),
        families={"mine": ()},
        fix={"optimizer": "SGD", "lr_adam": 1e-3, "scale": 500},
        limit={"edge1": ("12",)},
        priors={"nothing": {}},
    )
    assert fields(settings) == [
        "space.dag.operations",
        "space.families.mine",
        "space.fix.scale",
        "space.limit.edge1",
        "space.priors.nothing",
        "space.fix.lr_adam",
    ]


def test_suggestions_are_names_that_are_near() -> None:
    assert suggestion("lr_sdg", ["lr_sgd", "head"]) == "did you mean lr_sgd?"
    assert suggestion("HEAD", ["lr_sgd", "head"]) == "did you mean head?"
    assert suggestion("smac_301", ["SMAC_301"]) == "did you mean SMAC_301?"
    assert suggestion("xyz", ["lr_sgd"]) == "`frnas space show` lists them"


def test_families_do_not_matter_to_the_paper_space() -> None:
    settings = SpaceSettings(families={"mine": ()})
    assert space_faults(settings) == []
    assert families_in_use(settings) == {}


def test_a_space_without_configurations_is_refused() -> None:
    settings = SpaceSettings(preset="timm", families={"mine": ()})
    for use in (fingerprint, size_of_discrete_part, lambda s: build_space(s, seed=0)):
        with pytest.raises(EmptySpaceError, match=r"space\.families\.mine: has no variants"):
            use(settings)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("definition.space", ("torch", "timm")),
        ("definition.decode", ("torch", "timm", "ConfigSpace", "numpy")),
        ("definition.families", ("torch", "timm", "ConfigSpace", "numpy")),
        ("candidate", ("torch", "timm", "ConfigSpace", "numpy")),
    ],
)
def test_what_the_coordinator_loads_is_light(module: str, absent: tuple[str, ...]) -> None:
    program = (
        f"import sys, search_space.{module}; print([m for m in {absent} if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == "[]"
