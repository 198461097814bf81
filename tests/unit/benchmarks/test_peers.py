"""Every peer proposes members of the space and keeps to its seed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from benchmarks.methods import METHODS
from benchmarks.peers.activity import active_values
from benchmarks.peers.search import Search
from benchmarks.quality.run import built
from frnas_search.optimizers.fidelity import Fidelity
from results.objectives import Objective
from search_space.definition.space import plain

BROKEN = "syne-tune-multi-surrogate"
# BoTorch has an environment of its own: its peer is tested there, and what needs no BoTorch of it
# in test_candidates.
IN_OTHER_ENVIRONMENTS = set() if importlib.util.find_spec("botorch") else {"botorch-qlognehvi"}
TESTED = [name for name in METHODS if name not in {BROKEN, *IN_OTHER_ENVIRONMENTS}]
NO_SYNE_TUNE = "Syne Tune is in no lock, as no search needs it: pip install 'frnas[bench]'"


def conditional_space(seed: int | None = None) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=seed)
    kind = CategoricalHyperparameter("kind", ["a", "b"])
    rate = UniformFloatHyperparameter("rate", 1e-4, 1e-1, log=True)
    depth = UniformIntegerHyperparameter("depth", 1, 9)
    size = OrdinalHyperparameter("size", [8, 16, 32])
    space.add([kind, rate, depth, size, Constant("fixed", 3)])
    space.add([EqualsCondition(rate, kind, "a"), EqualsCondition(depth, rate, 1e-4)])
    return space


def search(seed: int) -> Search:
    return Search(
        space=conditional_space(),
        objectives=tuple(
            Objective(name=name, unit="fraction", reference=1.0, bound=1.0) for name in "uv"
        ),
        fidelity=Fidelity(min_epochs=1, max_epochs=3, eta=3),
        seed=seed,
        budget=12,
    )


def proposals(method: str, seed: int, *, n: int = 12) -> list[tuple[dict[str, Any], int]]:
    found = []
    with built(METHODS[method], search(seed)) as optimizer:
        for number in range(n):
            proposal = optimizer.ask()
            assert proposal is not None
            found.append((dict(proposal.configuration), proposal.rung))
            optimizer.tell(proposal, {"u": number / n, "v": (number * 5 % n) / n})
    return found


@pytest.fixture(params=TESTED)
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name.startswith("syne-tune"):
        pytest.importorskip("syne_tune", reason=NO_SYNE_TUNE)
    return name


def test_inactive_hyperparameters_are_never_chosen() -> None:
    chosen = {"kind": "b", "size": 8, "fixed": 3}
    assert active_values(conditional_space(), lambda each: chosen[each.name]) == chosen


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # BoTorch's
def test_proposals_are_members_of_the_space(method: str) -> None:
    space = conditional_space()
    for configuration, rung in proposals(method, seed=1):
        Configuration(space, values=configuration)
        assert rung in (0, 1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_proposals_depend_on_the_seed_only(method: str) -> None:
    assert proposals(method, seed=1) == proposals(method, seed=1)
    assert proposals(method, seed=1) != proposals(method, seed=2)


def test_a_study_learns_from_restored_trials() -> None:
    samplers = importlib.import_module("benchmarks.peers.optuna_samplers")

    def next_after(scale: float) -> dict[str, Any]:
        study = samplers.tpe(search(1))
        for number, configuration in enumerate(conditional_space(0).sample_configuration(20)):
            study.restore(plain(configuration), {"u": scale * number, "v": scale * number})
        return dict(study.ask().configuration)

    assert next_after(0.01) == next_after(0.02)
    assert next_after(0.01) != next_after(-0.01)


def test_a_halving_peer_starts_at_the_cheapest_rung_and_the_others_at_the_last() -> None:
    pytest.importorskip("syne_tune", reason=NO_SYNE_TUNE)
    module = importlib.import_module("benchmarks.peers.syne_tune_schedulers")
    rungs = [rung for _, rung in proposals("syne-tune-moasha", seed=1)]
    assert rungs[:2] == [0, 1]  # the first at a rung always goes on
    assert module.resource(search(1), 1) == 3
    assert {rung for _, rung in proposals("syne-tune-evolution", seed=1)} == {1}
    assert {rung for _, rung in proposals("random", seed=1)} == {1}
