from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import workers.training.loop
from search_space.candidate import Candidate, HeadChoice, Mitigation, TimmArchitecture
from workers.data.packs.pack import Pack
from workers.data.pictures import Pictures, TrainingSet, training_set
from workers.data.prefetch import gathered_ahead, gathered_batches
from workers.errors import TrainingDivergedError
from workers.settings import TrainingSettings
from workers.training.loop import Training, start_training, train_epoch
from workers.training.recipe import plan

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(batch_size=6, device="cpu")
BATCHES = [torch.tensor(each) for each in ([2, 0], [1, 1], [0, 2], [2, 1], [0])]


def prefetching_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert prefetching_threads() == []


@pytest.fixture
def pictures() -> Pictures:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), np.uint8)
    return Pictures(images=images, rows=np.array([5, 0, 17]), device=CPU)


def expected(pictures: Pictures) -> list[Tensor]:
    rows = [pictures.rows[batch.numpy()] for batch in BATCHES]
    return [torch.from_numpy(pictures.images[each]) for each in rows]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_batches_are_the_packs_rows_in_order(pictures: Pictures) -> None:
    assert same(list(gathered_batches(pictures, BATCHES)), expected(pictures))
    assert same(list(gathered_ahead(pictures.gather, BATCHES)), expected(pictures))


def test_resident_pictures_are_gathered_where_they_are(pictures: Pictures) -> None:
    resident = torch.from_numpy(pictures.images[pictures.rows])
    own = replace(pictures, images=np.zeros_like(pictures.images), resident=resident)
    assert same(list(gathered_batches(own, BATCHES)), expected(pictures))


def test_on_a_cpu_there_is_no_thread(pictures: Pictures) -> None:
    with contextlib.closing(gathered_batches(pictures, BATCHES)) as batches:
        next(batches)
        assert prefetching_threads() == []


@pytest.mark.parametrize("n_batches", [0, 1, 2])
def test_few_batches_are_all_of_them(n_batches: int) -> None:
    ahead = gathered_ahead(lambda batch: batch.tolist(), BATCHES[:n_batches])
    assert list(ahead) == [batch.tolist() for batch in BATCHES[:n_batches]]


def test_the_next_batch_is_gathered_meanwhile_and_no_other() -> None:
    begun = [threading.Event() for _ in BATCHES]
    threads = set()

    def gather(number: Tensor) -> int:
        threads.add(threading.current_thread().name)
        begun[int(number)].set()
        return int(number)

    numbers = [torch.tensor(each) for each in range(len(BATCHES))]
    for number in gathered_ahead(gather, numbers):
        if number + 1 < len(begun):
            assert begun[number + 1].wait(timeout=10)
        assert sum(each.is_set() for each in begun) <= number + 2
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


def test_an_error_in_the_thread_arrives_in_its_batchs_place() -> None:
    def gather(number: Tensor) -> int:
        if number == 2:
            raise torch.OutOfMemoryError("no room for batch 2")
        return int(number)

    ahead = gathered_ahead(gather, [torch.tensor(each) for each in range(5)])
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(torch.OutOfMemoryError, match="no room for batch 2"):
        next(ahead)


def test_whoever_stops_early_ends_the_thread(pictures: Pictures) -> None:
    with contextlib.closing(gathered_ahead(pictures.gather, BATCHES)) as batches:
        next(batches)
        assert len(prefetching_threads()) == 1
    assert prefetching_threads() == []


CANDIDATE = Candidate(
    architecture=TimmArchitecture(family="resnet", variant="test_resnet"),
    embedding_size=16,
    head=HeadChoice(name="CosFace"),
    optimizer="SGD",
    learning_rate=0.05,
    mitigation=Mitigation(name="group_dro", strength=0.1),
)


@pytest.fixture
def data(pattern_pack: Pack) -> TrainingSet:
    return training_set(pattern_pack, CPU, group="gender")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings gather ahead on a CPU too."""
    monkeypatch.setattr(
        workers.training.loop,
        "gathered_batches",
        lambda pictures, batches: gathered_ahead(pictures.gather, batches),
    )


def trained(data: TrainingSet, *, pauses: bool = False) -> Training:
    training = start_training(CANDIDATE, SETTINGS, data=data, seed=0)
    schedule = plan(SETTINGS, n_images=len(data.pictures), max_epochs=4)
    assert schedule.steps_per_epoch > 2
    while training.epochs < 2:
        train_epoch(
            training,
            data,
            schedule=replace(schedule, n_splits=2),
            should_pause=lambda: pauses,
        )
        assert prefetching_threads() == []
    return training


@pytest.mark.parametrize("pauses", [False, True])
def test_gathering_ahead_trains_the_same_network_bit_for_bit(
    data: TrainingSet, pauses: bool, request: pytest.FixtureRequest
) -> None:
    direct = trained(data)
    request.getfixturevalue("ahead")
    training = trained(data, pauses=pauses)
    assert training.losses == direct.losses
    states = training.network.state_dict(), direct.network.state_dict()
    assert same(*(list(each.values()) for each in states))


@pytest.mark.usefixtures("ahead")
def test_a_training_that_raises_leaves_no_thread(data: TrainingSet) -> None:
    settings = replace(SETTINGS, clip_grad_norm=None)
    made = replace(CANDIDATE, learning_rate=1e30)
    training = start_training(made, settings, data=data, seed=0)
    schedule = plan(settings, n_images=len(data.pictures), max_epochs=4)
    with pytest.raises(TrainingDivergedError) as caught:
        train_epoch(training, data, schedule=schedule)
    assert prefetching_threads() == []
    assert caught.tb is not None  # although the error still holds on to the epoch


@pytest.mark.gpu
def test_a_gpu_receives_the_packs_rows_while_it_computes() -> None:
    """Many more batches than memory blocks, and a device that is always behind."""
    device = torch.device("cuda")
    images = np.random.default_rng(0).integers(0, 256, (512, 3, 64, 64), np.uint8)
    pictures = Pictures(images=images, rows=np.arange(512)[::-1].copy(), device=device)
    batches = list(torch.randint(0, 512, (200, 128)))
    busy = torch.randn(2048, 2048, device=device)
    sums = []
    for sent in gathered_batches(pictures, batches):
        assert sent.device.type == "cuda"
        busy = (busy @ busy).clamp(-1, 1)
        sums.append(sent.long().sum((1, 2, 3)))
    for batch, each in zip(batches, sums, strict=True):
        rows = pictures.rows[batch.numpy()]
        assert each.tolist() == images[rows].sum((1, 2, 3), dtype=np.int64).tolist()


@pytest.mark.gpu
@pytest.mark.parametrize("pauses", [False, True])
def test_a_pack_that_does_not_fit_trains_the_same_network_on_a_gpu(
    pattern_pack: Pack, pauses: bool
) -> None:
    resident = training_set(pattern_pack, torch.device("cuda"), group="gender")
    assert resident.pictures.resident is not None
    gathered = replace(resident, pictures=replace(resident.pictures, resident=None))
    assert trained(gathered, pauses=pauses).losses == pytest.approx(
        trained(resident).losses, rel=1e-2
    )
