from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from workers.data.importing.decoding_memory import DecodingMemory, TooLargeError
from workers.data.sources.source import FaceRow, FaceSource

ROW = FaceRow(source="x.png", position=0, identity="x", labels={})


def source(size=(10, 10), mode="RGB", file_bytes=None):
    return FaceSource(
        rows=[ROW],
        columns=(),
        read=lambda row: Image.new(mode, size),
        file_bytes=None if file_bytes is None else lambda row: file_bytes,
    )


def test_a_picture_that_fits_is_opened():
    with DecodingMemory(10_000).opened(source(file_bytes=2_500), ROW) as image:
        assert image.size == (10, 10)


def test_a_file_larger_than_its_share_is_not_read():
    def read(row):
        raise AssertionError

    faces = FaceSource(rows=[ROW], columns=(), read=read, file_bytes=lambda row: 10**12)
    with (
        pytest.raises(TooLargeError, match=r"1,000,000,000,000 bytes takes .* --memory-gb"),
        DecodingMemory(4 * 10**9).opened(faces, ROW),
    ):
        pass


def test_a_picture_of_too_many_pixels_is_not_decoded():
    memory = DecodingMemory(10**6)
    with (
        pytest.raises(TooLargeError, match=r"decoding 4 megapixels takes 48 MB of memory"),
        memory.opened(source((2000, 2000)), ROW),
    ):
        pass
    # What it asked for is free again.
    with memory.opened(source((200, 200)), ROW):
        pass


def test_deep_pixels_take_more():
    with (
        pytest.raises(TooLargeError),
        DecodingMemory(25_000).opened(source((40, 30), "I;16"), ROW),
    ):
        pass
    with DecodingMemory(25_000).opened(source((40, 30), "L"), ROW):
        pass


def test_threads_share_what_there_is_and_none_waits_for_ever():
    memory = DecodingMemory(40_000)  # 30,000 for pixels: two pictures of 1,000 at once.
    faces = source((40, 25), file_bytes=5_000)
    now, most = [0], [0]
    lock = threading.Lock()

    def decode():
        for _ in range(20):
            with memory.opened(faces, ROW) as image:
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                np.asarray(image)
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert 1 <= most[0] <= 2
