"""Run files: from YAML to a checked configuration, and back. The only place that knows YAML."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from frnas_search.config.messages import one_line
from frnas_search.config.run_config import RunConfig, parse_run_config
from frnas_search.errors import RunFileError


class _Loader(yaml.SafeLoader):
    """YAML without keys that are named twice, of which the library silently takes the last."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - the library's
    ) -> dict[Hashable, Any]:
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for index, key in enumerate(names):
            if any(key.value == other.value for other in names[:index]):
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {key.value!r} is named twice; name it once")
        return super().construct_mapping(node, deep)


def load_run_config(path: Path, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read, override and check a run file.

    Args:
        path: A YAML file.
        overrides: `a.b=c` each; the value is read as YAML.

    Raises:
        RunFileError: Every fault of the file, one a line.
    """
    return parse_run_config(override(read_yaml(path), overrides), where=str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RunFileError: There is no such file, it is not YAML, or it holds no mapping.
    """
    try:
        value = _read_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFileError(f"{path}: no such run file; configs/ has examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFileError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise RunFileError(f"{path}: not YAML; {one_line(str(error))}") from None
    if not isinstance(value, dict):
        raise RunFileError(f"{path}: holds no mapping; a run file starts with `name: …`")
    return value


def override(raw: Mapping[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """A copy of `raw` with each `a.b=c` set.

    Raises:
        RunFileError: An override has no `=`, its value is not YAML, or a part of its path already
            holds something that is not a section; null is an empty section.
    """
    result: dict[str, Any] = _deep_copy(raw)
    for text in overrides:
        path, equals, value = text.partition("=")
        *parents, last = path.split(".")
        if not equals or not all((*parents, last)):
            raise RunFileError(f"--set {text}: write it as `section.key=value`")
        section = _section_at(result, parents, text)
        try:
            section[last] = _read_value(value)
        except yaml.YAMLError as error:
            raise RunFileError(f"--set {text}: not YAML; {one_line(str(error))}") from None
    return result


def override_text(path: str, value: Any) -> str:
    """`a.b=c` as `override` reads it back, of a path such as `stop.trials` and its value.

    Raises:
        RunFileError: No run file can hold such a value.
    """
    try:
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    except yaml.YAMLError:
        raise RunFileError(
            f"{path}: a run file cannot hold {value!r}; give a number, a text, or a list or "
            "mapping of such"
        ) from None
    return f"{path}={text}"


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as a run file that `load_run_config` reads back equal."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_value(text: str) -> Any:
    """What YAML text says.

    Raises:
        yaml.YAMLError: It is not YAML; also for a date that is none and for endless nesting, where
            the library lets other errors through.
    """
    try:
        return _deep_copy(yaml.load(text, Loader=_Loader))  # noqa: S506 - a SafeLoader
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from None


def _section_at(root: dict[str, Any], parents: list[str], text: str) -> dict[str, Any]:
    section = root
    for part in parents:
        if section.get(part) is None:
            section[part] = {}
        section = section[part]
        if not isinstance(section, dict):
            raise RunFileError(f"--set {text}: `{part}` is a value, not a section")
    return section


def _deep_copy(value: Any) -> Any:
    """Sections that YAML aliases share become sections of their own."""
    if isinstance(value, Mapping):
        return {key: _deep_copy(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_deep_copy(each) for each in value]
    return value
