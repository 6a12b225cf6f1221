"""`manifest.json` of a run as a dataset reads it, and the runs that it refuses."""

from typing import Any

import msgspec

from mmbot.errors import DatasetError
from mmbot.model.instrument import Contract, Fees, Instrument
from mmbot.units import MS, SECOND

RUN_SCHEMA = 1
_READABLE = ("complete", "halted", "running")
_HALFLIVES = 4
"""After as many, a sixteenth of what a feature began with is left."""


class _Data(msgspec.Struct, frozen=True):
    kind: str
    sha256: str
    injected: list[str] = []


class _Traded(msgspec.Struct, frozen=True):
    """An instrument as a manifest states it; `symbol` is its full name."""

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

    @property
    def instrument(self) -> Instrument:
        fees = Fees(self.fee_tier, self.maker_fee_bps, self.taker_fee_bps)
        return Instrument(
            venue=self.venue,
            symbol=self.symbol.removeprefix(f"{self.venue}:"),
            base=self.base,
            quote=self.quote,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            min_notional=0.0,
            fees=fees,
            contract=self.contract,
            contract_value=self.contract_value,
        )


class Manifest(msgspec.Struct, frozen=True):
    """What a dataset needs of `manifest.json`."""

    schema: int
    run_id: str
    arm: str
    step: str
    scenario: str
    mode: str
    status: str
    started_ns: int | None
    data: _Data
    config: dict[str, Any]
    config_sha256: str
    code: dict[str, str | bool | None]
    instruments: list[_Traded]
    counts: dict[str, int]
    ended_ns: int | None = None
    reason: str | None = None
    run_digest: str | None = None
    parts: list[dict[str, Any]] = []

    def setting(self, section: str, name: str) -> float:
        """An effective value of the configuration."""
        value = self.config.get(section, {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise DatasetError(f"run {self.run_id}: config {section}.{name} was {value!r}, expected a number")
        return float(value)

    @property
    def tick_ns(self) -> int:
        return round(self.setting("pipeline", "tick_interval_ms") * MS)

    @property
    def warm_up_ns(self) -> int:
        """From the start of the run until its slowest feature is warm."""
        slowest_s = max(
            self.setting("fetch_md", "volatility_halflife_s"),
            self.setting("spread", "liquidity_halflife_s"),
            self.setting("queue_aware", "rate_halflife_s"),
        )
        return round(_HALFLIVES * slowest_s * SECOND)


def read_manifest(text: bytes, path: str) -> Manifest:
    """Raises DatasetError, also for a run whose rows do not say what they seem to."""
    manifest = decoded_manifest(text, path)
    if manifest.status not in _READABLE:
        expected = ", ".join(_READABLE)
        raise DatasetError(f"{path}: run {manifest.run_id} is {manifest.status}, expected {expected}")
    if (altered := alteration(manifest)) is not None:
        raise DatasetError(f"{path}: {altered}")
    return manifest


def decoded_manifest(text: bytes, path: str) -> Manifest:
    """The same of any run. Raises DatasetError for what is no manifest."""
    try:
        schema = msgspec.json.decode(text, type=dict[str, Any]).get("schema")
        if schema != RUN_SCHEMA:
            raise DatasetError(f"{path}: schema was {schema!r}, expected {RUN_SCHEMA}")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise DatasetError(f"{path}: {error}") from error


def alteration(manifest: Manifest) -> str | None:
    """Why the rows of a run do not say what they seem to, or None."""
    if manifest.data.injected:
        faults = ", ".join(manifest.data.injected)
        return f"faults were put into the data of run {manifest.run_id}: {faults}"
    skipped = manifest.counts.get("skipped_ticks", 0)
    return f"a wake filter left {skipped} ticks out of run {manifest.run_id}" if skipped else None
