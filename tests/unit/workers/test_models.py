from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from search_space.build import build_network
from search_space.candidate import SpaceSettings
from search_space.definition.decode import decode
from workers.artefacts.directory import DirectoryStore
from workers.errors import CheckpointError
from workers.models import ModelDescription, load_model, save_model

CONFIGURATION = {
    "edge1": "3",
    "edge2": "0",
    "edge3": "1",
    "head": "CosFace",
    "optimizer": "SGD",
    "lr_sgd": 0.1,
}
SPACE = SpaceSettings(preset="paper", width=0.02, embedding_size=16)
DESCRIPTION = ModelDescription(
    configuration=CONFIGURATION,
    space=SPACE,
    channels=1,
    image_size=32,
    flip=True,
    metrics={"overall": {"error": 0.25, "error_ratio": None}},
    provenance={"run": "test", "seed": 3},
)


def trained_network() -> nn.Module:
    """A network whose weights and running statistics are not those it was built with."""
    candidate = decode(CONFIGURATION, SPACE)
    network = build_network(candidate, in_channels=1, image_size=32, seed=5)
    network.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(3):
        network(torch.randn(8, 1, 32, 32, generator=generator))
    return network.eval()


def saved(folder: Path, network: nn.Module) -> Path:
    """Keep the network as `folder/model`; the path of its description."""
    *_, key = save_model(DirectoryStore(folder), "model", network, DESCRIPTION)
    return folder / key


def faces() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 1, 32, 32), generator=generator, dtype=torch.uint8)


def test_a_saved_model_is_loaded_equal_to_the_bit(tmp_path: Path) -> None:
    network = trained_network()
    store = DirectoryStore(tmp_path)
    files = save_model(store, "model", network, DESCRIPTION)
    assert files == {
        key: store.digest(key) for key in ("model/model.safetensors", "model/model.json")
    }
    *_, key = files
    loaded = load_model(tmp_path / key)
    assert not loaded.training
    assert loaded.description == DESCRIPTION
    ours, theirs = network.state_dict(), loaded.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    again = load_model(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(loaded(faces()), again(faces()))


def test_it_gives_the_normalised_sum_over_both_mirror_images(tmp_path: Path) -> None:
    network = trained_network()
    model = load_model(saved(tmp_path, network))
    with torch.no_grad():
        images = faces().float() / 127.5 - 1.0
        expected = nn.functional.normalize(network(images) + network(images.flip(3)))
        torch.testing.assert_close(model(faces()), expected)


def test_whole_numbers_and_floats_give_the_same_embeddings(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, trained_network()))
    pixels = faces().float()
    with torch.no_grad():
        assert torch.equal(model(faces()), model(pixels))
    assert torch.equal(pixels, faces().float())


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, trained_network()))
    with pytest.raises(ValueError, match=r"\(b, 1, 32, 32\)"):
        model(torch.zeros(2, 3, 32, 32))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    weights = saved(tmp_path, trained_network()).with_name("model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0xFF
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="not what model"):
        load_model(weights.parent)


def test_a_description_of_another_version_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, trained_network())
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "frnas.model/9"}))
    with pytest.raises(CheckpointError, match=r"frnas\.model/9"):
        load_model(path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no readable model"):
        load_model(tmp_path)


def test_arrays_and_the_path_as_text_will_do_and_no_gradient_is_kept(tmp_path: Path) -> None:
    model = load_model(str(saved(tmp_path, trained_network()).parent))
    embeddings = model(faces().numpy())
    assert torch.equal(embeddings, model(faces()))
    assert embeddings.numpy().shape == (5, 16)
