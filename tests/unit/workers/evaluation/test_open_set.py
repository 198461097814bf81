from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from workers.errors import DataError
from workers.evaluation.gallery import enrol, search_gallery
from workers.evaluation.open_set import open_set


def faces(seed: int, *, noise: float = 1.0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    identity = np.repeat(np.arange(60), generator.integers(1, 5, 60))
    centres = generator.normal(size=(60, 16))
    vectors = centres[identity] + noise * generator.normal(size=(len(identity), 16))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return torch.from_numpy(unit).float(), identity, identity % 2


def test_everybody_is_either_enrolled_once_or_a_stranger() -> None:
    _, identity, _ = faces(0)
    enrolment = enrol(identity, enrolled_share=0.5)
    everyone = np.concatenate(enrolment)
    assert sorted(everyone) == list(range(len(identity)))
    assert len(np.unique(identity[enrolment.gallery])) == len(enrolment.gallery)
    assert set(identity[enrolment.mated]) == set(identity[enrolment.gallery])
    assert not set(identity[enrolment.unmated]) & set(identity[enrolment.gallery])
    singletons = np.flatnonzero(np.bincount(identity) == 1)
    assert set(singletons) <= set(identity[enrolment.unmated])
    assert 10 < len(enrolment.gallery) < 40


def test_who_is_enrolled_does_not_depend_on_the_others() -> None:
    _, identity, _ = faces(0)
    whole = enrol(identity, enrolled_share=0.5)
    some = np.flatnonzero(identity < 30)
    part = enrol(identity[some], enrolled_share=0.5)
    assert set(some[part.gallery]) == {i for i in whole.gallery if identity[i] < 30}


def test_searches_equal_a_walk_through_the_gallery() -> None:
    vectors, identity, _ = faces(1)
    enrolment = enrol(identity, enrolled_share=0.5)
    searches = search_gallery(vectors, identity, enrolment)
    probes = np.concatenate([enrolment.mated, enrolment.unmated])
    for place, probe in enumerate(probes):
        scores = {int(identity[g]): float(vectors[probe] @ vectors[g]) for g in enrolment.gallery}
        own = scores.pop(int(identity[probe]), None)
        assert searches.best_other[place] == pytest.approx(max(scores.values()), abs=1e-6)
        if own is None:
            assert searches.rank[place] == -1
        else:
            assert searches.mate_score[place] == pytest.approx(own, abs=1e-6)
            assert searches.rank[place] == sum(score >= own for score in scores.values())


@pytest.mark.parametrize("fpir", [0.01, 0.1, 0.5])
def test_fnir_equals_a_sweep_over_all_thresholds(fpir: float) -> None:
    vectors, identity, codes = faces(2)
    enrolment = enrol(identity, enrolled_share=0.5)
    searches = search_gallery(vectors, identity, enrolment)
    n_mated = len(enrolment.mated)
    strangers, mated = searches.best_other[n_mated:], searches.mate_score[:n_mated]
    first = searches.rank[:n_mated] == 0
    fnirs = [
        np.mean(~(first & (mated > cut)))
        for cut in strangers
        if np.mean(strangers > cut) <= fpir + 1e-9
    ]
    found, (low, high) = open_set(
        vectors, identity=identity, codes=codes, labels=("f", "m"), fpir=fpir, n_replicates=200
    )
    assert found["fnir"] == pytest.approx(min(fnirs))
    assert found["fpir"] <= fpir
    assert 0.0 < found["fnir"] < 1.0
    assert low <= found["fnir"] <= high
    json.dumps(found, allow_nan=False)
    of_groups = [found["groups"][label]["fnir"] for label in ("f", "m")]
    assert min(of_groups) <= found["fnir"] <= max(of_groups)


def test_a_perfect_network_misses_nobody_and_accepts_nobody() -> None:
    identity = np.repeat(np.arange(40), 3)
    vectors = torch.eye(40).repeat_interleave(3, dim=0)
    found, interval = open_set(
        vectors,
        identity=identity,
        codes=identity % 2,
        labels=("f", "m"),
        fpir=0.0,
        n_replicates=100,
    )
    assert (found["fnir"], found["fpir"], found["cmc"]["1"]) == (0.0, 0.0, 1.0)
    assert interval == (0.0, 0.0)


def test_a_constant_embedding_finds_nobody() -> None:
    identity = np.repeat(np.arange(40), 3)
    found, _ = open_set(
        torch.ones(120, 4) / 2,
        identity=identity,
        codes=identity % 2,
        labels=("f", "m"),
        fpir=0.1,
        n_replicates=100,
    )
    assert (found["fnir"], found["fpir"], found["cmc"]["1"]) == (1.0, 0.0, 0.0)


def test_without_strangers_there_is_no_open_set() -> None:
    identity = np.arange(10)
    with pytest.raises(DataError, match="0 are enrolled"):
        open_set(
            torch.eye(10),
            identity=identity,
            codes=identity % 2,
            labels=("f", "m"),
            fpir=0.1,
            n_replicates=100,
        )
