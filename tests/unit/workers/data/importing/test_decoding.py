from __future__ import annotations

import io
import threading
from itertools import count

import numpy as np
import pytest
from PIL import Image

from workers.data.importing.decoding import BROKEN, is_grey, map_ahead, to_array

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Image.open(io.BytesIO(stream.getvalue()))


def test_a_picture_of_the_right_size_keeps_its_pixels():
    array = to_array(Image.fromarray(COLOURS), channels=3, size=6)
    np.testing.assert_array_equal(array, COLOURS.transpose(2, 0, 1))
    assert array.flags.c_contiguous


@pytest.mark.parametrize(("width", "height"), [(8, 4), (4, 8)])
def test_the_centre_square_is_taken(width, height):
    pixels = np.zeros((height, width), np.uint8)
    top, left = (height - 4) // 2, (width - 4) // 2
    pixels[top : top + 4, left : left + 4] = 200
    array = to_array(Image.fromarray(pixels), channels=1, size=4)
    assert array.shape == (1, 4, 4)
    assert (array == 200).all()


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    array = to_array(Image.fromarray(stripes), channels=1, size=16).astype(int)
    assert abs(array[:, :, 2:-2] - 128).max() <= 3


def test_a_grey_picture_becomes_three_equal_channels():
    array = to_array(Image.fromarray(COLOURS[..., 0]), channels=3, size=6)
    assert (array == COLOURS[..., 0]).all()


def test_a_picture_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = encoded(Image.fromarray(COLOURS), "PNG", exif=exif)
    expected = np.rot90(COLOURS, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(to_array(image, channels=3, size=6), expected)


def test_sixteen_bits_are_scaled_and_not_clipped():
    deep = np.linspace(0, 65535, 36).astype(np.uint16).reshape(6, 6)
    for kind in ("PNG", "TIFF", "PPM"):
        array = to_array(encoded(Image.fromarray(deep), kind), channels=1, size=6)
        np.testing.assert_array_equal(array[0], deep >> 8)


def test_floating_point_pixels_are_refused():
    image = Image.fromarray(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="floating-point"):
        to_array(image, channels=1, size=4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_grey_is_seen_in_every_mode(mode):
    grey = Image.fromarray(COLOURS[..., 0] // 2 * 2)
    assert is_grey(grey.convert(mode))


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_colour_is_seen_in_every_mode(mode):
    assert not is_grey(Image.fromarray(COLOURS).convert(mode))


def test_grey_stored_as_a_colour_jpeg_is_grey():
    assert is_grey(encoded(Image.fromarray(COLOURS[..., 0]).convert("RGB"), "JPEG", quality=80))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of truncated tags.
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_whatever_breaks_a_picture_is_expected(kind):
    stream = io.BytesIO()
    Image.fromarray(COLOURS).resize((32, 32)).save(stream, kind)
    data = stream.getvalue()
    failed = 0
    for length in range(0, len(data), max(1, len(data) // 40)):
        try:
            to_array(Image.open(io.BytesIO(data[:length])), channels=1, size=8)
        except BROKEN:
            failed += 1
    assert failed >= 20


def test_results_keep_the_order():
    first_may_end = threading.Event()

    def square(number):
        if number == 0:
            assert first_may_end.wait(10)
        if number == 1:
            first_may_end.set()
        return number * number

    assert list(map_ahead(square, range(100))) == [number * number for number in range(100)]


def test_an_endless_list_is_read_only_a_bounded_way_ahead():
    taken = []
    results = map_ahead(lambda number: number, (taken.append(i) or i for i in count()))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(taken) < 100


def test_a_fault_of_the_function_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda number: 1 // number, [1, 0, 1]))


def test_nothing_gives_nothing():
    assert list(map_ahead(str, [])) == []
