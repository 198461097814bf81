from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from frnas_search.optimizers.fidelity import Fidelity
from frnas_search.plan.brackets import brackets, trials_in_order


def counts(fidelity: Fidelity) -> list[list[tuple[int, int]]]:
    return [
        [(stage.epochs, stage.configurations) for stage in bracket.stages]
        for bracket in brackets(fidelity)
    ]


def test_the_brackets_are_those_of_the_paper() -> None:
    # Li et al., table 1, with 81 epochs and eta 3.
    assert counts(Fidelity(min_epochs=1, max_epochs=81, eta=3)) == [
        [(1, 81), (3, 27), (9, 9), (27, 3), (81, 1)],
        [(3, 34), (9, 11), (27, 3), (81, 1)],
        [(9, 15), (27, 5), (81, 1)],
        [(27, 8), (81, 2)],
        [(81, 5)],
    ]


def test_a_promotion_pays_the_difference_only() -> None:
    round_ = brackets(Fidelity(min_epochs=3, max_epochs=81, eta=3))
    assert sum(bracket.epochs for bracket in round_) == 1071
    from_the_beginning = sum(
        stage.configurations * stage.epochs for bracket in round_ for stage in bracket.stages
    )
    assert from_the_beginning == 1269


def test_one_rung_is_one_bracket_of_one_configuration() -> None:
    assert counts(Fidelity(min_epochs=5, max_epochs=5)) == [[(5, 1)]]


@given(low=st.integers(1, 40), factor=st.integers(1, 60), eta=st.integers(2, 5))
def test_every_bracket_ends_at_the_top_and_no_rung_gains_configurations(
    low: int, factor: int, eta: int
) -> None:
    fidelity = Fidelity(min_epochs=low, max_epochs=low * factor, eta=eta)
    for bracket in brackets(fidelity):
        assert bracket.stages[-1].epochs == fidelity.max_epochs
        sizes = [stage.configurations for stage in bracket.stages]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] >= 1
        assert sum(stage.adds for stage in bracket.stages) == fidelity.max_epochs


def test_trials_go_on_with_the_first_bracket_after_the_last() -> None:
    round_ = brackets(Fidelity(min_epochs=2, max_epochs=4, eta=2))
    rungs = [stage.rung for stage in islice(trials_in_order(round_), 8)]
    assert rungs == [0, 0, 1, 1, 1, 0, 0, 1]
