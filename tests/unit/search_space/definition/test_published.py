from __future__ import annotations

from typing import get_args

import pytest

from search_space.build import architecture_hash
from search_space.candidate import DualPathArchitecture, Preset, SpaceSettings
from search_space.definition.decode import complete, configuration_faults, decode
from search_space.definition.published import PUBLISHED, published_configuration


def test_the_four_winners_have_their_published_values() -> None:
    settings = SpaceSettings()
    found = {}
    for name in PUBLISHED:
        candidate = decode(published_configuration(name, settings), settings)
        assert isinstance(candidate.architecture, DualPathArchitecture)
        found[name] = (candidate.architecture.edges, candidate.optimizer, candidate.learning_rate)
        assert candidate.head.name == "CosFace"
    assert found == {
        "SMAC_301": ((3, 0, 1), "SGD", 0.13828312564892567),
        "SMAC_000": ((0, 0, 0), "SGD", 0.2813375341651194),
        "SMAC_010": ((0, 1, 0), "SGD", 0.32348738788346576),
        "SMAC_680": ((6, 8, 0), "Adam", 0.0006048015915653069),
    }


@pytest.mark.parametrize("name", list(PUBLISHED))
@pytest.mark.parametrize("preset", ["paper", "dual_path", "joint"])
def test_they_lie_in_every_space_with_dual_path_cells(name: str, preset: Preset) -> None:
    settings = SpaceSettings(preset=preset, groups=("f", "m"))
    configuration = complete(published_configuration(name, settings), settings)
    assert configuration_faults(configuration, settings) == []
    candidate = decode(configuration, settings)
    paper = decode(published_configuration(name, SpaceSettings()), SpaceSettings())
    assert architecture_hash(candidate.architecture) == architecture_hash(paper.architecture)
    assert candidate.learning_rate == paper.learning_rate
    if preset == "joint":
        assert (candidate.head.scale, candidate.head.margin) == (64.0, 0.35)


def test_they_are_refused_by_spaces_without_such_cells() -> None:
    for preset in set(get_args(Preset)) - {"paper", "dual_path", "joint"}:
        settings = SpaceSettings(preset=preset)
        configuration = complete(published_configuration("SMAC_301", settings), settings)
        faults = configuration_faults(configuration, settings)
        assert f"edge1 is not a hyperparameter of the {preset} space; leave it out" in faults


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        published_configuration("smac_301", SpaceSettings())
