"""Working stand-ins for parts that are slow, random or far away."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from frnas_search.coordinator.optimizer import Proposal
from frnas_search.errors import ReplayError
from results.trial import FailureKind, TrialOutcome, TrialRequest
from search_space.candidate import SpaceSettings
from workers.artefacts.digest import digest_of
from workers.artefacts.store import checked_key
from workers.settings import DataSettings, EvaluationSettings, TrainingSettings, TrialJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ConfigSpace import ConfigurationSpace

_TRIES = 100


class ScriptedOptimizer:
    """Proposes what it was given, in that order, and keeps what it is told.

    Attributes:
        told: Every proposal that was told with its costs, None for a failure, in order.
    """

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self.told: list[tuple[Proposal, Mapping[str, float] | None]] = []
        self._script = deque(proposals)
        self._waiting: list[Proposal] = []

    def ask(self) -> Proposal | None:
        if not self._script:
            return None
        self._waiting.append(self._script.popleft())
        return self._waiting[-1]

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        if proposal not in self._waiting:
            raise KeyError(proposal)
        self._waiting.remove(proposal)
        self.told.append((proposal, costs))

    def restore(self, proposal: Proposal) -> None:
        found = self.ask()
        if found != proposal:
            raise ReplayError(f"the log holds {proposal}, but replaying it proposes {found}")


class PromotingOptimizer:
    """New random configurations at rung 0; each that succeeds is asked again a rung higher.

    Samples come from the space's own generator, so a space belongs to one optimizer only.
    """

    def __init__(self, space: ConfigurationSpace, *, n_rungs: int, seed: int) -> None:
        space.seed(seed)
        self._space = space
        self._n_rungs = n_rungs
        self._seen: list[Mapping[str, bool | int | float | str]] = []
        self._promoted: deque[Proposal] = deque()
        self._waiting: list[Proposal] = []

    def ask(self) -> Proposal | None:
        proposal = self._promoted.popleft() if self._promoted else self._new()
        if proposal is not None:
            self._waiting.append(proposal)
        return proposal

    def tell(self, proposal: Proposal, costs: Mapping[str, float] | None) -> None:
        if proposal not in self._waiting:
            raise KeyError(proposal)
        self._waiting.remove(proposal)
        if costs is not None and proposal.rung + 1 < self._n_rungs:
            promoted = Proposal(configuration=proposal.configuration, rung=proposal.rung + 1)
            self._promoted.append(promoted)

    def restore(self, proposal: Proposal) -> None:
        found = self.ask()
        if found != proposal:
            raise ReplayError(f"the log holds {proposal}, but replaying it proposes {found}")

    def _new(self) -> Proposal | None:
        for _ in range(_TRIES):
            sample = dict(self._space.sample_configuration())
            plain = {k: v.item() if hasattr(v, "item") else v for k, v in sample.items()}
            if plain not in self._seen:
                self._seen.append(plain)
                return Proposal(configuration=plain, rung=0)
        return None


class InMemoryArtefacts:
    """An artefact store of this process.

    Args:
        folder: For the files that it fetches; None where nobody does.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._contents: dict[str, bytes] = {}
        self._folder = folder

    def read(self, key: str) -> bytes:
        found = self._contents.get(checked_key(key))
        if found is None:
            raise FileNotFoundError(key)
        return found

    def write(self, key: str, content: bytes | memoryview) -> None:
        self._contents[checked_key(key)] = bytes(content)

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[Path]:
        key = checked_key(key)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "content"
            yield path
            self.write(key, path.read_bytes())

    def fetch(self, key: str) -> Path:
        content = self.read(key)
        assert self._folder is not None
        path = self._folder / checked_key(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def digest(self, key: str) -> str | None:
        found = self._contents.get(checked_key(key))
        return None if found is None else digest_of(found)

    def sizes(self, folder: str) -> dict[str, int]:
        prefix = f"{checked_key(folder)}/" if folder else ""
        contents = self._contents.items()
        return {key: len(content) for key, content in contents if key.startswith(prefix)}

    def remove(self, key: str) -> None:
        key = checked_key(key)
        kept = self._contents.items()
        self._contents = {
            name: content
            for name, content in kept
            if name != key and not name.startswith(f"{key}/")
        }

    def describe(self, key: str) -> str:
        return f"memory:{checked_key(key)}"


def doomed_job(number: int, *, attempt: int = 1) -> TrialJob:
    """A job that fails at once, for its data are not there."""
    request = TrialRequest(
        trial_id=f"t{number:04d}",
        config_id=f"c{number:04d}",
        configuration={
            "edge1": "0",
            "edge2": "0",
            "edge3": "0",
            "head": "CosFace",
            "optimizer": "SGD",
            "lr_sgd": 0.1,
        },
        rung=0,
        epochs=1,
        seed=0,
        attempt=attempt,
    )
    return TrialJob(
        request=request,
        data=DataSettings(pack="/nowhere/no.pack", digest="d", group="g"),
        space=SpaceSettings(width=0.02),
        training=TrainingSettings(device="cpu"),
        evaluation=EvaluationSettings(),
        objectives=("error", "rank_disparity"),
        max_epochs=1,
        split="val",
        artefacts="/nowhere",
        checkpoints="c",
    )


def fail_at_once(each: TrialJob) -> TrialOutcome:
    """What becomes of a job without data."""
    request = each.request
    return TrialOutcome(
        trial_id=request.trial_id, attempt=request.attempt, failure=FailureKind.DATA_ERROR
    )
