from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frnas_search.optimizers.fidelity import Fidelity


@st.composite
def fidelities(draw: st.DrawFn) -> Fidelity:
    max_epochs = draw(st.integers(1, 1000))
    min_epochs = draw(st.integers(1, max_epochs))
    return Fidelity(min_epochs=min_epochs, max_epochs=max_epochs, eta=draw(st.integers(2, 10)))


@pytest.mark.parametrize(
    ("min_epochs", "max_epochs", "eta", "rungs"),
    [
        (3, 27, 3, (3, 9, 27)),
        (1, 81, 3, (1, 3, 9, 27, 81)),
        (25, 100, 2, (25, 50, 100)),
        (6, 96, 4, (6, 24, 96)),
        (11, 100, 3, (11, 33, 100)),
        (12, 100, 3, (33, 100)),
        (2, 5, 2, (2, 5)),
        (1, 3, 2, (2, 3)),
        (5, 5, 3, (5,)),
        (2, 3, 10, (3,)),
        (1, 1, 2, (1,)),
    ],
)
def test_rungs_are_the_highest_divided_by_eta_and_rounded_once(
    min_epochs: int, max_epochs: int, eta: int, rungs: tuple[int, ...]
) -> None:
    fidelity = Fidelity(min_epochs=min_epochs, max_epochs=max_epochs, eta=eta)
    assert fidelity.rungs == rungs
    assert fidelity.n_rungs == len(rungs)


@given(fidelities())
def test_rungs_rise_from_at_least_the_lowest_to_the_highest(fidelity: Fidelity) -> None:
    rungs = fidelity.rungs
    assert list(rungs) == sorted(set(rungs))
    assert rungs[0] >= fidelity.min_epochs
    assert rungs[-1] == fidelity.max_epochs


@given(fidelities())
def test_one_rung_more_would_be_cheaper_than_the_cheapest_allowed(fidelity: Fidelity) -> None:
    assert fidelity.max_epochs / fidelity.eta**fidelity.n_rungs < fidelity.min_epochs


def test_epochs_are_normalised_between_the_rungs_by_their_logarithm() -> None:
    fidelity = Fidelity(min_epochs=3, max_epochs=27)
    shares = [fidelity.normalised(epochs) for epochs in (1, 3, 9, 27, 100)]
    assert shares == [0.0, 0.0, pytest.approx(0.5), 1.0, 1.0]
    assert 0.5 < fidelity.normalised(15) < 1.0


def test_with_a_single_rung_a_shorter_training_is_at_the_bottom() -> None:
    fidelity = Fidelity(min_epochs=9, max_epochs=9)
    assert [fidelity.normalised(epochs) for epochs in (3, 9, 27)] == [0.0, 1.0, 1.0]
