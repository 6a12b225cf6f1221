"""The errors of the ablation study, by hand."""

import math
import statistics

from tests.bench.ablation import Result, cases, with_error

from mmbot.config.flags import FLAGS


def result(*hours: tuple[float, float]) -> Result:
    """Netted and weight of each hour."""
    facts = {"fills": 0, "orders": 0, "inventory_p99_quote": 0.0, "digest": ""}
    missing = dict.fromkeys(("net_bps", "gross_bps", "fees_bps", "adverse_bps", "maker_share", "pnl"))
    return Result(**facts, **missing, hours=dict(enumerate(hours)))


def test_of_hours_of_equal_weight_the_error_is_that_of_their_mean():
    nets = (0.1, 0.4, -0.2, 0.3)
    bps = [10_000 * net / 100 for net in nets]
    error = statistics.stdev(bps) / math.sqrt(len(bps))
    assert with_error(result(*((net, 100.0) for net in nets))) == f"{statistics.mean(bps):+.2f} ± {error:.2f}"


def test_a_difference_pairs_the_hours():
    """The same in every hour has no error, however much the hours differ."""
    on = result((0.1, 100.0), (0.4, 100.0), (-0.2, 100.0))
    off = result((0.2, 100.0), (0.5, 100.0), (-0.1, 100.0))
    assert with_error(off, on) == "+10.00 ± 0.00"


def test_what_cannot_be_known_is_said():
    assert with_error(result()) == "NO_DATA"
    assert with_error(result((0.1, 100.0))) == "+10.00 ± NO_DATA"
    assert with_error(result((0.1, 100.0)), result((0.1, 100.0), (0.2, 100.0))) == "-5.00 ± NO_DATA"


def test_every_flag_about_quotes_is_switched_off_under_every_model(tmp_path):
    every = cases("demo", None, tmp_path)
    assert len(every) % 4 == 0
    assert len({(case.queue, case.latency) for case in every}) == 4
    off = {case.off for case in every}
    assert {"risk_guards", "queue_aware", None} <= off
    assert off - {None} < {flag.name for flag in FLAGS}
