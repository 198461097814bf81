from __future__ import annotations

import math

import pytest

from results.objectives import NEEDS, OBJECTIVE_NAMES, objective


@pytest.mark.parametrize("name", OBJECTIVE_NAMES)
def test_every_objective_has_finite_bounds_and_a_reference_between_them(name: str) -> None:
    found = objective(name, n_identities=100)
    assert found.name == name
    assert 0.0 <= found.best < found.reference <= found.bound < math.inf
    assert found.normalised(found.best) == 0.0
    assert found.normalised(found.bound) == found.normalised(math.inf) == 1.0
    assert 0.0 < found.normalised((found.best + found.bound) / 2) < 1.0


def test_ranks_are_bounded_by_the_gallery() -> None:
    assert objective("rank_disparity", n_identities=101).bound == 100.0
    assert objective("log_rank_disparity", n_identities=101).bound == math.log(101)


def test_names_are_unique_and_needs_name_some_of_them() -> None:
    assert len(set(OBJECTIVE_NAMES)) == len(OBJECTIVE_NAMES) == 22
    assert set(NEEDS) < set(OBJECTIVE_NAMES)
    assert set(NEEDS.values()) == {"verification", "open_set"}


def test_an_unknown_name_or_a_gallery_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown objective 'beauty'"):
        objective("beauty", n_identities=10)
    with pytest.raises(ValueError, match="gallery of 1"):
        objective("error", n_identities=1)
