"""The quiet band: there is one in the ordinary case, and none for each thing that is not ordinary.

That nothing happens inside a band is tested where runs are played: tests/system/test_wake_filter.py.
"""

from collections.abc import Callable

import pytest
from tests.mmbot.builders import KEY, START_NS, HandStopwatch, linear, shipped_settings

from mmbot.engine.symbol import SymbolBot
from mmbot.model.commands import SubmitOrder, unpacked
from mmbot.model.events import BookSnapshot, OrderAck, Tick
from mmbot.model.instrument import Side
from mmbot.runtime.assemble import build_engine, plain_markets
from mmbot.units import MS, SECOND, Ns

BOOK = ([(10_000 - step, 100) for step in range(20)], [(10_001 + step, 100) for step in range(20)])


def at_rest(**changes: dict[str, object]) -> SymbolBot:
    """A bot whose two orders rest in a book that stands still."""
    settings = shipped_settings(**changes)
    engine = build_engine(
        settings, [linear()], plain_markets(settings, [linear()]), arm="A", clock=HandStopwatch(1_000)
    )
    for tick in range(1, 40):
        now_ns = Ns(START_NS + tick * 100 * MS)
        engine.step(BookSnapshot(KEY, now_ns, now_ns, *BOOK))
        for command in unpacked(engine.step(Tick(now_ns))):
            if isinstance(command, SubmitOrder):
                engine.step(OrderAck(KEY, command.client_id, now_ns))
    return engine.bots[KEY]


def test_a_book_that_stands_still_has_a_band_around_it() -> None:
    bot = at_rest()
    band = bot.quiet_band()
    assert band is not None
    assert band.mid_low < bot.market.mid_x2 < band.mid_high
    assert band.fair_low < 10_000.5 < band.fair_high
    orders = bot._blotter.slots
    assert band.bid_low == orders[1].tick + 1
    assert band.ask_high == orders[-1].tick - 1


def nudged(bot: SymbolBot) -> None:
    bot._pipeline._stages.queue_aware._nudged[1] = 9_999


def volatile(bot: SymbolBot) -> None:
    bot.market._volatility.bps = 1.0  # the reference, from which on the spread widens


def too_large(bot: SymbolBot) -> None:
    bot._blotter.slots[1].leaves_lots *= 2


def at_the_touch(bot: SymbolBot) -> None:
    bot._blotter.slots[1].tick = 10_000


def guarded(bot: SymbolBot) -> None:
    bot._pipeline._stages.guards._held["volatility", 1] = START_NS


def losing(bot: SymbolBot) -> None:
    bot.vitals.marked(START_NS, 0.0, None)
    bot.vitals.marked(START_NS, -10.0, None)  # the reference, from which on the spread widens


def slow_to_answer(bot: SymbolBot) -> None:
    bot.vitals.sampled(START_NS + 4 * SECOND, 60 * MS)


def cooling_off(bot: SymbolBot) -> None:
    bot._pipeline._stages.spread.cool_off(START_NS + 4 * SECOND)


def holding(bot: SymbolBot) -> None:
    bot._pipeline._stages.fast_cancel.held = (Side.BUY,)


def slowed(bot: SymbolBot) -> None:
    bot._pipeline._stages.spread._last_bps += 0.1


@pytest.mark.parametrize(
    "changed",
    [
        nudged,
        volatile,
        too_large,
        at_the_touch,
        guarded,
        slowed,
        losing,
        slow_to_answer,
        cooling_off,
        holding,
    ],
)
def test_what_is_not_ordinary_has_none(changed: Callable[[SymbolBot], None]) -> None:
    bot = at_rest()
    changed(bot)
    assert bot.quiet_band() is None


def test_quotes_within_a_tick_of_fair_value_have_none() -> None:
    """The touch and the fair value hold such quotes back, and the band does not know how."""
    assert at_rest(spread={"base_bps": 0.5, "min_bps": 0.1, "liquidity_weight_bps": 0.0}).quiet_band() is None


def test_a_spread_that_could_come_to_its_widest_has_none() -> None:
    assert at_rest(spread={"max_bps": 3.05}).quiet_band() is not None
    assert at_rest(spread={"max_bps": 3.04}).quiet_band() is None
    assert at_rest(spread={"max_bps": 3.04, "cool_off_s": 0.0}).quiet_band() is not None


def test_no_move_within_a_band_is_a_spike() -> None:
    band = at_rest(fast_cancel={"move_bps": 4.0}).quiet_band()
    assert band is not None
    assert (band.mid_high - band.mid_low) / band.mid_low * 1e4 < 4.0
    assert band.mid_low < 20_001 < band.mid_high


def test_the_score_may_move_as_far_in_a_tick_as_the_spread() -> None:
    band = at_rest(spread={"slew_bps_per_s": 2.0, "liquidity_weight_bps": 1.5}).quiet_band()
    assert band is not None
    assert band.score_step * 1.5 == pytest.approx(0.2, rel=2e-3)
    assert band.score_step * 1.5 <= 0.2
