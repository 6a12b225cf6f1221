"""What a configuration can earn on an instrument, by arithmetic alone: half spreads against the maker fee and
the tick, order size against the venue's minimum and our own limits.

Assumed: both sides fill as maker at the quoted distance from fair value, and the mid does not move; adverse
selection only takes from this. Rounding to the grid moves a quote outward, so a fill earns up to one tick
more than its half spread. A configuration whose widest half spread does not pay the maker fee can never
earn: that is a problem. Narrower quotes that lose are a remark, because skew and nudge may want them.

A price is needed for the tick in bps and the size of an order; without one both are unknown, and said to be.
"""

from dataclasses import dataclass

from mmbot.config.settings import Settings
from mmbot.engine.pipeline import model_of
from mmbot.model.instrument import Instrument
from mmbot.strategy.emit import Emit
from mmbot.units import BPS


@dataclass(frozen=True, slots=True)
class Earning:
    """One half spread against the fee, bps of fair value. `terms`: key and bps, added up."""

    name: str
    terms: tuple[tuple[str, float], ...]

    @property
    def net_bps(self) -> float:
        return sum(bps for _, bps in self.terms)

    @property
    def arithmetic(self) -> str:
        """`spread.max_bps 30 - maker fee 2 = 28 bps`."""
        first, *rest = self.terms
        text = f"{first[0]} {first[1]:g}"
        for name, bps in rest:
            text += f" {'-' if bps < 0 else '+'} {name} {abs(bps):g}"
        return f"{text} = {self.net_bps:.4g} bps"


@dataclass(frozen=True, slots=True)
class Economics:
    """Of one instrument. `tick_bps` and `order` are None without a price."""

    instrument: Instrument
    price: float | None
    tick_bps: float | None
    widest: Earning
    narrower: tuple[Earning, ...]
    order: str | None
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The arithmetic, to be printed."""
        facts = self.instrument
        tick = "NO_DATA: no price" if self.tick_bps is None else f"{self.tick_bps:.4g} bps at {self.price:g}"
        return [
            f"{facts.key}, fee tier {facts.fees.tier}",
            f"  tick {facts.tick_size}: {tick}; rounding outward adds up to one",
            *(f"  {one.name}: {one.arithmetic} a fill" for one in (self.widest, *self.narrower)),
            f"  order: {self.order or 'NO_DATA: no price'}",
            *(f"  remark: {text}" for text in self.remarks),
            *(f"  PROBLEM: {text}" for text in self.problems),
        ]


def economics(settings: Settings, instrument: Instrument, price: float | None) -> Economics:
    """`price`: a recent one, quote currency, or None if nobody knows."""
    spread = settings.spread

    def earning(name: str, *terms: tuple[str, float]) -> Earning:
        return Earning(name, (*terms, ("maker fee", -instrument.fees.maker_bps)))

    widest = earning("widest", ("spread.max_bps", spread.max_bps))
    narrower = (
        earning("usual", _usual(settings, instrument)),
        earning("narrowest", ("spread.min_bps", spread.min_bps)),
        earning("nudged", ("queue_aware.min_edge_bps", settings.queue_aware.min_edge_bps)),
    )
    skew = ("inventory.max_skew_bps", -settings.inventory.max_skew_bps)
    skewed = earning("narrowest at full skew", ("spread.min_bps", spread.min_bps), skew)
    problems, remarks = (
        [],
        [f"{one.name} loses {-one.net_bps:.4g} bps" for one in narrower if one.net_bps < 0],
    )
    if widest.net_bps <= 0:
        problems.append(f"even the widest half spread earns nothing: {widest.arithmetic}")
    order, tick_bps = None, None
    if price is not None:
        tick_bps = instrument.tick / price * BPS
        order, wrong, odd = _order(settings, instrument, price)
        problems += wrong
        remarks += odd
    return Economics(
        instrument=instrument,
        price=price,
        tick_bps=tick_bps,
        widest=widest,
        narrower=(*narrower, skewed),
        order=order,
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def _usual(settings: Settings, instrument: Instrument) -> tuple[str, float]:
    """Key and half spread of a flat position in a market at rest."""
    spread, model = settings.spread, model_of(settings, instrument.fees.maker_bps)
    if model is None:
        return "spread.base_bps", spread.base_bps
    return "spread.model glft", min(max(model.half_spread_bps(None), spread.min_bps), spread.max_bps)


def _order(settings: Settings, instrument: Instrument, price: float) -> tuple[str, list[str], list[str]]:
    """The size of an order at this price, what forbids it, and what is odd about it."""
    emit, limits, quote = Emit(settings.emit, instrument), settings.limits, instrument.quote
    asked, soft_ratio = settings.emit.order_notional_quote, settings.guards.soft_size_ratio
    fair_ticks = price / instrument.tick
    lots = emit.lots(fair_ticks, 1.0)
    notional = instrument.notional_quote(lots, price)
    problems, remarks = [], []
    if not lots:
        problems.append(
            f"emit.order_notional_quote {asked:g} makes no order at {price:g}: the venue asks for"
            f" {instrument.min_notional:g} {quote} and at least {instrument.min_lots} lots of"
            f" {instrument.lot_size}"
        )
    elif lots == instrument.max_lots:
        remarks.append(f"emit.order_notional_quote {asked:g} is cut: the venue takes {lots} lots an order")
    if lots and not emit.lots(fair_ticks, soft_ratio):
        remarks.append(f"SOFT quotes nothing: guards.soft_size_ratio {soft_ratio:g} of it is too little")
    if notional > limits.max_order_notional_quote:
        limit = f"limits.max_order_notional_quote {limits.max_order_notional_quote:g}"
        problems.append(f"{limit} refuses every order of {notional:g}")
    cap = settings.inventory.max_position_quote
    if cap + notional > limits.max_position_quote:
        limit = f"limits.max_position_quote {limits.max_position_quote:g}"
        reach = f"inventory.max_position_quote {cap:g} + one order = {cap + notional:g}"
        remarks.append(f"{limit} binds before the position reaches its cap: {reach}")
    order = f"{asked:g} {quote} = {lots} lots of {instrument.lot_size}, {notional:.6g} {quote}"
    return order, problems, remarks
