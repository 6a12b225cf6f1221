"""The reference quoter on mmbot's kernel: no pipeline, no rows, only market, orders and decisions.

Variants: `every_tick` is the quoter called at every tick; `no_strategy` the kernel called at every tick and
nothing decided, which is the part of the time that is not the quoter's; `quiet_band` the quoter called only
when the market has left the band in which it said that it would do nothing.
"""

import importlib.metadata
from collections.abc import Callable

from tests.bench import quoter as q
from tests.bench.workload import ANSWER_NS, MS, ORDER_NS, Asked, Columns, Outcome, asked, load, report, timed

from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.context import Context

_MARGIN = 4096
"""Room for quotes beyond the prices of the tape, in ticks."""
_REPORTS = {
    L.ACK: q.ACCEPTED,
    L.MAKER_FILL: q.FILLED,
    L.CANCELLED: q.GONE,
    L.CANCEL_REJECT: q.GONE,
    L.REJECT_WOULD_TAKE: q.GONE,
    L.REJECT_NO_BOOK: q.GONE,
}
_REQUESTS = {q.SUBMIT: L.SUBMIT_POST_ONLY, q.CANCEL: L.CANCEL}


def open_context(columns: Columns) -> Context:
    """The tape in a kernel: the venue's own stamps, constant delays, the risk-averse queue."""
    prices = columns["tick"][(columns["kind"] & L.KIND_MASK) <= L.SELL_ROW]
    limits = (int(prices.min()) - _MARGIN, int(prices.max()) + _MARGIN)
    halflife_ns = 10_000 * MS
    ints = {L.CLOCK_RECORDED: 1, L.DEPTH_TICKS: 10, L.SILENCE_NS: 10_000 * MS, L.TTL_NS: 10_000 * MS}
    floats = dict.fromkeys(
        (L.VOL_HALFLIFE_NS, L.FAST_DEPTH_HALFLIFE_NS, L.DEPTH_HALFLIFE_NS, L.RATE_HALFLIFE_NS),
        float(halflife_ns),
    )
    context = Context(columns, limits, ints, floats)
    context.add_delays([ANSWER_NS] * L.RING)
    context.c[L.DELAY_TAIL] = L.NEVER  # the ring is read round and round: constant for ever
    return context


def every_tick(columns: Columns, asked_for: Asked) -> Outcome:
    """The quoter called at every tick."""
    context, quoter = open_context(columns), q.Quoter(asked_for.order_lots)
    c, base = context.c, context.c[L.BASE]
    advance, request, on_tick = context.advance, context.request, quoter.on_tick
    best_bid, best_ask, waits = L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.ANSWERS_WAIT
    fills: list[tuple[int, int, int, int]] = []
    ticks, tick_ns, order_lots = 0, asked_for.tick_ms * MS, asked_for.order_lots
    now_ns, end_ns = int(columns["exch_ns"][0]) + tick_ns, int(columns["recv_ns"][-1])
    while now_ns < end_ns:
        while why := advance(now_ns):  # until it is REACHED and nothing waits, which is 0
            if why & waits:
                _report(context, quoter, fills)
        for what, number, side, tick in on_tick(c[best_bid] + base, c[best_ask] + base):
            request(now_ns + ORDER_NS, _REQUESTS[what], number, side, tick, order_lots)
        ticks += 1
        now_ns += tick_ns
    return Outcome(ticks, quoter.orders, quoter.cancels, quoter.position_lots, fills)


def quiet_band(columns: Columns, asked_for: Asked) -> Outcome:
    """The quoter called only when the market leaves the band that it declared, or something was reported."""
    context, quoter = open_context(columns), q.Quoter(asked_for.order_lots)
    c, base = context.c, context.c[L.BASE]
    advance, request, sleep, on_tick, quiet = (
        context.advance, context.request, context.sleep, quoter.on_tick, quoter.quiet
    )  # fmt: skip
    best_bid, best_ask, next_tick_ns = L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.NEXT_TICK_NS
    waits, news = L.ANSWERS_WAIT, L.WHY_MASK & ~L.WOKEN
    fills: list[tuple[int, int, int, int]] = []
    ticks, tick_ns, order_lots = 0, asked_for.tick_ms * MS, asked_for.order_lots
    now_ns, end_ns = int(columns["exch_ns"][0]) + tick_ns, int(columns["recv_ns"][-1])
    c[L.STEP_NS] = tick_ns
    last_ns = now_ns + (end_ns - now_ns - 1) // tick_ns * tick_ns
    c[next_tick_ns] = stop_ns = now_ns
    while now_ns < end_ns:
        why = advance(stop_ns)
        now_ns = stop_ns = c[next_tick_ns]
        if why & waits:
            _report(context, quoter, fills)
        if why & news:
            continue  # of the book, before the tick
        for what, number, side, tick in on_tick(c[best_bid] + base, c[best_ask] + base):
            request(now_ns + ORDER_NS, _REQUESTS[what], number, side, tick, order_lots)
        ticks += 1
        now_ns += tick_ns
        band = quiet()
        if band is None:
            c[next_tick_ns] = stop_ns = now_ns
        else:
            sleep(2, now_ns, band)
            stop_ns = last_ns
    return Outcome(ticks, quoter.orders, quoter.cancels, quoter.position_lots, fills)


def _report(context: Context, quoter: q.Quoter, fills: list[tuple[int, int, int, int]]) -> None:
    """Tell the quoter what has reached us."""
    for due_ns, kind, number, side, tick, lots, _, _, _ in context.answers():
        quoter.on_report(_REPORTS[kind], number, side, lots)
        if kind == L.MAKER_FILL:
            fills.append((due_ns, side, tick, lots))


def no_strategy(columns: Columns, what: Asked) -> Outcome:
    """The kernel called at every tick, and nothing else."""
    context = open_context(columns)
    advance = context.advance
    ticks, tick_ns = 0, what.tick_ms * MS
    now_ns, end_ns = int(columns["exch_ns"][0]) + tick_ns, int(columns["recv_ns"][-1])
    while now_ns < end_ns:
        while advance(now_ns) != L.REACHED:
            pass
        ticks += 1
        now_ns += tick_ns
    return Outcome(ticks, 0, 0, 0)


VARIANTS: dict[str, Callable[..., Outcome]] = {
    "every_tick": every_tick,
    "quiet_band": quiet_band,
    "no_strategy": no_strategy,
}


def main() -> None:
    """Measure in this process and say so in one line."""
    what: Asked = asked(list(VARIANTS))
    play, columns = VARIANTS[what.variant], load(what.columns)
    play({name: column[:2000] for name, column in columns.items()}, what)  # loads the kernel
    runs = [timed(lambda: play(columns, what)) for _ in range(what.repeat)]
    versions = {name: importlib.metadata.version(name) for name in ("mmbot", "numba", "numpy")}
    report(what, len(columns["kind"]) - 1, runs, versions)


if __name__ == "__main__":
    main()
