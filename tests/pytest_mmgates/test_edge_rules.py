"""No edge metric that cannot fail: for each, a run that keeps a rule and a cause that breaks it.

Eight fills, one every 100 s, each bought 10 bps below a flat mid with a small rebate; the cause changes the
fills, or the market around them.
"""

import pytest

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.judge import judge_rule
from pytest_mmgates.loader import load
from pytest_mmgates.metrics.edge import EDGE
from pytest_mmgates.rules import parse_rule
from pytest_mmgates.verdict import Verdict

MID = 100.0
FILL = {"side": "buy", "price": 99.9, "fee": -0.01, "qty": 1.0, "mid": MID, "decision_mid": MID}
TAKEN = {"price": 100.2}
"""Bought above the mid."""


def dip(first_s, last_s):
    """A market that is 0.5 % lower from `first_s` to `last_s` seconds after each fill."""
    return lambda since_s: 99.5 if since_s is not None and first_s <= since_s <= last_s else MID


def flat(_since_s):
    return MID


def falls_at_the_end(since_s):
    """80 s after the last fill, and after no other."""
    return 99.5 if since_s is not None and since_s >= 100 else MID


CAUSES = {
    "net_bps": ("> 0bps", TAKEN, flat),
    "gross_bps": ("> 0bps", TAKEN, flat),
    "fees_bps": (">= 0bps", {"fee": 0.01}, flat),
    "adverse_1s_bps": (">= -1bps", {}, dip(1, 3)),
    "adverse_5s_bps": (">= -1bps", {}, dip(4, 6)),
    "adverse_60s_bps": (">= -1bps", {}, dip(55, 65)),
    "inventory_bps": (">= -1bps", {}, falls_at_the_end),
    "pnl_bps": (">= 0bps", {}, falls_at_the_end),
    "slippage_bps": ("<= 0bps", {"decision_mid": 99.8}, flat),
    "lost_fills.ratio": ("<= 50%", TAKEN, flat),
    "lost_fills.gross_ratio": ("<= 50%", TAKEN, flat),
    "lost_fills.fees_ratio": ("<= 50%", {"fee": 0.2}, flat),
    "lost_fills.adverse_60s_ratio": ("<= 50%", {}, dip(55, 65)),
}


@pytest.fixture
def verdict(foreign_bot, tmp_path, shadow_gate):
    """`verdict(rule, changes, market)`: what the rule says of that run."""

    def judged(rule, changes=None, market=flat, payments=(-0.5, 0.25), **settings):
        base = {**foreign_bot.SETTINGS, "kind": "recorded", **settings}
        ticks = foreign_bot.ticks(base)
        start = ticks[0]["ts_ns"]
        fills = [
            {**foreign_bot.fill(index, start + (2_000 + 100 * index) * 10**9), **FILL, **(changes or {})}
            for index in range(8)
        ]
        for tick in ticks:
            passed = [(tick["ts_ns"] - fill["ts_ns"]) / 1e9 for fill in fills]
            tick["mid"] = market(min((one for one in passed if one >= 0), default=None))
        counts = {"ticks": len(ticks), "fills": len(fills)}
        manifest = {**foreign_bot.manifest_of(base, counts), "run_id": "r1", "scenario": "demo"}
        directory = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        funding = [
            {"ts_ns": start, "symbol": ticks[0]["symbol"], "kind": "funding", "detail": {"payment": payment}}
            for payment in payments
        ]
        feeds = {"pipeline_ticks": ticks, "fills": fills, "samples": foreign_bot.samples(base)}
        feeds["events"] = funding
        foreign_bot.write_feeds(directory, feeds, manifest)
        return judge_rule(parse_rule(rule), shadow_gate, load(directory))

    return judged


def test_every_edge_metric_has_a_cause():
    assert {*CAUSES, "funding_bps"} == {metric.name for metric in EDGE}


def test_funding_is_cash_by_the_weight_of_the_fills(verdict):
    """A quarter received over eight fills of 100."""
    good = verdict("funding_bps >= 0bps")
    assert (good.verdict, good.value, good.n) == (Verdict.PASS, pytest.approx(1e4 * 0.25 / 800), 2)
    assert verdict("funding_bps >= 0bps", payments=(0.5, -0.25)).verdict is Verdict.FAIL
    for payments, fill in (((), {}), ((0.5,), {"mid": None})):
        assert verdict("funding_bps >= 0bps", fill, payments=payments).verdict is Verdict.NO_DATA


def test_funding_without_a_payment_is_refused(verdict):
    with pytest.raises(
        RunlogError, match=r"funding of paper:ABCUSDT at .*: payment was None, expected a number"
    ):
        verdict("funding_bps >= 0bps", payments=(None,))


@pytest.mark.parametrize("metric", CAUSES)
def test_the_cause_breaks_the_rule_that_a_good_run_keeps(verdict, metric):
    limit, changes, market = CAUSES[metric]
    assert verdict(f"{metric} {limit}").verdict is Verdict.PASS
    assert verdict(f"{metric} {limit}", changes, market).verdict is Verdict.FAIL


@pytest.mark.parametrize("metric", CAUSES)
def test_without_what_it_is_made_of_it_is_no_data(verdict, metric):
    lost = {"decision_mid": None} if metric == "slippage_bps" else {"mid": None}
    assert verdict(f"{metric} {CAUSES[metric][0]}", lost).verdict is Verdict.NO_DATA
