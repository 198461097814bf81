"""Trained models. The only module of `frnas` through which torch is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.models import EmbeddingNetwork


def load_model(path: str | Path) -> EmbeddingNetwork:
    """A model that `frnas retrain` wrote: a `torch.nn.Module` from pictures to embeddings.

    It is on the CPU and in evaluation mode; `.to("cuda")` moves it. Called with aligned faces
    (n, channels, size, size), pixels 0..255, it gives embeddings (n, embedding_size) of length 1,
    to be compared by their inner product. `.description` says what it is and how it was measured,
    `.network` is the network itself, to train on.

    Args:
        path: The model's folder, as in the column `path` of `Run.models`, or its `model.json`.

    Raises:
        CheckpointError: There is no model, or it is damaged or of another version.
        InvalidConfigurationError: This version's search space does not know its configuration.
    """
    from workers.errors import CheckpointError

    if not Path(path).exists():
        raise CheckpointError(f"{path}: there is no model; {_what_is_there(Path(path))}")
    from workers.models import load_model as load

    return load(path)


def _what_is_there(path: Path) -> str:
    """What a reader may have meant instead."""
    folder = path.parent
    names = sorted(description.parent.name for description in folder.glob("*/model.json"))
    if not names:
        return "give a folder that `frnas retrain` wrote, runs/RUN/models/CONFIGURATION-sSEED"
    return f"{folder} holds {', '.join(names)}"
