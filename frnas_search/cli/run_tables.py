"""Documents as tables for people. Knows what to show, never where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from results.front import volume_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Document = dict[str, Any]

_MANY = 10_000
"""Costs from here on are counts, shown without decimals."""


def pareto_table(document: Document) -> Table:
    """The front of a `frnas.pareto/1` document, with 95 % intervals."""
    names = [objective["name"] for objective in document["objectives"]]
    trials = document["trials"]
    table = _table(
        title=f"{document['run']}: front of {len(document['front'])}, "
        f"hypervolume {_volume(document, digits=4)}, "
        f"{trials['finished']} trials finished, {trials['failed']} failed ({document['state']})"
    )
    sizes = () if "parameters" in names else ("parameters",)
    _columns(
        table,
        ("configuration", *names, "epochs", *sizes, "what"),
        right=1 + len(names) + len(sizes),
    )
    for entry in document["front"]:
        architecture = entry["architecture"]
        table.add_row(
            entry["config_id"],
            *(_cost(entry["costs"][name], entry["interval95"].get(name)) for name in names),
            str(entry["epochs"]),
            *(f"{architecture['parameters'] / 1e6:.2f} M" if architecture else "-" for _ in sizes),
            describe_configuration(entry["configuration"]),
        )
    return table


def groups_table(document: Document) -> Table:
    """Error and mean rank of each group, for every entry of the front."""
    table = _table(title="by group")
    _columns(
        table, ("configuration", "group", "error", "mean rank", "probes", "identities"), right=2
    )
    for entry in document["front"]:
        for label, group in entry["metrics"].get("groups", {}).items():
            table.add_row(
                entry["config_id"],
                label,
                f"{group['error']:.4f}",
                f"{group['mean_rank']:.3f}",
                str(group["n_probes"]),
                str(group["n_identities"]),
            )
    return table


def status_table(document: Document) -> Table:
    """A `frnas.status/1` document, a line for each thing."""
    table = Table(
        title=f"{document['run']}: {document['state']}",
        box=box.SIMPLE,
        show_header=False,
        title_justify="left",
    )
    trials = document["trials"]
    limits = {name: limit for name, limit in document["limits"].items() if limit is not None}
    rows: list[tuple[str, str]] = [
        ("reason", document["reason"] or "-"),
        (
            "trials",
            f"{trials['finished']} finished, {trials['running']} running, "
            f"{trials['failed']} failed" + _lost(trials),
        ),
        *_running_rows(document),
        *(
            (
                f"rung {rung['rung']} ({rung['epochs']} epochs)",
                f"{rung['finished']} finished, {rung['running']} running, {rung['failed']} failed",
            )
            for rung in document["rungs"]
        ),
        ("failures", _listed(document["failures"])),
        *((f"best {name}", _best(best)) for name, best in document["best"].items()),
        ("front", f"{document['front_size']} points"),
        ("hypervolume", _volume(document, digits=6)),
        ("epochs spent", str(document["epochs_spent"])),
        ("device time", f"{document['gpu_seconds'] / 3600:.3f} h"),
        ("slot time", _slot_hours(document["slot_seconds"])),
        ("wall time", f"{document['wall_seconds'] / 3600:.3f} h"),
        *_now_rows(document),
        ("limits", _listed(limits)),
        ("last event", f"{document['event']} at {document['updated']}"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _lost(counts: Document) -> str:
    n_lost = counts.get("lost", 0)
    return f", {n_lost} lost (--resume tries them again)" if n_lost else ""


def _running_rows(document: Document) -> list[tuple[str, str]]:
    """A line for each trial that runs."""
    return [(f"  {row['trial_id']}", _running_text(row)) for row in document.get("running", ())]


def _running_text(row: Document) -> str:
    """How far one trial is."""
    if row["epoch"] is None:
        return f"{row['config_id']}, {row['phase']}, asked {_seconds(row['asked_seconds'])} ago"
    share = row["step"] / row["steps"] if row["steps"] else 0.0
    parts = [
        row["config_id"],
        f"{row['phase']}, epoch {row['epoch'] + share:.1f} of {row['epochs']}",
        "" if row["loss"] is None else f"loss {row['loss']:.4g}",
        ""
        if row["pictures_per_second"] is None
        else f"{row['pictures_per_second']:.0f} pictures/s",
        "" if row["seconds_left"] is None else f"{_seconds(row['seconds_left'])} left",
        f"on {row['worker']}",
        f"silent for {_seconds(row['heard_seconds'])}" if (row["heard_seconds"] or 0) > 10 else "",
    ]
    return ", ".join(part for part in parts if part)


def _now_rows(document: Document) -> list[tuple[str, str]]:
    """Who works now, and for how long that will go on."""
    rows = []
    if document.get("seconds_left") is not None:
        rows.append(("time left", f"about {_seconds(document['seconds_left'])}"))
    workers = document.get("workers")
    if workers is not None:
        rows.append(("workers", f"{workers['fit']} fit, {workers['busy']} busy"))
        rows += [("", f"{worker} is {reason}") for worker, reason in workers["idle"].items()]
        if workers["waiting_for"]:
            rows.append(("waiting", workers["waiting_for"]))
    return rows


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def importance_table(document: Document, *, most: int = 15) -> Table:
    """A `frnas.importance/1` document: the hyperparameters that explain most, by objective."""
    table = _table(
        title=f"{document['run']}: variance that each hyperparameter explains alone, "
        f"{document['trials']} trials"
    )
    _columns(table, ("hyperparameter", "share", "±", "active", "objective"), right=3)
    for objective in document["objectives"]:
        for share in objective["hyperparameters"][:most]:
            table.add_row(
                share["name"],
                f"{share['share']:.1%}",
                f"{share['deviation']:.1%}",
                f"{share['active']:.0%}",
                objective["name"],
            )
        explained, by_rung = objective["explained"], objective["rung"]
        label = f"{objective['name']}: R² {explained:.2f}, the rung {by_rung:.0%}"
        table.add_row("together only", f"{objective['interactions']:.1%}", "", "", label)
    return table


def trials_table(document: Document) -> Table:
    """A `frnas.trials/1` document, a row for each trial."""
    table = _table(title=f"{document['run']}: {_which(document, 'trials')}")
    _columns(
        table, ("trial", "configuration", "epochs", "state", "tries", "seconds", "result"), right=5
    )
    for trial in document["trials"]:
        table.add_row(
            trial["trial_id"],
            trial["config_id"],
            str(trial["epochs"]),
            trial["failure"] or trial["state"],
            str(trial["attempts"]),
            f"{trial['seconds']:.1f}",
            _result(trial),
        )
    return table


def failures_table(document: Document) -> Table:
    """The failed trials of a `frnas.trials/1` document, with the last lines of their logs.

    Attempts that were lost before the one that counted have rows of their own.
    """
    failed = [trial for trial in document["trials"] if trial["failure"] is not None]
    table = _table(title=f"{document['run']}: {_which(document, 'failed trials', len(failed))}")
    _columns(
        table,
        ("trial", "epochs", "attempt", "seconds", "failure", "worker", "message and last lines"),
        right=3,
    )
    for trial in failed:
        last = {**trial, "attempt": trial["attempts"]}
        for attempt in (*trial["losses"], last):
            table.add_row(
                trial["trial_id"],
                str(trial["epochs"]),
                str(attempt["attempt"]),
                f"{attempt['seconds']:.1f}",
                attempt["failure"],
                attempt["worker"] or "-",
                _failure_message(attempt),
            )
    return table


def retrained_table(document: Document) -> Table:
    """A `frnas.retrained/1` document: means over seeds with their 95 % intervals."""
    names = list(
        dict.fromkeys(name for entry in document["models"] for name in entry["costs"] or {})
    )
    table = _table(title=f"{document['run']}: retrained, measured on the test split")
    _columns(table, ("configuration", "epochs", "seeds", *names, "models"), right=2 + len(names))
    for entry in document["models"]:
        costs = entry["costs"] or {}
        done = [seed for seed in entry["seeds"] if seed["costs"] is not None]
        table.add_row(
            entry["config_id"],
            str(entry["epochs"]),
            f"{len(done)} of {len(entry['seeds'])}",
            *(_cost(costs[n]["mean"], costs[n]["interval95"]) if costs else "-" for n in names),
            ", ".join(seed["model"] for seed in entry["seeds"] if seed["model"]) or "-",
        )
    return table


def baseline_table(answer: Document, *, title: str) -> Table:
    """Costs with intervals, and each group's error and mean rank."""
    table = _table(title=title)
    _columns(table, ("what", "value", "mean rank", "probes"), right=3)
    for name, cost in answer["costs"].items():
        table.add_row(name.replace("_", " "), _cost(cost, answer["interval95"][name]), "", "")
    for label, group in answer["metrics"]["groups"].items():
        table.add_row(
            f"error of {label}",
            f"{group['error']:.4f}",
            f"{group['mean_rank']:.3f}",
            str(group["n_probes"]),
        )
    return table


def describe_configuration(configuration: Mapping[str, Any]) -> str:
    """A configuration in one short line."""
    # Knows the search space, which the other tables do without.
    from frnas_search.cli.configuration_text import described

    return described(configuration)


def _volume(document: Document, *, digits: int) -> str:
    return volume_text(document["hypervolume"], document.get("hypervolume_error"), digits=digits)


def _which(document: Document, what: str, n_shown: int | None = None) -> str:
    """How many trials are shown, and which of them where there are more."""
    n_trials = len(document["trials"]) if n_shown is None else n_shown
    offset, total = document.get("offset", 0), document.get("total", n_trials)
    if n_trials >= total or not n_trials:
        return f"{n_trials} {what}"
    return f"{what} {offset + 1} to {offset + n_trials} of {total}"


def _table(*, title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _columns(table: Table, names: Sequence[str], *, right: int) -> None:
    """Add columns; all but the first and those from `right` on are aligned to the right."""
    for index, name in enumerate(names):
        is_number = 0 < index <= right
        table.add_column(
            name.replace("_", " "), justify="right" if is_number else "left", overflow="fold"
        )


def _cost(cost: float, interval: Sequence[float] | None) -> str:
    shown = f"{cost:.4f}" if cost < _MANY else f"{cost:,.0f}"
    if interval is None or interval[0] == interval[1]:  # a size is known exactly
        return shown
    return f"{shown} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _best(best: Document | None) -> str:
    if best is None:
        return "none yet"
    return f"{best['cost']:.6g} ({best['config_id']}, {best['trial_id']})"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items()) or "none"


def _slot_hours(seconds: Mapping[str, float | None]) -> str:
    """Hours by what they went into; what is unknown or nothing is left out."""
    parts = [f"{name} {value / 3600:.3f} h" for name, value in seconds.items() if value]
    return ", ".join(parts) or "none"


def _failure_message(failure: Document) -> str:
    """The message, and of the log what the message does not hold already."""
    detail = str(failure["detail"]).strip()
    lines = [line for line in failure["log"] if line.strip() and line not in detail]
    return "\n".join([detail or "no message", *(f"| {line}" for line in lines)])


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _result(trial: Document) -> str:
    if trial["costs"] is not None:
        return "  ".join(f"{name} {cost:.4g}" for name, cost in trial["costs"].items())
    return str(trial["detail"]).split("\n")[0]
