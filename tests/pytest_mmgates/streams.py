"""Metric streams as a bot would write them: rows of a bot that is well, and of one that falls ill.

One tick a second; misses come in bursts (their rate times a log-normal factor, sd 0.5, half-life one minute),
fills at random, memory as a saw, breakers that open for half a minute now and then. Seeded.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

START_NS = 1_767_225_600_000_000_000
STEP_S = 10
SYMBOL = "paper:ABCUSDT"
IDENTITY = {"run_id": "r1", "data_kind": "synthetic"}
_BURST_SD = 0.5
_BURST_KEEPS = 0.5 ** (STEP_S / 60)
_SAW_BYTES, _SAW_S = 60e6, 1380.0


@dataclass(frozen=True)
class Levels:
    """True levels. `open_share`: of the time that the breaker is not closed, in openings of 30 s."""

    miss: float = 0.02
    hit: float = 0.80
    taker: float = 0.06
    fills_per_h: float = 200.0
    leak_mb_per_h: float = 40.0
    open_share: float = 0.01
    ticks: bool = True


HEALTHY = Levels()
"""Each at 40 % of what stops it: the healthy level that the shadow gates ask for."""


def batches(
    hours: float,
    ill: Levels = HEALTHY,
    *,
    from_h: float = math.inf,
    seed: int = 1,
    identity: Mapping[str, str] = IDENTITY,
    tick: Mapping[str, object] | None = None,
    symbol: str = SYMBOL,
    well: Levels = HEALTHY,
) -> Iterator[tuple[str, bytes]]:
    """(feed, lines), ten seconds each; until `from_h` at the levels of `well`, then of `ill`. `tick`: what
    else a tick row says.
    """
    body = _Body(np.random.default_rng(seed), identity, tick or {}, symbol)
    for step in range(round(hours * 3600 / STEP_S)):
        at_s = step * STEP_S
        yield from body.step(at_s, ill if at_s >= from_h * 3600 else well)


class _Body:
    def __init__(
        self, draws: np.random.Generator, identity: Mapping[str, str], tick: Mapping[str, object], symbol: str
    ) -> None:
        self._draws = draws
        self._identity, self._tick, self._symbol = dict(identity), dict(tick), symbol
        self._burst = 0.0
        self._leaked = 0.0
        self._closes_s: float | None = None

    def step(self, at_s: int, levels: Levels) -> Iterator[tuple[str, bytes]]:
        draws = self._draws
        self._burst = _BURST_KEEPS * self._burst + math.sqrt(1 - _BURST_KEEPS**2) * draws.normal(0, _BURST_SD)
        burst = math.exp(self._burst - _BURST_SD**2 / 2)
        self._leaked += levels.leak_mb_per_h * 1e6 * STEP_S / 3600
        if levels.ticks:
            yield "pipeline_ticks", self._ticks(at_s, min(1.0, levels.miss * burst), levels.hit)
        fills = int(draws.poisson(levels.fills_per_h * STEP_S / 3600))
        if fills:
            yield "fills", self._fills(at_s, fills, levels.taker)
        if at_s % 60 == 0:
            saw = _SAW_BYTES * (at_s % _SAW_S) / _SAW_S
            row = {"name": "rss_bytes", "value": 5e8 + self._leaked + saw + draws.normal(0, 1e6)}
            yield "samples", self._lines([{**row, "ts_ns": _ns(at_s), "symbol": None}])
        yield from self._breaker(at_s, levels.open_share)

    def _ticks(self, at_s: int, miss: float, hit: float) -> bytes:
        missed = self._draws.random(STEP_S) < miss
        hits = self._draws.random(STEP_S) < hit
        return self._lines(
            [
                {
                    **self._tick,
                    "ts_ns": _ns(at_s + second),
                    "symbol": self._symbol,
                    "cache": "hit" if hits[second] else "stale",
                    "deadline_miss": bool(missed[second]),
                }
                for second in range(STEP_S)
            ]
        )

    def _fills(self, at_s: int, count: int, taker: float) -> bytes:
        takes = self._draws.random(count) < taker
        row = {"symbol": self._symbol, "side": "buy", "price": 100.0, "qty": 1.0, "fee": 0.0, "mid": 100.0}
        at = {"ts_ns": _ns(at_s), "recv_ns": _ns(at_s)}
        return self._lines([{**row, **at, "liquidity": "taker" if take else "maker"} for take in takes])

    def _breaker(self, at_s: int, share: float) -> Iterator[tuple[str, bytes]]:
        if self._closes_s is None and self._draws.random() < share * STEP_S / 30:
            self._closes_s = math.inf if share == 1 else at_s + 30
            yield "events", self._turn(at_s, "open")
        elif self._closes_s is not None and at_s >= self._closes_s:
            self._closes_s = None
            yield "events", self._turn(at_s, "closed")

    def _turn(self, at_s: int, state: str) -> bytes:
        detail = {"venue": "paper", "state": state}
        return self._lines([{"ts_ns": _ns(at_s), "symbol": None, "kind": "breaker", "detail": detail}])

    def _lines(self, rows: list[dict[str, object]]) -> bytes:
        return msgspec.json.Encoder().encode_lines([{**self._identity, **row} for row in rows])


def _ns(at_s: float) -> int:
    return START_NS + round(at_s * 1e9)
