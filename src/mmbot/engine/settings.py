"""What a running bot can be told anew: the sections that its rooms read. `config.Settings` has them."""

from typing import Protocol

from mmbot.book.cache import MdCacheSettings
from mmbot.engine.pipeline import PipelineSettings
from mmbot.engine.trace import TraceSettings
from mmbot.execution.aligner import AlignerSettings
from mmbot.execution.batcher import BatchSettings
from mmbot.risk.breaker import BreakerSettings
from mmbot.risk.limits import LimitSettings
from mmbot.risk.taker_cap import TakerCapSettings
from mmbot.risk.throttle import ThrottleSettings
from mmbot.strategy.emit import EmitSettings
from mmbot.strategy.fast_cancel import FastCancelSettings
from mmbot.strategy.fetch_md import FetchMdSettings
from mmbot.strategy.glft import GlftSettings
from mmbot.strategy.guards import GuardSettings
from mmbot.strategy.inventory import InventorySettings
from mmbot.strategy.queue_aware import QueueAwareSettings
from mmbot.strategy.spread import SpreadSettings


class BotSettings(Protocol):
    """Settings of every room of a bot."""

    @property
    def pipeline(self) -> PipelineSettings: ...

    @property
    def md_cache(self) -> MdCacheSettings: ...

    @property
    def fetch_md(self) -> FetchMdSettings: ...

    @property
    def spread(self) -> SpreadSettings: ...

    @property
    def glft(self) -> GlftSettings: ...

    @property
    def guards(self) -> GuardSettings: ...

    @property
    def fast_cancel(self) -> FastCancelSettings: ...

    @property
    def inventory(self) -> InventorySettings: ...

    @property
    def queue_aware(self) -> QueueAwareSettings: ...

    @property
    def emit(self) -> EmitSettings: ...

    @property
    def aligner(self) -> AlignerSettings: ...

    @property
    def async_batch(self) -> BatchSettings: ...

    @property
    def limits(self) -> LimitSettings: ...

    @property
    def taker_cap(self) -> TakerCapSettings: ...

    @property
    def breaker(self) -> BreakerSettings: ...

    @property
    def throttle(self) -> ThrottleSettings: ...

    @property
    def trace(self) -> TraceSettings: ...
