"""What is brought up to date once a tick: volatility, liquidity, microprice counts; oracles in `book`."""

import math

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, inlined, kernel, pointer
from mmbot.kernels.ladder import ladder_of

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@kernel
def volatility(c, f, now_ns, mid_x2):
    """`book.measures.Volatility.update`; a variance below 0 stands for none yet."""
    previous, elapsed = c[L.VOL_MID_X2], now_ns - c[L.VOL_NOW_NS]
    c[L.VOL_MID_X2], c[L.VOL_NOW_NS] = mid_x2, now_ns
    if not previous or elapsed <= 0:
        return
    rate = 0.0
    if mid_x2 != previous:
        move = math.log(mid_x2 / previous) * 1e4
        rate = move * move * 1_000_000_000 / elapsed
    if f[L.VARIANCE] < 0.0:
        f[L.VARIANCE] = rate
    else:
        f[L.VARIANCE] += (1.0 - np.exp2(-elapsed / f[L.VOL_HALFLIFE_NS])) * (rate - f[L.VARIANCE])
    f[L.VOLATILITY_BPS] = math.sqrt(f[L.VARIANCE])


@kernel
def liquidity(c, f, now_ns, depth):
    """`book.measures.Liquidity.score`."""
    elapsed, first = now_ns - c[L.DEPTH_NOW_NS], c[L.DEPTH_NOW_NS] == 0
    c[L.DEPTH_NOW_NS] = now_ns
    if first:
        f[L.FAST_DEPTH] = f[L.MEAN_DEPTH] = depth
        f[L.LIQUIDITY_SCORE] = 0.0
        return
    f[L.FAST_DEPTH] += (1.0 - np.exp2(-elapsed / f[L.FAST_DEPTH_HALFLIFE_NS])) * (depth - f[L.FAST_DEPTH])
    f[L.MEAN_DEPTH] += (1.0 - np.exp2(-elapsed / f[L.DEPTH_HALFLIFE_NS])) * (depth - f[L.MEAN_DEPTH])
    f[L.LIQUIDITY_SCORE] = max(1.0 - f[L.FAST_DEPTH] / f[L.MEAN_DEPTH], 0.0)


@kernel
def microprice(c, bid_lots, ask_lots, spread, mid_x2):
    """`book.microprice.Transitions.observe`."""
    counts = carray(pointer(c[L.COUNTS]), (2 * L.STATES + 1, L.STATES), np.float64)
    bucket = int(min(bid_lots, ask_lots) / (bid_lots + ask_lots) * L.BUCKETS)
    if bid_lots > ask_lots:
        bucket = L.BUCKETS - 1 - bucket
    state = (min(spread, L.SPREADS) - 1) * L.BUCKETS + bucket
    before = c[L.STATE]
    if before >= 0:
        moved = mid_x2 - c[L.STATE_MID_X2]
        if moved:
            counts[L.STATES + before, state] += 1.0
            counts[2 * L.STATES, before] += moved / 2
        else:
            counts[before, state] += 1.0
    c[L.STATE], c[L.STATE_MID_X2] = state, mid_x2
    c[L.SEEN] += 1


@kernel
def fair_value(c):
    """Fair value of the view observed last, in ticks: `strategy.fetch_md.FetchMd`."""
    bid, ask = c[L.BID], c[L.ASK]
    mid = (bid + ask) / 2
    if c[L.FAIR_VALUE] == 0:
        return mid
    if c[L.FAIR_VALUE] == 1:
        return bid + (ask - bid) * (c[L.BID_LOTS] / (c[L.BID_LOTS] + c[L.ASK_LOTS]))
    adjustments = carray(pointer(c[L.ADJUSTMENTS]), (L.STATES,), np.float64)
    return min(max(mid + adjustments[c[L.STATE]], bid), ask)


@inlined
def _observe(c, f, now_ns):
    c[L.AGE_NS] = -1
    if not c[L.LOCAL_SYNCED]:
        return L.MISS
    age_ns = now_ns - c[L.CONFIRMED_NS]
    if age_ns > c[L.SILENCE_NS]:
        c[L.LOCAL_SYNCED] = 0
        return L.MISS
    c[L.AGE_NS] = age_ns
    read = L.HIT if age_ns <= c[L.TTL_NS] else (L.STALE if c[L.STALE_OK] else L.MISS)
    bid, ask = c[L.LOCAL_BEST_BID], c[L.LOCAL_BEST_ASK]
    if read == L.MISS or bid < 0 or ask >= c[L.SPAN] or bid >= ask:
        return read
    bids, asks = ladder_of(c, L.LOCAL_BIDS), ladder_of(c, L.LOCAL_ASKS)
    depth = np.int64(bids[bid]) + asks[ask]
    for step in range(1, c[L.DEPTH_TICKS]):
        if bid - step >= 0:
            depth += bids[bid - step]
        if ask + step < c[L.SPAN]:
            depth += asks[ask + step]
    changed = (
        c[L.BID] != bid + c[L.BASE]
        or c[L.ASK] != ask + c[L.BASE]
        or c[L.BID_LOTS] != bids[bid]
        or c[L.ASK_LOTS] != asks[ask]
        or c[L.DEPTH_LOTS] != depth
    )
    c[L.BID], c[L.ASK] = bid + c[L.BASE], ask + c[L.BASE]
    c[L.BID_LOTS], c[L.ASK_LOTS], c[L.DEPTH_LOTS] = bids[bid], asks[ask], depth
    mid_x2 = c[L.BID] + c[L.ASK]
    volatility(c, f, now_ns, mid_x2)
    liquidity(c, f, now_ns, depth)
    microprice(c, c[L.BID_LOTS], c[L.ASK_LOTS], c[L.ASK] - c[L.BID], mid_x2)
    return read | L.VIEWED | (L.CHANGED if changed else 0)


@kernel
def observed(c, f, now_ns):
    """What was found, CHANGED for as long as Python has not asked."""
    found = _observe(c, f, now_ns) | (c[L.OBSERVED] & L.CHANGED)
    c[L.OBSERVED_NS], c[L.OBSERVED] = now_ns, found
    return found
