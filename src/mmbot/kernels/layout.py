"""Where things lie in a kernel's context: one int64 block of scalars and addresses, one float64 block of
features.

Constants, so that the compiled code has them as literals; the owner of the arrays is `kernels.context`.
"""

# --- int64 block: addresses and sizes, set once
ROWS = 0
EXCH, RECV, KIND, TICK, LOTS = 1, 2, 3, 4, 5
VENUE_BIDS, VENUE_ASKS, LOCAL_BIDS, LOCAL_ASKS = 6, 7, 8, 9
SPAN = 10
"""Length of a ladder; index = tick - BASE."""
BASE = 11
ORDERS, PLACES, REQUESTS, ANSWERS, DELAYS, FEATURES, COUNTS = 12, 13, 14, 15, 16, 17, 18

# --- settings, set once
SNAPSHOT_CROSSED = 19
"""The book that CROSSED reports came as a snapshot."""
CLOCK_RECORDED = 20
"""1: the venue acts at its own stamps; 0: MARKET_DATA_NS before we receive."""
MARKET_DATA_NS = 21
DEPTH_TICKS = 22
SILENCE_NS = 23
TTL_NS = 24
STALE_OK = 25
MIN_LOTS, MAX_LOTS = 46, 47
"""Sizes of an order that the venue takes."""

# --- state of the venue's half
VENUE_ROW = 30
VENUE_LAST_NS = 31
VENUE_SYNCED = 32
VENUE_BEST_BID, VENUE_BEST_ASK = 33, 34
"""Ladder indices; -1 and SPAN stand for no level."""
VENUE_MID_X2 = 35
"""Of ticks, after the last message; NO_MID on a one-sided book."""
ORDER_COUNT = 36
FILLS = 37
REQUEST_HEAD, REQUEST_TAIL = 38, 39
ANSWER_HEAD, ANSWER_TAIL = 40, 41
ANSWER_LAST_NS = 42
DELAY_HEAD, DELAY_TAIL = 43, 44
VENUE_BEHIND_NS = 45
"""How long after its moment the venue's half is played: 0 in a recording, where it is known; the latency of
market data live, where it is not known before.
"""
OWN_BID_LOW, OWN_BID_HIGH, OWN_ASK_LOW, OWN_ASK_HIGH = 26, 27, 28, 29
"""Ladder indices between which our bids and our asks rest; low above high without any. Rows and trades that
miss them cannot concern an order of ours.
"""

# --- state of our half
LOCAL_ROW = 50
LOCAL_SYNCED = 51
LOCAL_BEST_BID, LOCAL_BEST_ASK = 52, 53
CONFIRMED_NS = 54
UPDATES = 55
INCLUDED_ROW = 56
"""Book rows before this one are part of the snapshot that we took over."""
PLACE_COUNT = 57
ANSWER_SEEN = 58
"""Answers from ANSWER_HEAD to here have reached us and wait for Python."""
STIRRED = 59
"""What has reached us since Python last looked: 0 nothing, 1 acknowledgements and amends alone, 2 more."""

# --- microprice state
STATE_MID_X2 = 62

# --- times of the features (float64 cannot hold nanoseconds since the epoch)
VOL_NOW_NS, VOL_MID_X2, DEPTH_NOW_NS, BUY_RATE_NS, SELL_RATE_NS = 63, 64, 65, 66, 67

# --- what the last call found
NOW_NS = 68
SEEN, STATE, AGE_NS, BID, ASK, BID_LOTS, ASK_LOTS, DEPTH_LOTS = 70, 71, 72, 73, 74, 75, 76, 77
"""SEEN and STATE are those of the microprice."""
OVERFLOWED = 78
"""1: an order found no slot; nothing after it can be believed."""
DETAIL = 79

# --- sleep: ticks that the strategy declared to be of no consequence while the market stays in a band
ASLEEP = 80
"""0: awake; else the least that must have STIRRED to wake."""
NEXT_TICK_NS = 81
BAND_MID_LOW, BAND_MID_HIGH, BAND_BID_LOW, BAND_BID_HIGH, BAND_ASK_LOW, BAND_ASK_HIGH = 82, 83, 84, 85, 86, 87
"""What twice the mid, the best bid and the best ask may be, ticks."""
BAND_FEATURES = 88
"""1: the features are observed at every tick and must stay in the band too; 0: only the touch counts."""
BAND_AGE_NS, BAND_SEEN = 89, 90
"""The book may be that old; so many observations wake, because the microprice is then fitted anew."""
FAIR_VALUE = 91
"""0 mid, 1 weighted mid, 2 microprice by the table ADJUSTMENTS."""
STEP_NS = 92
"""From tick to tick."""
SKIPPED = 93
"""Ticks slept through so far."""
OBSERVED_NS, OBSERVED = 94, 95
"""Time and result of the last observation."""
ADJUSTMENTS = 96
FORGET_ROW = 97
"""ROWS_PASSED is told from this row of our half on."""
SLEPT_MID_X2 = 98
"""Twice the mid of the last tick that was slept through."""
INTS = 99

# --- float64 block
VARIANCE, VOLATILITY_BPS, LIQUIDITY_SCORE = 0, 1, 2
VOL_HALFLIFE_NS, MEAN_DEPTH, DEPTH_HALFLIFE_NS = 3, 4, 5
RATE_HALFLIFE_NS, BUY_RATE, SELL_RATE = 6, 7, 8
"""Decayed rates of the market trading against resting bids and resting asks, lots per second."""
QUEUE_POWER = 9
"""0: risk averse."""
BAND_FAIR_LOW, BAND_FAIR_HIGH, BAND_VOLATILITY = 10, 11, 12
"""What the fair value may be, ticks, and below what the volatility must stay."""
BAND_SCORE_LOW, BAND_SCORE_HIGH, BAND_SCORE_STEP = 13, 14, 15
"""What the liquidity score may be, and how far it may go from tick to tick."""
SLEPT_SCORE = 16
"""Liquidity score of the last tick that was slept through, or of the tick before sleep."""
FAST_DEPTH, FAST_DEPTH_HALFLIFE_NS = 17, 18
FLOATS = 19

# --- row kinds of a recording (`recording.columns`), and the bit of a message's last row
BID_ROW, ASK_ROW, BUY_ROW, SELL_ROW, CONFIRMED_ROW, SNAPSHOT_ROW, TROUBLE_ROW = 0, 1, 2, 3, 4, 5, 6
BREAKS_BOTH = 1
"""`tick` of a TROUBLE row after which the venue's book is not known either."""
LAST_ROW = 0x80
KIND_MASK = 0x7F

# --- columns of the order, place, request and answer tables
ORDER_ID, ORDER_SIDE, ORDER_TICK, ORDER_LEAVES, ORDER_AHEAD, ORDER_TRADED, ORDER_BEFORE = 0, 1, 2, 3, 4, 5, 6
ORDER_LOTS, ORDER_POST_ONLY = 7, 8
"""ORDER_LOTS: its whole size, what has filled included."""
ORDER_WIDTH = 9
UNTOUCHED = -1
"""ORDER_BEFORE of an order whose level the current message has not named."""
PLACE_ID, PLACE_SIDE, PLACE_TICK, PLACE_AHEAD = 0, 1, 2, 3
PLACE_WIDTH = 4
DUE_NS, WHAT, ID, SIDE, PRICE, SIZE, EXTRA, VENUE_TIME, LEAVES = 0, 1, 2, 3, 4, 5, 6, 7, 8
"""EXTRA: twice the venue's mid before a fill; of AMENDED, whether it kept its place. LEAVES: what a fill left
of its order.
"""
RING_WIDTH = 9
RING = 1024
"""Length of every ring; a power of two."""
SLOTS = 64
"""Orders of ours at one time, per symbol."""

SUBMIT, SUBMIT_POST_ONLY, CANCEL, AMEND = 1, 2, 3, 4
ACK, REJECT_NO_BOOK, REJECT_WOULD_TAKE, CANCELLED, CANCEL_REJECT, MAKER_FILL, TAKER_FILL = 1, 2, 3, 4, 5, 6, 7
REJECT_SIZE, AMENDED, AMEND_NO_ORDER, AMEND_NO_BOOK, AMEND_SIZE = 8, 9, 10, 11, 12
NO_MID = -(1 << 62)
NEVER = 1 << 62
NOWHERE = 1 << 40
"""A ladder index beyond every ladder."""

BUCKETS = 9
"""Of imbalance, for the microprice: an odd number, so that a balanced book stands in the middle of one."""
SPREADS = 3
STATES = BUCKETS * SPREADS

HIT, STALE, MISS = 0, 1, 2
READ_MASK, VIEWED, CHANGED = 3, 4, 8
"""What `observe` returns: how it was read; a view was priced; it differs from the last one priced."""

# --- why the kernel came back, and what waits beside that
REACHED, WOKEN, SNAPSHOT_ARRIVED, TROUBLE_ARRIVED, CROSSED, OVERFULL = 0, 1, 2, 3, 4, 5
WHY_MASK, ANSWERS_WAIT, FEW_DELAYS, ROWS_PASSED = 7, 8, 16, 32
ENOUGH_DELAYS = 512
