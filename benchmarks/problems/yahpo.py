"""Surrogates of YAHPO Gym: their spaces, read from JSON, and their networks, run by onnxruntime.

Folders of a scenario hold `config_space.json`, `encoding.json` and `model.onnx`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    EqualsCondition,
    InCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from benchmarks.problems.problem import Values
from results.pareto import FloatArray

_UNIFORM = {
    "uniform_float": UniformFloatHyperparameter,
    "uniform_int": UniformIntegerHyperparameter,
}


def read_space(folder: Path, *, without: Sequence[str]) -> ConfigurationSpace:
    """The space of a scenario.

    Args:
        folder: The scenario's.
        without: Hyperparameters that are set by the problem: the task and the fidelity.
    """
    document = json.loads((folder / "config_space.json").read_text())
    kept = [
        hyperparameter
        for hyperparameter in document["hyperparameters"]
        if hyperparameter["name"] not in without
    ]
    space = ConfigurationSpace()
    space.add([_hyperparameter(hyperparameter) for hyperparameter in kept])
    space.add([_condition(space, condition) for condition in document["conditions"]])
    return space


def _hyperparameter(entry: Mapping[str, Any]) -> Any:
    if entry["type"] == "categorical":
        return CategoricalHyperparameter(
            entry["name"], entry["choices"], default_value=entry["default"]
        )
    return _UNIFORM[entry["type"]](entry["name"], entry["lower"], entry["upper"], log=entry["log"])


def _condition(space: ConfigurationSpace, entry: Mapping[str, Any]) -> Any:
    if entry["type"] == "AND":
        return AndConjunction(*(_condition(space, condition) for condition in entry["conditions"]))
    child, parent = space[entry["child"]], space[entry["parent"]]
    if entry["type"] == "EQ":
        return EqualsCondition(child, parent, entry["value"])
    return InCondition(child, parent, entry["values"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The network's inputs and outputs by name, in its order."""

    categorical: tuple[str, ...]
    numerical: tuple[str, ...]
    outputs: tuple[str, ...]


class Surrogate:
    """A network that maps configurations to metrics; the same values on every call."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        # A library of the benchmarks only, and not needed to import the problems.
        import onnxruntime  # noqa: PLC0415, RUF100

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._columns = columns
        self._codes = json.loads((folder / "encoding.json").read_text())
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def predict(self, rows: Sequence[Values]) -> FloatArray:
        """Shape (len(rows), n_outputs); what a row lacks counts as not applicable."""
        categorical = [
            [self._codes[name][str(row.get(name, "#na#"))] for name in self._columns.categorical]
            for row in rows
        ]
        numerical = [
            [float(row.get(name, 0.0)) for name in self._columns.numerical] for row in rows
        ]
        inputs = {
            "x_cat": np.array(categorical, np.int32),
            "x_cont": np.array(numerical, np.float32),
        }
        return np.asarray(self._session.run(None, inputs)[0], np.float64)
