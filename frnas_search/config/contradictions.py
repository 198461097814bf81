"""What is wrong with a run file although each of its values is of the right type. Pure.

Values that are not known, because of a fault of their own, are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from results.objectives import NEEDS, OBJECTIVE_NAMES, objective
from search_space.definition.faults import space_faults
from search_space.definition.hyperparameters import DROP_PATH, MITIGATION, variant_name
from search_space.fault import Fault, is_at
from workers.settings import FACE_NETWORK
from workers.trials.registry import trial_function

if TYPE_CHECKING:
    from frnas_search.config.run_config import EvaluationSection, RunConfig
    from search_space.fault import KeyPath

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# More than any data have: the range of a rank is not known before they are opened.
_MOST_IDENTITIES = 10**9
_SAMPLER = ("search", "sampler")
# Hyperparameters whose values or conditions follow from pictures and groups.
LATE = (variant_name(""), MITIGATION, DROP_PATH)


def contradictions(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    """Values of a section that do not go together.

    Args:
        config: The run file; what stands at an unknown place does not count.
        unknown: Places with a fault that is told already.
    """
    return [
        *_data_faults(config, unknown),
        *space_faults(config.space.settings(), told=unknown, undecided=LATE),
        *_fidelity_faults(config, unknown),
        *_stop_faults(config, unknown),
        *_slot_faults(config, unknown),
        *_engine_faults(config, unknown),
    ]


def naming_faults(
    raw: Mapping[str, Any], config: RunConfig, unknown: Collection[KeyPath]
) -> list[Fault]:
    """Names of the run, of objectives, and of what is measured for them.

    Args:
        raw: The run file as it was read: of a list with a fault, the other names count.
        config: What of it is sound.
        unknown: Places with a fault that is told already.
    """
    faults = []
    name, objectives = raw.get("name"), raw.get("objectives")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        message = f"{name!r} cannot be a folder's name; use letters, digits, . _ -"
        faults.append(Fault(("name",), message))
    if objectives is None:
        objectives = config.objectives
    if not isinstance(objectives, list | tuple):
        return faults
    named = [name for name in objectives if isinstance(name, str)]
    messages = _messages_of_objectives(named, config.evaluation, unknown)
    faults += [Fault(("objectives",), message) for message in messages]
    is_sure = set(named) <= set(OBJECTIVE_NAMES) and not is_at(("objectives",), unknown)
    return [*faults, *_max_cost_faults(raw.get("constraints"), named, config, is_sure=is_sure)]


def _messages_of_objectives(
    named: Sequence[str], evaluation: EvaluationSection, unknown: Collection[KeyPath]
) -> list[str]:
    """Objectives that there are not, or that nothing would measure: every trial would fail."""
    distinct = dict.fromkeys(named)
    messages = [
        f"{name!r} is not one of {', '.join(OBJECTIVE_NAMES)}"
        for name in distinct
        if name not in OBJECTIVE_NAMES
    ]
    if len(distinct) < len(named):
        messages.append("one is named twice; name each once")
    measured = trial_function(FACE_NETWORK).costs(evaluation.settings())
    return messages + [
        f"{name!r} needs `evaluation.{NEEDS[name]}: true`"
        for name in distinct
        if name in NEEDS
        and name not in measured
        and not is_at(("evaluation", NEEDS[name]), unknown)
    ]


def _max_cost_faults(
    constraints: object, objectives: Sequence[str], config: RunConfig, *, is_sure: bool
) -> list[Fault]:
    """Limits on what is not minimised, or that nothing keeps within, or everything.

    Args:
        constraints: The section as it was read.
        objectives: Those of the run.
        config: What of the run file is sound.
        is_sure: Whether the objectives have no fault, so that they are those that are meant.
    """
    limits = constraints.get("max_cost") if isinstance(constraints, Mapping) else None
    faults = []
    for name in limits if isinstance(limits, Mapping) else ():
        if not isinstance(name, str):
            continue  # told as what is not a name
        if name not in objectives:
            message = None
            if is_sure or name not in OBJECTIVE_NAMES:
                known = ", ".join(objectives)
                message = f"is not an objective of this run; its objectives are {known}"
        else:
            message = _message_of_cost(name, config.constraints.max_cost.get(name))
        if message is not None:
            faults.append(Fault(("constraints", "max_cost", name), message))
    return faults


def _message_of_cost(name: str, cost: float | None) -> str | None:
    if cost is None or name not in OBJECTIVE_NAMES:
        return None  # told elsewhere
    return objective(name, n_identities=_MOST_IDENTITIES).range_fault(cost)


def _data_faults(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    if ("data",) in unknown:
        return []
    given = [
        name
        for name in ("pack", "synthetic")
        if getattr(config.data, name) is not None or is_at(("data", name), unknown)
    ]
    if len(given) == 1:
        return []
    return [Fault(("data",), "give either `pack: FILE` or `synthetic: {}`, one of the two")]


def _fidelity_faults(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    fidelity = config.fidelity
    epochs = ("min_epochs", "max_epochs")
    is_known = not any(is_at(("fidelity", name), unknown) for name in epochs)
    if not is_known or fidelity.min_epochs <= fidelity.max_epochs:
        return []
    message = (
        f"min_epochs is {fidelity.min_epochs} and max_epochs is {fidelity.max_epochs}; "
        "the first must not be larger"
    )
    return [Fault(("fidelity",), message)]


def _stop_faults(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    limits = config.stop.model_dump()
    if is_at(("stop",), unknown) or any(limit is not None for limit in limits.values()):
        return []
    message = "every limit is null; give at least one, such as `trials: 200`"
    return [Fault(("stop",), message)]


def _engine_faults(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    """Parts of an engine that is not used, or that does not know what it is to heed."""
    search = config.search
    engine = search.engine
    faults = []
    is_default = engine == type(engine)()
    if search.sampler != "smac" and not is_default and not is_at(_SAMPLER, unknown):
        message = f"has parts of `smac`, and the sampler is {search.sampler}; leave them out"
        faults.append(Fault(("search", "engine"), message))
    elif config.constraints.max_cost and engine.acquisition == "parego_ei":
        message = (
            "parego_ei sees one cost made of all, and nothing of `constraints.max_cost`; choose "
            "hypervolume or noisy_hypervolume"
        )
        faults.append(Fault(("search", "engine", "acquisition"), message))
    return faults


def _slot_faults(config: RunConfig, unknown: Collection[KeyPath]) -> list[Fault]:
    search = config.search
    is_known = not is_at(("search", "virtual_time"), unknown)
    if search.slots is None or search.virtual_time or not is_known:
        return []
    message = (
        "slots are those of a virtual clock; give `virtual_time: true` as well, or "
        "`workers.local` for the workers to start here"
    )
    return [Fault(("search",), message)]
