"""What an experiment's rows come to, block by block. The judge reads nothing else.

Everything here is a sum or a count, so that what a verdict rests on fits on a page and can be kept.
"""

import msgspec

from pytest_mmgates.experiment.facts import Arm


class Part(msgspec.Struct, frozen=True):
    """Fills of one stretch of time; money in quote currency (base, of inverse contracts), positive = good for
    us, but of slippage. `unmarked` fills have no net, as where 60 s later there was no mid; they are in no
    sum.
    """

    fills: int = 0
    unmarked: int = 0
    net: float = 0.0
    notional: float = 0.0
    gross: float = 0.0
    fees: float = 0.0
    adverse: float = 0.0
    slippage: float = 0.0
    slippage_notional: float = 0.0


class BlockRecord(msgspec.Struct, frozen=True):
    """One block of one cluster. `analysed` is what happened after the wash-out, `late` after twice the
    wash-out (None where the block is too short for that). `ticks`, of `expected` ones, are those after the
    wash-out, `with_book` those that had a two-sided book. `excluded`: why the market lets nothing be said of
    it. `positions`, a pair of each symbol, in quote currency: at the start, and two wash-outs later.
    """

    cluster: str
    index: int
    pair: int | None
    arm: Arm
    start_ns: int
    end_ns: int
    expected: int
    ticks: int
    with_book: int
    analysed: Part
    late: Part | None
    excluded: str | None = None
    positions: list[tuple[float, float]] = []


class Origin(msgspec.Struct, frozen=True):
    """A run that the blocks are from."""

    run_id: str
    arm: str
    config_sha256: str
    data_sha256: str
    data_kind: str
    plan_hash: str | None
    run_digest: str | None
    models: dict[str, str]
    status: str
    reason: str | None
    started_ns: int
    ended_ns: int


class TickTimes(msgspec.Struct, frozen=True):
    """Of all ticks of one arm, waits included."""

    ticks: int
    p95_ns: float


class VariantRecord(msgspec.Struct, frozen=True):
    """The blocks of both arms under one set of models; a live stage has one. `void`: what makes them no
    experiment.
    """

    name: str
    origins: list[Origin]
    blocks: list[BlockRecord]
    tick_total: dict[str, TickTimes]
    void: list[str]

    @property
    def started_ns(self) -> int:
        return min(origin.started_ns for origin in self.origins)

    @property
    def complete(self) -> bool:
        """Every run has ended by itself: nobody halted it, and none is still under way."""
        return all(origin.status == "complete" for origin in self.origins)

    @property
    def ended_ns(self) -> int:
        return max(origin.ended_ns for origin in self.origins)
