"""Run files: from YAML to a checked configuration, and back. The only place that knows YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from frnas_search.config.messages import one_line
from frnas_search.config.reading import RunFile, parse_run_file, sound_config
from frnas_search.errors import RunFileError

if TYPE_CHECKING:
    from frnas_search.config.run_config import RunConfig
    from search_space.fault import KeyPath


_MOST_BYTES = 2_000_000
_MOST_VALUES = 200_000
_MOST_BITS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repetition:
    """A key that is named twice, of which the library silently takes the last."""

    place: KeyPath
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.place[-1]!r} is named twice; name it once"


def load_run_config(path: Path, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read, override and check a run file.

    Args:
        path: A YAML file.
        overrides: `a.b=c` each; the value is read as YAML.

    Raises:
        RunFileError: Every fault of the file, one a line.
    """
    return sound_config(read_run_file(path, overrides))


def read_run_file(path: Path, overrides: tuple[str, ...] = ()) -> RunFile:
    """What of a run file is sound, and everything that is wrong with the file itself.

    Args:
        path: A YAML file.
        overrides: `a.b=c` each; the value is read as YAML.

    Raises:
        RunFileError: There is no such file, it is not YAML, or it holds no mapping.
    """
    raw, repetitions = _read(path)
    unread = [_not_yaml(path, repetition) for repetition in repetitions]
    unknown = {repetition.place for repetition in repetitions}
    for text in overrides:
        try:
            raw = override(raw, (text,))
        except RunFileError as error:
            unread.append(str(error))
            unknown.add(tuple(text.partition("=")[0].split(".")))
    return parse_run_file(raw, where=str(path), unknown=unknown, unread=unread)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RunFileError: There is no such file, it is not YAML, or it holds no mapping.
    """
    value, repetitions = _read(path)
    if repetitions:
        raise RunFileError("\n".join(_not_yaml(path, repetition) for repetition in repetitions))
    return value


def _read(path: Path) -> tuple[dict[str, Any], list[_Repetition]]:
    try:
        value, repetitions = _parsed(_text(path))
    except FileNotFoundError:
        raise RunFileError(f"{path}: no such run file; configs/ has examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFileError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise RunFileError(_not_yaml(path, error)) from None
    if not isinstance(value, dict):
        raise RunFileError(f"{path}: holds no mapping; a run file starts with `name: …`")
    return value, repetitions


def _text(path: Path) -> str:
    """What a file holds, read only as far as a run file may go, whatever it is.

    Raises:
        RunFileError: It is longer than any run file.
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise RunFileError(f"{path}: holds more than {_MOST_BYTES:,} bytes; no run file does")
    return content.decode("utf-8").replace("\r\n", "\n")


def _not_yaml(path: Path, reason: object) -> str:
    return f"{path}: not YAML; {one_line(str(reason))}"


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
        yaml.YAMLError: It is not YAML, or a key is named twice.
    """
    value, repetitions = _parsed(text)
    if repetitions:
        raise yaml.YAMLError("; ".join(str(repetition) for repetition in repetitions))
    return value


def _parsed(text: str) -> tuple[Any, list[_Repetition]]:
    """What YAML text says, and the keys that it names twice.

    Raises:
        yaml.YAMLError: It is not YAML; also for a date that is none and for endless nesting, where
            the library lets other errors through.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        document = loader.construct_document(node)
        _require_bounded(document)  # also refuses a section inside itself
        value = _deep_copy(document)
        return value, list(_repetitions(node, ()))
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def _repetitions(node: yaml.Node, place: KeyPath) -> Iterator[_Repetition]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repetitions(item, (*place, str(index)))
    if not isinstance(node, yaml.MappingNode):
        return
    names: set[str] = set()
    for key, inner in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        here = (*place, key.value)
        if key.value in names:
            yield _Repetition(place=here, line=key.start_mark.line + 1)
        names.add(key.value)
        yield from _repetitions(inner, here)


def _require_bounded(document: Any) -> None:
    """Refuse what aliases within aliases blow up, and keys that nobody can print.

    Raises:
        yaml.YAMLError: It holds too much.
    """
    n_values, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        n_values += 1
        if n_values > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES:,} values, with aliases written out")
        if isinstance(value, Mapping):
            if any(isinstance(key, int) and key.bit_length() > _MOST_BITS for key in value):
                raise yaml.YAMLError("a key is a number of thousands of digits")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


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
        return {key: _deep_copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_deep_copy(item) for item in value]
    return value
