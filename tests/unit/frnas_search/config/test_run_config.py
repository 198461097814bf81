from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from frnas_search.config.reading import parse_run_config
from frnas_search.config.run_config import (
    DagSection,
    EvaluationSection,
    FidelitySection,
    RunConfig,
    Section,
    SpaceSection,
    TrainingSection,
    with_fixed_workers,
)
from frnas_search.config.run_file import load_run_config, override, read_yaml, to_yaml
from frnas_search.errors import RunFileError
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import OBJECTIVE_NAMES
from search_space.candidate import DagSettings, SpaceSettings
from workers.settings import EvaluationSettings, TrainingSettings

MINIMAL = {"name": "faces", "data": {"synthetic": {}}}
SECTIONS = {
    "": "schema_version, name, seed, data, space, constraints, objectives, fidelity, stop, "
    "failures, training, evaluation, search, workers",
    "data.": "pack, synthetic, group",
    "data.synthetic.": "seed, size",
    "space.": "preset, sources, width, blocks_per_stage, dag, families, embedding_size, tune, "
    "fix, limit, priors, file",
    "space.dag.": "nodes, operations, joins, tails, widths, blocks",
    "constraints.": "max_parameters, max_macs, max_activation_bytes, max_milliseconds_per_image, "
    "max_cost",
    "fidelity.": "min_epochs, max_epochs, eta",
    "stop.": "trials, epochs, gpu_hours, wall_hours, deadline, plateau",
    "failures.": "first, rate, window",
    "search.engine.": "model, acquisition, intensifier",
    "search.": "sampler, engine, initial_configurations, enqueue, warm_start, virtual_time, slots",
    "workers.": "scheduler, local, gpus_per_trial, max_attempts, checkpoint_gb, stall_seconds",
}

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def parsed(*overrides: str) -> RunConfig:
    return parse_run_config(override(MINIMAL, overrides), where="run.yaml")


def faults(*overrides: str) -> list[str]:
    with pytest.raises(RunFileError) as caught:
        parsed(*overrides)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("run.yaml: ") for line in lines)
    return [line.removeprefix("run.yaml: ") for line in lines]


def test_a_name_and_a_data_source_are_all_that_is_needed() -> None:
    config = parsed()
    assert config.objectives == ("error", "rank_disparity")
    assert config.fidelity.fidelity() == Fidelity(min_epochs=3, max_epochs=27, eta=3)
    assert config.stop.trials == 200
    assert config.data.synthetic is not None
    assert config.data.pack is None


def test_every_fault_of_a_file_is_reported_at_once_with_its_place(write: Write) -> None:
    path = write("""
name: my/run
sed: 1
data: {pack: a.pack, synthetic: {size: 8}}
space: {width: wide}
objectives: [error, beauty, error]
fidelity: {min_epochs: 30}
stop: {trials: null}
training: {precision: half, batch_size: 1}
workers: {local: 0, gpu: 1}
""")
    with pytest.raises(RunFileError) as caught:
        load_run_config(path)
    assert str(caught.value).splitlines() == [
        f"{path}: {fault}"
        for fault in (
            "data.synthetic.size: input should be greater than or equal to 16 (it is 8)",
            "data: give either `pack: FILE` or `synthetic: {}`, one of the two",
            "space.width: input should be a valid number, unable to parse string as a number "
            "(it is 'wide')",
            "fidelity: min_epochs is 30 and max_epochs is 27; the first must not be larger",
            "stop: every limit is null; give at least one, such as `trials: 200`",
            "training.batch_size: input should be greater than or equal to 2 (it is 1)",
            "training.precision: input should be 'auto', 'float32' or 'bfloat16' (it is 'half')",
            "workers.local: input should be greater than or equal to 1 (it is 0)",
            f"workers.gpu: unknown key; known here: {SECTIONS['workers.']}",
            f"sed: unknown key; known here: {SECTIONS['']}",
            "name: 'my/run' cannot be a folder's name; use letters, digits, . _ -",
            f"objectives: 'beauty' is not one of {', '.join(OBJECTIVE_NAMES)}",
            "objectives: one is named twice; name each once",
        )
    ]


def test_an_objective_that_nothing_would_measure_is_a_fault() -> None:
    assert faults("objectives=[error, garbe, fnir]") == [
        "objectives: 'garbe' needs `evaluation.verification: true`",
        "objectives: 'fnir' needs `evaluation.open_set: true`",
    ]
    assert faults(
        "objectives=[error, garbe, fnir]",
        "evaluation.verification=true",
        "evaluation.open_set=false",
    ) == ["objectives: 'fnir' needs `evaluation.open_set: true`"]


def test_a_largest_cost_is_of_an_objective_and_within_its_range() -> None:
    constraints = parsed("constraints.max_cost={error: 1e-1, rank_disparity: 80}").constraints
    assert constraints.max_cost == {"error": 0.1, "rank_disparity": 80.0}
    assert constraints.limits() == {}, "of a candidate nothing is known before it is trained"
    assert faults(
        "stop.trials=0",
        "constraints.max_cost={error: 1.5, rank_disparity: -1, disparity: 0.1, 3: 1}",
    ) == [
        "constraints.max_cost.3: is not a name; put it between quotes",
        "stop.trials: input should be greater than or equal to 1 (it is 0)",
        "constraints.max_cost.error: is 1.5; give 0 to 1 fraction",
        "constraints.max_cost.rank_disparity: is -1; give 0 to 1e+09 ranks",
        "constraints.max_cost.disparity: is not an objective of this run; its objectives are "
        "error, rank_disparity",
    ]


@pytest.mark.parametrize("limit", ["many", ".nan", ".inf", "true", "[1]", f"1{'0' * 400}"])
def test_a_largest_cost_is_a_finite_number(limit: str) -> None:
    (fault,) = faults(f"constraints.max_cost.error={limit}")
    assert fault.startswith("constraints.max_cost.error: ")


def test_a_largest_cost_of_an_objective_that_there_is_not_is_told_once() -> None:
    (fault,) = faults("objectives=[error, beauty]", "constraints.max_cost.beauty=1")
    assert fault.startswith("objectives: 'beauty' is not one of")


@pytest.mark.parametrize(("section", "known"), SECTIONS.items())
def test_an_unknown_key_is_named_with_those_that_are_known_there(section: str, known: str) -> None:
    assert faults(f"{section}colour=red") == [f"{section}colour: unknown key; known here: {known}"]


@pytest.mark.parametrize(
    ("section", "record"),
    [("training", TrainingSettings), ("evaluation", EvaluationSettings)],
)
def test_the_known_keys_of_a_recipe_are_those_of_the_workers(section: str, record: Any) -> None:
    known = ", ".join(each.name for each in fields(record))
    assert faults(f"{section}.colour=red") == [
        f"{section}.colour: unknown key; known here: {known}"
    ]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ("name=null", "name: input should be a valid string (it is None)"),
        ("name=2024", "name: input should be a valid string (it is 2024)"),
        ("seed=1.0", "seed: input should be a valid integer (it is 1.0)"),
        ("seed=true", "seed: input should be a valid integer (it is True)"),
        ("seed=-1", "seed: input should be greater than or equal to 0 (it is -1)"),
        ("schema_version=2", "schema_version: input should be 1 (it is 2)"),
        ("data=lfw.pack", "data: write its keys below it, or leave it out (it is 'lfw.pack')"),
        ("data.synthetic.seed=x", "data.synthetic.seed: input should be a valid integer (it is "),
        ("data.synthetic.seed=-1", "data.synthetic.seed: input should be greater than or equal "),
        ("stop=null", "stop: write its keys below it, or leave it out (it is None)"),
        ("stop.trials=0", "stop.trials: input should be greater than or equal to 1 (it is 0)"),
        ("stop.trials=9.5", "stop.trials: input should be a valid integer (it is 9.5)"),
        (
            "stop.deadline=2026-12-01",
            "stop.deadline: is '2026-12-01'; give a time with its zone, such as 2026-12-01T08:00Z "
            "or 2026-12-01T09:00+01:00",
        ),
        ("stop.wall_hours=.inf", "stop.wall_hours: input should be a finite number (it is inf)"),
        ("training.scale=.nan", "training.scale: input should be a finite number (it is nan)"),
        ("training.augmentation=yes", "training.augmentation: is True; give a number"),
        ("training.momentum=1", "training.momentum: input should be less than 1 (it is 1)"),
        ("training.checkpoint_seconds=-1", "training.checkpoint_seconds: input should be greater"),
        ("evaluation.flip=maybe", "evaluation.flip: input should be a valid boolean, unable to "),
        ("evaluation.n_replicates=10", "evaluation.n_replicates: input should be greater than "),
        ("fidelity.eta=1", "fidelity.eta: input should be greater than or equal to 2 (it is 1)"),
        ("fidelity.max_epochs=2000000", "fidelity.max_epochs: input should be less than or equal"),
        (
            "space.preset=darts",
            "space.preset: input should be 'paper', 'dual_path', 'dag', 'timm' ",
        ),
        ("space.width=9", "space.width: 9.0 is outside 0.02 to 4; below it no channels are left"),
        ("space.embedding_size=4", "space.embedding_size: 4 is outside 8 to 16384"),
        (
            "space={preset: timm, families: [a]}",
            "space.families.a: has no variants; name at least",
        ),
        ("space.families=3", "space.families: is 3; give a list of families that ship, or each "),
        ("space.families.a=3", "space.families.a: write a list, such as `[a, b]` (it is 3)"),
        ("space.dag.blocks=[1]", "space.dag.blocks.1: is missing and has no default"),
        ("space={preset: dag, dag: {nodes: 9}}", "space.dag.nodes: 9 is outside 3 to 5; input "),
        ("space.fix.lr_sgd=9", "space.fix.lr_sgd: 9 is not a number from 0.09 to 0.8"),
        ("space.fix.lr_sgd=.nan", "space.fix.lr_sgd: is nan; give a finite number"),
        ("space.fix.head=null", "space.fix.head: is None; give one number or one name"),
        ("space.fix={3: a}", "space.fix.3: is not a name; put it between quotes"),
        ("space.limit.lr_sgd=[0.1, [1]]", "space.limit.lr_sgd.1: is [1]; give one number or one "),
        ("space.limit.head=[Soft]", "space.limit.head: 'Soft' is not one of the strings CosFace"),
        ("space.priors.head=3", "space.priors.head: write its keys below it, or leave it out (it"),
        (
            "constraints.max_macs=0",
            "constraints.max_macs: input should be greater than 0 (it is 0",
        ),
        (
            "space={preset: timm, families: [Test]}",
            "space.families.Test: has no variants; name at least one timm model below it, or a "
            "family that ships: convnext, ",
        ),
        (
            "search.sampler=tep",
            "search.sampler: input should be 'smac', 'smac_stock', 'random', 'nsga2' or 'tpe'",
        ),
        (
            "search.engine.model=tree",
            "search.engine.model: input should be 'forest', 'gp', 'smac_forest' or 'smac_gp' (it",
        ),
        (
            "search={sampler: random, engine: {model: forest}}",
            "search.engine: has parts of `smac`, and the sampler is random; leave them out",
        ),
        (
            "search.slots=3",
            "search: slots are those of a virtual clock; give `virtual_time: true`",
        ),
        ("search.enqueue=[3]", "search.enqueue.0: is 3; give a name such as SMAC_301, or "),
        ("search.enqueue=[{3: a}]", "search.enqueue.0: 3 is not the name of a hyperparameter"),
        ("search.enqueue=[{head: null}]", "search.enqueue.0: head is None; give one number or "),
        ("search.enqueue=SMAC_301", "search.enqueue: write a list, such as `[a, b]` (it is 'SM"),
        ("objectives=error", "objectives: write a list, such as `[a, b]` (it is 'error')"),
        ("objectives=[error]", "objectives: give 2 or more"),
        ("workers.scheduler=1", "workers.scheduler: input should be a valid string (it is 1)"),
    ],
)
def test_a_wrong_value_is_one_fault_that_says_what_is_accepted(changes: str, fault: str) -> None:
    [found] = faults(changes)
    assert found.startswith(fault)


@pytest.mark.parametrize("source", [{}, {"pack": "a.pack", "synthetic": {}}])
def test_there_is_exactly_one_data_source(source: dict[str, Any]) -> None:
    with pytest.raises(RunFileError) as caught:
        parse_run_config({"name": "a", "data": source}, where="f")
    assert str(caught.value) == (
        "f: data: give either `pack: FILE` or `synthetic: {}`, one of the two"
    )


@pytest.mark.parametrize("name", ["name", "data"])
def test_what_has_no_default_must_be_there(name: str) -> None:
    raw = {key: value for key, value in MINIMAL.items() if key != name}
    with pytest.raises(RunFileError, match=f"f: {name}: is missing and has no default"):
        parse_run_config(raw, where="f")


def test_all_faults_of_the_space_are_reported_each_with_its_place() -> None:
    assert [
        fault.split(":")[0]
        for fault in faults(
            "space.preset=timm",
            "space.width=99",
            "space.families={a: [], b: [resnet18, resnet18]}",
        )
    ] == ["space.width", "space.families.a", "space.families.b"]


@pytest.mark.parametrize("name", ["..", "a/b", "-x", "", "a b", "é", "a\n", "x" * 101])
def test_a_name_that_is_no_good_folder_is_refused(name: str) -> None:
    [fault] = faults(f"name={name!r}" if "\n" not in name else 'name="a\\n"')
    assert fault == f"name: {name!r} cannot be a folder's name; use letters, digits, . _ -"


@pytest.mark.parametrize("name", ["a", "2024-01_lfw.v2", "x" * 100])
def test_a_good_name_is_taken(name: str) -> None:
    assert parsed(f"name='{name}'").name == name


def test_a_key_with_a_line_break_is_still_one_line() -> None:
    with pytest.raises(RunFileError) as caught:
        parse_run_config({**MINIMAL, "a\nb": 1}, where="f")
    assert str(caught.value).startswith("f: a b: unknown key; ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_long_value_is_shortened_in_the_message() -> None:
    [fault] = faults(f"seed={'x' * 5000}")
    assert len(fault) < 100


def test_a_number_of_thousands_of_digits_is_a_fault() -> None:
    [fault] = faults(f"stop.gpu_hours=0x{'f' * 5000}")
    assert fault.startswith("stop.gpu_hours: ")


def test_numbers_without_a_dot_may_have_an_exponent() -> None:
    assert parsed("training.weight_decay=1e-3").training.weight_decay == 1e-3


def test_overrides_set_values_as_yaml_would() -> None:
    config = parsed(
        "stop.trials=7",
        "objectives=[error, disparity]",
        "data.synthetic=null",
        "data.pack=faces.pack",
        "training.timeout_seconds=null",
        "evaluation.flip=false",
        "workers.scheduler=tcp://node:8786?a=b",
    )
    assert config.stop.trials == 7
    assert config.objectives == ("error", "disparity")
    assert (config.data.synthetic, config.data.pack) == (None, Path("faces.pack"))
    assert config.evaluation.flip is False
    assert config.workers.scheduler == "tcp://node:8786?a=b"


def test_a_later_override_wins() -> None:
    assert parsed("seed=1", "seed=2").seed == 2


def test_an_override_reaches_into_a_section_that_is_missing_or_null() -> None:
    assert override({"stop": None}, ("stop.trials=1", "data.synthetic.size=64")) == {
        "stop": {"trials": 1},
        "data": {"synthetic": {"size": 64}},
    }


def test_an_override_leaves_the_original_as_it_was() -> None:
    raw = {"stop": {"trials": 1}}
    override(raw, ("stop.trials=2", "stop.epochs=3"))
    assert raw == {"stop": {"trials": 1}}


@pytest.mark.parametrize("text", ["stop.trials", "=3", "", ".=1", "stop.=1", ".stop=1", "a..b=1"])
def test_an_override_that_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(RunFileError) as caught:
        override(MINIMAL, (text,))
    assert str(caught.value) == f"--set {text}: write it as `section.key=value`"


@pytest.mark.parametrize("text", ["name.first=a", "data.synthetic.size.x=1", "objectives.0=error"])
def test_an_override_into_a_value_is_refused(text: str) -> None:
    raw = {"name": "a", "data": {"synthetic": {"size": 32}}, "objectives": ["error"]}
    with pytest.raises(RunFileError, match=r"--set .*: `\w+` is a value, not a section"):
        override(raw, (text,))


@pytest.mark.parametrize("value", ["[", "{a: b", "2026-13-45", "!!python/name:os.system x"])
def test_an_override_that_is_not_yaml_is_refused_in_one_line(value: str) -> None:
    with pytest.raises(RunFileError, match="not YAML; ") as caught:
        override(MINIMAL, (f"seed={value}",))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "name: [a",
        "name: a\n\tseed: 1",
        "started: 2026-13-45",
        "[a, b]: 1",
        "x: !!python/object/apply:os.getcwd []",
        "data: &x {synthetic: *x}",
        f"x: {'[' * 5000}{']' * 5000}",
        "a: 1\n---\nb: 2",
        f"x: {'9' * 5000}",
        "x: \x07",
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line(write: Write, text: str) -> None:
    path = write(text)
    with pytest.raises(RunFileError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: not YAML; ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "# nothing", "- a", "name", "3"])
def test_a_file_without_keys_is_refused(write: Write, text: str) -> None:
    with pytest.raises(RunFileError, match="holds no mapping; a run file starts with `name: …`"):
        read_yaml(write(text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="no such run file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(RunFileError, match="cannot be read"):
        read_yaml(tmp_path / "latin.yaml")


def test_sections_that_share_an_alias_are_changed_apart(write: Write) -> None:
    raw = read_yaml(write("a: &x {b: 1}\nc: *x"))
    assert override(raw, ("a.b=2",)) == {"a": {"b": 2}, "c": {"b": 1}}


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("space.preset=joint", "space.families={a: [resnet18, resnet26]}", "seed=5"),
        (
            "space={preset: joint, sources: [dag, timm], tune: [scale], fix: {head: AdaFace},"
            " limit: {scale: [10, 20.5]}, priors: {optimizer: {SGD: 2}}, families: [dpn, test],"
            " dag: {nodes: 5, blocks: [1, 2], widths: [1, 0.5]}, file: a.json}",
            "search.enqueue=[SMAC_301, {edge1: 3, lr_sgd: 0.2}]",
            "constraints={max_parameters: 1e6, max_macs: 5000000}",
        ),
        ("data.synthetic=null", "data.pack=/data/é.pack", "stop={gpu_hours: 0.5, trials: null}"),
        ("objectives=[worst_group_error, disparity, error]", "training.margin=0"),
        ("name='1.0'", "workers.scheduler='null'"),
    ],
)
def test_a_resolved_configuration_reads_back_equal(write: Write, changes: tuple[str, ...]) -> None:
    config = parsed(*changes)
    text = to_yaml(config)
    assert load_run_config(write(text)) == config
    assert to_yaml(load_run_config(write(text))) == text


def test_a_resolved_configuration_holds_every_key() -> None:
    def missing(section: Section, content: dict[str, Any]) -> list[str]:
        absent = [name for name in type(section).model_fields if name not in content]
        for name, value in section:
            if isinstance(value, Section):
                absent += missing(value, content[name])
        return absent

    config = parsed()
    assert missing(config, yaml.safe_load(to_yaml(config))) == []


@pytest.mark.parametrize(
    ("section", "record"),
    [
        (TrainingSection, TrainingSettings),
        (EvaluationSection, EvaluationSettings),
        (DagSection, DagSettings),
        (FidelitySection, Fidelity),
    ],
)
def test_a_section_has_the_fields_of_its_record(section: type[Section], record: type[Any]) -> None:
    assert list(section.model_fields) == [each.name for each in fields(record)]


def test_the_section_of_the_space_has_what_a_person_may_say_of_it() -> None:
    named = set(SpaceSection.model_fields) - {"file"}
    found_out = {"drop_path_families", "groups", "definition"}
    assert named == {each.name for each in fields(SpaceSettings)} - found_out


def test_families_are_named_alone_or_with_models_and_patterns() -> None:
    def families(text: str) -> dict[str, tuple[str, ...]]:
        return dict(parsed(f"space={{preset: timm, families: {text}}}").space.families)

    assert families("[dpn, test]") == {"dpn": (), "test": ()}
    assert families("{dpn: , mobile: mobilenetv3_*}") == {"dpn": (), "mobile": ("mobilenetv3_*",)}
    assert families("{mine: [resnet18, 'dpn*']}") == {"mine": ("resnet18", "dpn*")}


def test_weights_of_choices_that_are_numbers_need_no_quotes() -> None:
    config = parsed("space.priors={edge1: {3: 2}}")
    assert config.space.priors == {"edge1": {"3": 2.0}}
    sizes = "space={preset: dual_path, tune: [embedding_size], priors: {embedding_size: {128: 2}}}"
    assert parsed(sizes).space.priors == {"embedding_size": {"128": 2.0}}


def test_every_fault_of_an_enqueued_configuration_is_a_line() -> None:
    assert faults("search.enqueue=[{head: null, lr_adam: .inf}, [a]]") == [
        "search.enqueue.0: head is None; give one number or one name",
        "search.enqueue.0: lr_adam is inf; give a finite number",
        "search.enqueue.1: is ['a']; give a name such as SMAC_301, or hyperparameters with values",
    ]


def test_all_faults_of_what_narrows_a_space_come_at_once() -> None:
    found = faults(
        "space={preset: joint, sources: [darts], tune: [beauty], dag: {operations: [Conv7x7]},"
        " fix: {optimizer: SGD, lr_adam: 1e-3}, limit: {scale: [9, 8]}, priors: {hed: {a: 1}}}"
    )
    assert [fault.split(": ")[0] for fault in found] == [
        "space.sources",
        "space.tune",
        "space.dag.operations",
        "space.limit.scale",
        "space.priors.hed",
        "space.fix.lr_adam",
    ]


def test_sections_and_records_have_the_same_defaults() -> None:
    assert TrainingSection().settings() == TrainingSettings()
    assert EvaluationSection().settings() == EvaluationSettings()
    assert SpaceSection().settings() == SpaceSettings()
    assert DagSection().settings() == DagSettings()
    for field in fields(Fidelity):
        if field.default is not MISSING:
            assert FidelitySection.model_fields[field.name].default == field.default


def test_values_reach_the_records() -> None:
    config = parsed(
        "training.checkpoint_seconds=30",
        "evaluation.batch_size=8",
        "space={preset: timm, families: {a: [resnet18]}}",
        "fidelity={min_epochs: 1, max_epochs: 4, eta: 2}",
    )
    assert config.training.settings().checkpoint_seconds == 30.0
    assert config.evaluation.settings().batch_size == 8
    assert config.space.settings().families == {"a": ("resnet18",)}
    assert config.fidelity.fidelity() == Fidelity(min_epochs=1, max_epochs=4, eta=2)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(model: type[Section], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [prefix] if prefix else []
    for name in model.model_fields:
        default = model.model_fields[name].default
        if isinstance(default, Section):
            found += places(type(default), (*prefix, name))
        else:
            found.append((*prefix, name))
    return [*found, ("data", "synthetic"), ("data", "pack"), ("data", "synthetic", "seed")]


@given(place=st.sampled_from(sorted(set(places(RunConfig)))), value=junk)
def test_no_value_anywhere_is_more_than_a_fault(place: tuple[str, ...], value: object) -> None:
    raw = override(MINIMAL, ())
    section = raw
    for part in place[:-1]:
        section = section.setdefault(part, {})
    section[place[-1]] = value
    try:
        config = parse_run_config(raw, where="f")
    except RunFileError:
        return
    assert parse_run_config(yaml.safe_load(to_yaml(config)), where="f") == config


@given(st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), junk, max_size=4))
def test_no_file_is_more_than_faults(raw: dict[str, Any]) -> None:
    with pytest.raises(RunFileError) as caught:
        parse_run_config({**raw, "name": "/"}, where="f")
    assert all(line.startswith("f: ") for line in str(caught.value).splitlines())


@given(st.text(max_size=30))
def test_no_override_is_more_than_a_fault(text: str) -> None:
    with contextlib.suppress(RunFileError):
        parsed(text)


@pytest.mark.parametrize("text", ["name: a\nname: b\n", "name: a\ndata: {group: g, group: h}\n"])
def test_a_key_that_is_named_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(RunFileError, match=r"twice\.yaml: .* line \d: '\w+' is named twice"):
        load_run_config(path)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T08:00Z",
        "2026-12-01T08:00:00Z",
        "2026-12-01 08:00:00Z",
        "2026-12-01T09:00+01:00",
        "'2026-12-01T10:00:00+02:00'",
    ],
)
def test_a_deadline_is_kept_in_utc_however_it_is_written(text: str, write: Write) -> None:
    config = parsed(f"stop.deadline={text}")
    assert config.stop.deadline == "2026-12-01T08:00:00Z"
    assert config.stop.limits().deadline == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert load_run_config(write(to_yaml(config))) == config


@pytest.mark.parametrize("text", ["tomorrow", "2026-12-01T08:00", "7", "[]", "true", "''"])
def test_what_is_no_time_with_a_zone_is_no_deadline(text: str) -> None:
    with pytest.raises(RunFileError, match=r"stop\.deadline: is .* give a time with its zone"):
        parsed(f"stop.deadline={text}")


def test_virtual_time_fixes_what_must_not_change_with_the_workers() -> None:
    plain = RunConfig.model_validate(MINIMAL)
    assert with_fixed_workers(plain) == plain

    def fixed(**training: int) -> tuple[int | None, int | None]:
        search = {"virtual_time": True}
        raw = {**MINIMAL, "search": search, "workers": {"local": 5}, "training": training}
        config = with_fixed_workers(RunConfig.model_validate(raw))
        return config.search.slots, config.training.threads

    assert fixed() == (5, 1)
    assert fixed(threads=4) == (5, 4)
