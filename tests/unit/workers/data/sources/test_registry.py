from __future__ import annotations

import numpy as np
import pytest

from workers.data.sources.registry import open_source
from workers.errors import DataError


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "faces.npz"
    np.savez(path, images=np.zeros((2, 4, 4), np.uint8), identity=[0, 1], sex=["f", "m"])
    return path


def refusal(source, labels=None):
    with pytest.raises(DataError) as error, open_source(source, labels):
        pass
    return str(error.value)


def test_an_npz_file_is_told_from_other_archives(npz):
    with open_source(npz) as faces:
        assert faces.columns == ("sex",)


def test_an_npz_file_takes_no_label_file(npz, tmp_path):
    assert "leave out" in refusal(npz, tmp_path / "labels.csv")


def test_a_missing_source_is_named(tmp_path):
    assert refusal(tmp_path / "no.zip").startswith(f"{tmp_path / 'no.zip'}: no such source")


def test_another_format_is_refused(tmp_path):
    (tmp_path / "faces.tar").write_bytes(b"ustar")
    told = refusal(tmp_path / "faces.tar")
    assert "neither a folder nor a .zip, .npz, .rec or .bin file" in told


def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path):
    (tmp_path / "faces.npz").mkdir()
    assert "faces.npz: cannot be read (Is a directory)" in refusal(tmp_path / "faces.npz")


def test_an_unknown_format_is_refused_with_the_known_ones(npz):
    with (
        pytest.raises(DataError, match="format 'zip' is not known; choose from agedb, bin, cele"),
        open_source(npz, form="zip"),
    ):
        pass
