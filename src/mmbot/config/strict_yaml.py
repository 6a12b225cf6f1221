"""YAML that says what it means: duplicate keys, aliases, tags and non-finite numbers are errors with file,
line and key.

A document is loaded together with the line of each of its values, so that a later error (a wrong type, an
unknown key, a value out of range) can still point at the line that caused it. Overlays merge key by key; each
value keeps its own origin.
"""

import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from mmbot.errors import ConfigError

T = TypeVar("T")
KeyPath = tuple[str, ...]


class Document:
    """Plain data and, for every key path in it, where it was written."""

    def __init__(self, data: dict[str, Any], origins: dict[KeyPath, str], name: str) -> None:
        self.data = data
        self.origins = origins
        self.name = name

    def overlaid(self, other: "Document") -> "Document":
        """Return this document with the other's values on top. A mapping merges, anything else replaces.

        Raises ConfigError where one has a mapping and the other a value: that is a mistake of shape, not an
        override.
        """
        data = _merge(self.data, other.data, (), other)
        return Document(data, {**self.origins, **other.origins}, self.name)

    def section(self, key: str) -> "Document":
        """The mapping under a top-level key as a document of its own; empty if the key is absent."""
        data = self.data.get(key) or {}
        if not isinstance(data, dict):
            raise ConfigError(f"{self.where((key,))}: {key}: was a value, expected a mapping")
        origins = {path[1:]: where for path, where in self.origins.items() if path[:1] == (key,)}
        return Document(data, {(): self.where((key,)), **origins}, self.name)

    def where(self, path: KeyPath) -> str:
        """`file:line` of the value, or of the closest parent that is written down."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, self.name)

    def file(self, path: KeyPath) -> str:
        """The file that has the last word on a value; a document's name is its file."""
        return self.where(path).rpartition(":")[0]

    def convert(self, kind: type[T], path: KeyPath = ()) -> T:
        """Data (at a path) as a settings type. Raises ConfigError naming file, line, key, what was found and
        expected.
        """
        data: Any = self.data
        for key in path:
            data = data[key]
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `")
            full = (*path, *_keys(at.rstrip("`")))
            unknown = _unknown_field(message)
            if unknown is not None:
                full = (*full, unknown)
            raise ConfigError(f"{self.where(full)}: {'.'.join(full) or 'document'}: {message}") from error


def load(path: Path) -> Document:
    """Read one file. Raises ConfigError."""
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The text of a file to the character, line ends included. Raises ConfigError."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: was not UTF-8 text: byte {error.start}") from error


def parse(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in errors."""
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
                what = type(token).__name__.removesuffix("Token").lower()
                raise ConfigError(
                    f"{name}:{token.start_mark.line + 1}: YAML {what} was found, expected plain values"
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: was not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: was not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{name}:1: document was {'empty' if node is None else 'no mapping'}, expected key: value lines"
        )
    origins: dict[KeyPath, str] = {(): name}
    return Document(_mapping(node, (), name, origins), origins, name)


def _mapping(node: yaml.MappingNode, path: KeyPath, name: str, origins: dict[KeyPath, str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _scalar(key_node, f"{name}:{line}", "key") if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise ConfigError(f"{name}:{line}: key was {key!r}, expected a word")
        if key in data:
            raise ConfigError(f"{name}:{line}: key {'.'.join((*path, key))} was written twice in one mapping")
        origins[(*path, key)] = f"{name}:{line}"
        data[key] = _value(value_node, (*path, key), name, origins)
    return data


def _value(node: yaml.Node, path: KeyPath, name: str, origins: dict[KeyPath, str]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, name, origins)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            here = (*path, str(index))
            origins[here] = f"{name}:{item.start_mark.line + 1}"
            items.append(_value(item, here, name, origins))
        return items
    return _scalar(node, f"{name}:{node.start_mark.line + 1}", ".".join(path))


def _scalar(node: yaml.Node, where: str, key: str) -> Any:
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{where}: {key}: was not a plain value: {node.value!r}") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {key}: was {node.value}, expected a finite number")
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ConfigError(
            f"{where}: {key}: was a {type(value).__name__}, expected text, a number, true or false"
        )
    return value


def _merge(base: dict[str, Any], top: dict[str, Any], path: KeyPath, origin: Document) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        here = (*path, key)
        old = merged.get(key)
        if isinstance(old, dict) != isinstance(value, dict) and key in merged:
            was = "a mapping" if isinstance(value, dict) else "a value"
            expected = "a mapping" if isinstance(old, dict) else "a value"
            raise ConfigError(
                f"{origin.where(here)}: {'.'.join(here)}: was {was}, expected {expected} as in the base"
            )
        merged[key] = _merge(old, value, here, origin) if isinstance(old, dict) else value
    return merged


def _keys(at: str) -> KeyPath:
    """Msgspec's path `$.a.b[0]` as keys."""
    return tuple(part for part in at.lstrip("$").replace("[", ".").replace("]", "").split(".") if part)


def _unknown_field(message: str) -> str | None:
    head = "Object contains unknown field `"
    return message[len(head) :].partition("`")[0] if message.startswith(head) else None
