from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workers.data.importing.picture_format import choose_format
from workers.data.sources.source import FaceRow, FaceSource


def source(*pictures):
    """A source of pictures given as shapes; a third dimension gives colours, None is broken."""
    rows = [FaceRow(source="", position=i, identity="", labels={}) for i in range(len(pictures))]

    def read(row):
        shape = pictures[row.position]
        if shape is None:
            raise OSError("broken")
        return Image.fromarray((np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape))

    return FaceSource(rows=rows, columns=(), read=read)


def choose(*pictures, size=None, colour="auto"):
    faces = source(*pictures)
    return choose_format(faces, faces.rows, size=size, colour=colour)


def test_pictures_keep_their_own_size():
    assert choose((64, 80), (70, 64), (64, 64)).size == 64


def test_the_middle_size_is_taken():
    assert choose((10, 10), (50, 50), (60, 60), (99, 99)).size == 50


def test_large_pictures_become_the_usual_size():
    assert choose((250, 250)).size == 112


def test_a_chosen_size_is_kept():
    assert choose((64, 64), size=200).size == 200


def test_grey_pictures_are_packed_grey_and_others_in_colour():
    assert choose((8, 8), (8, 8)).channels == 1
    assert choose((8, 8, 3)).channels == 3
    assert choose((8, 8, 3)).warnings == ()


def test_a_mixture_is_packed_in_colour_and_told():
    chosen = choose((8, 8), (8, 8, 3), None, (8, 8, 3))
    assert chosen.channels == 3
    assert chosen.warnings[0].startswith("1 of 3 pictures looked at are grey")


@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("colour", 3)])
@pytest.mark.parametrize("size", [None, 8])
def test_a_chosen_colour_is_kept(colour, channels, size):
    assert choose((8, 8), (8, 8, 3), size=size, colour=colour).channels == channels


def test_a_late_colour_picture_is_found_among_many():
    shapes = [(8, 8)] * 1000
    shapes[995] = (8, 8, 3)
    assert choose(*shapes).channels == 3


def test_without_a_readable_picture_something_is_chosen():
    assert (choose(None).size, choose(None).channels) == (112, 1)
