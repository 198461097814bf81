from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.data.packs.pack import GroupColumn, Pack, PackTable, open_pack, write_pack

SIZE = 32
N_TRAIN, N_VAL, N_TEST, N_IMAGES = 8, 24, 4, 4


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packs that tests verify are not remembered in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks on several threads only wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def _faces(generator: np.random.Generator, n_identities: int) -> np.ndarray:
    """Grey pictures of `N_IMAGES` per identity: a coarse pattern of its own and noise."""
    coarse = generator.integers(40, 216, size=(n_identities, 1, 4, 4))
    pattern = np.kron(coarse, np.ones((1, 1, SIZE // 4, SIZE // 4)))
    noise = generator.normal(0, 40, size=(n_identities, N_IMAGES, SIZE, SIZE))
    return np.clip(pattern + noise, 0, 255).astype(np.uint8).reshape(-1, 1, SIZE, SIZE)


@pytest.fixture(scope="session")
def pattern_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack whose identities differ by a pattern that is easily told apart."""
    path: Path = tmp_path_factory.mktemp("packs") / "patterns.pack"
    n_identities = N_TRAIN + N_VAL + N_TEST
    identity = np.repeat(np.arange(n_identities, dtype=np.int32), N_IMAGES)
    split = np.repeat([0, 1, 2], np.multiply([N_TRAIN, N_VAL, N_TEST], N_IMAGES))
    table = PackTable(
        identity=identity,
        identities=tuple(f"person{index:02d}" for index in range(n_identities)),
        split=split.astype(np.uint8),
        groups={
            "gender": GroupColumn(labels=("f", "m"), codes=(identity % 2).astype(np.int16)),
            "same": GroupColumn(labels=("x",), codes=np.zeros(len(identity), dtype=np.int16)),
        },
        sources=[f"{row}.png" for row in range(len(identity))],
    )
    images = _faces(np.random.default_rng(0), n_identities)
    write_pack(path, images=images, table=table, channels=1, size=SIZE)
    return open_pack(path)
