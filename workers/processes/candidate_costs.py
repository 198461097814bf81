"""Build configurations' networks and say what they cost; in a process of its own, for torch."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from search_space.candidate import SpaceSettings, Value, settings_from_json, settings_to_json
from search_space.definition.decode import decode
from workers.processes.side_process import answer_with, ask

if TYPE_CHECKING:
    import torch

    from search_space.candidate import Candidate

# What building a network or embedding with it raises where the two do not fit each other, or the
# machine; InvalidConfigurationError is one of them, and so is torch's lack of memory.
_MISFITS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCost:
    """What became of one configuration; as `search_space.build.network_cost` has it.

    Attributes:
        milliseconds_per_image: None unless it was to be measured.
        device: Where that was measured.
    """

    family: str
    hash: str
    parameters: int
    macs: int
    activation_bytes: int
    milliseconds_per_image: float | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """One configuration's network: its cost, or why it cannot be built.

    Attributes:
        seconds: That building and counting took.
        fault: None if it was built.
    """

    seconds: float
    cost: BuiltCost | None = None
    fault: str | None = None


def candidate_costs(
    settings: SpaceSettings,
    configurations: Sequence[Mapping[str, Value]],
    *,
    in_channels: int,
    image_size: int,
    measure_throughput: bool = False,
) -> tuple[BuildReport, ...]:
    """Build each configuration's network without memory for its weights, in another process.

    Args:
        settings: Settings without faults.
        configurations: Of this space; one that is not has that as its fault.
        in_channels: 1 or 3.
        image_size: Side of the pictures in pixels.
        measure_throughput: Also build it in earnest and embed pictures on this machine's device,
            the first GPU if there is one.

    Returns:
        A report for each configuration, in their order.

    Raises:
        subprocess.CalledProcessError: The process itself failed, which is a bug.
    """
    if not configurations:
        return ()
    question = {
        "settings": settings_to_json(settings),
        "configurations": [dict(configuration) for configuration in configurations],
        "in_channels": in_channels,
        "image_size": image_size,
        "measure_throughput": measure_throughput,
    }
    return tuple(
        _report_from_json(report) for report in ask("workers.processes.candidate_costs", question)
    )


def _report_from_json(value: Mapping[str, Any]) -> BuildReport:
    cost = value["cost"]
    return BuildReport(
        seconds=value["seconds"],
        cost=None if cost is None else BuiltCost(**cost),
        fault=value["fault"],
    )


def _answer(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    import torch  # must not come with the module

    importlib.import_module("search_space.build")  # its loading is no network's time
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [
        _report(configuration, question, device) for configuration in question["configurations"]
    ]


def _report(
    configuration: Mapping[str, Value], question: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    started = time.perf_counter()
    cost, fault = None, None
    try:
        cost = _cost(configuration, question, device)
    except _MISFITS as error:
        fault = " ".join(str(error).split()) or type(error).__name__
    return {"seconds": time.perf_counter() - started, "cost": cost, "fault": fault}


def _cost(
    configuration: Mapping[str, Value], question: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    from search_space.build import network_cost

    candidate = decode(configuration, settings_from_json(question["settings"]))
    size = {"in_channels": question["in_channels"], "image_size": question["image_size"]}
    cost = asdict(network_cost(candidate, **size))
    if question["measure_throughput"]:
        cost["milliseconds_per_image"] = _milliseconds(candidate, size, device)
        cost["device"] = _name_of(device)
    return cost


def _milliseconds(candidate: Candidate, size: Mapping[str, int], device: torch.device) -> float:
    import torch

    from search_space.build import build_network
    from workers.training.throughput import milliseconds_per_image

    in_channels, image_size = size["in_channels"], size["image_size"]
    network = build_network(candidate, in_channels=in_channels, image_size=image_size, seed=0)
    # The strides of an evaluation, in two steps because one call with both has no type.
    network = network.to(device).to(memory_format=torch.channels_last)
    return milliseconds_per_image(
        network, in_channels=in_channels, image_size=image_size, device=device
    )


def _name_of(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    answer_with(_answer)
