"""What a change does to the gates themselves, rule by rule: said on top of everything else.

A gate that is loosened by the change that it should stop is no gate, so an edit takes force only with the
next lock: until then the rules of the lock are judged too. What is compared is the folder of gate files, with
that of the lock or of the commit that the change is made on.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_mmgates.baseline.lockfile import BASELINES, GateFile
from pytest_mmgates.baseline.source import git, sha256
from pytest_mmgates.errors import GateError
from pytest_mmgates.gatefile import parse_gate

GateFiles = Mapping[str, GateFile]
"""Gate files by name (`ci.yaml`)."""


def gate_files(gates_dir: Path) -> dict[str, GateFile]:
    """Those of a folder, as they are now. One that cannot be read has no rules."""
    return {path.name: _facts(path.name, path.read_bytes()) for path in sorted(gates_dir.glob("*.yaml"))}


def gate_files_of(root: Path, base: str, gates_dir: Path) -> dict[str, GateFile]:
    """Those of another commit of the project, or BaselineError."""
    folder = gates_dir.relative_to(root).as_posix()
    names = git(root, "ls-tree", "--name-only", base, f"{folder}/").decode().split()
    found = {Path(name).name: git(root, "show", f"{base}:{name}") for name in names if name.endswith(".yaml")}
    return {name: _facts(name, content) for name, content in found.items()}


def edits(before: GateFiles, now: GateFiles) -> Iterator[str]:
    """One line for each rule or file that is not as it was."""
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if new is None:
            yield f"{name} was deleted"
        elif old is None:
            yield f"{name} is new"
        elif old.sha256 != new.sha256:
            yield from _rule_edits(name, old.rules, new.rules)


def baseline_edits(root: Path, base: str, gates_dir: Path) -> Iterator[str]:
    """Locks and acknowledgements that are not as in another commit of the project."""
    folder = (gates_dir / BASELINES).relative_to(root).as_posix()
    names = git(root, "diff", "--name-only", base, "--", folder).decode().splitlines()
    untracked = git(root, "ls-files", "--others", "--exclude-standard", "--", folder).decode().splitlines()
    for name in sorted({*names, *untracked}):
        yield f"{BASELINES}/{Path(name).name} is not as in {base}"


def _rule_edits(name: str, before: tuple[str, ...], now: tuple[str, ...]) -> Iterator[str]:
    gone = [rule for rule in before if rule not in now]
    come = [rule for rule in now if rule not in before]
    if not gone and not come:
        yield f"{name} was edited, its rules are the same"
    for rule in gone:
        became = next((other for other in come if _subject(other) == _subject(rule)), None)
        if became is None:
            yield f"{name}: `{rule}` was deleted"
        else:
            come.remove(became)
            yield f"{name}: `{rule}` became `{became}`"
    for rule in come:
        yield f"{name}: `{rule}` is new"


def _subject(rule: str) -> str:
    return rule.split(" ", 1)[0].split("[", 1)[0]


def _facts(name: str, content: bytes) -> GateFile:
    try:
        gate = parse_gate(content.decode(errors="replace"), file=name, name=Path(name).stem)
    except GateError:
        return GateFile(sha256(content), ())
    return GateFile(sha256(content), tuple(str(rule) for rule in gate.judged))
