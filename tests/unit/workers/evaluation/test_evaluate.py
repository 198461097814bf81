from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from results.objectives import NEEDS, objective
from workers.data.formats.pairs import PairList
from workers.data.packs.pack import GroupColumn, Pack
from workers.errors import CollapsedError, DataError
from workers.evaluation.chance import require_above_chance
from workers.evaluation.evaluate import (
    Evaluation,
    evaluate,
    evaluation_rows,
    raw_pixel_evaluation,
)
from workers.evaluation.identification_metrics import Ranks
from workers.evaluation.ranks import leave_one_out_ranks
from workers.settings import EvaluationSettings

CPU = torch.device("cpu")
SETTINGS = EvaluationSettings(n_replicates=50, batch_size=32)


class Coarse(nn.Module):
    """Sees the coarse pattern that makes an identity, with as much noise as wanted."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.noise = noise
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        signal = nn.functional.avg_pool2d(images, 8).flatten(1)
        return signal + self.noise * torch.randn(signal.shape, generator=self.generator)


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 8), self.value)


def evaluate_on_val(network: nn.Module, pack: Pack, *, group: str = "gender") -> Evaluation:
    return evaluate(network, pack, split="val", group=group, settings=SETTINGS, device=CPU)


def test_a_network_that_sees_the_identities_makes_no_error(pattern_pack: Pack) -> None:
    evaluation = evaluate_on_val(Coarse(), pattern_pack)
    best = {name: objective(name, n_identities=24).best for name in evaluation.costs}
    assert len(best) == 11
    assert evaluation.costs == best
    assert evaluation.metrics["n_probes"] == len(pattern_pack.rows("val"))
    assert sorted(evaluation.metrics["groups"]) == ["f", "m"]


def test_a_noisier_network_makes_more_errors_inside_finite_intervals(pattern_pack: Pack) -> None:
    evaluation = evaluate_on_val(Coarse(0.8), pattern_pack)
    assert 0.1 < evaluation.costs["error"] < 0.95
    for name, cost in evaluation.costs.items():
        low, high = evaluation.interval95[name]
        assert 0.0 <= low <= high
        assert np.isfinite([cost, low, high]).all()
    json.dumps(evaluation.metrics, allow_nan=False)


def test_a_constant_network_has_collapsed(pattern_pack: Pack) -> None:
    with pytest.raises(CollapsedError, match="constant"):
        evaluate_on_val(Constant(1.0), pattern_pack)


def test_a_network_of_zeros_has_collapsed(pattern_pack: Pack) -> None:
    with pytest.raises(CollapsedError, match="effective dimensions"):
        evaluate_on_val(Constant(0.0), pattern_pack)


def test_a_network_of_nans_has_collapsed(pattern_pack: Pack) -> None:
    with pytest.raises(CollapsedError, match="96 of 96 embeddings are not finite"):
        evaluate_on_val(Constant(float("nan")), pattern_pack)


def test_a_network_of_pure_noise_is_at_chance(pattern_pack: Pack) -> None:
    with pytest.raises(CollapsedError, match="at chance"):
        evaluate_on_val(Coarse(1e6), pattern_pack)


def test_a_column_that_is_missing_or_has_one_group_is_a_data_error(pattern_pack: Pack) -> None:
    with pytest.raises(DataError, match="choose from gender, same"):
        evaluate_on_val(Coarse(), pattern_pack, group="age")
    with pytest.raises(DataError, match="cannot be compared"):
        evaluate_on_val(Coarse(), pattern_pack, group="same")


def test_an_identity_keeps_at_most_so_many_images_the_same_every_time(pattern_pack: Pack) -> None:
    rows = evaluation_rows(pattern_pack, split="val", max_images=3)
    _, counts = np.unique(pattern_pack.identity[rows], return_counts=True)
    assert set(counts) == {3}
    assert np.array_equal(rows, evaluation_rows(pattern_pack, split="val", max_images=3))
    assert set(rows) < set(pattern_pack.rows("val"))
    assert (np.diff(rows) > 0).all()


def test_the_choice_of_an_identitys_images_does_not_depend_on_the_others(
    pattern_pack: Pack,
) -> None:
    rows = evaluation_rows(pattern_pack, split="val", max_images=2)
    last = pattern_pack.identity[rows].max()
    only_last = replace(
        pattern_pack,
        split=np.where(pattern_pack.identity == last, 1, 0).astype(np.uint8),
    )
    alone = evaluation_rows(only_last, split="val", max_images=2)
    assert set(alone) == set(rows[pattern_pack.identity[rows] == last])


def test_an_empty_split_is_a_data_error(pattern_pack: Pack) -> None:
    empty = replace(pattern_pack, split=np.zeros(len(pattern_pack.split), dtype=np.uint8))
    with pytest.raises(DataError, match="val split is empty"):
        evaluation_rows(empty, split="val", max_images=10)


def test_raw_pixels_are_measured_like_a_network(pattern_pack: Pack) -> None:
    evaluation = raw_pixel_evaluation(pattern_pack, split="val", group="gender", settings=SETTINGS)
    assert evaluation.costs["error"] < 0.5
    assert evaluation.costs.keys() == evaluation.interval95.keys()


def random_ranks(seed: int, identity: np.ndarray, *, signal: float) -> Ranks:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(identity.max() + 1, 64))
    vectors = generator.normal(size=(len(identity), 64)) + signal * centres[identity]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return leave_one_out_ranks(torch.from_numpy(unit), identity)


def test_random_embeddings_are_nearly_always_refused_and_weak_ones_never() -> None:
    identity = np.repeat(np.arange(60), np.tile([2, 4, 6], 20))
    refused = {0.0: 0, 0.4: 0}
    for signal in refused:
        for seed in range(40):
            try:
                require_above_chance(random_ranks(seed, identity, signal=signal), identity)
            except CollapsedError:
                refused[signal] += 1
    assert refused[0.0] >= 36
    assert refused[0.4] == 0
    weak = random_ranks(0, identity, signal=0.4).rank_by_identity
    assert np.mean(weak == 0) < 0.3


def test_with_few_identities_chance_is_not_judged() -> None:
    identity = np.repeat(np.arange(8), 3)
    require_above_chance(random_ranks(0, identity, signal=0.0), identity)


def test_verification_open_set_and_tables_are_measured_where_they_are_wanted(
    pattern_pack: Pack,
) -> None:
    everything = replace(SETTINGS, verification=True, open_set=True, tables=True, fmr=0.05)
    plain = evaluate_on_val(Coarse(0.8), pattern_pack)
    full = evaluate(
        Coarse(0.8), pattern_pack, split="val", group="gender", settings=everything, device=CPU
    )
    assert not {"verification", "open_set", "tables", "pairs"} & set(plain.metrics)
    assert set(full.costs) - set(plain.costs) == set(NEEDS)
    assert {name: full.costs[name] for name in plain.costs} == plain.costs
    assert full.costs.keys() == full.interval95.keys() == full.metrics["interval95"].keys()
    assert full.metrics["verification"]["fnmr"] == full.costs["fnmr"]
    assert full.metrics["tables"]["gender"]["groups"].keys() == {"f", "m"}
    assert full.metrics["pairs"] == {}
    json.dumps(full.metrics, allow_nan=False)


def test_the_test_split_gets_a_full_report_with_what_its_faces_allow(pattern_pack: Pack) -> None:
    report = evaluate(
        Coarse(), pattern_pack, split="test", group="gender", settings=SETTINGS, device=CPU
    )
    assert {"verification", "open_set", "tables", "p_values"} <= set(report.metrics)
    everyone = replace(pattern_pack, identity=np.arange(len(pattern_pack.identity)) // 2)
    one_kind = replace(
        everyone,
        groups={
            "gender": replace(
                everyone.groups["gender"],
                codes=np.where(everyone.identity == everyone.identity[-1], 1, 0).astype(np.int16),
            )
        },
    )
    settings = replace(SETTINGS, n_permutations=0)
    report = evaluate(
        Coarse(), one_kind, split="test", group="gender", settings=settings, device=CPU
    )
    assert "cannot be compared" in report.metrics["verification"]["missing"]
    assert "p_values" not in report.metrics
    with pytest.raises(DataError, match="verification cannot be compared"):
        evaluate(
            Coarse(),
            one_kind,
            split="test",
            group="gender",
            settings=replace(settings, verification=True),
            device=CPU,
        )


def test_pairs_of_the_pack_that_lie_in_the_split_are_verified(pattern_pack: Pack) -> None:
    rows = pattern_pack.rows("val")
    first, second = rows[:-1], rows[1:]
    pairs = PairList(
        first=np.append(first, 0),
        second=np.append(second, 1),
        same=pattern_pack.identity[np.append(first, 0)]
        == pattern_pack.identity[np.append(second, 1)],
        fold=np.append(np.arange(len(first)) // 10, 0),
    )
    report = evaluate(
        Coarse(),
        replace(pattern_pack, pairs=pairs),
        split="val",
        group="gender",
        settings=replace(SETTINGS, verification=True),
        device=CPU,
    ).metrics["pairs"]
    assert report["n_genuine"] == 72
    assert report["n_impostor"] == 23  # the last pair lies in the training split
    assert report["accuracy"] == 1.0


def test_labels_are_compared_in_alphabetical_order_whatever_their_codes(
    pattern_pack: Pack,
) -> None:
    gender = pattern_pack.groups["gender"]
    turned = GroupColumn(labels=("m", "f"), codes=(1 - gender.codes).astype(np.int16))
    other = replace(pattern_pack, groups={"gender": turned})
    first = evaluate_on_val(Coarse(0.8), pattern_pack)
    second = evaluate_on_val(Coarse(0.8), other)
    assert first.costs == second.costs
    assert first.interval95 == second.interval95
    assert first.metrics == second.metrics


def test_intersections_of_more_than_two_groups_are_columns_like_others(
    pattern_pack: Pack,
) -> None:
    codes = (pattern_pack.identity % 4).astype(np.int16)
    column = GroupColumn(labels=("f*a", "m*a", "f*b", "m*b"), codes=codes)
    evaluation = evaluate_on_val(
        Coarse(0.8), replace(pattern_pack, groups={"gender*race": column}), group="gender*race"
    )
    groups = evaluation.metrics["groups"]
    assert sorted(groups) == ["f*a", "f*b", "m*a", "m*b"]
    accuracies = [group["accuracy"] for group in groups.values()]
    assert evaluation.costs["disparity"] == max(accuracies) - min(accuracies)
    assert evaluation.costs["accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
