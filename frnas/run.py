"""A run on disk, as one looks at it: the front and the trials as data frames, how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frnas.status import RunStatus, status_of

if TYPE_CHECKING:
    import pandas as pd

    from results.run_directory import RunDirectory
    from results.trial_record import TrialRecord
    from results.view import RunState, RunView


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A run that was started, open for reading; `open_run` and `search` give one.

    Every call tells of the run's event log as it is at that moment, also while a search writes to
    it, in this process or in another; what was read before is kept, and only what is new is read.

    Attributes:
        path: The run's directory, absolute.
    """

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    def status(self) -> RunStatus:
        """How far the run is: trials, failures, best costs, what was spent.

        Raises:
            ResultsError: The log cannot be read.
        """
        from results.run_directory import RunDirectory
        from results.status import current_status

        with self._reading() as (view, state):
            document = current_status(RunDirectory(self.path), view, state)
        return status_of(document)

    def front(
        self,
        *,
        rung: int | None = None,
        max_costs: Mapping[str, float] | None = None,
        at: int | None = None,
    ) -> pd.DataFrame:
        """The Pareto front, one row a point, sorted by the first objective.

        Columns are `config_id`, `trial_id`, `rung`, `epochs`, `gpu_seconds` (of all the
        configuration's trials), each objective as NAME, NAME_low and NAME_high (its 95 % interval
        over resampled people; missing where it was not measured), `architecture.family`, `.hash`,
        `.parameters`, `.macs`, `.activation_bytes`, `checkpoint` (relative to the run) and
        `configuration.NAME` for each hyperparameter that is active in some point. A run without
        a front gives no rows.

        Args:
            rung: The fidelity whose front is wanted, 0 the cheapest; by default the highest, the
                only one that counts.
            max_costs: Objective -> the largest cost to show; hides rows and changes nothing else.
            at: The front as of this event of the log.

        Raises:
            SelectionError: The run has no such rung, objective or event.
            ResultsError: The log cannot be read.
        """
        from frnas.frames import front_frame

        with self._reading(at) as (view, state):
            document = self._pareto(view, state, rung, max_costs)
            return front_frame(view, document["front"])

    def groups(
        self,
        *,
        rung: int | None = None,
        max_costs: Mapping[str, float] | None = None,
        at: int | None = None,
    ) -> pd.DataFrame:
        """What was measured of each group of people; one row a point of the front and a group.

        Columns are `config_id`, `trial_id`, `group`, `error`, `mean_rank`, `n_probes`,
        `n_identities`, and what else the evaluation measured by group.

        Args:
            rung: As of `front`.
            max_costs: As of `front`.
            at: As of `front`.

        Raises:
            SelectionError: The run has no such rung, objective or event.
            ResultsError: The log cannot be read.
        """
        from frnas.frames import groups_frame

        with self._reading(at) as (view, state):
            document = self._pareto(view, state, rung, max_costs)
        return groups_frame(document["front"])

    def trials(self, *, at: int | None = None) -> pd.DataFrame:
        """Every trial, one row each, in the order they were asked.

        Columns are `trial_id`, `config_id`, `state` (`finished`, `failed`, `running`, or
        `interrupted` where no coordinator is at work), `failure` (its kind), `rung`, `epochs`,
        `seed`, each objective as NAME, NAME_low and NAME_high, `detail` (of a failure),
        `attempts`, `epochs_trained`, `seconds` (on the device, of the last attempt), `worker`,
        `device`, `asked`, `told` (UTC), `architecture.…` and `configuration.…` as of `front`.

        Args:
            at: The trials as of this event of the log.

        Raises:
            SelectionError: The run has no such event.
            ResultsError: The log cannot be read.
        """
        from frnas.frames import trials_frame
        from results.documents import trial_listing

        with self._reading(at) as (view, state):
            listing = trial_listing(view, run=self.name, state=state)
            states = {trial["trial_id"]: trial["state"] for trial in listing.trials()}
            return trials_frame(view, states)

    def trial(self, trial_id: str) -> TrialRecord:
        """One trial with all that is known of it: what was asked, every metric, lost attempts.

        Raises:
            SelectionError: The run has no such trial.
            ResultsError: The log cannot be read.
        """
        from results.errors import SelectionError

        with self._reading() as (view, _):
            if trial_id in view.trials:
                return view.trials[trial_id]
        raise SelectionError(
            f"run {self.name} has no trial {trial_id!r}; the column `trial_id` of `trials()` "
            "has those there are"
        )

    def configuration(self, config_id: str) -> dict[str, bool | int | float | str]:
        """The hyperparameters of a configuration by name, those of its architecture included.

        Raises:
            SelectionError: The run has no such configuration.
            ResultsError: The log cannot be read.
        """
        from results.errors import SelectionError

        with self._reading() as (view, _):
            for row in view.trials.rows.values():
                if row.config_id == config_id:
                    return dict(view.trials[row.trial_id].request.configuration)
        raise SelectionError(
            f"run {self.name} has no configuration {config_id!r}; the column `config_id` of "
            "`trials()` has those there are"
        )

    def models(self) -> pd.DataFrame:
        """Models that `frnas retrain` trained, one row each, with their costs on the test split.

        Columns are `config_id`, `seed`, `epochs`, `path` (for `load_model`; missing where the
        training failed, or a later one of another length took its place), `failure`, `detail`,
        `seconds`, and each objective as NAME, NAME_low and NAME_high.

        Raises:
            ResultsError: The log cannot be read.
        """
        from frnas.frames import models_frame
        from results.retraining import retrained_document

        with self._reading() as (view, _):
            document = retrained_document(view, run=self.name)
            rows = [
                {
                    **model,
                    "config_id": entry["config_id"],
                    "epochs": entry["epochs"],
                    "path": model["model"] and str(self.path / model["model"]),
                }
                for entry in document["models"]
                for model in entry["seeds"]
            ]
            return models_frame(view, rows)

    def __repr__(self) -> str:
        return f"frnas.open_run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """How far the run is, for a notebook; never fails."""
        from html import escape

        from results.errors import ResultsError

        try:
            status = self.status()
        except ResultsError as error:
            return f"<p>{escape(str(error))}</p>"
        best = (f"{name} {cost:.4g}" for name, cost in status.best.items() if cost is not None)
        rows = {
            "state": f"{status.state} {status.reason and f'({status.reason})'}",
            "trials": f"{status.n_finished} finished, {status.n_running} running, "
            f"{status.n_failed} failed",
            "front": f"{status.front_size} points, hypervolume {status.hypervolume:.4g}",
            "best": ", ".join(best) or "-",
        }
        cells = (f"<tr><th>{key}</th><td>{escape(text)}</td></tr>" for key, text in rows.items())
        return f"<table><caption>{escape(self.name)}</caption>{''.join(cells)}</table>"

    @contextmanager
    def _reading(self, at: int | None = None) -> Iterator[tuple[RunView, RunState]]:
        from results.follow import shared_followers
        from results.query import reading
        from results.run_directory import RunDirectory

        with reading(RunDirectory(self.path), shared_followers(), at=at) as found:
            yield found

    def _pareto(
        self,
        view: RunView,
        state: RunState,
        rung: int | None,
        max_costs: Mapping[str, float] | None,
    ) -> dict[str, Any]:
        from results.documents import pareto_document

        return pareto_document(view, run=self.name, state=state, rung=rung, max_costs=max_costs)


def open_run(run: str | Path, *, runs: str | Path = "runs") -> Run:
    """Open a run, by its name or the path of its directory; it may be running at the moment.

    Args:
        run: The path of a run directory, or the name of a run under `runs`.
        runs: The folder that holds the runs.

    Raises:
        RunNotFoundError: Neither is a run; the message lists the runs that there are.
        AmbiguousRunError: A name is that of a run under `runs` and of one in this folder.
    """
    return Run(found_run(run, runs=runs).path.absolute())


def found_run(run: str | Path, *, runs: str | Path) -> RunDirectory:
    """The directory of the run that is meant; see `open_run`."""
    from results.errors import AmbiguousRunError
    from results.run_directory import RunDirectory, resolve_run

    found = resolve_run(os.fspath(run), runs_directory=Path(runs))
    named = RunDirectory(Path(runs) / run)
    is_name = isinstance(run, str) and Path(run).name == run
    if is_name and named.exists() and not named.path.samefile(found.path):
        raise AmbiguousRunError(
            f"{run!r} is a run in this folder and one in {runs}/; give a path, "
            f"'./{run}' or {str(named.path)!r}"
        )
    return found
