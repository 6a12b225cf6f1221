"""The seal of a calibrated overlay: where its values came from, and that nobody changed them since.

An overlay that `mmbot calibrate weights` wrote has a section `calibration` beside the settings it sets. It
is no setting: it is checked and taken off before layers are merged. `sha256` is of everything else in the
file, so a value that was edited by hand is an error with file and line, not a calibrated value. To change one
on purpose, write it into another overlay, or remove the section: then it is an ordinary overlay.

`window` is the time whose data the values were fitted to, named by a hash of that data, its ends and its
symbols: whoever tests the values on other data can tell whether it is other data (`window_of`).
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from mmbot.config.strict_yaml import Document, load
from mmbot.errors import ConfigError

SECTION = "calibration"


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data that values were fitted to. `data_sha256` is that of the run's manifest; the end is not in it."""

    data_sha256: str
    from_ns: int
    to_ns: int
    symbols: list[str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`outcome`: the values are new ones, or there are none and the old are kept, for this `reason`.

    `intervals`: by key, between what each fitted value lies with 95 % confidence.
    """

    made_by: str
    outcome: Literal["new", "old"]
    reason: str
    data_kind: Literal["recorded", "live", "synthetic"]
    dataset: str
    dataset_sha256: str
    config_sha256: str
    window: Window
    window_sha256: str
    intervals: dict[str, tuple[float, float]]
    sha256: str


def sealed(facts: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The document of an overlay. `facts`: the fields of a Seal but for its own hash."""
    return {SECTION: {**facts, "sha256": _sha256(facts, values)}, **values}


def opened(document: Document) -> tuple[Document, Seal | None]:
    """The settings of an overlay alone, and its seal if it has one. Raises ConfigError for a broken seal."""
    if SECTION not in document.data:
        return document, None
    seal = document.section(SECTION).convert(Seal)
    facts = {name: value for name, value in document.data[SECTION].items() if name != "sha256"}
    values = {name: value for name, value in document.data.items() if name != SECTION}
    found = _sha256(facts, values)
    if found != seal.sha256:
        raise ConfigError(
            f"{document.where((SECTION, 'sha256'))}: {SECTION}.sha256: was {seal.sha256[:12]}, the file"
            f" hashes to {found[:12]}: edited after it was calibrated; calibrate again, or remove the section"
        )
    if seal.window.sha256 != seal.window_sha256:
        raise ConfigError(
            f"{document.where((SECTION, 'window_sha256'))}: {SECTION}.window_sha256: was"
            f" {seal.window_sha256[:12]}, the window hashes to {seal.window.sha256[:12]}"
        )
    origins = {path: where for path, where in document.origins.items() if path[:1] != (SECTION,)}
    return Document(values, origins, document.name), seal


def window_of(overlay: Path) -> Window | None:
    """What an overlay was calibrated on, None for one that was not. Raises ConfigError."""
    seal = opened(load(overlay))[1]
    return None if seal is None else seal.window


def _sha256(facts: dict[str, Any], values: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode([facts, values], order="sorted")).hexdigest()
