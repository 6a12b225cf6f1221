"""The world of a shadow run in the kernel: live events, a simulated venue, the kernel and rules of a replay.

Events are pushed as they are decoded. The rule that makes a replay of what was received decide the same: read
the clock, push all that was received, then advance to the time that was read.

**What the venue does is known late.** An event that reaches us now happened at the venue a moment ago
(`sim.market_data`). A replay knows that moment in time; live, the venue's half can only be played as far as
the market is known, so it runs that much behind ours. Then no answer and no snapshot may be faster than the
market that it depends on: `in_time` says which models keep to that, and a replay with the same models gives
the same orders and fills. Only a count of what rests at the venue tells an older moment than it would there.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from mmbot.book.cache import MdCacheSettings
from mmbot.book.fed import appended
from mmbot.book.market import FeatureSettings
from mmbot.config.settings import SimSettings
from mmbot.errors import ConfigError
from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.growing import FIRST_ROWS, GrowingContext
from mmbot.model.commands import Command, RequestSnapshot
from mmbot.model.events import BookTrouble, MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.model.market_rows import rows_of
from mmbot.runtime.compiled_world import KernelWorld, Symbol, kernel_settings, order_sizes


def in_time(settings: SimSettings) -> SimSettings:
    """The same models, with no answer and no snapshot faster than market data."""
    floor_ms = settings.market_data.median_ms
    response, resync = (
        msgspec.structs.replace(model, floor_ms=max(model.floor_ms, floor_ms))
        for model in (settings.response, settings.resync)
    )
    return msgspec.structs.replace(settings, response=response, resync=resync)


def _check(settings: SimSettings) -> None:
    """Raises ConfigError for models that would let us know something before its time."""
    floor_ms = settings.market_data.median_ms
    for name, model in (("response", settings.response), ("resync", settings.resync)):
        if model.floor_ms < floor_ms:
            raise ConfigError(
                f"sim.{name}: was {model.name}, expected a floor_ms of {floor_ms:g} or more: live, no answer "
                "is known before the market that it depends on"
            )


class _LiveSymbol(Symbol):
    """A symbol whose market grows."""

    def __init__(
        self,
        instrument: Instrument,
        cache: MdCacheSettings,
        features: FeatureSettings,
        settings: SimSettings,
        seed: tuple[int, int],
        rows: int,
    ) -> None:
        ints, floats = kernel_settings(cache, features, settings)
        ints |= order_sizes(instrument)
        self.behind_ns = ints[L.VENUE_BEHIND_NS] = ints[L.MARKET_DATA_NS]
        self._growing = GrowingContext(ints, floats, rows)
        self._on_their_way: dict[int, tuple[str, str]] = {}
        self._told = 0
        self.asked_ns: deque[int] = deque()
        """When we asked for snapshots that the venue's half has not come to."""
        super().__init__(instrument.key, self._growing, self._on_their_way, settings, seed)

    def push(self, event: MarketEvent) -> None:
        trouble = event if isinstance(event, BookTrouble) else appended(self._growing, event)
        if trouble is not None:
            self._tell(trouble)
            self._growing.append(*rows_of(trouble, self._told))

    def _tell(self, event: BookTrouble) -> None:
        """Keep what the trouble says until its row is played, and drop what was played before the last."""
        table, played = self._on_their_way, self.context.c[L.DETAIL]
        while table and next(iter(table)) < played:
            del table[next(iter(table))]
        self._told += 1
        table[self._told] = event.trouble.value, event.detail


class ShadowWorld(KernelWorld):
    """Live markets and simulated venues of all symbols."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        cache: MdCacheSettings,
        features: FeatureSettings,
        settings: SimSettings,
        seed: int,
        rows: int = FIRST_ROWS,
    ) -> None:
        """`rows`: how many each buffer holds at first. Raises ConfigError for models that are not in time."""
        _check(settings)
        self._live = {
            instrument.key: _LiveSymbol(instrument, cache, features, settings, (seed, index), rows)
            for index, instrument in enumerate(instruments)
        }
        super().__init__(list(self._live.values()), settings)
        self._advanced_ns = 0

    def push(self, event: MarketEvent) -> None:
        """Take an event that was received. It reaches the engine when the world advances to its time.

        Raises RuntimeError for one from before the time that the world has advanced to: the queue was not
        drained.
        """
        if event.recv_ns <= self._advanced_ns:
            times = (
                f"received at {event.recv_ns} was pushed after the world had advanced to {self._advanced_ns}"
            )
            raise RuntimeError(f"{event.symbol}: an event {times}")
        self._live[event.symbol].push(event)

    def number_fills_behind(self, symbol: str, fills: int) -> None:
        """A run goes on in which this symbol had so many."""
        self._live[symbol].context.number_fills_behind(fills)

    def advance(self, until_ns: int) -> None:
        self._advanced_ns = until_ns
        for symbol in self._live.values():
            asked_ns = symbol.asked_ns
            while asked_ns and asked_ns[0] + symbol.behind_ns <= until_ns:
                self._advance(symbol, asked_ns[0] + symbol.behind_ns)
                super().send(asked_ns.popleft(), RequestSnapshot(symbol.key))
            self._advance(symbol, until_ns)

    def send(self, now_ns: int, command: Command) -> None:
        if isinstance(command, RequestSnapshot):
            self._live[command.symbol].asked_ns.append(now_ns)
        else:
            super().send(now_ns, command)
