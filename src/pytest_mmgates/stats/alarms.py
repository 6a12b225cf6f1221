"""How often a rule that watches cries wolf, and how soon it finds what it is for, by simulation.

Drawn is what a rule counts every ten seconds: bad ticks, or fills of the liquidity that it is about. Bad
ticks come in bursts (their rate times a log-normal factor, sd 0.5, half-life one minute), fills at random and
of one size. What the rule then does is what `pytest_mmgates.watch.hold` does, over whole arrays. *Healthy* is
40 % of what the limit allows to be bad, the level at which the shadow gate stands to the stop rule of the
soak. A quantile of ticks is a share, too: p95 is above its limit when more than 5 % of the ticks are, and
those are its bad ones. Seeds are fixed: the prediction of a rule is always the same.

Not predicted: memory, breakers and edge, whose ways of going wrong no rate describes, and looks without a
value.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from pytest_mmgates.metrics import METRICS
from pytest_mmgates.rules import Rule
from pytest_mmgates.units import NS_PER_S, Dimension
from pytest_mmgates.watchrules import STEP_NS, Condition, WatchRule

TICKS_PER_S = 1.0
FILLS_PER_H = 200.0
HEALTHY_SHARE = 0.4
WORSE = (1.5, 2.0, 4.0)
"""Multiples of what the limit allows: where times to find are told."""
DAYS = 200
RUNS = 200
_BURST_SD, _BURST_HALF_LIFE_S = 0.5, 60.0
_STEP_S = STEP_NS / NS_PER_S
_STEPS_PER_DAY = round(86_400 / _STEP_S)
_MOST_BAD = 0.98
_SETTLED_HOLDS = 4
_NONE_SEEN = 3.0
"""Events that none in all trials does not rule out: exact 95 % upper bound."""
_ONE_SIDED_95 = 1.645
_BAD_ABOVE = {"deadline_miss.ratio", "md_cache.stale_ratio", "md_cache.miss_ratio", "taker_share"}
_BAD_BELOW = {"md_cache.hit_ratio", "maker_share"}
_OF_FILLS = {"taker_share", "maker_share"}
_QUANTILE = re.compile(r".+\.p(\d\d)")
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Alarms:
    """How often a rule fired in `trials` healthy days (of one that watches) or runs (of one that judges a
    whole run).
    """

    healthy: float
    """The true value of the metric."""
    fires: int
    trials: int

    @property
    def at_most(self) -> float:
        """Per trial, upper bound at 95 %: exact for none, else the normal approximation."""
        if not self.fires:
            return _NONE_SEEN / self.trials
        return (self.fires + _ONE_SIDED_95 * math.sqrt(self.fires)) / self.trials


@dataclass(frozen=True, slots=True)
class Found:
    """From a healthy level to a true value of the metric: the share of runs in which it was found, and the
    median time that it took, None where less than half were.
    """

    value: float
    share: float
    median_s: float | None


def is_predictable(rule: Rule | WatchRule) -> bool:
    """Whether a rate describes the metric, and the comparison is on its bad side."""
    if is_quantile(rule):
        return rule.bound.op in ("<", "<=")
    above = rule.bound.op in ((">", ">=") if isinstance(rule, WatchRule) else ("<", "<="))
    return rule.metric in (_BAD_ABOVE if above else _BAD_BELOW) and 0 < _allowed(rule) < 1


def is_quantile(rule: Rule | WatchRule) -> bool:
    """Of the time of ticks, over a whole run."""
    return (
        _QUANTILE.fullmatch(rule.metric) is not None
        and METRICS[rule.metric].source == "run"
        and METRICS[rule.metric].dimension is Dimension.TIME
    )


def false_alarms(rule: WatchRule, *, days: int = DAYS, seed: int = 1) -> Alarms:
    """Of a predictable rule, day after day at the healthy level."""
    bad, n = _drawn(rule, HEALTHY_SHARE * _allowed(rule), 1, days * _STEPS_PER_DAY, seed)
    fires = sum(int(_fires(_codes(rule, one, bad, n), one).sum()) for one in _conditions(rule))
    return Alarms(_value(rule, HEALTHY_SHARE * _allowed(rule)), fires, days)


def false_failures(rule: Rule, evidence_s: float, *, runs: int = 10 * RUNS, seed: int = 1) -> Alarms:
    """Of a predictable rule that judges a whole run, of as long as the evidence asks for."""
    steps = max(1, round(evidence_s / _STEP_S))
    most = min(runs, max(1, RUNS * _STEPS_PER_DAY // steps))
    bad, n = _drawn(rule, HEALTHY_SHARE * _allowed(rule), most, steps, seed)
    counted = n.sum(axis=1)
    shares = bad.sum(axis=1)[counted > 0] / counted[counted > 0]
    failed = sum(not _holds(rule, share) for share in shares.tolist())
    return Alarms(_value(rule, HEALTHY_SHARE * _allowed(rule)), failed, most)


def times_to_find(rule: WatchRule, *, runs: int = RUNS, seed: int = 1) -> list[Found]:
    """Of a predictable rule, for some levels worse than its limit, after a window at the healthy one."""
    window = rule.slow.window_ns // STEP_NS
    steps = window + _SETTLED_HOLDS * max(window, rule.slow.hold_ns // STEP_NS)
    levels = sorted({min(_MOST_BAD, worse * _allowed(rule)) for worse in WORSE})
    return [_found(rule, level, window, window + steps, runs, seed) for level in levels]


def _found(rule: WatchRule, ill: float, well_steps: int, steps: int, runs: int, seed: int) -> Found:
    levels = np.full(steps, ill)
    levels[:well_steps] = HEALTHY_SHARE * _allowed(rule)
    bad, n = _drawn(rule, levels, runs, steps, seed)
    fired = np.zeros((runs, steps), dtype=np.bool_)
    for condition in _conditions(rule):
        fired |= _fires(_codes(rule, condition, bad, n), condition)
    fired[:, :well_steps] = False
    seen = fired.any(axis=1)
    after_s = np.where(seen, (fired.argmax(axis=1) - well_steps + 1) * _STEP_S, np.inf)
    median_s = float(np.median(after_s))
    return Found(_value(rule, ill), float(seen.mean()), median_s if math.isfinite(median_s) else None)


def _drawn(
    rule: Rule | WatchRule, level: float | Floats, runs: int, steps: int, seed: int
) -> tuple[Counts, Counts]:
    """Bad ones and all, (runs, steps) each. `level`: the true share of bad ones, in each step."""
    draws = np.random.default_rng(seed)
    if rule.metric in _OF_FILLS:
        n = draws.poisson(FILLS_PER_H * _STEP_S / 3600, (runs, steps))
        return draws.binomial(n, level), n
    keeps = 0.5 ** (_STEP_S / _BURST_HALF_LIFE_S)
    noise = math.sqrt(1 - keeps**2) * draws.normal(0, _BURST_SD, (runs, steps))
    burst = np.exp(lfilter([1.0], [1.0, -keeps], noise, axis=1) - _BURST_SD**2 / 2)
    n = np.full((runs, steps), round(TICKS_PER_S * _STEP_S), dtype=np.int64)
    return draws.binomial(n, np.minimum(1.0, level * burst)), n


def _codes(rule: WatchRule, condition: Condition, bad: Counts, n: Counts) -> npt.NDArray[np.int8]:
    """At every look: 1 the comparison is true, -1 it is cleared, 0 neither, or the window is not full."""
    window = condition.window_ns // STEP_NS
    counted, wrong = _windows(n, window), _windows(bad, window)
    known = counted >= max(1, condition.least)
    values = _values(rule, wrong / np.maximum(1, counted))
    limit = condition.bound.limit.base(Dimension.RATIO)
    clear = (condition.clear or condition.bound.limit).base(Dimension.RATIO)
    holds = {">": values > limit, ">=": values >= limit, "<": values < limit, "<=": values <= limit}
    cleared = values <= clear if condition.above else values >= clear
    codes = np.where(holds[condition.bound.op], 1, np.where(cleared, -1, 0))
    found = np.zeros(bad.shape, dtype=np.int8)
    found[:, window - 1 :] = np.where(known, codes, 0)
    return found


def _fires(codes: npt.NDArray[np.int8], condition: Condition) -> Flags:
    """At which looks it fires: when the comparison was true at so many looks since it was last cleared."""
    needed = condition.hold_ns // STEP_NS + 1
    held = np.cumsum(codes == 1, axis=1)
    before = np.maximum.accumulate(np.where(codes == -1, held, 0), axis=1)
    found: Flags = (codes == 1) & (held - before == needed)
    return found


def _windows(counts: Counts, window: int) -> Counts:
    """Sums of so many neighbours, from the first full one on."""
    total = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)
    found: Counts = total[:, window:] - total[:, :-window]
    return found


def _conditions(rule: WatchRule) -> Sequence[Condition]:
    return [rule.slow] if rule.fast is None else [rule.slow, rule.fast]


def _holds(rule: Rule, bad: float) -> bool:
    if is_quantile(rule):
        return bad <= _allowed(rule)
    return rule.bound.holds(_value(rule, bad), Dimension.RATIO)


def _allowed(rule: Rule | WatchRule) -> float:
    """The share of bad ones at the limit."""
    quantile = _QUANTILE.fullmatch(rule.metric)
    if quantile:
        return 1 - int(quantile[1]) / 100
    limit = rule.bound.limit.base(Dimension.RATIO)
    return 1 - limit if rule.metric in _BAD_BELOW else limit


def _value(rule: Rule | WatchRule, bad: float) -> float:
    return 1 - bad if rule.metric in _BAD_BELOW else bad


def _values(rule: Rule | WatchRule, bad: Floats) -> Floats:
    return 1 - bad if rule.metric in _BAD_BELOW else bad
