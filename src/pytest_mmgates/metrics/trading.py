"""Counts, shares, inventory, book health, memory and the breaker."""

from functools import partial

from pytest_mmgates.metrics.cache import updates_of
from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, measure_histogram, observed
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tally.growth import slope_bytes_per_h
from pytest_mmgates.units import Dimension


def ticks_count(run: RunLog, symbol: str | None) -> Measurement:
    n = run.of(symbol).ticks
    return observed(n, n) if n else absent("no rows")


def fills_count(run: RunLog, symbol: str | None) -> Measurement:
    """Zero fills in a run that ticked is a measurement, hence n = ticks."""
    tally = run.of(symbol)
    return observed(tally.fills, tally.ticks) if tally.ticks else absent("no rows")


def share_of_notional(run: RunLog, symbol: str | None, *, maker: bool) -> Measurement:
    """By notional in quote currency."""
    tally = run.of(symbol)
    if not tally.fills:
        return absent("no fills")
    if not _one_quote_currency(run, [name for name in _asked(run, symbol) if run.of(name).fills]):
        return absent(
            "fills in more than one quote currency, or of an unknown instrument: select a symbol", tally.fills
        )
    part = tally.notional["maker" if maker else "taker"]
    return observed(part / sum(tally.notional.values()), tally.fills)


def inventory(run: RunLog, symbol: str | None, *, statistic: str) -> Measurement:
    """Of |marked value of the position|, one value per tick and symbol."""
    tally = run.of(symbol)
    ticked = [name for name in _asked(run, symbol) if run.of(name).ticks]
    if ticked and not _one_quote_currency(run, ticked):
        return absent(
            "positions in more than one quote currency, or of an unknown instrument: select a symbol",
            tally.ticks,
        )
    return measure_histogram(tally.abs_position_quote, statistic)


def book_events(run: RunLog, symbol: str | None, *, kind: str) -> Measurement:
    """How often the book broke, out of its updates. A run without an events feed, or that counted no updates,
    cannot say.
    """
    engine = run.tally.process.events
    if engine is None:
        return absent("the run wrote no events feed")
    updates = updates_of(run, symbol)
    if isinstance(updates, Measurement):
        return updates
    found = run.of(symbol).events.get(kind, 0) + (engine.get(kind, 0) if symbol is None else 0)
    return observed(found, updates)


def rss_max(run: RunLog, _symbol: str | None) -> Measurement:
    rss_bytes = run.tally.process.rss_bytes
    return measure_histogram(rss_bytes, "max") if len(rss_bytes) else absent("no rss_bytes samples")


def memory_slope(run: RunLog, _symbol: str | None) -> Measurement:
    """Of the part that grew the most: each part starts its memory anew."""
    slopes = [(slope_bytes_per_h(floors), len(floors)) for floors in run.tally.process.rss_floors]
    known = [(slope, n) for slope, n in slopes if slope is not None]
    if not known:
        return absent("fewer than two floors of memory after the first hour")
    return observed(*max(known))


def breaker_open(run: RunLog, _symbol: str | None) -> Measurement:
    """Of the worst venue, over all parts."""
    if run.tally.process.events is None:
        return absent("the run wrote no events feed")
    return observed(max(run.tally.process.breaker_open_ns.values(), default=0), run.of(None).ticks)


def _asked(run: RunLog, symbol: str | None) -> tuple[str, ...]:
    return run.symbols if symbol is None else (symbol,)


def _one_quote_currency(run: RunLog, symbols: list[str]) -> bool:
    instruments = [run.manifest.instrument(name) for name in symbols]
    return None not in instruments and len({item.quote for item in instruments if item}) == 1


TRADING = (
    Metric("ticks.count", Dimension.COUNT, "ticks", ticks_count),
    Metric("fills.count", Dimension.COUNT, "executions", fills_count),
    Metric(
        "maker_share",
        Dimension.RATIO,
        "share of notional filled as maker",
        partial(share_of_notional, maker=True),
    ),
    Metric(
        "taker_share",
        Dimension.RATIO,
        "share of notional filled as taker",
        partial(share_of_notional, maker=False),
    ),
    *(
        Metric(
            f"inventory.abs_{name}_quote",
            Dimension.QUOTE,
            f"{name} of the absolute position, marked in quote currency",
            partial(inventory, statistic=name),
        )
        for name in ("p99", "max")
    ),
    Metric("book.gaps", Dimension.COUNT, "sequence gaps in the feed", partial(book_events, kind="gap")),
    Metric(
        "book.crossed", Dimension.COUNT, "times the book was crossed", partial(book_events, kind="crossed")
    ),
    Metric("memory.rss_max", Dimension.BYTES, "largest resident memory sampled", rss_max, per_symbol=False),
    Metric(
        "memory.slope",
        Dimension.GROWTH,
        "Theil-Sen slope of the 10-minute minima of resident memory, without the first hour",
        memory_slope,
        per_symbol=False,
    ),
    Metric(
        "breaker.open_time",
        Dimension.TIME,
        "time that the breaker of the worst venue was not closed",
        breaker_open,
        per_symbol=False,
    ),
)
