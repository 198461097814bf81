"""SMAC's own runner of several processes, with the facade's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from frnas_search.optimizers.smac.facade import FrontFacade
from tests.smac_toy import (
    QUIET,
    non_dominated_costs,
    top_costs,
    toy_costs,
    toy_function,
    toy_scenario,
)


@pytest.mark.timeout(240)
def test_a_search_on_smacs_dask_runner_goes_to_its_last_trial(tmp_path: Path) -> None:
    scenario = toy_scenario(tmp_path, n_trials=16, n_workers=2)
    facade = FrontFacade(scenario, toy_function(scenario), **QUIET)
    front = facade.optimize()
    assert facade.runhistory.finished >= 16
    assert facade.runhistory.running == 0
    assert isinstance(front, list)
    found = {tuple(list(toy_costs(each).values())[:2]) for each in front}
    assert found == non_dominated_costs(top_costs(facade))
