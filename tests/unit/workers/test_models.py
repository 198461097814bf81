from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from search_space.build import build_network
from search_space.candidate import SpaceSettings
from search_space.definition.decode import decode
from search_space.errors import InvalidConfigurationError
from workers import models
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


GARBAGE: tuple[Any, ...] = (None, True, "x", -1, 10**400, float("nan"), [], {"a": [[None]]})


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in a JSON value, but for the value as a whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in inside:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def edited(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The content with one entry left out, or with garbage in its place."""
    for *path, key in places(content):
        for number in range(-1, len(GARBAGE)):
            changed = copy.deepcopy(content)
            at = changed
            for step in path:
                at = at[step]  # type: ignore[index]
            if number < 0:
                del at[key]  # type: ignore[arg-type]
            else:
                at[key] = GARBAGE[number]  # type: ignore[index]
            yield changed


def test_a_description_that_was_edited_in_any_way_is_loaded_or_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, trained_network())
    original = json.loads(path.read_text(encoding="utf-8"))
    # Which network is built of it is seen in other tests, and takes its time.
    network = load_model(path).network
    for name in ("build_on_meta", "build_network"):
        monkeypatch.setattr(models, name, lambda *_, **__: network)
    refusals, n_loaded = [], 0
    for content in edited(original):
        path.write_text(json.dumps(content), encoding="utf-8")
        try:
            load_model(path)
            n_loaded += 1
        except (CheckpointError, InvalidConfigurationError) as error:
            refusals.append(str(error))
    assert [
        said for said in refusals if not said.startswith(str(path.parent)) or "\n" in said
    ] == []
    assert len(refusals) > 200
    assert n_loaded > 50, "metrics and provenance say what they like"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"null", b"[]", b"3", b"\0" * 99, b"[" * 100_000, b"1" * 10_000],
    ids=lambda content: repr(content[:8]),
)
def test_what_is_no_description_is_refused_by_its_file(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path, trained_network())
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.json is .*; copy it again"):
        load_model(path)


def described(path: Path, **changes: Any) -> None:
    """Change entries of a model's description, with a sha256 that is that of the weights."""
    content = json.loads(path.read_text(encoding="utf-8"))
    weights = path.with_name("model.safetensors").read_bytes()
    content["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


@pytest.mark.parametrize("damage", ["cut", "cut in the header", "emptied", "garbage", "longer"])
def test_damaged_weights_are_refused_even_where_their_digest_was_made_anew(
    tmp_path: Path, damage: str
) -> None:
    path = saved(tmp_path, trained_network())
    weights = path.with_name("model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "cut in the header": content[:20],
            "emptied": b"",
            "garbage": b"\xff" * 500,
            "longer": content + b"more",
        }[damage]
    )
    with pytest.raises(CheckpointError, match=r"is not what model\.json describes; copy both"):
        load_model(path)
    described(path)
    with pytest.raises(CheckpointError, match=r"cannot be read as safetensors \(.*copy both"):
        load_model(path)


@pytest.mark.parametrize("change", ["one missing", "one more", "another shape", "none"])
def test_weights_of_another_network_are_refused_by_the_first_that_differs(
    tmp_path: Path, change: str
) -> None:
    path = saved(tmp_path, trained_network())
    weights = path.with_name("model.safetensors")
    tensors = safetensors.torch.load_file(weights)
    name = min(tensors)
    others = {key: tensor for key, tensor in tensors.items() if key != name}
    changed = {
        "one missing": others,
        "one more": {**tensors, "zz": torch.zeros(1)},
        "another shape": {**others, name: torch.zeros(3, 1, 4)},
        "none": {},
    }[change]
    weights.write_bytes(safetensors.torch.save(changed))
    described(path)
    expected = "zz has shape (1,) there" if change == "one more" else f"{name} has shape "
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    assert expected in str(caught.value)
    assert "holds another network than model.json describes" in str(caught.value)


def test_a_network_too_large_for_any_memory_is_refused_before_it_is_built(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path, trained_network())
    space = json.loads(path.read_text(encoding="utf-8"))["space"]
    described(path, space={**space, "width": 4.0, "blocks_per_stage": 8, "embedding_size": 16_384})
    with pytest.raises(CheckpointError, match="holds another network"):
        load_model(path)
    described(path, space={**space, "blocks_per_stage": 10**9})
    with pytest.raises(CheckpointError, match=r"space\.blocks_per_stage: 1000000000 is outside"):
        load_model(path)


def test_a_configuration_that_is_none_of_the_space_is_told_with_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path, trained_network())
    described(path, configuration={**CONFIGURATION, "edge1": "99"})
    with pytest.raises(InvalidConfigurationError, match=r"model\.json: .*edge1 is '99'; give one"):
        load_model(path)


def test_a_model_without_one_of_its_files_says_which(tmp_path: Path) -> None:
    path = saved(tmp_path, trained_network())
    path.with_name("model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"model/model\.safetensors cannot be read \(No such"
    ):
        load_model(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(
        CheckpointError, match=r"model/model\.json cannot be read \(Is a directory"
    ):
        load_model(path)
