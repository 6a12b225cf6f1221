"""The bot's closing table and the plugin's gates see one edge: equal in every component, fill count and
driver, though neither reads the other.
"""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from tests.mmbot.builders import MARKET, START_NS, inverse, linear, run_request, scenario_file
from tests.mmbot.edge.test_markout import Path as Market
from tests.mmbot.edge.test_markout import bps, markouts, ns, paths

from mmbot.edge.markout import Markouts
from mmbot.model.instrument import Instrument
from mmbot.runtime.run import Run
from mmbot.runtime.summary import Summary
from pytest_mmgates.loader import load
from pytest_mmgates.metrics.edge import edge_summary
from pytest_mmgates.rows import Instrument as Stated
from pytest_mmgates.tables import Fills
from pytest_mmgates.tally import SymbolTally
from pytest_mmgates.tally.edge import Markouts as Recomputed
from pytest_mmgates.tally.edge import edge_tally


def bots_means(found: Markouts) -> dict[str, float]:
    """By the plugin's names: the components over the fills that have a net."""
    edge, mark = found.edge, found.last_mid
    assert mark is not None
    means: dict[str, float | None] = bps(edge)
    means |= {"inventory": edge.bps(edge.inventory(mark)), "pnl": edge.bps(edge.pnl(mark))}
    return {name: mean for name, mean in means.items() if mean is not None}


@pytest.mark.parametrize(
    "instrument", [linear(), inverse(venue="bybit_inverse")], ids=lambda built: built.contract
)
def test_on_a_run(tmp_path: Path, instrument: Instrument) -> None:
    market = {
        "seed": 7,
        "start_ns": START_NS,
        "instrument": msgspec.to_builtins(instrument),
        "settings": {**MARKET, "symbol": instrument.key, "duration_s": 400.0},
    }
    scenario_file(tmp_path / "scenarios", market=market, duration="390s")
    run = Run(run_request(tmp_path))
    summary = Summary([instrument])
    run.observers.append(summary)
    assert list(run)

    log = load(tmp_path / "run")
    found, judged = summary._markouts[instrument.key], edge_summary(log, instrument.key)

    assert judged.fills == found.edge.fills == found.edge.slippage.fills > 5
    assert judged.excluded == found.fills - found.edge.fills
    assert judged.means == pytest.approx(bots_means(found), rel=1e-9, abs=1e-9)
    drivers = {name: count for name, count in log.of(instrument.key).lost.items() if count}
    assert drivers == dict(found.edge.drivers)
    position = run.engine.bots[instrument.key].position
    assert found.last_mid is not None
    assert found.pnl() == pytest.approx(position.pnl(found.last_mid), rel=1e-9, abs=1e-12 * position.notional)


def recomputed(path: Market) -> SymbolTally:
    """The plugin's sums over the same rows."""
    rows, nan = path.rows(), float("nan")
    fills = Fills(
        ts_ns=np.array([row.ts_ns for row in rows], dtype=np.int64),
        symbol=np.zeros(len(rows), dtype=np.int16),
        side=np.array([1 if row.side == "buy" else -1 for row in rows], dtype=np.int64),
        price=np.array([row.price for row in rows]),
        qty=np.array([row.qty for row in rows]),
        maker=np.array([row.liquidity == "maker" for row in rows]),
        fee=np.array([row.fee for row in rows]),
        mid=np.array([nan if row.mid is None else row.mid for row in rows]),
        decision_mid=np.full(len(rows), nan),
    )
    after = Recomputed(fills.ts_ns)
    ticks = [(ns(at_s), nan if mid is None else mid) for at_s, mid in path.mids]
    after.ticks(np.array([at for at, _ in ticks], dtype=np.int64), np.array([mid for _, mid in ticks]))
    stated = path.instrument
    contract = "inverse" if stated.contract == "inverse" else "linear"
    named = Stated(stated.symbol, stated.venue, contract, stated.contract_value, stated.base, stated.quote)
    return edge_tally(fills, named, after.after(), after.last_mid)


@given(paths())
def test_on_any_rows(path: Market) -> None:
    found, judged = markouts(path.mids, path.rows(), path.instrument), recomputed(path)
    assert judged.edge_of_net["net"].fills == found.edge.fills
    means = {name: sums.mean for name, sums in judged.edge_of_net.items() if sums.fills}
    expected = bots_means(found) if found.edge.fills else {}
    assert means == pytest.approx(expected, rel=1e-9, abs=1e-8)
