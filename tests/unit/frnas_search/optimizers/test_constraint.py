from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frnas_search.optimizers.constraint import Graded, judged

ROWS = [{"x": 1.0}, {"x": 2.0}, {"x": 9.0}]


class AtMost:
    def __init__(self, **limits: float) -> None:
        self._limits = limits

    def __call__(self, configuration: Mapping[str, object]) -> bool:
        return not self.excess(configuration)

    def excess(self, configuration: Mapping[str, object]) -> Mapping[str, float]:
        value = configuration["x"]
        assert isinstance(value, float)
        return {name: value - limit for name, limit in self._limits.items() if value > limit}


def test_without_constraints_everything_is_accepted() -> None:
    verdicts = judged(None, ROWS)
    assert verdicts.accepted.all()
    assert verdicts.refused_by == {}


def test_a_predicate_says_no_and_nothing_else() -> None:
    verdicts = judged(lambda values: values["x"] == 2.0, ROWS)
    assert verdicts.accepted.tolist() == [False, True, False]
    assert verdicts.excess.tolist() == [np.inf, 0.0, np.inf]
    assert verdicts.refused_by == {"the constraints": 2}


def test_a_graded_one_says_who_refuses_and_by_how_much() -> None:
    accepts = AtMost(low=1.5, high=5.0)
    assert isinstance(accepts, Graded)
    verdicts = judged(accepts, ROWS)
    assert verdicts.accepted.tolist() == [True, False, False]
    assert verdicts.excess.tolist() == [0.0, 0.5, 7.5 + 4.0]
    assert verdicts.refused_by == {"low": 2, "high": 1}


def test_of_none_there_is_no_verdict() -> None:
    assert judged(AtMost(low=1.0), []).accepted.shape == (0,)
    assert judged(lambda _: True, []).accepted.shape == (0,)
