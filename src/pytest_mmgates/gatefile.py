"""`gates/NAME.yaml`, read strictly.

A gate is text that people trust, so nothing in it is guessed: an unknown or duplicate key, an alias, a value
that YAML would turn into something else than the text written, an empty `require`, a rule that cannot be
checked are all errors with file, line and caret. `stop` and `warn` watch a run while it plays and may be
absent; a gate for experiments has `accept` and `safety` instead of `require`; `runbooks` names those of
single metrics; all other keys are required: a gate without evidence rules could pass on ten ticks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, get_args

import yaml

from pytest_mmgates.armrules import CandidateRule, DeltaRule, SafetyRule, parse_accept, parse_safety
from pytest_mmgates.errors import GateError, Place
from pytest_mmgates.grammar import Bound
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.regress import BaselineRule, parse_baseline_rule
from pytest_mmgates.rows import DataKind
from pytest_mmgates.rules import Rule, parse_bound, parse_rule
from pytest_mmgates.units import Dimension
from pytest_mmgates.watchrules import WatchRule, parse_watch_rule

DATA_KINDS: tuple[str, ...] = get_args(DataKind)
_KEYS = ("gate", "evidence", "owner", "runbook")
_OF_RUNS = ("require", "stop", "warn", "regress")
_OF_EXPERIMENTS = ("accept", "safety")
_MADE = {"dataset": "a dataset", "daily": "a daily report"}
"""What is made of runs that were played before: nobody watches it, and no baseline was played beside it."""
_NOT_OF_MADE = {"stop": "not watched", "regress": "not compared"}
_JUDGED = ("require", "stop", "regress", "accept", "safety")
"""Sections whose rules have a verdict, in their order."""
_EVIDENCE_KEYS = ("duration", "ticks", "source")
_LARGEST_BYTES = 256 * 1024
_DEEPEST = 6
JudgedRule = Rule | WatchRule | BaselineRule | SafetyRule
"""A rule that has a verdict."""
AnyRule = TypeVar("AnyRule", Rule, WatchRule, BaselineRule, DeltaRule, SafetyRule)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What must be there before any rule is judged."""

    duration: Bound
    ticks: Bound
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate file. `lines[i]` is where rule i of `judged` stands. `stop` rules halt a run while it plays,
    `warn` rules only say so; `regress` rules compare it with the locked baseline. Of an experiment, `accept`
    says what it is for, and `safety` what must not happen meanwhile.
    """

    name: str
    file: str
    evidence: Evidence
    owner: str
    runbook: str
    require: tuple[Rule, ...]
    lines: tuple[int, ...]
    stop: tuple[WatchRule, ...] = ()
    warn: tuple[WatchRule, ...] = ()
    regress: tuple[BaselineRule, ...] = ()
    cautions: tuple[Rule, ...] = ()
    """`warn` rules of a gate for what nothing watches, a dataset or a day: they warn where they hold."""
    accept: tuple[DeltaRule, ...] = ()
    safety: tuple[SafetyRule, ...] = ()
    runbooks: Mapping[str, str] = field(default_factory=dict)
    """By metric, where it is not `runbook`."""

    def runbook_of(self, metric: str) -> str:
        """What to read when a rule on this metric is broken."""
        return self.runbooks.get(metric, self.runbook)

    @property
    def source(self) -> str:
        """What it judges: `run`, `dataset`, `daily` or `experiment`."""
        return self.require[0].definition.source if self.require else "experiment"

    @property
    def of_candidate(self) -> tuple[WatchRule, ...]:
        """When a rule of safety is broken that names arm B: rules that watch it."""
        return tuple(rule.violation for rule in self.safety if isinstance(rule, CandidateRule))

    @property
    def judged(self) -> tuple[JudgedRule, ...]:
        """Every rule that has a verdict."""
        return (*self.require, *self.stop, *self.regress, *self.accept, *self.safety)


def read_gate(path: Path, *, shown_as: str | None = None) -> Gate:
    """The gate in `path`, or a GateError. `shown_as` is how messages name the file."""
    file = shown_as or str(path)
    try:
        content = path.read_bytes()
        text = content.decode()
    except OSError as error:
        raise GateError(f"cannot be read: {error.strerror}", Place(file, 1, 1, "")) from error
    except UnicodeDecodeError as error:
        raise GateError(f"not UTF-8: {error.reason}", Place(file, 1, 1, "")) from error
    if len(content) > _LARGEST_BYTES:
        raise GateError(f"larger than {_LARGEST_BYTES} bytes", Place(file, 1, 1, ""))
    return _Document(text, file).gate(path.stem)


def parse_gate(text: str, *, file: str, name: str) -> Gate:
    """The gate of a text that stands, or stood, in a file of that name. GateError."""
    return _Document(text, file).gate(name)


class _Mark(Protocol):
    """A position as PyYAML reports it, counting from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Document:
    """The nodes of one file, each with its place."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.split("\n")
        self._root = self._compose(text)

    def gate(self, stem: str) -> Gate:
        keys = self._mapping(self._root, _KEYS, ("runbooks", *_OF_RUNS, *_OF_EXPERIMENTS))
        name = self._text(keys["gate"])
        if name != stem:
            raise self._error(f"gate {name!r} stands in a file named {stem!r}", keys["gate"])
        self._check_kind(keys)
        sections = {key: self._nodes(keys.get(key)) for key in (*_OF_RUNS, *_OF_EXPERIMENTS)}
        judged = [node for key in _JUDGED for node in sections[key]]
        require = self._rules(sections["require"], parse_rule)
        source = self._source(require, sections["require"]) if require else ""
        made = _MADE.get(source)
        for key, why in _NOT_OF_MADE.items():
            if made and key in keys:
                raise self._error(f"{made} is {why}: it has no `{key}` rules", keys[key])
        return Gate(
            name=name,
            file=self._file,
            evidence=self._evidence(keys["evidence"]),
            owner=self._text(keys["owner"]),
            runbook=self._text(keys["runbook"]),
            require=require,
            lines=tuple(node.start_mark.line + 1 for node in judged),
            stop=self._rules(sections["stop"], parse_watch_rule),
            warn=() if made else self._rules(sections["warn"], parse_watch_rule),
            regress=self._rules(sections["regress"], parse_baseline_rule),
            cautions=self._cautions(sections["warn"], source) if made else (),
            accept=self._rules(sections["accept"], parse_accept),
            safety=self._rules(sections["safety"], parse_safety),
            runbooks=self._runbooks(keys.get("runbooks")),
        )

    def _runbooks(self, node: yaml.Node | None) -> Mapping[str, str]:
        if node is None:
            return {}
        found = self._mapping(node, (), tuple(METRICS))
        return {metric: self._text(path) for metric, path in found.items()}

    def _key(self, name: str) -> yaml.Node:
        """Where a key of the file stands."""
        found: list[yaml.Node] = [key for key, _ in self._root.value if key.value == name]
        return found[0]

    def _check_kind(self, keys: dict[str, yaml.Node]) -> None:
        """A gate judges a run or a dataset, by `require`, or an experiment, by one line of `accept`."""
        of_runs = [key for key in _OF_RUNS if key in keys]
        of_experiments = [key for key in _OF_EXPERIMENTS if key in keys]
        if of_runs and of_experiments:
            raise self._error(
                f"`{of_experiments[0]}` judges an experiment, `{of_runs[0]}` a run: a gate judges one",
                self._key(of_experiments[0]),
            )
        needed = _OF_EXPERIMENTS if of_experiments else ("require",)
        missing = [key for key in needed if key not in keys]
        if missing:
            raise self._error(f"missing {', '.join(missing)}", self._root)
        if of_experiments and len(self._sequence(keys["accept"])) > 1:
            raise self._error("an experiment is accepted by one rule: found several", keys["accept"])

    def _source(self, rules: Sequence[Rule], nodes: Sequence[yaml.Node]) -> str:
        """What the gate judges: the source of its first metric, which the others have to share."""
        first = rules[0].definition
        for rule, node in zip(rules, nodes, strict=True):
            if rule.definition.source != first.source:
                raise self._error(
                    f"{rule.metric} is of a {rule.definition.source}, {first.name} of a {first.source}:"
                    " a gate judges one of them",
                    node,
                )
        return first.source

    def _cautions(self, nodes: Sequence[yaml.Node], source: str) -> tuple[Rule, ...]:
        rules = self._rules(nodes, parse_rule)
        for rule, where in zip(rules, nodes, strict=True):
            found = rule.definition.source
            if found != source:
                other = _MADE.get(found, "a run")
                raise self._error(f"{rule.metric} is of {other}, and this gate judges {_MADE[source]}", where)
        return rules

    def _evidence(self, node: yaml.Node) -> Evidence:
        keys = self._mapping(node, _EVIDENCE_KEYS)
        kinds = [self._text(kind) for kind in self._sequence(keys["source"])]
        for kind, kind_node in zip(kinds, self._sequence(keys["source"]), strict=True):
            if kind not in DATA_KINDS or kinds.count(kind) > 1:
                allowed = ", ".join(DATA_KINDS)
                raise self._error(f"source {kind!r}: expected each of {allowed} at most once", kind_node)
        duration = self._at_least(keys["duration"], Dimension.TIME)
        return Evidence(duration, self._at_least(keys["ticks"], Dimension.COUNT), tuple(kinds))

    def _at_least(self, node: yaml.Node, dimension: Dimension) -> Bound:
        bound = parse_bound(self._text(node), dimension, self._text_place(node))
        if bound.op != ">=":
            raise self._error(f"evidence asks for a minimum: expected >=, found {bound.op}", node)
        return bound

    def _nodes(self, section: yaml.Node | None) -> Sequence[yaml.Node]:
        return () if section is None else self._sequence(section)

    def _rules(
        self, nodes: Sequence[yaml.Node], parse: Callable[[str, Place], AnyRule]
    ) -> tuple[AnyRule, ...]:
        rules: list[AnyRule] = []
        for node in nodes:
            rule = parse(self._text(node), self._text_place(node))
            if rule in rules:
                raise self._error(f"rule {rule} stands here twice", node)
            rules.append(rule)
        return tuple(rules)

    def _mapping(
        self, node: yaml.Node, expected: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(f"expected the keys {', '.join(expected)}", node)
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node)
            if key not in (*expected, *optional):
                known = ", ".join((*expected, *optional))
                raise self._error(f"unknown key {key!r}: expected {known}", key_node)
            if key in found:
                raise self._error(f"key {key!r} stands here twice", key_node)
            found[key] = value
        missing = [key for key in expected if key not in found]
        if missing:
            raise self._error(f"missing {', '.join(missing)}", node)
        return found

    def _sequence(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._error("expected a list with at least one line", node)
        nodes: list[yaml.Node] = node.value
        return nodes

    def _text(self, node: yaml.Node) -> str:
        """A non-empty string that YAML reads as the text written: `60`, `no` and `1e3` are refused, not
        converted.
        """
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str" or not node.value:
            raise self._error("expected text (quote it if YAML would read it as something else)", node)
        value: str = node.value
        return value

    def _compose(self, text: str) -> yaml.Node:
        try:
            self._check_events(text)
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            reason = error.problem or error.context or "not YAML"
            raise GateError(reason, self._at(error.problem_mark or error.context_mark)) from error
        except yaml.YAMLError as error:
            raise GateError(f"not YAML: {str(error).splitlines()[0]}", self._at(None)) from error
        if root is None:
            raise GateError("the file is empty", self._at(None))
        return root

    def _check_events(self, text: str) -> None:
        """Aliases and depth are refused before any node is built: both can make a small file explode."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise GateError("aliases are not allowed", self._at(event.start_mark))
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise GateError(f"nested deeper than {_DEEPEST}", self._at(event.start_mark))

    def _text_place(self, node: yaml.Node) -> Place:
        """Where the text of a scalar begins, after its quote."""
        quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
        return self._at(node.start_mark).after(1 if quoted else 0)

    def _at(self, mark: _Mark | None) -> Place:
        line, column = (mark.line, mark.column) if mark else (0, 0)
        source = self._lines[line].rstrip("\r") if line < len(self._lines) else ""
        return Place(self._file, line + 1, column + 1, source)

    def _error(self, message: str, node: yaml.Node) -> GateError:
        return GateError(message, self._at(node.start_mark))
