"""Slowdowns put into a copy of the bot's source: real edits that decide nothing.

A short stage gets so many assignments of nothing at its entry; each is a nanosecond or two. A long one gets a
sum over so many zeros: one call, because hundreds of bytecodes more would slow every stage (measured: by 3 to
4 %, where a call does not), and emit two of them, so that the ticks which send orders pay in proportion. A
tail plant works only at given ticks.
"""

import ast
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit")
LONG = ("fetch_md", "emit")
_ENTRIES = {
    "fetch_md": ("strategy/fetch_md.py", "__call__"),
    "spread": ("strategy/spread.py", "__call__"),
    "guards": ("strategy/guards.py", "__call__"),
    "inventory": ("strategy/inventory.py", "skew_bps"),
    "queue_aware": ("strategy/queue_aware.py", "__call__"),
    "emit": ("engine/symbol.py", "_place"),
}
"""Stage -> file below src/mmbot, and the function in it that every tick calls once."""
_SENDING = ("engine/sender.py", "send")
_SENDING_SHARE = 4.5
"""What sending adds to a tick of emit, as a multiple of what a tick without costs."""


def copied(source: Path, target: Path) -> Path:
    """The project's code, settings and scenarios, without what is derived."""
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "src" / "mmbot", target / "src" / "mmbot", ignore=left_out)
    shutil.copytree(source / "scenarios", target / "scenarios", ignore=left_out)
    shutil.copy(source / "config.yaml", target / "config.yaml")
    return target


def plant(root: Path, stage: str, amount: float) -> None:
    """Plant so many assignments, or zeros to be summed."""
    count = max(round(amount), 0)
    if stage in LONG:
        _sum(root, _ENTRIES[stage], count)
    else:
        _enter(root, *_ENTRIES[stage], ast.parse("_ = None\n" * count).body)
    if stage == "emit":
        _sum(root, _SENDING, round(_SENDING_SHARE * count))


def plant_tail(root: Path, stage: str, ticks_ns: Iterable[int], zeros: int) -> None:
    """A sum over so many zeros at these ticks, and the question at every tick whether it is one."""
    work = ast.parse("if now_ns in _DEAR_NS:\n    sum(_ZEROS)").body
    constants = f"_DEAR_NS = frozenset({sorted(ticks_ns)})\n_ZEROS = (0.0,) * {zeros}"
    _enter(root, *_ENTRIES[stage], work, ast.parse(constants).body)


def _sum(root: Path, place: tuple[str, str], zeros: int) -> None:
    _enter(root, *place, ast.parse("sum(_ZEROS)").body, ast.parse(f"_ZEROS = (0.0,) * {zeros}").body)


def _enter(
    root: Path, file: str, name: str, work: Sequence[ast.stmt], constants: Sequence[ast.stmt] = ()
) -> None:
    """Put statements at the beginning of the functions of that name, and others at the end of the module."""
    path = root / "src" / "mmbot" / file
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.body = [*work, *node.body]
    tree.body += constants
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
