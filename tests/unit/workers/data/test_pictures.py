from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workers.data.packs.pack import GroupColumn, Pack
from workers.data.pictures import Pictures, choose_device, pictures_on, training_set
from workers.errors import DataError

CPU = torch.device("cpu")


def test_pictures_are_the_packs_rows(pattern_pack: Pack) -> None:
    rows = np.array([5, 0, 17])
    pictures = pictures_on(CPU, pattern_pack.images, rows)
    assert len(pictures) == 3
    gathered = pictures.gather(torch.tensor([2, 0]))
    assert np.array_equal(gathered.numpy(), pattern_pack.images[[17, 5]])


def test_resident_pictures_are_the_same_pictures(pattern_pack: Pack) -> None:
    rows = np.array([5, 0, 17])
    resident = torch.from_numpy(pattern_pack.images[rows])
    pictures = Pictures(images=pattern_pack.images, rows=rows, device=CPU, resident=resident)
    gathered = pictures.gather(torch.tensor([2, 0]))
    assert np.array_equal(gathered.numpy(), pattern_pack.images[[17, 5]])


def test_pictures_are_read_into_memory_that_is_there(pattern_pack: Pack) -> None:
    pictures = pictures_on(CPU, pattern_pack.images, np.array([5, 0, 17]))
    indices = torch.tensor([2, 0, 2, 1])
    memory = torch.zeros((4, *pattern_pack.images.shape[1:]), dtype=torch.uint8)
    pictures.read_into(memory, indices)
    assert torch.equal(memory, pictures.gather(indices))
    with pytest.raises(IndexError):
        pictures.read_into(memory, torch.tensor([0, 1, 2, 3]))


def test_the_training_set_is_the_train_split_with_classes_from_zero(pattern_pack: Pack) -> None:
    data = training_set(pattern_pack, CPU, group="gender")
    assert len(data.pictures) == len(data.classes) == len(pattern_pack.rows("train"))
    assert data.classes.unique().tolist() == list(range(data.n_classes))


def test_the_training_set_knows_the_groups_of_its_images(pattern_pack: Pack) -> None:
    rows = pattern_pack.rows("train")
    codes = np.array(pattern_pack.groups["gender"].codes)
    codes[rows[0]] = -1
    columns = {"other": GroupColumn(labels=("f", "m"), codes=codes)}
    data = training_set(replace(pattern_pack, groups=columns), CPU, group="other")
    assert data.group_labels == ("f", "m")
    assert data.group_codes is not None
    assert data.group_codes.dtype == torch.int64
    assert data.group_codes.tolist() == codes[rows].tolist()


def test_a_training_set_can_be_without_groups(pattern_pack: Pack) -> None:
    data = training_set(pattern_pack, CPU, group="none")
    assert data.group_codes is None
    assert data.group_labels == ()


def test_pictures_and_classes_are_kept_between_trials_whatever_the_group(
    pattern_pack: Pack,
) -> None:
    first, again = (training_set(pattern_pack, CPU, group=g) for g in ("gender", "same"))
    assert first.pictures is again.pictures
    assert first.classes is again.classes


def test_a_gpu_that_is_not_there_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(DataError, match="no GPU"):
        choose_device("cuda")
