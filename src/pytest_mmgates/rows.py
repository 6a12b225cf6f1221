"""The wire form of a run directory (schema 1), and the reading of its JSONL files in bounded memory.

Structs name only the fields that something here uses; a run may write more. A row that does not decode, a
last line without its newline, an empty line: each is a RunlogError naming file and line. Nothing is skipped
and nothing is repaired: a gate over a repaired file would judge another run than the one that happened.
(msgspec itself refuses NaN and infinite numbers.)
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal, TypeVar

import msgspec
import zstandard

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.outages import Outage, length_ns
from pytest_mmgates.units import NS_PER_MS

_BLOCK_BYTES = 4_000_000
ELSEWHERE = "rows_elsewhere.txt"
"""In a run directory that holds what its rows came to: the place where they are."""

Ns = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Price = Annotated[float, msgspec.Meta(gt=0)]
Cache = Literal["hit", "stale", "miss"]
DataKind = Literal["recorded", "live", "synthetic"]


class Row(msgspec.Struct, gc=False):
    """What every row carries. The symbol is null where a row is about the whole process."""

    ts_ns: Ns
    run_id: str
    data_kind: str
    symbol: str | None


class TickRow(Row, gc=False):
    symbol: str
    cache: Cache
    age_ns: Ns | None
    fetch_md_ns: Ns
    spread_ns: Ns
    guards_ns: Ns
    inventory_ns: Ns
    queue_aware_ns: Ns
    emit_ns: Ns
    tick_total_ns: Ns
    wait_ns: Ns
    deadline_miss: bool
    mid: Price | None
    bid: float | None
    ask: float | None
    position_quote: float


class FillRow(Row, gc=False):
    symbol: str
    recv_ns: Ns
    side: Literal["buy", "sell"]
    price: Price
    qty: Annotated[float, msgspec.Meta(gt=0)]
    liquidity: Literal["maker", "taker"]
    fee: float
    mid: Price | None
    decision_mid: Price | None = None


class ArmTickRow(TickRow, gc=False, kw_only=True):
    """Of an experiment: the arm that was in force."""

    arm: str


class ArmFillRow(FillRow, gc=False, kw_only=True):
    """Of an experiment: the arm that submitted the order, which its id says too."""

    arm: str
    client_id: str


class ShownTickRow(TickRow, gc=False, kw_only=True):
    """With what people look at, and no gate."""

    half_spread_bps: float | None = None


class TraceRow(Row, gc=False):
    """What a report shows of the queue: seconds until what stands ahead of our first-level orders is gone."""

    symbol: str
    bid_eta_s: float | None = None
    ask_eta_s: float | None = None


class SampleRow(Row, gc=False):
    name: str
    value: float


class EventRow(Row, gc=False):
    kind: str
    detail: dict[str, Any] = {}


class Feed(msgspec.Struct, frozen=True):
    symbol: str
    venue: str
    sha256: str | None = None
    frames: int | None = None


class Data(msgspec.Struct, frozen=True):
    """`injected`: faults that were put into it."""

    kind: DataKind
    sha256: str
    feeds: list[Feed]
    injected: list[str] = []


class Instrument(msgspec.Struct, frozen=True):
    symbol: str
    venue: str
    contract: Literal["linear", "inverse"]
    contract_value: Annotated[float, msgspec.Meta(gt=0)]
    base: str
    quote: str


class PartEntry(msgspec.Struct, frozen=True):
    """One line of the manifest of a run in parts; the part's own manifest lies in `parts/<name>/`."""

    name: str
    status: str
    run_digest: str | None = None


class ConfigInForce(msgspec.Struct, frozen=True):
    """A configuration that a run had, from its first tick on."""

    first_tick_ns: Ns | None
    config_sha256: str


class Resumed(msgspec.Struct, frozen=True):
    """A run that was interrupted went on at this tick, in another process. `outage_from_ns`: the newest row
    before, where the market went on meanwhile; None where it was played on without a gap.
    """

    first_tick_ns: Ns
    outage_from_ns: Ns | None = None


class ExperimentEntry(msgspec.Struct, frozen=True):
    """Which plan a run was played for."""

    plan_hash: str


class _Resumes(msgspec.Struct):
    resumes: list[Resumed] = []


class Markets(msgspec.Struct, frozen=True):
    """What a run trades: the part of `manifest.json` that is known before its first row."""

    data: Data
    instruments: list[Instrument]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Full names, in the order of their codes."""
        return tuple(dict.fromkeys(full_name(feed.venue, feed.symbol) for feed in self.data.feeds))

    def instrument(self, symbol: str) -> Instrument | None:
        """Of a symbol by its full name."""
        named = (item for item in self.instruments if full_name(item.venue, item.symbol) == symbol)
        return next(named, None)


class Manifest(Markets, frozen=True):
    """`manifest.json`: where the run came from. Times are virtual under a virtual clock. `parts` is empty for
    a run that was played whole; `configs` has more than one entry for a run whose settings were changed.
    """

    schema: Literal[1]
    run_id: str
    step: str
    scenario: str
    mode: str
    clock: Literal["virtual", "wall"]
    status: Literal["running", "complete", "halted", "failed"]
    reason: str | None
    started_ns: Ns
    ended_ns: Ns | None
    seed: int
    config: dict[str, Any]
    config_sha256: str
    code: dict[str, str | bool | None]
    host: dict[str, str | int | None]
    models: dict[str, str]
    counts: dict[str, int]
    run_digest: str | None = None
    parts: list[PartEntry] = []
    configs: list[ConfigInForce] = []
    resumes: list[Resumed] = []
    arm: str = "A"
    experiment: ExperimentEntry | None = None

    @property
    def duration_ns(self) -> int:
        """From start to end without the outages; 0 for a run that did not end."""
        return 0 if self.ended_ns is None else self.ended_ns - self.started_ns - length_ns(self.outages)

    @property
    def outages(self) -> tuple[Outage, ...]:
        return tuple(
            Outage(resume.outage_from_ns, resume.first_tick_ns)
            for resume in self.resumes
            if resume.outage_from_ns is not None
        )

    @property
    def deadline_ns(self) -> float:
        return self.setting("pipeline", "deadline_ms") * NS_PER_MS

    @property
    def ttl_ms(self) -> float:
        return self.setting("md_cache", "ttl_ms")

    def setting(self, section: str, name: str) -> float:
        """An effective value of the bot's configuration, or RunlogError."""
        value = self.config.get(section, {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RunlogError(f"config has no number {section}.{name}")
        return float(value)


RowT = TypeVar("RowT", bound=Row)


def full_name(venue: str, symbol: str) -> str:
    """How rows and selectors name an instrument: `venue:symbol`; one symbol trades on several venues."""
    return symbol if ":" in symbol else f"{venue}:{symbol}"


def read_manifest(directory: Path) -> Manifest:
    """Raises RunlogError, also for one without the settings that a verdict needs."""
    path = directory / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        _ = manifest.deadline_ns, manifest.ttl_ms
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, RunlogError) as error:
        raise RunlogError(f"{path}: {error}") from error
    return manifest


def read_running(directory: Path, started_ns: int) -> Manifest:
    """Of a run that has not ended, and may not have said yet when it began. Raises RunlogError."""
    path = directory / "manifest.json"
    try:
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return msgspec.convert({**known, "started_ns": started_ns}, Manifest)
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RunlogError(f"{path}: {error}") from error


def read_markets(directory: Path) -> Markets:
    """Of a run that may be playing still. Raises RunlogError."""
    path = directory / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Markets)
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RunlogError(f"{path}: {error}") from error


def read_resumes(directory: Path) -> list[int]:
    """When a run that may be playing still was resumed, ns. Raises RunlogError."""
    path = directory / "manifest.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Resumes)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunlogError(f"{path}: {error}") from error
    return [resume.first_tick_ns for resume in found.resumes]


def read_blocks(path: Path, row_type: type[RowT]) -> Iterator[tuple[int, list[RowT]]]:
    """Decoded rows, block by block, each with the line number of its first row."""
    decoder = msgspec.json.Decoder(row_type)
    line = 1
    for block in _whole_lines(path):
        if not block.endswith(b"\n"):
            raise RunlogError(f"{path}:{line}: torn row: the file ends without a newline")
        rows = _decode(decoder, block, path, line)
        yield line, rows
        line += len(rows)


def rows_elsewhere(directory: Path) -> str | None:
    """The place where the rows of a run directory are, where they are not here."""
    path = directory / ELSEWHERE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def feed_files(directory: Path, feed: str) -> list[Path]:
    """The files of a feed by day: JSON lines, or where only that is left, the same compressed. Raises
    RunlogError where the rows are elsewhere: no rows would be another thing.
    """
    elsewhere = rows_elsewhere(directory)
    if elsewhere is not None:
        raise RunlogError(f"{directory}: its rows are in {elsewhere}")
    by_name = {path.name.removesuffix(".zst"): path for path in directory.glob(f"{feed}_????????.jsonl.zst")}
    by_name |= {path.name: path for path in directory.glob(f"{feed}_????????.jsonl")}
    return [by_name[name] for name in sorted(by_name)]


def open_feed(path: Path) -> IO[bytes]:
    """The lines of a feed's file, compressed or not."""
    if path.suffix != ".zst":
        return path.open("rb")
    return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True))


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Blocks of about `_BLOCK_BYTES` that end with a newline; what is left at the end is a torn row."""
    rest = b""
    try:
        with open_feed(path) as file:
            while block := file.read(_BLOCK_BYTES):
                whole, newline, tail = block.rpartition(b"\n")
                if newline:
                    yield rest + whole + newline
                    rest = tail
                else:
                    rest += block
    except zstandard.ZstdError as error:
        raise RunlogError(f"{path}: is no whole zstd file: {error}") from error
    if rest:
        yield rest


def _decode(decoder: msgspec.json.Decoder[RowT], block: bytes, path: Path, first_line: int) -> list[RowT]:
    """The fast way reads the whole block; only where it fails are the lines read one by one to find the
    place.
    """
    try:
        rows = decoder.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        rows = []
    if len(rows) == block.count(b"\n"):
        return rows
    for line, text in enumerate(block.splitlines(), first_line):
        try:
            decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RunlogError(f"{path}:{line}: corrupt row: {error}") from error
    raise RunlogError(f"{path}:{first_line}: rows and lines do not match")
