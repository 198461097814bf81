from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import profile

from search_space.activation_memory import saved_activation_bytes
from search_space.build import build_network
from search_space.candidate import Candidate, HeadChoice, TimmArchitecture
from search_space.heads.build import build_head
from search_space.heads.specs import HEADS
from workers.data.pictures import Pictures, TrainingSet
from workers.errors import NotEnoughMemoryError
from workers.settings import TrainingSettings
from workers.training.loop import start_training, train_epoch
from workers.training.memory import (
    USED_SHARE,
    StepMemory,
    available_bytes,
    free_host_bytes,
    measure_step,
    part_sizes,
    plan_memory,
)
from workers.training.recipe import plan

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(batch_size=16, device="cpu")
CANDIDATE = Candidate(
    architecture=TimmArchitecture(family="resnet", variant="test_resnet"),
    embedding_size=32,
    head=HeadChoice(name="ArcFace"),
    optimizer="SGD",
    learning_rate=0.01,
)


def measured(
    candidate: Candidate = CANDIDATE,
    settings: TrainingSettings = SETTINGS,
    *,
    n_classes: int = 10,
    bfloat16: bool = False,
) -> StepMemory:
    return measure_step(
        candidate, settings, image_shape=(3, 32), n_classes=n_classes, bfloat16=bfloat16
    )


def n_weight_bytes(candidate: Candidate, n_classes: int) -> int:
    network = build_network(candidate, in_channels=3, image_size=32, seed=0)
    n_weights = sum(p.numel() for p in network.parameters())
    return 4 * (n_weights + n_classes * candidate.embedding_size)


def test_optimizer_and_average_take_their_multiples_of_the_weights() -> None:
    weights = n_weight_bytes(CANDIDATE, 10)
    sgd = measured().fixed_bytes
    adam = measured(replace(CANDIDATE, optimizer="AdamW")).fixed_bytes
    averaged = measured(settings=replace(SETTINGS, ema_decay=0.9)).fixed_bytes
    assert adam - sgd == weights
    assert weights < averaged - sgd < 1.1 * weights  # with the buffers
    assert 3 * weights < sgd < 3.2 * weights


def test_pictures_take_what_the_network_keeps_and_a_little_more() -> None:
    network = build_network(CANDIDATE, in_channels=3, image_size=32, seed=0)
    two, six = (saved_activation_bytes(network, torch.zeros(n, 3, 32, 32)) for n in (2, 6))
    per_image = (six - two) / 4
    assert per_image < measured().bytes_per_image < 1.2 * per_image


def test_the_measure_takes_no_random_numbers() -> None:
    before = torch.get_rng_state()
    measured()
    assert torch.equal(torch.get_rng_state(), before)


def test_more_classes_and_sub_centers_take_more() -> None:
    few, many = measured(), measured(n_classes=1000)
    assert many.fixed_bytes - few.fixed_bytes == 3 * 990 * 32 * 4
    assert many.bytes_per_image > few.bytes_per_image
    sub_centers = measured(replace(CANDIDATE, head=HeadChoice(name="SubCenterArcFace")))
    assert sub_centers.fixed_bytes - few.fixed_bytes == 3 * 2 * 10 * 32 * 4


def kept_by_head(choice: HeadChoice, *, n_classes: int, n_images: int) -> int:
    head = build_head(choice, embedding_size=32, n_classes=n_classes)
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage

    embeddings = torch.randn(n_images, 32, requires_grad=True)
    labels = torch.arange(n_images)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda _: embeddings):
        logits, _ = head(embeddings, labels)
        head.losses(logits, labels, label_smoothing=0.1, focal_gamma=2.0).mean()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("name", HEADS)
def test_no_head_keeps_more_for_a_picture_than_is_reckoned(name: str) -> None:
    n_classes, choice = 2000, HeadChoice(name=name)
    few, many = (kept_by_head(choice, n_classes=n_classes, n_images=n) for n in (16, 32))
    candidate = replace(CANDIDATE, head=choice)
    reckoned = (
        measured(candidate, n_classes=n_classes).bytes_per_image
        - measured(candidate, n_classes=2).bytes_per_image
    )
    assert 0.2 * reckoned < (many - few) / 16 < 1.05 * reckoned


def test_bfloat16_takes_what_autocast_would() -> None:
    network = build_network(CANDIDATE, in_channels=3, image_size=32, seed=0)
    real = []
    for n_images in (2, 6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            real.append(saved_activation_bytes(network, torch.zeros(n_images, 3, 32, 32)))
    per_image = (real[1] - real[0]) / 4
    lowered = measured(bfloat16=True)
    assert lowered.bytes_per_image < 0.75 * measured().bytes_per_image
    assert 0.95 * per_image < lowered.bytes_per_image < 1.2 * per_image


@pytest.mark.parametrize("variant", ["test_resnet", "test_efficientnet", "test_vit"])
def test_a_profiled_training_step_peaks_near_the_prediction(variant: str) -> None:
    """From 0.7 times it, where attention has a fused kernel, to a tenth above it."""
    n_images, side = 32, 64
    images = np.zeros((n_images, 3, side, side), dtype=np.uint8)
    data = TrainingSet(
        pictures=Pictures(images=images, rows=np.arange(n_images), device=CPU),
        classes=torch.arange(n_images) % 8,
        n_classes=8,
    )
    settings = replace(SETTINGS, batch_size=n_images)
    made = replace(CANDIDATE, architecture=TimmArchitecture(family="any", variant=variant))
    step = measure_step(
        made, settings, image_shape=(3, side), n_classes=data.n_classes, bfloat16=False
    )
    schedule = plan(settings, n_images=n_images, max_epochs=1)
    with profile(profile_memory=True) as profiled:
        training = start_training(made, settings, data=data, seed=0)
        train_epoch(training, data, schedule=schedule)
    present = peak = 0
    assert profiled.profiler is not None
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            present += event.nbytes()
            peak = max(peak, present)
    assert 0.7 * step.of(n_images) < peak < 1.1 * step.of(n_images)


STEP = StepMemory(fixed_bytes=1000, bytes_per_image=100)


@pytest.mark.parametrize(
    ("available", "n_splits", "needed"),
    [(2600, 1, 2600), (2599, 2, 1800), (1799, 4, 1400), (1399, 8, 1200), (1200, 8, 1200)],
)
def test_a_batch_is_split_no_more_than_needed(available: int, n_splits: int, needed: int) -> None:
    memory = plan_memory(STEP, batch_size=16, bytes_available=available)
    assert (memory.n_splits, memory.bytes_needed) == (n_splits, needed)
    assert memory.bytes_available == available


def test_no_part_has_less_than_two_pictures() -> None:
    assert plan_memory(STEP, batch_size=7, bytes_available=1400).n_splits == 2
    with pytest.raises(NotEnoughMemoryError):
        plan_memory(STEP, batch_size=7, bytes_available=1300)


def test_what_does_not_fit_is_refused_with_need_stock_and_remedy() -> None:
    step = StepMemory(fixed_bytes=2_000_000_000, bytes_per_image=50_000_000)
    with pytest.raises(
        NotEnoughMemoryError, match=r"needs 2\.10 GB, and 2\.05 GB are free .* smaller networks"
    ):
        plan_memory(step, batch_size=64, bytes_available=2_050_000_000)


def test_a_training_begun_in_parts_goes_on_in_as_many() -> None:
    assert plan_memory(STEP, batch_size=16, bytes_available=9999, n_splits=4).n_splits == 4
    with pytest.raises(NotEnoughMemoryError, match=r"as when it was begun \(2\) needs"):
        plan_memory(STEP, batch_size=16, bytes_available=1500, n_splits=2)


@pytest.mark.parametrize(("n_images", "n_parts"), [(16, 4), (13, 4), (7, 2), (5, 1)])
def test_parts_are_as_even_as_can_be(n_images: int, n_parts: int) -> None:
    sizes = part_sizes(n_images, n_parts)
    assert sum(sizes) == n_images
    assert len(sizes) == n_parts
    assert max(sizes) == -(-n_images // n_parts)
    assert max(sizes) - min(sizes) <= 1


def test_a_forced_limit_counts_as_it_is_and_free_memory_in_part() -> None:
    assert available_bytes(CPU, replace(SETTINGS, memory_gb=0.5)) == 500_000_000
    free = free_host_bytes()
    assert 0.5 * USED_SHARE * free < available_bytes(CPU, SETTINGS) < 2 * USED_SHARE * free


def test_a_gpu_has_what_is_free_and_what_is_reserved_but_unused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert available_bytes(torch.device("cuda"), SETTINGS) == int(0.9 * 1500)


def host(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    for name, text in {
        "proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:  4000 kB\nHugePages_Total: 0\n",
        "proc/self/cgroup": cgroup,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_host_has_what_the_system_says_is_available(tmp_path: Path) -> None:
    assert free_host_bytes(host(tmp_path, "0::/\n", {"memory.max": "max\n"})) == 4000 * 1024


@pytest.mark.parametrize(
    ("cgroup", "folder"),
    [("0::/jobs/mine\n", "jobs/mine"), ("0::/jobs/mine\n", "jobs"), ("0::/not/mounted\n", ".")],
)
def test_a_limit_of_the_own_cgroup_or_one_above_counts(
    tmp_path: Path, cgroup: str, folder: str
) -> None:
    files = {
        f"{folder}/memory.max": "1000000",
        f"{folder}/memory.current": "700000",
        f"{folder}/memory.stat": "anon 400000\ninactive_file 200000\nactive_file 100000\n",
    }
    assert free_host_bytes(host(tmp_path, cgroup, files)) == 600_000


def test_a_limit_of_the_older_cgroups_counts_too(tmp_path: Path) -> None:
    files = {
        "memory/mine/memory.limit_in_bytes": "1000000",
        "memory/mine/memory.usage_in_bytes": "700000",
    }
    cgroup = "3:cpu,cpuacct:/\n4:memory:/mine\n0::/\n"
    assert free_host_bytes(host(tmp_path, cgroup, files)) == 300_000


def test_a_cgroup_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": "1000", "memory.current": "2000"}
    assert free_host_bytes(host(tmp_path, "0::/\n", files)) == 0


def test_a_system_that_does_not_say_has_its_physical_memory(tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path) > 1e8
