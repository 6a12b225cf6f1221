"""Counts, shares, inventory, book health and memory."""

from functools import partial

import numpy as np

from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, measure_column, observed
from pytest_mmgates.runlog import Codes, RunLog
from pytest_mmgates.units import Dimension


def ticks_count(run: RunLog, symbol: int | None) -> Measurement:
    n = len(run.ticks.of(symbol))
    return observed(n, n) if n else absent("no rows")


def fills_count(run: RunLog, symbol: int | None) -> Measurement:
    """Zero fills in a run that ticked is a measurement, hence n = ticks."""
    n = len(run.ticks.of(symbol))
    return observed(len(run.fills.of(symbol)), n) if n else absent("no rows")


def share_of_notional(run: RunLog, symbol: int | None, *, maker: bool) -> Measurement:
    """By notional: price * qty (linear), qty * contract_value (inverse), both in quote currency."""
    fills = run.fills.of(symbol)
    if not len(fills):
        return absent("no fills")
    if not _one_quote_currency(run, fills.symbol):
        return absent(
            "fills in more than one quote currency, or of an unknown instrument: select a symbol", len(fills)
        )
    notional = fills.qty.copy()
    for code in np.unique(fills.symbol):
        instrument = run.instrument(int(code))
        rows = fills.symbol == code
        if instrument is not None:
            notional[rows] *= instrument.contract_value
            notional[rows] *= 1.0 if instrument.contract == "inverse" else fills.price[rows]
    return observed(float(notional[fills.maker == maker].sum() / notional.sum()), len(fills))


def inventory(run: RunLog, symbol: int | None, *, statistic: str) -> Measurement:
    """Of |marked value of the position|, one value per tick and symbol."""
    ticks = run.ticks.of(symbol)
    if len(ticks) and not _one_quote_currency(run, ticks.symbol):
        return absent(
            "positions in more than one quote currency, or of an unknown instrument: select a symbol",
            len(ticks),
        )
    return measure_column(np.abs(ticks.position_quote), statistic)


def book_events(run: RunLog, symbol: int | None, *, kind: str) -> Measurement:
    """How often the book broke, out of its updates. A run without an events feed, or that counted no updates,
    cannot say.
    """
    if run.events is None:
        return absent("the run wrote no events feed")
    codes = range(len(run.symbols)) if symbol is None else (symbol,)
    updates = 0
    for code in codes:
        _, values = run.samples.series("book_updates", code)
        if not len(values):
            return absent(f"no book_updates sample of {run.symbols[code]}")
        updates += int(values[-1])
    if not updates:
        return absent("no book update in the whole run")
    found = sum(
        count
        for (name, code), count in run.events.items()
        if name == kind and (symbol is None or code == symbol)
    )
    return observed(found, updates)


def rss_max(run: RunLog, _symbol: int | None) -> Measurement:
    _, values = run.samples.series("rss_bytes")
    return measure_column(values, "max") if len(values) else absent("no rss_bytes samples")


def _one_quote_currency(run: RunLog, symbols: Codes) -> bool:
    instruments = [run.instrument(int(code)) for code in np.unique(symbols)]
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
)
