"""What is brought up to date once a tick: volatility, liquidity, microprice counts; oracles in `book`."""

import math

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, kernel, pointer

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
        f[L.MEAN_DEPTH] = depth
        f[L.LIQUIDITY_SCORE] = 0.0
        return
    mean = f[L.MEAN_DEPTH]
    f[L.MEAN_DEPTH] = mean + (1.0 - np.exp2(-elapsed / f[L.DEPTH_HALFLIFE_NS])) * (depth - mean)
    f[L.LIQUIDITY_SCORE] = max(1.0 - depth / mean, 0.0)


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
