from __future__ import annotations

import pytest

from workers.data.sources.pack_settings import PackSettings
from workers.errors import DataError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 7}, "size 7 is out of range; give 8 to 1024"),
        ({"size": 1025}, "size 1025 is out of range"),
        ({"min_images": 0}, "min_images 0 is too small"),
        ({"max_val_identities": 0}, "max_val_identities 0 is too small"),
        ({"max_broken_fraction": 1.1}, "max_broken_fraction 1.1 is out of range"),
        ({"max_left_out_fraction": -0.1}, "max_left_out_fraction -0.1 is out of range"),
        ({"memory_gb": 0.0}, "memory_gb 0.0 is out of range; give 0.1 to 100,000"),
        ({"memory_gb": float("inf")}, "memory_gb inf is out of range"),
        ({"memory_gb": float("nan")}, "memory_gb nan is out of range"),
        ({"max_broken_fraction": float("nan")}, "max_broken_fraction nan is out of range"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        PackSettings(**settings)


def test_the_ends_of_the_ranges_are_allowed():
    PackSettings(size=8, min_images=1, max_broken_fraction=0)
    PackSettings(size=1024, max_broken_fraction=1)
