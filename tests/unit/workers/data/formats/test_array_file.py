from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from workers.data.formats.array_file import read_array_header


def header(text, version=1):
    data = text if isinstance(text, bytes) else text.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(data))
    return io.BytesIO(b"\x93NUMPY" + bytes([version, 0]) + length + data)


@pytest.mark.parametrize("dtype", ["u1", "<i8", "U12", "S3", "?", ">f4"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 5), (4, 3, 2)])
def test_a_header_promises_what_numpy_wrote(dtype, shape):
    data = io.BytesIO()
    np.save(data, np.zeros(shape, dtype))
    data.seek(0)
    found = read_array_header(data)
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    assert found.n_bytes == len(data.getvalue())


@pytest.mark.parametrize("version", [1, 2, 3])
def test_terabytes_are_promised_and_nothing_is_taken(version):
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 3), }"
    assert read_array_header(header(text, version)).n_bytes > 3 * 10**12


def test_long_numbers_of_python_2_are_numbers():
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (10L, 2L), }"
    assert read_array_header(header(text)).shape == (10, 2)


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (io.BytesIO(b""), "no array"),
        (io.BytesIO(b"PK\x03\x04 something"), "no array"),
        (io.BytesIO(b"\x93NUMPY\x01\x00\x01"), "cut off"),
        (header("{'descr': '|u1', 'shape': (1,"), "damaged"),
        (header("(" * 5000), "damaged"),
        (header("__import__('os')"), "damaged"),
        (header("{'descr': '|u1'}"), "damaged"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}"), "no shape"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': 'x'}"), "no shape"),
        (header("{'descr': 'qqq', 'fortran_order': False, 'shape': (1,)}"), "no type"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "Python objects"),
        (header(b" " * 20_000), "a header of 20,000 bytes"),
    ],
)
def test_what_is_no_header_is_said(stream, words):
    with pytest.raises(ValueError, match=words):
        read_array_header(stream)
