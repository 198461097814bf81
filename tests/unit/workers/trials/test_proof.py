"""A worker that cannot do a job says so before it does anything, and never blames the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import doomed_job
from workers.data.packs.pack import Pack
from workers.errors import DataError
from workers.settings import DataSettings
from workers.trials.function import Requirements
from workers.trials.proof import prove
from workers.trials.run import run_trial


@pytest.fixture
def required(pattern_pack: Pack, tmp_path: Path) -> Requirements:
    return Requirements(
        libraries=("torch", "timm"),
        device="cpu",
        data=DataSettings(pack=str(pattern_pack.path), digest=pattern_pack.digest, group="gender"),
        artefacts=str(tmp_path),
    )


def test_a_worker_with_all_of_it_has_proven_itself(required: Requirements) -> None:
    prove(required)


def test_a_library_that_is_not_there_is_named(required: Requirements) -> None:
    with pytest.raises(DataError, match="has no torch_of_tomorrow; install the same frnas"):
        prove(replace(required, libraries=("torch", "torch_of_tomorrow")))


def test_a_pack_of_another_digest_is_refused(required: Requirements) -> None:
    other = replace(required.data, digest="0" * 64)
    with pytest.raises(DataError, match="give this worker the same pack"):
        prove(replace(required, data=other))


def test_a_store_of_another_kind_is_refused(required: Requirements) -> None:
    with pytest.raises(DataError, match="no artefact store of the kind"):
        prove(replace(required, artefacts="gopher://runs/x"))


def test_the_place_is_at_fault_before_the_configuration() -> None:
    job = doomed_job(1)
    nonsense = replace(job.request, configuration={"head": "none"})
    outcome = run_trial(replace(job, request=nonsense))
    assert (outcome.failure, outcome.architecture) == ("data_error", None)
    assert "no such pack" in outcome.detail
