"""Changes of single values in a configuration's text: everything else, comments, line ends and the spelling
of other values included, stays as it is to the character.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from mmbot.config.strict_yaml import KeyPath, parse
from mmbot.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Written:
    """A scalar as it stands in a text: from `start` to `stop`, in characters. `line` counts from 1."""

    text: str
    start: int
    stop: int
    line: int


def written_values(text: str, name: str) -> dict[KeyPath, Written]:
    """Where each scalar under mappings stands. `name` stands for the file. Raises ConfigError."""
    parse(text, name)
    return dict(_scalars(yaml.compose(text, Loader=yaml.SafeLoader), (), text))


def rewritten(text: str, changes: Mapping[KeyPath, str], name: str) -> str:
    """The text with other scalars, given as they are to be written, in the places of the old ones.

    Raises ConfigError where a key has no scalar, or where the result would not be read as it was meant.
    """
    found = written_values(text, name)
    for path in changes:
        if path not in found:
            raise ConfigError(
                f"{name}: {'.'.join(path)}: was not written here, expected a plain value to change"
            )
    result = text
    for path, value in sorted(changes.items(), key=lambda change: -found[change[0]].start):
        old = found[path]
        result = f"{result[: old.start]}{value}{result[old.stop :]}"
    again = written_values(result, name)
    if again.keys() != found.keys() or any(
        not value or again[path].text != value for path, value in changes.items()
    ):
        raise ConfigError(f"{name}: a value was {sorted(changes.values())}, expected plain values")
    return result


def _scalars(node: yaml.Node | None, path: KeyPath, text: str) -> Iterator[tuple[KeyPath, Written]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, key.value), text)
    elif isinstance(node, yaml.ScalarNode):
        start, stop = node.start_mark.index, node.end_mark.index
        yield path, Written(text[start:stop], start, stop, node.start_mark.line + 1)
