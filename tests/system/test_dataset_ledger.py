"""The dataset of a run says what the run's own ledger says, to the last digit, and what gates say of it."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import MARKET, START_NS, inverse, linear, run_request, scenario_file

from mmbot.model.instrument import Instrument
from mmbot.ops.dataset import DatasetRequest, work_out
from mmbot.runtime.run import Run
from mmbot.runtime.summary import Summary
from mmbot.units import SECOND


@pytest.mark.parametrize(
    "instrument", [linear(), inverse(venue="bybit_inverse")], ids=lambda built: built.contract
)
def test_fills_notional_fees_and_net_are_those_of_the_ledger(tmp_path: Path, instrument: Instrument) -> None:
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
    ledger, markouts = run.engine.bots[instrument.key].position, summary._markouts[instrument.key]

    request = DatasetRequest([str(tmp_path / "run")], tmp_path / "out", interval_ns=3_600 * SECOND)
    dataset = work_out(request)

    (total,) = dataset.content["totals"]
    assert ledger.fills > 5
    assert (total["fills"], total["notional"], total["fees"]) == (ledger.fills, ledger.notional, ledger.fees)
    assert total["taker_share"] == pytest.approx(1 - ledger.maker_notional / ledger.notional, abs=1e-12)
    ((start_ns, hour),) = markouts.intervals.items()
    (row,) = [
        dict(zip(dataset.intervals, values, strict=True))
        for values in zip(*dataset.intervals.values(), strict=True)
    ]
    assert row["start_ns"] == start_ns
    for found, edge in ((total, markouts.edge), (row, hour)):
        assert found["fills_with_net"] == edge.fills
        assert found["net"] == edge.net.settled
        assert (found["net_bps"], found["gross_bps"], found["fees_bps"]) == (
            edge.net.bps,
            edge.gross.bps,
            edge.fees.bps,
        )
        for seconds, leg in edge.adverse.items():
            assert found[f"adverse_{seconds}s_bps"] == leg.bps
        assert found["slippage_bps"] == edge.slippage.bps
    for seconds in (1, 5, 60):
        assert total[f"markout_{seconds}s_bps"] == pytest.approx(
            total["gross_bps"] + total[f"adverse_{seconds}s_bps"], rel=1e-12
        )
    assert dataset.fills["net_bps"].size == ledger.fills
