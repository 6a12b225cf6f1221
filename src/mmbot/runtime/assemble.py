"""The only place where rooms are wired together: settings and instruments in, an engine out."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mmbot.book.market import EventMarket, FeatureSettings, Market, PlainMarket
from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.engine.pipeline import Pipeline, Stages, model_of, rest_of, skew_of
from mmbot.engine.quiet import Quiet
from mmbot.engine.sender import Checks
from mmbot.engine.symbol import SymbolBot
from mmbot.engine.trace import Tracer
from mmbot.experiment.arms import BASELINE, ArmedEngine
from mmbot.model.instrument import Instrument
from mmbot.model.orders import symbol_prefix
from mmbot.risk.account import Account
from mmbot.risk.breaker import Breaker
from mmbot.risk.limits import Limits
from mmbot.risk.taker_cap import TakerCap
from mmbot.risk.throttle import Throttle
from mmbot.runtime.arming import Armed
from mmbot.strategy.emit import Emit
from mmbot.strategy.fast_cancel import FastCancel
from mmbot.strategy.fetch_md import FetchMd
from mmbot.strategy.guards import Guards
from mmbot.strategy.queue_aware import QueueAware
from mmbot.strategy.spread import AdaptiveSpread
from mmbot.strategy.vitals import Vitals
from mmbot.units import MS

if TYPE_CHECKING:
    from mmbot.book.fed import FedMarket


def feature_settings(settings: Settings) -> FeatureSettings:
    """Windows of the market's features, from the sections of the stages that read them."""
    return FeatureSettings(
        depth_ticks=settings.fetch_md.depth_ticks,
        volatility_halflife_s=settings.fetch_md.volatility_halflife_s,
        liquidity_fast_halflife_s=settings.spread.liquidity_fast_halflife_s,
        liquidity_halflife_s=settings.spread.liquidity_halflife_s,
        trade_rate_halflife_s=settings.queue_aware.rate_halflife_s,
    )


def plain_markets(settings: Settings, instruments: Sequence[Instrument]) -> dict[str, PlainMarket]:
    """Markets in ordinary Python, one a symbol."""
    features = feature_settings(settings)
    return {instrument.key: PlainMarket(settings.md_cache, features) for instrument in instruments}


def fed_markets(settings: Settings, instruments: Sequence[Instrument]) -> dict[str, "FedMarket"]:
    """Markets in kernels that are fed with events, one a symbol: live, where a real venue answers."""
    from mmbot.book.fed import FedMarket  # noqa: PLC0415 (numba costs 0.6 s to import)

    features = feature_settings(settings)
    return {instrument.key: FedMarket(settings.md_cache, features) for instrument in instruments}


def build_engine(
    settings: Settings,
    instruments: Sequence[Instrument],
    markets: Mapping[str, Market],
    *,
    arm: str,
    clock: Stopwatch = stopwatch,
    armed: Armed | None = None,
    in_force: Callable[[Settings], Settings] = in_force,
) -> Engine:
    """One engine over these markets. Client ids are `mm<arm>-<symbol>-<counter>`: a fill names its arm, and a
    symbol's ids do not depend on what else is traded.

    `settings` are of `arm`; of an engine with both arms, `armed`, they are the baseline's, and `in_force` is
    what its rooms get of settings as written.
    """
    account = Account(settings.limits)
    checks = _checks(settings, instruments, account)
    bots = {
        key: _symbol_bot(
            settings, instrument, markets[key], checks[key], clock, arm if armed is None else BASELINE
        )
        for instrument in instruments
        for key in [instrument.key]
    }
    feeds = {key: market for key, market in markets.items() if isinstance(market, EventMarket)}
    if armed is None:
        return Engine(bots, feeds, settings.md_cache, account)
    plan, arms = armed.experiment.plan, armed.arms(in_force)
    return ArmedEngine(bots, feeds, settings.md_cache, account, plan, arms, armed.course)


def _checks(settings: Settings, instruments: Sequence[Instrument], account: Account) -> dict[str, Checks]:
    """What judges orders, by symbol: breaker and throttle are one a venue, the account is one."""
    venues = {instrument.venue for instrument in instruments}
    breakers = {venue: Breaker(settings.breaker) for venue in venues}
    throttles = {venue: Throttle(settings.throttle) for venue in venues}
    return {
        instrument.key: Checks(
            limits=Limits(settings.limits, instrument),
            taker_cap=TakerCap(settings.taker_cap, instrument),
            breaker=breakers[instrument.venue],
            throttle=throttles[instrument.venue],
            account=account,
        )
        for instrument in instruments
    }


def _symbol_bot(
    settings: Settings, instrument: Instrument, market: Market, checks: Checks, clock: Stopwatch, arm: str
) -> SymbolBot:
    glft = model_of(settings, instrument.fees.maker_bps)
    stages = Stages(
        fetch_md=FetchMd(settings.fetch_md, market),
        spread=AdaptiveSpread(settings.spread, glft),
        guards=Guards(settings.guards, settings.md_cache.fresh_ms_for_pricing),
        inventory=skew_of(settings, glft, market),
        queue_aware=QueueAware(settings.queue_aware, market),
        emit=Emit(settings.emit, instrument),
        vitals=Vitals(settings.vitals, rest_of(settings.spread, settings.guards)),
        fast_cancel=FastCancel(settings.fast_cancel),
        market=market,
        maker_fee_bps=instrument.fees.maker_bps,
    )
    max_position_quote = settings.inventory.max_position_quote
    tracer = Tracer(settings.trace, instrument, market, stages)
    pipeline = Pipeline(settings.pipeline, max_position_quote, instrument, market, stages, tracer, clock)
    id_prefix = symbol_prefix(arm, instrument.symbol)
    tick_ns = round(settings.pipeline.tick_interval_ms * MS)
    quiet = Quiet(stages, settings.aligner, market, max_position_quote, tick_ns)
    return SymbolBot(
        instrument,
        market,
        pipeline,
        checks,
        settings.aligner,
        settings.async_batch,
        quiet,
        stages,
        id_prefix,
    )
