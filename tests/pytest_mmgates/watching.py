"""A watch of the shipped soak gate over generated streams."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from tests.pytest_mmgates.streams import START_NS

from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.rows import Markets
from pytest_mmgates.watch.watch import Watch
from pytest_mmgates.watchrules import parse_watch_rule

ROOT = Path(__file__).parents[2]
SOAK = read_gate(ROOT / "gates" / "soak.yaml", shown_as="gates/soak.yaml")
MINUTE_NS = 60_000_000_000


def markets(*quotes):
    """What a run trades: `ABCUSDT`, or one symbol for each quote currency."""
    symbols = [("ABCUSDT", "USDT")] if not quotes else [(f"ABC{quote}", quote) for quote in quotes]
    feeds = [{"symbol": symbol, "venue": "paper"} for symbol, _ in symbols]
    instruments = [
        {
            "symbol": symbol,
            "venue": "paper",
            "contract": "linear",
            "contract_value": 1,
            "base": "ABC",
            "quote": q,
        }
        for symbol, q in symbols
    ]
    whole = {"data": {"kind": "synthetic", "sha256": "ab", "feeds": feeds}, "instruments": instruments}
    return msgspec.convert(whole, Markets)


def watch(
    batches: Iterable[tuple[str, bytes]], stop=SOAK.stop, warn=(), *, of=None, tell=lambda _: None, arm=None
):
    """The watch after these batches, or after the one with which it asked to halt."""
    rules = [parse_watch_rule(rule) if isinstance(rule, str) else rule for rule in stop]
    watched = Watch(rules, warn, lambda: of or markets(), tell, arm)
    for feed, lines in batches:
        watched.batch(feed, lines)
        if watched.halt_reason is not None:
            return watched
    watched.finish()
    return watched


def fired(watched):
    """Metric, way and minute of each rule that fired."""
    return [
        (record.rule.split("[")[0], record.fired.by, (record.fired.at_ns - START_NS) / MINUTE_NS)
        for record in watched.records
        if record.fired
    ]
