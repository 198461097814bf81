"""A trained model as files for others: `model.safetensors`, and `model.json` that explains it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from results.atomic import json_bytes
from results.trial import Configuration
from search_space.build import build_network, build_on_meta
from search_space.candidate import SpaceSettings, settings_from_json
from search_space.definition.decode import decode
from search_space.definition.faults import space_faults
from search_space.errors import InvalidConfigurationError
from search_space.typed import shown, type_faults
from workers.artefacts.digest import digest_of
from workers.artefacts.directory import DirectoryStore
from workers.artefacts.store import ArtefactStore
from workers.errors import CheckpointError
from workers.evaluation.embedding import embed_batch

SCHEMA = "frnas.model/1"
WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
_LARGEST_IMAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What a model is, beside its weights.

    Attributes:
        channels: 1 or 3, of the pictures it takes.
        image_size: Side of the pictures in pixels.
        flip: Whether embeddings add up a picture and its mirror image, as in the evaluation.
        metrics: As measured on `provenance`'s split; JSON values.
        provenance: Where it comes from: run, trial, seed, data, versions; JSON values.
    """

    configuration: Configuration
    space: SpaceSettings
    channels: int
    image_size: int
    flip: bool
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]


class EmbeddingNetwork(nn.Module):
    """A trained network that turns pictures into L2-normalised embeddings."""

    def __init__(self, network: nn.Module, description: ModelDescription) -> None:
        super().__init__()
        self.network = network
        self.description = description

    @torch.no_grad()
    def forward(self, images: Tensor | NDArray[np.generic]) -> Tensor:
        """Embeddings (b, d) of aligned faces (b, channels, size, size), pixels 0..255.

        No gradient is kept; to train on, use `network`.

        Raises:
            ValueError: The pictures have another shape.
        """
        images = torch.as_tensor(images, device=next(self.network.parameters()).device)
        side = self.description.image_size
        expected = (self.description.channels, side, side)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"pictures of shape {tuple(images.shape)} do not fit the model; give (b, "
                f"{', '.join(map(str, expected))})"
            )
        return embed_batch(self.network, images, flip=self.description.flip)


def save_model(
    store: ArtefactStore, folder: str, network: nn.Module, description: ModelDescription
) -> dict[str, str]:
    """Keep both files; their keys and digests, `model.json`, which is written last, at the end."""
    weights = safetensors.torch.save(
        {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    )
    content = {
        "schema": SCHEMA,
        **asdict(description),
        "configuration": dict(description.configuration),
        "weights": {"file": WEIGHTS_NAME, "sha256": hashlib.sha256(weights).hexdigest()},
        "input": "aligned faces, (b, channels, image_size, image_size), pixels 0..255",
        "output": "embeddings (b, embedding_size), L2-normalised; compare by inner product",
    }
    files = {
        f"{folder}/{WEIGHTS_NAME}": weights,
        f"{folder}/{DESCRIPTION_NAME}": json_bytes(content),
    }
    for key, written in files.items():
        store.write(key, written)
    return {key: digest_of(written) for key, written in files.items()}


def load_model(path: Path | str) -> EmbeddingNetwork:
    """The model that `save_model` kept, on the CPU and in evaluation mode.

    Args:
        path: The model's folder or its `model.json`.

    Raises:
        CheckpointError: A file is missing, damaged, of another version or of another model.
        InvalidConfigurationError: The configuration is not one of this version's space.
    """
    path = Path(path)
    store = DirectoryStore(path.parent if path.name == DESCRIPTION_NAME else path)
    described, digest = _read_description(store)
    weights = _read_weights(store, digest)
    place = store.describe(DESCRIPTION_NAME)
    try:
        candidate = decode(described.configuration, described.space)
        on_meta = build_on_meta(
            candidate, in_channels=described.channels, image_size=described.image_size
        )
        # Compared before anything is allocated: what is described may be too large for any memory.
        _require_fit(on_meta, weights, store.describe(WEIGHTS_NAME))
        network = build_network(
            candidate, in_channels=described.channels, image_size=described.image_size, seed=0
        )
    except InvalidConfigurationError as error:
        raise InvalidConfigurationError(f"{place}: {error}") from error
    network.load_state_dict(weights)
    return EmbeddingNetwork(network, described).eval()


def _read_description(store: ArtefactStore) -> tuple[ModelDescription, str]:
    """What `model.json` describes, and the weights' sha256 in it.

    Raises:
        CheckpointError: It is missing, damaged, edited wrongly or of another version.
    """
    place = store.describe(DESCRIPTION_NAME)
    content = _json_object(store, _read(store, DESCRIPTION_NAME))
    if content.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{place} has schema {shown(content.get('schema'))}; this version reads {SCHEMA}"
        )
    try:
        description = _description_from_json(content)
        digest = content["weights"]["sha256"]
    except KeyError as error:
        raise _damaged(place, f"it has no {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(place, str(error)) from error
    faults = type_faults(description) or [
        *_picture_faults(description),
        *map(str, space_faults(description.space)),
    ]
    if faults:
        raise _damaged(place, "; ".join(faults))
    return description, str(digest)


def _read(store: ArtefactStore, name: str) -> bytes:
    try:
        return store.read(name)
    except OSError as error:
        raise CheckpointError(
            f"no readable model in {store.describe('')}: {store.describe(name)} cannot be read "
            f"({error.strerror}); give a folder that `frnas retrain` wrote, with both its files"
        ) from error


def _json_object(store: ArtefactStore, text: bytes) -> dict[str, Any]:
    place = store.describe(DESCRIPTION_NAME)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:  # also of what is no UTF-8
        raise CheckpointError(
            f"no readable model in {store.describe('')}: {place} is no JSON ({error}); copy it "
            "again"
        ) from error
    if not isinstance(content, dict):
        raise _damaged(place, f"it is {shown(content)}, not an object")
    return content


def _picture_faults(description: ModelDescription) -> list[str]:
    faults = []
    if description.channels not in (1, 3):
        faults.append(f"channels is {shown(description.channels)}, not 1 or 3")
    if not 1 <= description.image_size <= _LARGEST_IMAGE:
        size = shown(description.image_size)
        faults.append(f"image_size is {size}, not 1 to {_LARGEST_IMAGE}")
    return faults


def _read_weights(store: ArtefactStore, digest: str) -> dict[str, Tensor]:
    """The weights that the description names by their sha256.

    Raises:
        CheckpointError: They are missing, damaged or others.
    """
    place, content = store.describe(WEIGHTS_NAME), _read(store, WEIGHTS_NAME)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(f"{place} is not what {DESCRIPTION_NAME} describes; copy both again")
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{place} cannot be read as safetensors ({error}); copy both files again"
        ) from error


def _require_fit(network: nn.Module, weights: Mapping[str, Tensor], place: str) -> None:
    """Compare the weights with the network that is described.

    Raises:
        CheckpointError: They are of another network.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise CheckpointError(
                f"{place} holds another network than {DESCRIPTION_NAME} describes: {name} has "
                f"shape {found.get(name, 'none')} there, not {wanted.get(name, 'any')}; copy both "
                "files again"
            )


def _damaged(place: str, why: str) -> CheckpointError:
    return CheckpointError(f"{place} is damaged or was edited: {why}; copy it again")


def _description_from_json(content: Mapping[str, Any]) -> ModelDescription:
    return ModelDescription(
        configuration=content["configuration"],
        space=settings_from_json(content["space"]),
        channels=content["channels"],
        image_size=content["image_size"],
        flip=content["flip"],
        metrics=content["metrics"],
        provenance=content["provenance"],
    )
