from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workers.data.importing.decoding_memory import DecodingMemory
from workers.data.importing.white_level import WhiteLevel, white_level
from workers.data.sources.source import FaceRow, FaceSource


def level(*arrays):
    rows = [FaceRow(source="", position=i, identity="", labels={}) for i in range(len(arrays))]

    def read(row):
        if arrays[row.position] is None:
            raise OSError("broken")
        return Image.fromarray(arrays[row.position])

    faces = FaceSource(rows=rows, columns=(), read=read)
    return white_level(faces, rows, DecodingMemory(10**7))


def test_all_deep_pictures_together_decide():
    dark, light = np.full((4, 4), 90, np.uint16), np.full((4, 4), 4000, np.uint16)
    shallow = np.full((4, 4), 255, np.uint8)
    assert level(dark, None, shallow, light) == WhiteLevel(n_pictures=2, largest=4000)
    assert level(shallow) == WhiteLevel(n_pictures=0, largest=0)


@pytest.mark.parametrize(
    ("largest", "bits"),
    [(0, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16384, 16), (1 << 20, 16)],
)
def test_the_fewest_bits_that_hold_all_values_are_taken(largest, bits):
    assert WhiteLevel(n_pictures=1, largest=largest).bits == bits


def test_a_warning_says_what_was_taken_for_white():
    told = WhiteLevel(n_pictures=7, largest=3999).sentence()
    assert "7 pictures" in told
    assert "12 bits, with 4095 for white" in told
    assert WhiteLevel(n_pictures=7, largest=65_000).sentence() == ""
