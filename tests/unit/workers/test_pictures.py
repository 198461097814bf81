from __future__ import annotations

import numpy as np
import pytest
import torch

from workers.errors import DataError
from workers.pack import Pack
from workers.pictures import Pictures, choose_device, pictures_on, training_set

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


def test_the_training_set_is_the_train_split_with_classes_from_zero(pattern_pack: Pack) -> None:
    data = training_set(pattern_pack, CPU)
    assert len(data.pictures) == len(data.classes) == len(pattern_pack.rows("train"))
    assert data.classes.unique().tolist() == list(range(data.n_classes))


def test_the_training_set_is_kept_between_trials(pattern_pack: Pack) -> None:
    assert training_set(pattern_pack, CPU) is training_set(pattern_pack, CPU)


def test_a_gpu_that_is_not_there_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(DataError, match="no GPU"):
        choose_device("cuda")
