"""Random kills of every kind of process, while searches train: nothing may be lost or made up.

python benchmarks/chaos.py [--kills N] [--seed S] [--quick] [--json FILE] [--keep FOLDER]

Small networks are really trained on synthetic faces. Scheduler, workers and search run under a
supervisor that starts again what has died, and are struck from a seeded plan: SIGKILL, SIGTERM,
SIGSTOP with SIGCONT some seconds later, SIGTERM to a whole process group. At the end each log is
held against the same trainings undisturbed. Only processes that this script has started are
signalled. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.kills.account import Account, Kill, account, requests_of, table
from benchmarks.kills.campaign import Campaign, wait_for_end
from benchmarks.kills.fleet import Fleet
from benchmarks.kills.plan import SearchPlan, Strike, searches, strikes
from benchmarks.kills.reference import (
    alone,
    blueprint,
    course,
    missing_checkpoints,
    other_proposals,
    told,
)
from results.atomic import write_json_atomically, write_text_atomically

RUN_FILE = """\
name: {name}
seed: {seed}
data: {{synthetic: {{size: 24}}, group: group}}
space: {{preset: paper, width: 0.02, embedding_size: 16}}
fidelity: {{min_epochs: 3, max_epochs: 6, eta: 2}}
stop: {{trials: {n_trials}}}
training: {{device: cpu, threads: 1, augmentation: 0.2, batch_size: 16, checkpoint_seconds: 1}}
evaluation: {{n_replicates: 100}}
search: {{initial_configurations: 3}}
workers: {{local: 2}}
"""
IN_VIRTUAL_TIME = ("--virtual-time", "--slots", "2")
MOST_SECONDS = 900.0
_COLUMNS = (
    "kind",
    "signal",
    "kills",
    "running",
    "trials_hit",
    "attempts_lost",
    "lost",
    "told_twice",
    "false",
)


@dataclass(slots=True, kw_only=True)
class Chaos:
    """All searches together.

    Attributes:
        folder: For their runs and logs.
        accounts: By run.
        faults: All that must not be, in words.
    """

    folder: Path
    n_trials: int
    most: int
    seed: int
    n_at_once: int
    kills: list[Kill] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    n_same_course: int = 0
    n_virtual: int = 0
    n_searches: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, todo: Sequence[Strike]) -> None:
        """Search and strike until all strikes have met somebody."""
        while todo:
            plans = searches(todo, most=self.most, seed=self.seed, first=self.n_searches + 1)
            self.n_searches += len(plans)
            with ThreadPoolExecutor(self.n_at_once) as pool:
                unused = list(pool.map(self._search, plans))
            todo = [strike for strikes_left in unused for strike in strikes_left]

    def _search(self, plan: SearchPlan) -> list[Strike]:
        campaign = Campaign(plan=plan, fleet=self._fleet(plan))
        campaign.run(most_seconds=MOST_SECONDS, say=say)
        reference = self._reference(plan) if plan.is_virtual else None
        with self._lock:  # one thread at a time trains in this process
            self._judge(campaign, reference)
        return campaign.unused

    def _fleet(self, plan: SearchPlan, name: str = "") -> Fleet:
        folder = self.folder / (name or plan.name)
        folder.mkdir(parents=True)
        text = RUN_FILE.format(name=plan.name, seed=plan.seed, n_trials=self.n_trials)
        write_text_atomically(folder / "run.yaml", text)
        return Fleet(
            folder=folder,
            name=plan.name,
            options=IN_VIRTUAL_TIME if plan.is_virtual else (),
            is_cluster=plan.mode == "cluster" and not name,
        )

    def _reference(self, plan: SearchPlan) -> Fleet:
        """The same search, undisturbed."""
        fleet = self._fleet(plan, f"{plan.name}-undisturbed")
        if not wait_for_end(fleet, most_seconds=MOST_SECONDS):
            raise RuntimeError(
                f"{fleet.folder}: the undisturbed search does not end; see its logs"
            )
        return fleet

    def _judge(self, campaign: Campaign, reference: Fleet | None) -> None:
        plan, fleet = campaign.plan, campaign.fleet
        self.kills += campaign.kills
        self.faults += campaign.faults
        log = fleet.log()
        if not log:
            self.accounts[plan.name] = Account()
            self.faults.append(f"{plan.name}: has no log")
            return
        design = blueprint(fleet.run)
        folder = self.folder / plan.name / "alone"
        known = told(reference.log()) if reference else {}
        truth = alone(design, requests_of(log).values(), folder, known=known)
        found = self.accounts[plan.name] = account(log, campaign.kills, truth)
        self._note_faults(plan.name, found)
        if wrong := other_proposals(design, log):
            self.faults.append(f"{plan.name}: {wrong[0]} is not proposed again on replay")
        for key in missing_checkpoints(fleet.run, log):
            self.faults.append(f"{plan.name}: checkpoint {key} is missing")
        same = ""
        if reference is not None:
            same = self._compared(plan.name, course(log), course(reference.log()))
        say(
            f"{plan.name} ({plan.mode}) over after {campaign.seconds:.0f} s and "
            f"{len(campaign.kills)} kills: {found.n_trials} trials, {len(found.lost)} lost, "
            f"{len(found.told_twice)} told twice, {len(found.false)} false, "
            f"{len(found.given_up)} given up on the way and handed out again{same}; "
            f"search started {fleet.n_starts.get('search', 0)} times"
        )

    def _note_faults(self, name: str, found: Account) -> None:
        self.faults += [f"{name}: {trial_id} lost" for trial_id in sorted(found.lost)]
        self.faults += [f"{name}: {trial_id} told twice" for trial_id in sorted(found.told_twice)]
        self.faults += [f"{name}: {trial_id} {words}" for trial_id, words in found.false.items()]

    def _compared(self, name: str, found: list[str], wanted: list[str]) -> str:
        """Whether a search in virtual time went as the undisturbed one, in words."""
        self.n_virtual += 1
        if found == wanted:
            self.n_same_course += 1
            return "; its course is that of the undisturbed search"
        pairs = enumerate(zip(found, wanted, strict=False))
        first = next((n for n, (here, there) in pairs if here != there), len(wanted))
        words = f"its course differs from the undisturbed search's from step {first + 1} on"
        if not self.accounts[name].given_up:  # what is given up ends later than the seed says
            self.faults.append(f"{name}: {words}")
        return f"; {words}"


def say(text: str) -> None:
    """Print a line at once, for a run takes long."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def printed(rows: Iterable[dict[str, Any]]) -> str:
    """The table, in Markdown."""
    heads = [name.replace("_", " ") for name in _COLUMNS]
    lines = [" | ".join(heads), "|".join("---" for _ in heads)]
    lines += [" | ".join(str(row[name]) for name in _COLUMNS) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def figures(chaos: Chaos, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each thing that must not be, as the other benchmarks write them."""
    total, n_trials = rows[-1], sum(found.n_trials for found in chaos.accounts.values())
    counted = {
        "trials lost": total["lost"],
        "trials told twice": total["told_twice"],
        "trials told what they did not earn": total["false"],
        "other faults": len(chaos.faults) - total["lost"] - total["told_twice"] - total["false"],
    }
    return [
        {
            "name": f"{total['kills']} kills, {name}",
            "value": value,
            "unit": "faults",
            "baseline": n_trials,
            "ratio": value / n_trials if n_trials else None,
            "target": 0,
            "met": value == 0,
        }
        for name, value in counted.items()
    ]


@contextlib.contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """Where all is written; removed at the end unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="frnas-chaos-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Print a table and, if wanted, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=108, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--quick", action="store_true", help="10 kills, small searches")
    parser.add_argument("--trials", type=int, default=8, help="of each search")
    parser.add_argument("--per-search", type=int, default=18, help="kills at most of each search")
    parser.add_argument("--at-once", type=int, default=2, help="searches side by side")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write runs and logs there")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.kills, arguments.trials = min(arguments.kills, 10), 6
    began = time.monotonic()
    with place(arguments.keep) as folder:
        chaos = Chaos(
            folder=folder,
            n_trials=arguments.trials,
            most=arguments.per_search,
            seed=arguments.seed,
            n_at_once=arguments.at_once,
        )
        chaos.run(strikes(arguments.kills, arguments.seed))
    rows = table(chaos.kills, chaos.accounts)
    print(printed(rows))
    n_given_up = sum(len(found.given_up) for found in chaos.accounts.values())
    print(
        f"{len(chaos.accounts)} searches, {time.monotonic() - began:.0f} s; {n_given_up} trials "
        f"were given up on the way and handed out again; of {chaos.n_virtual} searches in virtual "
        f"time {chaos.n_same_course} went as undisturbed"
    )
    for fault in chaos.faults:
        print(f"FAULT {fault}")
    found = figures(chaos, rows)
    for line in found:
        verdict = "met" if line["met"] else "NOT MET"
        print(f"{line['name']:52} {line['value']:4} of {line['baseline']:4} trials  {verdict}")
    if arguments.json:
        kills = [asdict(kill) for kill in chaos.kills]
        more = {"table": rows, "kills": kills, "faults": chaos.faults}
        write_json_atomically(arguments.json, [*found, more])
        print(json.dumps({"written": str(arguments.json)}))
    raise SystemExit(0 if all(line["met"] for line in found) else 1)


if __name__ == "__main__":
    main()
