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
from search_space.build import build_network
from search_space.candidate import SpaceSettings, settings_from_json
from search_space.definition.decode import decode
from workers.artefacts.digest import digest_of
from workers.artefacts.directory import DirectoryStore
from workers.artefacts.store import ArtefactStore
from workers.errors import CheckpointError
from workers.evaluation.embedding import embed_batch

SCHEMA = "frnas.model/1"
WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"


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
    directory = path.parent if path.name == DESCRIPTION_NAME else path
    store = DirectoryStore(directory)
    try:
        content = json.loads(store.read(DESCRIPTION_NAME))
        weights = store.read(WEIGHTS_NAME)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"no readable model in {directory} ({error})") from error
    if content.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{directory / DESCRIPTION_NAME} has schema {content.get('schema')!r}; this version "
            f"reads {SCHEMA}"
        )
    if hashlib.sha256(weights).hexdigest() != content["weights"]["sha256"]:
        raise CheckpointError(
            f"{directory / WEIGHTS_NAME} is not what {DESCRIPTION_NAME} describes; copy both again"
        )
    description = _description_from_json(content)
    candidate = decode(description.configuration, description.space)
    network = build_network(
        candidate, in_channels=description.channels, image_size=description.image_size, seed=0
    )
    network.load_state_dict(safetensors.torch.load(weights))
    return EmbeddingNetwork(network, description).eval()


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
