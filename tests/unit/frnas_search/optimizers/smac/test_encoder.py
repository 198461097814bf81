from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smac.multi_objective import AbstractMultiObjectiveAlgorithm, ParEGO
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory

from frnas_search.optimizers.smac.arrays import VectorSpace
from frnas_search.optimizers.smac.candidates import vectors_of
from frnas_search.optimizers.smac.encoder import AllRungsEncoder, Observations
from frnas_search.optimizers.smac.past import Past
from results.pareto import FloatArray
from tests.unit.frnas_search.optimizers.smac.conftest import add, scenario_of, small_space

SPACE = small_space()
CONFIGURATIONS = SPACE.sample_configuration(8)
VECTORS = vectors_of(CONFIGURATIONS, len(SPACE))
NINE = (1.0, 9.0)


def encoder(
    history: RunHistory | Past,
    *,
    n_objectives: int = 2,
    budgets: tuple[float, float] | None = NINE,
    **options: Any,
) -> AllRungsEncoder:
    scenario = scenario_of(SPACE, n_objectives=n_objectives, budgets=budgets)
    made = AllRungsEncoder(scenario, **options)
    made.runhistory = history
    return made


def known() -> RunHistory:
    """Four results at two rungs of three, one of them a failure, and two in flight."""
    history = RunHistory(n_objectives=2)
    add(history, CONFIGURATIONS[0], [0.5, 0.2], budget=1.0)
    add(history, CONFIGURATIONS[1], None, budget=1.0)
    add(history, CONFIGURATIONS[2], [0.1, 0.7], budget=1.0)
    add(history, CONFIGURATIONS[3], 0.0, budget=1.0, status=StatusType.RUNNING)
    add(history, CONFIGURATIONS[0], [0.4, 0.1], budget=3.0)
    add(history, CONFIGURATIONS[2], 0.0, budget=3.0, status=StatusType.RUNNING)
    return history


def earlier(n: int) -> Observations:
    generator = np.random.default_rng(0)
    return Observations(
        vectors=VectorSpace(SPACE).draw(n, generator),
        heights=np.ones(n),
        costs=generator.random((n, 2)),
    )


def same(one: FloatArray, other: FloatArray) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def test_each_result_is_a_row_with_its_vector_and_height() -> None:
    inputs, costs = encoder(known()).transform()
    assert same(inputs[:, :-1], VECTORS[[0, 1, 2, 0]])
    assert inputs[:, -1].tolist() == [0.0, 0.0, 0.0, 0.5]
    assert costs.shape == (4, 2)


def test_a_failure_counts_as_the_worst_that_was_measured_of_each_objective() -> None:
    _, costs = encoder(known()).transform()
    assert costs.tolist() == [[0.5, 0.2], [0.5, 0.7], [0.1, 0.7], [0.4, 0.1]]


@pytest.mark.parametrize(
    "status", [StatusType.CRASHED, StatusType.TIMEOUT, StatusType.MEMORYOUT, StatusType.SUCCESS]
)
def test_costs_that_are_not_finite_and_every_kind_of_failure_are_alike(status: StatusType) -> None:
    history = RunHistory(n_objectives=2)
    add(history, CONFIGURATIONS[0], [0.5, 0.2], budget=9.0)
    bad = [float("nan"), 0.1] if status == StatusType.SUCCESS else [0.1, 0.1]
    add(history, CONFIGURATIONS[1], bad, budget=9.0, status=status)
    made = encoder(history)
    assert made.transform()[1].tolist() == [[0.5, 0.2], [0.5, 0.2]]
    assert same(made.evidence().vectors, VECTORS[:1])


def test_before_the_first_success_nothing_is_known() -> None:
    history = RunHistory(n_objectives=2)
    for number in range(3):
        add(history, CONFIGURATIONS[number], None, budget=1.0)
    for options in ({}, {"scalarises": True}, {"uses_all_rungs": False}):
        inputs, costs = encoder(history, **options).transform()  # type: ignore[arg-type]
        assert inputs.shape == (0, len(SPACE) + 1)
        assert len(costs) == 0


def test_the_highest_rung_alone_is_used_as_soon_as_it_has_a_result() -> None:
    history = known()
    made = encoder(history, uses_all_rungs=False)
    assert made.transform()[1].tolist() == encoder(history).transform()[1].tolist()
    add(history, CONFIGURATIONS[5], [0.9, 0.9], budget=9.0)
    add(history, CONFIGURATIONS[6], None, budget=9.0)
    inputs, costs = made.transform()
    assert same(inputs[:, :-1], VECTORS[[5, 6]])
    assert inputs[:, -1].tolist() == [1.0, 1.0]
    assert costs.tolist() == [[0.9, 0.9], [0.9, 0.9]]


def test_without_budgets_every_result_is_at_the_top() -> None:
    history = RunHistory(n_objectives=2)
    for number in range(3):
        add(history, CONFIGURATIONS[number], [0.5, 0.1 * number])
    inputs, _ = encoder(history, budgets=None).transform()
    assert inputs[:, -1].tolist() == [1.0, 1.0, 1.0]


def test_one_objective_is_one_column() -> None:
    history = RunHistory(n_objectives=1)
    add(history, CONFIGURATIONS[0], 0.5, budget=1.0)
    add(history, CONFIGURATIONS[1], None, budget=1.0)
    add(history, CONFIGURATIONS[2], 0.7, budget=9.0)
    for scalarises in (False, True):
        made = encoder(history, n_objectives=1, scalarises=scalarises)
        assert made.transform()[1].tolist() == [[0.5], [0.7], [0.7]]
    assert made.evidence().measured.tolist()[1] == [0.7]


class _Recorded(AbstractMultiObjectiveAlgorithm):  # type: ignore[misc]
    """SMAC's ParEGO, which keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[float]] = []
        self.parego = ParEGO(scenario_of(SPACE), seed=3)
        self.parego.update_on_iteration_start()

    def __call__(self, values: list[float]) -> float:
        self.calls.append(values)
        return float(self.parego(values))


def test_costs_are_scalarised_by_smacs_parego_from_the_best_to_the_worst() -> None:
    made = encoder(known(), scalarises=True)
    made.multi_objective_algorithm = algorithm = _Recorded()
    _, costs = made.transform()
    several = encoder(known()).transform()[1]
    low, high = several.min(axis=0), several.max(axis=0)
    normalised = (several - low) / (high - low)
    assert np.array(algorithm.calls) == pytest.approx(normalised)
    assert costs[:, 0].tolist() == [algorithm.parego(row) for row in normalised.tolist()]


def test_costs_that_are_all_equal_are_scalarised_to_one_finite_number() -> None:
    history = RunHistory(n_objectives=2)
    for each in CONFIGURATIONS[:3]:
        add(history, each, [0.5, 0.5], budget=1.0)
    made = encoder(history, scalarises=True)
    made.multi_objective_algorithm = _Recorded()
    assert made.transform()[1].tolist() == [[0.0]] * 3


def test_without_scalarising_the_algorithm_is_never_called() -> None:
    made = encoder(known())
    made.multi_objective_algorithm = algorithm = _Recorded()
    made.transform()
    assert algorithm.calls == []


def test_earlier_results_lie_behind_the_searchs_own() -> None:
    others = earlier(5)
    own, own_costs = encoder(known()).transform()
    made = encoder(known(), earlier=others)
    inputs, costs = made.transform()
    assert same(inputs[:4], own)
    assert same(inputs[4:], np.column_stack([others.vectors, others.heights]))
    assert costs[[0, 2, 3]].tolist() == own_costs[[0, 2, 3]].tolist()
    assert costs[4:].tolist() == others.costs.tolist()
    worst = np.vstack([own_costs, others.costs]).max(axis=0)
    assert costs[1].tolist() == worst.tolist()
    assert made.n_earlier == 5
    highest = encoder(known(), earlier=others, uses_all_rungs=False)
    assert highest.transform()[0][:, -1].tolist() == [1.0] * 5


def test_with_earlier_results_a_failure_counts_before_any_success() -> None:
    history, others = RunHistory(n_objectives=2), earlier(3)
    add(history, CONFIGURATIONS[0], None, budget=1.0)
    inputs, costs = encoder(history, earlier=others).transform()
    assert len(inputs) == 4
    assert costs[0].tolist() == others.costs.max(axis=0).tolist()


def test_no_earlier_results_change_nothing() -> None:
    plain, empty = encoder(known()), encoder(known(), earlier=earlier(0))
    for one, other in zip(plain.transform(), empty.transform(), strict=True):
        assert same(one, other)
    assert same(plain.get_configurations(), empty.get_configurations())
    assert (plain.n_earlier, empty.n_earlier) == (0, 0)


def test_configurations_are_those_with_a_success_and_earlier_ones_once() -> None:
    others = earlier(3)
    twice = Observations(
        vectors=np.vstack([others.vectors, others.vectors]),
        heights=np.tile(others.heights, 2),
        costs=np.tile(others.costs, (2, 1)),
    )
    found = encoder(known(), earlier=twice).get_configurations()
    assert same(found, np.vstack([VECTORS[[0, 2]], others.vectors]))


def test_the_evidence_has_a_row_for_each_configuration_with_a_success() -> None:
    history = known()
    add(history, CONFIGURATIONS[4], [0.3, 0.3], budget=9.0)
    add(history, CONFIGURATIONS[0], [0.35, 0.05], budget=9.0)
    evidence = encoder(history, n_enqueued=2).evidence()
    assert same(evidence.vectors, VECTORS[[0, 2, 4]])
    expected = np.array([[0.35, 0.05], [np.nan, np.nan], [0.3, 0.3]])
    assert same(evidence.measured, expected)
    assert evidence.top_costs.tolist() == [[0.35, 0.05], [0.3, 0.3]]
    assert evidence.number == 5 - 2
    # As long as those of the user's list are proposed, none was proposed before.
    assert encoder(known(), n_enqueued=9).evidence().number == 0


def test_a_failure_at_the_top_after_a_success_below_is_not_measured_there() -> None:
    history = known()
    add(history, CONFIGURATIONS[0], None, budget=9.0)
    evidence = encoder(history).evidence()
    assert same(evidence.vectors, VECTORS[[0, 2]])
    assert np.isnan(evidence.measured).all()
    assert evidence.top_costs.shape == (0, 2)


def test_a_snapshots_pending_and_planned_configurations_are_evidence() -> None:
    past = Past(known(), [CONFIGURATIONS[7]])
    evidence = encoder(past).evidence()
    assert same(evidence.pending, VECTORS[[3, 2, 7]])
    assert evidence.number == 5
    assert encoder(RunHistory(n_objectives=2)).evidence().pending.shape == (0, len(SPACE))


def test_a_snapshot_and_its_history_are_encoded_alike() -> None:
    history = known()
    for one, other in zip(
        encoder(history).transform(), encoder(Past(history)).transform(), strict=True
    ):
        assert same(one, other)


def test_which_budgets_smac_asks_for_is_not_heeded() -> None:
    made = encoder(known())
    for one, other in zip(made.transform([9.0]), made.transform(), strict=True):
        assert same(one, other)
    assert same(made.get_configurations([9.0]), made.get_configurations())
    values = np.array([0.1, 0.9])
    assert made.transform_response_values(values) is values


def test_the_order_is_that_of_asking_whatever_order_results_came_in() -> None:
    one, other = RunHistory(n_objectives=2), RunHistory(n_objectives=2)
    for history, order in ((one, range(5)), (other, (3, 0, 4, 2, 1))):
        for each in CONFIGURATIONS[:5]:
            add(history, each, 0.0, budget=1.0, status=StatusType.RUNNING)
        for number in order:
            add(history, CONFIGURATIONS[number], [0.1 * number, 0.5], budget=1.0)
    for here, there in zip(encoder(one).transform(), encoder(other).transform(), strict=True):
        assert same(here, there)


def test_smacs_own_way_to_a_matrix_gives_the_same_rows() -> None:
    made = encoder(known())
    inputs, costs = made._build_matrix(made._get_considered_trials())
    expected, expected_costs = made.transform()
    assert same(inputs, expected)
    assert costs.tolist() == expected_costs.tolist()
