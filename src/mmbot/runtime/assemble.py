"""The only place where rooms are wired together: settings and instruments in, an engine out."""

import functools
import itertools
from collections.abc import Sequence

from mmbot.book.cache import MdCache
from mmbot.book.l2 import L2Book
from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.engine.pipeline import Pipeline, Stages
from mmbot.engine.symbol import SymbolBot
from mmbot.model.instrument import Instrument
from mmbot.risk.limits import Limits
from mmbot.strategy.emit import Emit
from mmbot.strategy.fetch_md import FetchMd
from mmbot.strategy.guards import Guards
from mmbot.strategy.inventory import skew_bps
from mmbot.strategy.queue_aware import QueueAware
from mmbot.strategy.spread import AdaptiveSpread


def build_engine(
    settings: Settings, instruments: Sequence[Instrument], *, arm: str, clock: Stopwatch = stopwatch
) -> Engine:
    """One engine. Client ids are `mm<arm>-<symbol>-<counter>`: a fill names its arm, and a
    symbol's ids do not depend on what else is traded.
    """
    bots = {
        instrument.key: _symbol_bot(settings, instrument, clock, f"mm{arm}-{instrument.symbol}")
        for instrument in instruments
    }
    return Engine(bots, settings.md_cache)


def _symbol_bot(settings: Settings, instrument: Instrument, clock: Stopwatch, id_prefix: str) -> SymbolBot:
    ids = itertools.count(1)
    book, cache = L2Book(), MdCache(settings.md_cache)
    stages = Stages(
        fetch_md=FetchMd(settings.fetch_md, book, cache),
        spread=AdaptiveSpread(settings.spread),
        guards=Guards(settings.guards, settings.md_cache.fresh_ms_for_pricing),
        inventory=functools.partial(skew_bps, settings=settings.inventory),
        queue_aware=QueueAware(settings.queue_aware),
        emit=Emit(settings.emit, instrument),
    )
    pipeline = Pipeline(settings.pipeline, settings.inventory.max_position_quote, instrument, stages, clock)
    limits = Limits(settings.limits, instrument)
    return SymbolBot(
        instrument,
        book,
        cache,
        stages,
        pipeline,
        limits,
        settings.aligner,
        lambda: f"{id_prefix}-{next(ids)}",
    )
