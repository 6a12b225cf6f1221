"""A run read from its directory while another process plays it: rows that were appended, folded into a view.

Rows of ticks, fills and events are taken in time order. A last line without its newline is still being
written, and waits. Memory does not grow with the run.
"""

import heapq
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mmbot.errors import ConfigError
from mmbot.model.instrument import Contract, Fees, Instrument
from mmbot.model.records import EventRow, FillRow, TickRow
from mmbot.telemetry.reading import FeedReader
from mmbot.telemetry.view import RuleState, RunFacts, RunState, View

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_ROWS = 4096

Kept = TickRow | FillRow | EventRow


class _Data(msgspec.Struct, frozen=True):
    kind: str


class _Instrument(msgspec.Struct, frozen=True):
    """As a manifest has it: `symbol` is the full name."""

    symbol: str
    venue: str
    tick_size: str
    lot_size: str
    contract: Contract
    contract_value: float
    base: str
    quote: str
    fee_tier: str
    maker_fee_bps: float
    taker_fee_bps: float

    def whole(self) -> Instrument:
        """The least notional is not in a manifest, and no figure of a view needs it."""
        return Instrument(
            venue=self.venue,
            symbol=self.symbol.removeprefix(f"{self.venue}:"),
            base=self.base,
            quote=self.quote,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            min_notional=0.0,
            fees=Fees(self.fee_tier, self.maker_fee_bps, self.taker_fee_bps),
            contract=self.contract,
            contract_value=self.contract_value,
        )


class _Manifest(msgspec.Struct, frozen=True):
    run_id: str
    step: str
    scenario: str
    mode: str
    clock: str
    status: Literal["running", "complete", "halted", "failed"]
    data: _Data
    instruments: list[_Instrument]
    part: str | None = None
    reason: str | None = None
    parts: list[dict[str, Any]] = []


class _Fired(msgspec.Struct, frozen=True):
    why: str


class _Watched(msgspec.Struct, frozen=True):
    """One record of `watch.json`."""

    rule: str
    section: str
    judged: int
    fired: _Fired | None = None


class Tail:
    """A run directory. Raises ConfigError for what is none, RecordingError for rows that cannot be read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        manifest = _manifest(directory)
        if manifest.parts:
            names = ", ".join(str(part.get("name")) for part in manifest.parts)
            raise ConfigError(
                f"{directory}: was a run in parts, expected one of {directory / 'parts'}: {names}"
            )
        instruments = [instrument.whole() for instrument in manifest.instruments]
        self._view = View(
            RunFacts(
                run_id=manifest.run_id,
                step=manifest.step,
                scenario=manifest.scenario,
                part=manifest.part,
                mode=manifest.mode,
                clock=manifest.clock,
                data_kind=manifest.data.kind,
                instruments=instruments,
                planned_ns=None,
            )
        )
        self._ticks = FeedReader(directory, "pipeline_ticks", TickRow)
        self._fills = FeedReader(directory, "fills", FillRow)
        self._events = FeedReader(directory, "events", EventRow)

    def state(self) -> RunState:
        """As of every row that is written by now."""
        manifest = _manifest(self._directory)  # before the rows: what it says of the end, they hold already
        feeds: tuple[Iterator[Kept], ...] = (self._ticks.rows(), self._fills.rows(), self._events.rows())
        rows = heapq.merge(*feeds, key=_known_ns)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            self._view.rows(chunk)
        if manifest.status != "running":
            self._view.ended(manifest.status, manifest.reason)
        self._view.rules = _rules(self._directory / "watch.json")
        return self._view.state()


def _known_ns(row: Kept) -> int:
    """By when it was written."""
    return row.recv_ns if isinstance(row, FillRow) else row.ts_ns


def _manifest(directory: Path) -> _Manifest:
    path = directory / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except OSError as error:
        raise ConfigError(f"{path}: was {error.strerror}, expected a run directory") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no manifest of a run: {error}") from error


def _rules(path: Path) -> list[RuleState] | None:
    """What the judge of the run kept when it had ended; None where nothing watched, or it plays still."""
    try:
        watched = msgspec.json.decode(path.read_bytes(), type=list[_Watched])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no record of rules: {error}") from error
    return [
        RuleState(
            one.rule, one.section, f"fired, {one.fired.why}" if one.fired else _quiet(one), bool(one.fired)
        )
        for one in watched
    ]


def _quiet(watched: _Watched) -> str | None:
    return f"did not fire at {watched.judged} looks" if watched.judged else None
